#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Every function that a public header declares is exported, and nothing else is.
# exports.sh LIBRARY HEADER…
set -eu
library=$1
shift
declared=$(cat "$@" | grep -oE '\bvcpuhp_[a-z0-9_]+\(' | tr -d '(' | sort -u |
    while read -r name; do
        # A declaration begins a line with VCPUHP_API; a name in a comment doesn't count.
        if grep -qE "^VCPUHP_API [^;]*\b$name\(" "$@" ||
            grep -A1 -E '^VCPUHP_API ' "$@" | grep -qE "\b$name\("; then
            echo "$name"
        fi
    done)
exported=$(nm -D --defined-only "$library" | awk '$2 == "T" { sub(/@.*/, "", $3); print $3 }' | sort -u)
[ -n "$declared" ]
if [ "$declared" = "$exported" ]; then
    exit 0
fi
printf 'declared:\n%s\nexported:\n%s\n' "$declared" "$exported" >&2
exit 1
