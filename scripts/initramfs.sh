#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Makes initial RAM file systems, which are cpio archives, not compressed: loading a few more
# megabytes costs an emulated machine far less than unpacking them.
#
#   initramfs.sh guest OUT     the test guest: busybox, and tests/e2e/guest-init as PID 1
#   initramfs.sh nested OUT    the nested host's fixed part: busybox, and nested-init as PID 1.
#                              nested.sh puts a second archive behind it: kernels take several.
set -eu -o pipefail
# shellcheck source=scripts/setup.sh
. "$(dirname "$0")/setup.sh"

case ${1:-} in
guest) init=$ROOT/tests/e2e/guest-init ;;
nested) init=$ROOT/scripts/nested-init ;;
*) die "usage: initramfs.sh guest|nested OUT" ;;
esac
out=${2:?where to?}

# Nothing to do if nothing that goes in is newer.
[ ! "$out" -nt "$init" ] || [ ! "$out" -nt "$CACHE/busybox" ] || [ ! "$out" -nt "$0" ] || exit 0

tree=$(mktemp -d -p "$BUILD" initramfs.XXXXXX)
trap 'rm -rf "$tree"' EXIT
chmod 755 "$tree"
mkdir -p "$(dirname "$out")" "$tree/bin" "$tree/dev"
install -m 755 "$CACHE/busybox" "$tree/bin/busybox"
ln -s busybox "$tree/bin/sh"
install -m 755 "$init" "$tree/init"
(cd "$tree" && find . | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0) >"$tree.cpio"
mv "$tree.cpio" "$out"
