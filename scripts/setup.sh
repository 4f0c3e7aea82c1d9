# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# Sourced by the scripts: where things are, how they talk, and how missing Debian packages get
# onto the machine.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
BUILD=$ROOT/build
CACHE=$BUILD/cache
mkdir -p "$CACHE"

# Progress goes to stderr: stdout belongs to the programs that are run and to results. The time is
# that since the first of the scripts began.
export STARTED=${STARTED:-$EPOCHSECONDS}
say() { printf '[%3ds] %s\n' $((EPOCHSECONDS - STARTED)) "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# run_logged LOG COMMAND...: quiet while it works; says where to look when it doesn't.
run_logged() {
    local log=$1
    shift
    mkdir -p "$(dirname "$log")"
    if ! "$@" >"$log" 2>&1; then
        tail -n 25 "$log" >&2
        printf 'failed: %s\n  the whole log is %s\n' "$*" "$log" >&2
        return 1
    fi
}

# With an arm64 KVM at hand nothing needs to be emulated.
have_arm64_kvm() { [ "$(uname -m)" = aarch64 ] && [ -r /dev/kvm ] && [ -w /dev/kvm ]; }

# meson_build DIR LOGPREFIX OPTION... [-- TARGET...]: configures once, then only builds what has
# changed. The options are kept beside the build, and different ones start it afresh.
meson_build() {
    local dir=$1 log=$2 options=()
    shift 2
    while [ $# -gt 0 ] && [ "$1" != -- ]; do
        options+=("$1")
        shift
    done
    [ $# = 0 ] || shift
    if [ "$(cat "$dir/.options" 2>/dev/null)" != "${CC:-} ${options[*]}" ]; then
        rm -rf "$dir"
        run_logged "$log-setup.log" meson setup "$dir" "$ROOT" "${options[@]}" || return 1
        printf '%s\n' "${CC:-} ${options[*]}" >"$dir/.options"
    fi
    run_logged "$log-build.log" ninja -C "$dir" "$@"
}

# build_arm64 [TARGET...]: minivmm and the programs that drive it. On an arm64 host with KVM it is
# an ordinary build against the machine's own libraries; otherwise a static one, because it runs
# in a nested host that has nothing but busybox.
ARM64=$BUILD/arm64
build_arm64() {
    local options=(-Dexamples=true -Dtests=true -Dbenchmarks=true)
    if have_arm64_kvm; then
        options+=(-Dkvm_uapi="$CACHE/uapi")
    else
        options+=(--cross-file "$CACHE/aarch64.ini")
    fi
    meson_build "$ARM64" "$BUILD/log/arm64" "${options[@]}" -- "$@"
}

# get_assets [KERNEL_SERIES...]: what guests need, and the environment that tells of it (see
# tests/e2e/guest.h). Further kernels are fetched on demand.
GUEST_ENV=()
get_assets() {
    local series wanted=(busybox kernel 6.12)
    have_arm64_kvm || wanted+=(sysroot)
    wanted+=(uapi)
    for series in "$@"; do
        wanted+=(kernel "$series")
    done
    "$ROOT/scripts/guest-assets.sh" "${wanted[@]}"
    "$ROOT/scripts/initramfs.sh" guest "$BUILD/guest.cpio"
    # shellcheck disable=SC2034 # for the scripts that source this file
    GUEST_ENV=(MINIVMM="$ARM64/examples/minivmm/minivmm" GUEST_INITRD="$BUILD/guest.cpio"
        GUEST_KERNEL="$CACHE/kernel-6.12/vmlinuz")
}

# What each command calls. The nested host's needs are listed apart: an arm64 machine with KVM
# installs no emulator and no cross compiler.
packages_for() {
    local list="meson ninja-build pkg-config cpio xz-utils"
    if have_arm64_kvm; then
        list+=" gcc libc6-dev libglib2.0-dev libfdt-dev libcmocka-dev"
    else
        list+=" gcc-aarch64-linux-gnu qemu-system-arm"
    fi
    case $1 in
    demo) ;;
    bench) list+=" gcc libc6-dev libglib2.0-dev libfdt-dev valgrind" ;;
    test) list+=" gcc g++ libc6-dev libglib2.0-dev libfdt-dev libcmocka-dev clang libclang-rt-dev \
        abigail-tools acpica-tools debootstrap device-tree-compiler clang-format clang-tidy doxygen \
        man-db mandoc shellcheck" ;;
    coverage) list+=" gcc g++ libc6-dev libglib2.0-dev libfdt-dev libcmocka-dev acpica-tools \
        device-tree-compiler gcovr" ;;
    *) die "setup: no such purpose: $1" ;;
    esac
    printf '%s\n' $list | sort -u
}

missing_packages() {
    local p
    for p in $(packages_for "$1"); do
        case $(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null) in
        installed) ;;
        *) printf '%s ' "$p" ;;
        esac
    done
}

# setup demo|test|bench|coverage: installs what is missing. With nothing missing it does nothing at all.
setup() {
    local missing as_root=()
    command -v dpkg-query >/dev/null && command -v apt-get >/dev/null ||
        die "this script installs its needs with apt, on Debian or a relative of it." \
            "Elsewhere build with meson (see README.md)."
    missing=$(missing_packages "$1")
    [ -n "$missing" ] || return 0

    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null && sudo -n true 2>/dev/null ||
            die "these packages are missing, and there is neither root nor a password-less" \
                "sudo to install them: $missing"
        as_root=(sudo)
    fi
    say "installing: $missing"
    # An update that fails may still leave lists that are good enough, so only install decides.
    run_logged "$BUILD/log/apt-update.log" "${as_root[@]}" apt-get update || true
    # shellcheck disable=SC2086 # a list of names
    run_logged "$BUILD/log/apt-install.log" "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y --no-install-recommends $missing ||
        die "could not install (no network, or a broken apt set-up?): $missing"
}

# apt itself reads the machine's sources, so every format it knows is understood. A mirror of
# Debian proper is one that serves a plain Debian suite; security and third parties don't.
machine_sources() {
    apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
        grep -E ' (bookworm|trixie|forky|sid|stable|testing|unstable) main$' || true
}

pick_mirror() {
    local uri suite
    read -r uri suite _ < <(machine_sources) || true
    MIRROR=${DEBIAN_MIRROR:-${uri:-}}
    SUITE=${DEBIAN_SUITE:-${suite:-}}
    case $SUITE in
    stable | testing | unstable) SUITE=$(. /etc/os-release && echo "${VERSION_CODENAME:-sid}") ;;
    esac
    [ -n "$MIRROR" ] && [ -n "$SUITE" ] ||
        die "found no Debian mirror in this machine's apt sources;" \
            "set DEBIAN_MIRROR (a URL) and DEBIAN_SUITE (such as trixie)"
}
