#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Fetches the arm64 things that no amd64 machine has: guest kernels, busybox, a sysroot for the
# cross build, and arm64's KVM headers. They come as Debian packages from the mirror that the
# machine itself uses, through an apt configuration of their own below build/cache: the
# machine's own apt never hears of arm64 or of other suites.
#
#   guest-assets.sh [busybox] [kernel SERIES]... [sysroot] [uapi] [distribution]
#   guest-assets.sh series
#
#   busybox          build/cache/busybox
#   kernel SERIES    build/cache/kernel-SERIES/vmlinuz, an arm64 Image, and its `release`. SERIES
#                    is 6.12 (default: guest and nested host), 6.1 (a guest without CPU hotplug),
#                    any other that a suite has, or "newest"
#   sysroot          build/cache/sysroot, and build/cache/aarch64.ini, meson's cross file for it
#   uapi             build/cache/uapi/{linux,asm}: arm64's KVM headers alone, to compile and
#                    unit-test KVM code elsewhere. Nothing else is in there that would hide the
#                    machine's own headers.
#   distribution     build/cache/distribution/{tree,vmlinuz,release}: the current Debian stable, whichever
#                    that is, unpacked: systemd, udev and what they need, and the suite's own kernel.
#                    scripts/initramfs.sh makes a guest of it
#   series           prints the kernel series of all suites that can be a host: Linux 6.4 and newer
#
# What is there is not fetched again: a second run uses no network. To refresh, delete build/cache.
# DEBIAN_MIRROR and DEBIAN_SUITE say where to look if the machine's apt sources are not Debian's.
set -eu -o pipefail
# shellcheck source=scripts/setup.sh
. "$(dirname "$0")/setup.sh"

APT=$CACHE/apt
KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

# The compiler's libc and the sysroot's must fit, so libraries come from the machine's suite.
# Kernels may come from anywhere.
private_apt() {
    local tool=$1
    shift
    "$tool" -q -o APT::Architecture=arm64 -o APT::Architectures=arm64 \
        -o APT::Default-Release="$SUITE" -o APT::Sandbox::User=root \
        -o Dir::State::Lists="$APT/lists" -o Dir::State::status=/dev/null \
        -o Dir::Cache="$APT/cache" \
        -o Dir::Etc::sourcelist="$APT/sources.list" -o Dir::Etc::sourceparts=/dev/null \
        -o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null \
        "$@"
}

# read_lists SUITE...
read_lists() {
    local s option=
    [ ! -e $KEYRING ] || option="[signed-by=$KEYRING]"
    mkdir -p "$APT/lists/partial" "$APT/cache/archives/partial"
    for s in "$@"; do
        echo "deb $option $MIRROR $s main"
        echo "deb-src $option $MIRROR $s main"
    done >"$APT/sources.list"
    run_logged "$BUILD/log/assets-apt.log" private_apt apt-get update ||
        say "some suites could not be read; going on with the others"
    compgen -G "$APT/lists/*_Packages*" >/dev/null ||
        die "no package list could be read from $MIRROR (no network?)"
}

# index near|all: reads the package lists, once a run. "near" is enough almost always and a third
# of the download; a suite that the mirror has dropped does no harm as long as another has the package.
INDEXED=
index() {
    local suites
    [ "$INDEXED" != "$1" ] && [ "$INDEXED" != all ] || return 0
    pick_mirror
    suites="$SUITE $SUITE-backports"
    [ "$1" = near ] || suites+=" bookworm bookworm-backports trixie trixie-backports sid"
    say "reading package lists ($1 suites)"
    # shellcheck disable=SC2046 # a list of names
    read_lists $(printf '%s\n' $suites | grep -v '^sid-' | sort -u)
    INDEXED=$1
}

