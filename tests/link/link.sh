#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# The library as others meet it: installed, or as a subproject. vmm/ is a VMM that uses for itself
# what would be the library's names.
# link.sh SOURCE_ROOT KVM_UAPI; the compiler is $CC
set -u
source=$1
options=(-Dkvm_uapi="$2" -Doptimization=0)
exports=$source/tests/unit/exports.py
vmm=$source/tests/link/vmm
command -v meson >/dev/null || { echo '1..0 # SKIP no meson in PATH'; exit 0; }
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# run TEST: each test is a function, whose name is the test's.
number=0
run() {
    number=$((number + 1))
    if "$1" >"$tmp/log" 2>&1; then
        echo "ok $number - $1"
    else
        echo "not ok $number - $1"
        sed 's/^/# /' "$tmp/log"
    fi
}

# install_library NAME OPTION...: into $tmp/NAME, with all directories in known places.
install_library() {
    local prefix=$tmp/$1
    shift
    meson setup "$prefix.build" "$source" --prefix "$prefix" --libdir lib "${options[@]}" \
        -Dtests=false -Dexamples=false -Ddefault_library=both "$@" &&
        meson install -C "$prefix.build"
}

has_only_declared_symbols() {
    "$exports" "$1/lib/libvcpuhp.a" "$1/include/vcpuhp" &&
        "$exports" "$1/lib/libvcpuhp.so" "$1/include/vcpuhp"
}

# link_vmm OPTION...: as pkg-config says. The output's names are split into words.
link_vmm() {
    local flags
    flags=$(PKG_CONFIG_PATH=$tmp/whole/lib/pkgconfig pkg-config "$@" --cflags --libs vcpuhp) &&
        $CC -std=gnu11 -o "$tmp/vmm" "$vmm/vmm.c" $flags
}

# build_parent NAME OPTION...: a project with the library as its subproject, in $tmp/NAME.
build_parent() {
    local parent=$tmp/$1
    shift
    cp -r "$vmm" "$parent" && mkdir "$parent/subprojects" &&
        ln -s "$source" "$parent/subprojects/libvcpuhp" &&
        meson setup "$parent/build" "$parent" --wrap-mode forcefallback \
            "${options[@]/#-Dkvm_uapi/-Dlibvcpuhp:kvm_uapi}" "$@" &&
        ninja -C "$parent/build"
}

installed_libraries_define_what_the_headers_declare_and_nothing_else() {
    install_library whole && has_only_declared_symbols "$tmp/whole"
}

without_kvm_and_libfdt_they_define_what_the_remaining_headers_declare() {
    install_library core -Dkvm=disabled -Dfdt=disabled && has_only_declared_symbols "$tmp/core" &&
        [ ! -e "$tmp/core/include/vcpuhp/kvm.h" ] && [ ! -e "$tmp/core/include/vcpuhp/fdt.h" ]
}

a_vmm_with_the_same_names_links_with_the_shared_library_and_runs() {
    link_vmm && LD_LIBRARY_PATH=$tmp/whole/lib "$tmp/vmm"
}

a_vmm_with_the_same_names_links_with_the_archive_and_runs() {
    rm "$tmp"/whole/lib/libvcpuhp.so* && link_vmm --static && "$tmp/vmm"
}

a_vmm_with_the_same_names_links_with_a_shared_subproject_and_runs() {
    build_parent shared -Ddefault_library=shared && "$tmp/shared/build/vmm"
}

a_vmm_with_the_same_names_links_with_a_static_subproject_and_runs() {
    build_parent static -Ddefault_library=static && "$tmp/static/build/vmm"
}

# The tarball, which the wrap file would download, is in meson's cache of downloads.
a_vmm_gets_the_library_by_the_wrap_file() {
    local parent=$tmp/wrapped wrap=$source/examples/libvcpuhp.wrap tarball name
    tarball=$(sed -n 's/^source_filename = //p' "$wrap")
    name=$(sed -n 's/^directory = //p' "$wrap")
    [ "$name" = "libvcpuhp-$(meson introspect --projectinfo "$source/meson.build" |
        sed 's/.*"version": "\([^"]*\)".*/\1/')" ] &&
        cp -r "$vmm" "$parent" && mkdir -p "$parent/subprojects/packagecache" &&
        tar -C "$source" --transform "s,^,$name/," \
            -cJf "$parent/subprojects/packagecache/$tarball" include src meson.build meson_options.txt &&
        sed "s/^source_hash = .*/source_hash = $(sha256sum <"$parent/subprojects/packagecache/$tarball" |
            cut -d ' ' -f 1)/" "$wrap" >"$parent/subprojects/libvcpuhp.wrap" &&
            meson setup "$parent/build" "$parent" --force-fallback-for vcpuhp \
            "${options[@]/#-Dkvm_uapi/-Dlibvcpuhp:kvm_uapi}" &&
        ninja -C "$parent/build" && "$parent/build/vmm"
}

a_subproject_builds_the_library_alone_and_needs_no_cmocka() {
    local targets dependencies
    targets=$(meson introspect --targets "$tmp/static/build") &&
        dependencies=$(meson introspect --dependencies "$tmp/static/build") || return 1
    grep -qF /libvcpuhp/src/meson.build <<<"$targets" && grep -qF glib-2.0 <<<"$dependencies" &&
        ! grep -oE '/libvcpuhp/(tests|examples|benchmarks)/[^"]*' <<<"$targets" &&
        ! grep -oF cmocka <<<"$dependencies"
}

echo 1..8
run installed_libraries_define_what_the_headers_declare_and_nothing_else
run without_kvm_and_libfdt_they_define_what_the_remaining_headers_declare
run a_vmm_with_the_same_names_links_with_the_shared_library_and_runs
run a_vmm_with_the_same_names_links_with_the_archive_and_runs
run a_vmm_with_the_same_names_links_with_a_shared_subproject_and_runs
run a_vmm_with_the_same_names_links_with_a_static_subproject_and_runs
run a_subproject_builds_the_library_alone_and_needs_no_cmocka
run a_vmm_gets_the_library_by_the_wrap_file
