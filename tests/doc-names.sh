#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# The documents name what is there: the targets of their links; in docs/architecture.md the library's
# sources, all of them; in docs/psci.md the tests of its cells.
# doc-names.sh SOURCE_ROOT
set -eu
cd "$1"
fail() {
    echo "$*" >&2
    status=1
}
status=0

for document in *.md docs/*.md; do
    for target in $(grep -o '](\([^)]*\))' "$document" | sed 's/^](//; s/)$//; s/#.*//'); do
        case $target in
        http*) continue ;;
        esac
        [ -e "$(dirname "$document")/$target" ] || fail "$document: no file $target"
    done
done

for name in $(grep -o '`[a-z_/-]*\.[ch]`' docs/architecture.md | tr -d '`' | sort -u); do
    [ -e "src/$name" ] || fail "docs/architecture.md: no file src/$name"
done
for source in $(cd src && find . -name '*.c' | sed 's/^\.\///'); do
    grep -qF "\`$source\`" docs/architecture.md || fail "docs/architecture.md lacks $source"
done

for name in $(grep -o '`[a-z0-9]*_[a-z0-9_]*`' docs/psci.md | tr -d '`' | sort -u); do
    grep -qw "$name" tests/unit/test_psci.c || fail "docs/psci.md: no test $name"
done
exit $status
