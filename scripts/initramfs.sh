#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Makes initial RAM file systems, which are cpio archives, not compressed: loading a few more
# megabytes costs an emulated machine far less than unpacking them.
#
#   initramfs.sh guest OUT     the test guest: busybox, and tests/e2e/guest-init as PID 1
#   initramfs.sh nested OUT    the nested host's fixed part: busybox, and nested-init as PID 1.
#                              nested.sh puts a second archive behind it: kernels take several.
#   initramfs.sh distribution OUT
#                              build/cache/distribution as a test guest: systemd as PID 1, and
#                              dist/80-vcpuhp.rules where a package would put it
set -eu -o pipefail
# shellcheck source=scripts/setup.sh
. "$(dirname "$0")/setup.sh"

E2E=$ROOT/tests/e2e

with_busybox() {
    mkdir -p "$tree/bin" "$tree/dev"
    install -m 755 "$CACHE/busybox" "$tree/bin/busybox"
    ln -s busybox "$tree/bin/sh"
    install -m 755 "$1" "$tree/init"
}

fill_guest() {
    with_busybox "$E2E/guest-init"
    install -m 644 "$E2E/guest-shell" "$tree"
}

fill_nested() {
    with_busybox "$ROOT/scripts/nested-init"
}

# Packages are unpacked only, so this does what their scripts would have done, except that systemd-sysusers
# adds its users when the guest boots.
fill_distribution() {
    cp -a "$CACHE/distribution/tree/." "$tree"
    cp "$tree/usr/share/base-passwd/passwd.master" "$tree/etc/passwd"
    cp "$tree/usr/share/base-passwd/group.master" "$tree/etc/group"
    printf '%032x\n' 1 >"$tree/etc/machine-id" # otherwise it is a first boot, which asks questions
    echo vcpuhp >"$tree/etc/hostname"
    touch "$tree"/{etc,var}/.updated # otherwise caches are rebuilt
    mkdir "$tree/etc/systemd/system/systemd-sysusers.service.d"
    printf '[Unit]\nConditionNeedsUpdate=\n' \
        >"$tree/etc/systemd/system/systemd-sysusers.service.d/always.conf"
    ln -s mawk "$tree/usr/bin/awk"
    ln -s /usr/lib/systemd/system/multi-user.target "$tree/etc/systemd/system/default.target"
    ln -s usr/lib/systemd/systemd "$tree/init"
    install -m 644 "$E2E/guest-shell" "$tree"
    install -m 644 "$E2E/distribution/serial-getty@.service" "$tree/etc/systemd/system"
    install -m 644 "$ROOT/dist/80-vcpuhp.rules" "$tree/usr/lib/udev/rules.d"
}

case ${1:-} in
guest) sources=("$E2E"/guest-{init,shell} "$CACHE/busybox") ;;
nested) sources=("$ROOT/scripts/nested-init" "$CACHE/busybox") ;;
distribution)
    sources=("$E2E"/guest-shell "$E2E"/distribution/* "$ROOT"/dist/* "$CACHE/distribution")
    ;;
*) die "usage: initramfs.sh guest|nested|distribution OUT" ;;
esac
out=${2:?where to?}

# Nothing to do if nothing that goes in is newer.
[ ! -e "$out" ] || [ -n "$(find "${sources[@]}" "$0" -maxdepth 0 -newer "$out")" ] || exit 0

tree=$(mktemp -d -p "$BUILD" initramfs.XXXXXX)
trap 'rm -rf "$tree"' EXIT
chmod 755 "$tree"
mkdir -p "$(dirname "$out")"
"fill_$1"
(cd "$tree" && find . | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0) >"$tree.cpio"
mv "$tree.cpio" "$out"