# fetch DIR PATTERN PACKAGE...: downloads, and unpacks into DIR what matches.
fetch() {
    local dir=$1 pattern=$2 into p
    shift 2
    into=$(mktemp -d -p "$CACHE" fetch.XXXXXX)
    say "fetching $*"
    (cd "$into" && run_logged "$BUILD/log/assets-download.log" private_apt apt-get download "$@") ||
        { rm -rf "$into"; die "could not download $*"; }
    mkdir -p "$dir"
    for p in "$into"/*.deb; do
        dpkg-deb --fsys-tarfile "$p" | tar -C "$dir" --wildcards -xf - "$pattern" 2>/dev/null ||
            [ "$pattern" != '*' ] || die "could not unpack $(basename "$p")" # a disk that is full?
    done
    rm -rf "$into"
}

# begin DIR: empties $NEW for what is made; finish moves it to its place in one step, so that an
# interrupted run leaves nothing that looks complete.
begin() { NEW=$1.new; rm -rf "$NEW"; mkdir -p "$NEW"; }
finish() { rm -rf "${NEW%.new}"; mv "$NEW" "${NEW%.new}"; }

kernel_package() {
    local series=$1 pattern
    pattern=$(printf '%s' "$series" | sed 's/\./\\./g')
    [ "$series" != newest ] || pattern='[0-9]+\.[0-9]+'
    # The signed package holds the same Image with a signature behind it. Either will do.
    private_apt apt-cache search --names-only "^linux-image-${pattern}[.+-].*cloud-arm64(-unsigned)?\$" |
        awk '{ print $1 }' | grep -E -- "-cloud-arm64(-unsigned)?\$" | sort -V | tail -n 1
}

# unpack_kernel PACKAGE: into $NEW.
unpack_kernel() {
    local package=$1 image inner
    fetch "$NEW/kernel" '*/vmlinuz*' "$package"
    image=$(find "$NEW/kernel" -name 'vmlinuz*' -type f)
    if [ -z "$image" ]; then
        # Newer packaging keeps the Image in a package that the named one depends on.
        mapfile -t inner < <(private_apt apt-cache depends "$package" |
            awk '$1 == "Depends:" && $2 ~ /^linux-binary-/ { print $2 }')
        [ ${#inner[@]} -gt 0 ] || die "found no vmlinuz in $package"
        fetch "$NEW/kernel" '*/vmlinuz*' "${inner[@]}"
        image=$(find "$NEW/kernel" -name 'vmlinuz*' -type f)
    fi
    mv "$image" "$NEW/vmlinuz"
    # The Image header has "ARM\x64" at offset 56; a compressed one would need unpacking first.
    [ "$(dd if="$NEW/vmlinuz" bs=1 skip=56 count=4 2>/dev/null)" = 'ARMd' ] ||
        die "$package: vmlinuz is not a plain arm64 Image"
    echo "$package" | sed 's/^linux-image-//; s/-unsigned$//' >"$NEW/release"
    rm -rf "$NEW/kernel"
}

get_kernel() {
    local series=$1 dir=$CACHE/kernel-$1 package=""
    [ ! -e "$dir/vmlinuz" ] || return 0
    [ "$series" = newest ] || { index near; package=$(kernel_package "$series" || true); }
    [ -n "$package" ] || { index all; package=$(kernel_package "$series" || true); }
    [ -n "$package" ] || die "no suite of $MIRROR has an arm64 cloud kernel $series"
    begin "$dir"
    unpack_kernel "$package"
    finish
    say "kernel $series is $(cat "$dir/release")"
}

list_series() {
    index all
    private_apt apt-cache search --names-only '^linux-image-[0-9.]+[.+-].*cloud-arm64(-unsigned)?$' |
        sed -n 's/^linux-image-\([0-9]*\.[0-9]*\).*/\1/p' | sort -Vu |
        awk -F . '$1 > 6 || ($1 == 6 && $2 >= 4)'
}

get_busybox() {
    [ ! -e "$CACHE/busybox" ] || return 0
    index near
    fetch "$CACHE/busybox.tree" '*bin/busybox' busybox-static
    find "$CACHE/busybox.tree" -name busybox -type f -exec mv {} "$CACHE/busybox" \;
    rm -rf "$CACHE/busybox.tree"
    [ -x "$CACHE/busybox" ] || die "busybox-static holds no busybox"
}

# KVM's headers must know the SMCCC filter (Linux 6.4), which bookworm's own do not.
headers_version() {
    private_apt apt-cache madison linux-libc-dev | awk -F ' *[|] *' '{ print $2 }' |
        grep '^6\.12' | sort -V | tail -n 1
}

get_headers() {
    local version
    index near
    version=$(headers_version || true)
    [ -n "$version" ] || { index all; version=$(headers_version || true); }
    fetch "$1" '*' "linux-libc-dev${version:+=$version}"
    grep -q KVM_ARM_VM_SMCCC_FILTER "$1"/usr/include/aarch64-linux-gnu/asm/kvm.h ||
        die "linux-libc-dev${version:+ $version} lacks the SMCCC filter"
}

get_uapi() {
    local h tree=$CACHE/sysroot
    [ ! -e "$CACHE/uapi" ] || return 0
    begin "$CACHE/uapi"
    [ -e "$tree" ] || { tree=$NEW/tree; get_headers "$tree"; }
    mkdir "$NEW/linux" "$NEW/asm"
    cp "$tree"/usr/include/linux/{kvm,psci}.h "$NEW/linux/"
    for h in kvm ptrace hwcap sve_context; do
        cp "$tree/usr/include/aarch64-linux-gnu/asm/$h.h" "$NEW/asm/"
    done
    rm -rf "$NEW/tree"
    finish
}

# Debian has no static cmocka. It is one C file, so it is built from Debian's source.
build_static_cmocka() {
    local root=$1 src
    src=$(mktemp -d -p "$CACHE" cmocka.XXXXXX)
    say "building a static cmocka"
    (cd "$src" && run_logged "$BUILD/log/assets-cmocka.log" private_apt apt-get source \
        --download-only --tar-only cmocka/"$SUITE") || die "could not download cmocka's source"
    tar -C "$src" --strip-components=1 -xf "$src"/cmocka_*.orig.tar.*
    run_logged "$BUILD/log/assets-cmocka.log" aarch64-linux-gnu-gcc --sysroot="$root" -O2 -w -c \
        -o "$src/cmocka.o" -I"$src/include" -include stdint.h -include stdarg.h -include stddef.h \
        -include setjmp.h -D_GNU_SOURCE \
        -DHAVE_SIGNAL_H -DHAVE_STRINGS_H -DHAVE_STRSIGNAL -DHAVE_SETJMP_H -DHAVE_INTTYPES_H \
        -DHAVE_STRUCT_TIMESPEC -DHAVE_CLOCK_GETTIME -DHAVE_CLOCK_REALTIME -DHAVE_GCC_THREAD_LOCAL_STORAGE \
        "$src/src/cmocka.c" || die "could not build cmocka"
    rm -f "$root/usr/lib/aarch64-linux-gnu/libcmocka.a"
    aarch64-linux-gnu-ar rcs "$root/usr/lib/aarch64-linux-gnu/libcmocka.a" "$src/cmocka.o"
    rm -rf "$src"
}

# names_of PACKAGE...: these and what they need.
names_of() {
    private_apt apt-get install --print-uris -y --no-install-recommends "$@" 2>/dev/null |
        awk '/^'\''/ { sub(/_.*/, "", $2); print $2 }'
}

# apt works out what the -dev packages need; programs, Python and the like among it are of no use here.
get_sysroot() {
    local names root=$CACHE/sysroot
    [ ! -e "$root" ] || return 0
    index near
    begin "$root"
    names=$(names_of libc6-dev libglib2.0-dev libfdt-dev libpcre2-dev zlib1g-dev libcmocka-dev |
        grep -E -- '-dev$|^libc6$|^libgcc-s1$|^libglib2.0-0|^libpcre2-8-0|^libfdt1$|^zlib1g$' |
        grep -v '^linux-libc-dev$') || die "apt cannot resolve the sysroot's packages"
    # shellcheck disable=SC2086 # a list of names
    fetch "$NEW" '*' $names
    get_headers "$NEW"
    build_static_cmocka "$NEW"
    rm -rf "$NEW"/usr/share/doc "$NEW"/usr/share/man
    finish
}

# The package lists are those of the suite "stable" alone, in a place of their own: here apt must not
# take anything from the machine's suite.
get_distribution() (
    dir=$CACHE/distribution
    [ ! -e "$dir" ] || return 0
    pick_mirror
    SUITE=stable APT=$CACHE/apt-stable
    say "reading the package list of $SUITE"
    read_lists "$SUITE"
    names=$(names_of systemd systemd-sysv udev kmod dbus libc-bin util-linux coreutils dash grep sed base-files \
        base-passwd) || die "apt cannot resolve the distribution's packages"
    begin "$dir"
    # shellcheck disable=SC2086 # a list of names
    fetch "$NEW/tree" '*' $names
    # All of it is in the guest's memory, and none of this is used there.
    rm -rf "$NEW"/tree/usr/share/{bash-completion,doc,info,lintian,locale,man,zsh} \
        "$NEW"/tree/usr/lib/aarch64-linux-gnu/gconv "$NEW"/tree/usr/lib/udev/hwdb.d
    unpack_kernel "$(kernel_package newest)"
    finish
    say "the distribution is $(. "$dir/tree/usr/lib/os-release" && echo "$PRETTY_NAME")"
)

write_cross_file() {
    cat >"$CACHE/aarch64.ini.new" <<END
# Written by scripts/guest-assets.sh. Static, because the nested host has no libraries.
[constants]
sysroot = '$CACHE/sysroot'

[binaries]
# Debian's cross gcc looks into its own libc first, if that is installed, sysroot or not.
c = ['aarch64-linux-gnu-gcc', '--sysroot=' + sysroot,
     '-isystem', '=/usr/include/aarch64-linux-gnu', '-isystem', '=/usr/include',
     '-B' + sysroot + '/usr/lib/aarch64-linux-gnu']
ar = 'aarch64-linux-gnu-ar'
strip = 'aarch64-linux-gnu-strip'
pkgconfig = 'pkg-config'

[properties]
sys_root = sysroot
pkg_config_libdir = sysroot + '/usr/lib/aarch64-linux-gnu/pkgconfig:' + sysroot + '/usr/share/pkgconfig'
needs_exe_wrapper = $([ "$(uname -m)" = aarch64 ] && echo false || echo true)

[built-in options]
default_library = 'static'
prefer_static = true
c_link_args = ['-static']

[host_machine]
system = 'linux'
cpu_family = 'aarch64'
cpu = 'aarch64'
endian = 'little'
END
    # Unchanged, it keeps its time stamp, and meson does not configure again.
    cmp -s "$CACHE/aarch64.ini.new" "$CACHE/aarch64.ini" 2>/dev/null &&
        rm "$CACHE/aarch64.ini.new" || mv "$CACHE/aarch64.ini.new" "$CACHE/aarch64.ini"
}

# Two runs at a time would build in each other's places.
exec 9>"$CACHE/lock"
flock 9
rm -rf "$CACHE"/fetch.* "$CACHE"/cmocka.* # of a run that was killed

[ $# -gt 0 ] || set -- busybox kernel 6.12 sysroot uapi
while [ $# -gt 0 ]; do
    case $1 in
    busybox) get_busybox ;;
    series) list_series ;;
    kernel) get_kernel "${2:?which kernel series?}"; shift ;;
    sysroot) get_sysroot; write_cross_file ;;
    uapi) get_uapi ;;
    distribution) get_distribution ;;
    *) die "guest-assets: don't know $1" ;;
    esac
    shift
done
