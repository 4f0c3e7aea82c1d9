#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# The pkg-config file holds wherever the library is installed: libraries have names, not paths, and
# what only a static link needs is private.
# pkgconfig.sh FILE
set -eu
fail() {
    echo "$1:" >&2
    cat "$file" >&2
    exit 1
}

file=$1
grep -qx 'Libs: -L${libdir} -lvcpuhp' "$file" || fail "Libs names more than the library"
! grep -E '^[A-Z][a-z.]*:.*[ =LI]/' "$file" || fail "an absolute path"
