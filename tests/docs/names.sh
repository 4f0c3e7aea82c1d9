#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# The documents name what is there: the targets of their links; programs, build options and the
# public API in their text and pictures; in docs/architecture.md the library's sources, all of them;
# the figures of README.md in docs/performance.md; tests where they are promised. minivmm.1 has all options and commands.
# names.sh SOURCE_ROOT
set -eu
cd "$1"
fail() {
    echo "$*" >&2
    status=1
}
status=0

# What stands between backticks, a line each.
inline() {
    grep -o '`[^`]*`' "$1" | tr -d '`'
}

for document in *.md docs/*.md tests/*/*.md; do
    for target in $(grep -o '](\([^)]*\))' "$document" | sed 's/^](//; s/)$//; s/#.*//'); do
        case $target in
        http*) continue ;;
        esac
        [ -e "$(dirname "$document")/$target" ] || fail "$document: no file $target"
    done
    for program in $(inline "$document" | sed -n 's/^\(\.\/[a-z]*\|scripts\/[a-z.-]*\).*/\1/p' | sort -u); do
        [ -x "$program" ] || fail "$document: no program $program"
    done
    for option in $(inline "$document" | sed -n 's/^-D\([a-z_]*\)=.*/\1/p' | sort -u); do
        grep -q "^option('$option'" meson_options.txt || fail "$document: no build option $option"
    done
done

for name in $(grep -o '`[a-z_/-]*\.[ch]`' docs/architecture.md | tr -d '`' | sort -u); do
    [ -e "src/$name" ] || fail "docs/architecture.md: no file src/$name"
done
for source in $(cd src && find . -name '*.c' | sed 's/^\.\///'); do
    grep -qF "\`$source\`" docs/architecture.md || fail "docs/architecture.md lacks $source"
done

for name in $(grep -ohE '\b(vcpuhp_[a-z0-9_]+\(|VCPUHP_[A-Z0-9_]*[A-Z0-9]\b)' ./*.md docs/*.md docs/*.puml docs/*.dot \
    tests/*/*.md | tr -d '(' | sort -u); do
    grep -qw "$name" include/vcpuhp/*.h include/vcpuhp/*.in || fail "the documents: no $name in the headers"
done

for name in $(inline docs/psci.md | grep -x '[a-z0-9]*_[a-z0-9_]*' | sort -u); do
    grep -qw "$name" tests/unit/test_psci.c || fail "docs/psci.md: no test $name"
done
# Rows whose last cell is a key of ./bench: libvcpuhp's figure and the peer's.
awk -F ' *\\| *' '
    FILENAME == "docs/performance.md" && NF > 7 { figures[$2] = $3 "|" $6 }
    FILENAME == "README.md" && $5 ~ /^`[a-z_.0-9]+`$/ {
        key = $5
        gsub("`", "", key)
        if (figures[key] != $3 "|" $4) { print "README.md: other figures than docs/performance.md: " key; bad = 1 }
        n++
    }
    END { exit bad || !n }' docs/performance.md README.md >&2 || fail "README.md: its figures"

for name in $(sed '/^## What a guest can do/,$d' docs/security.md | tr ' ' '\n' |
    sed -n 's/^`\([a-z0-9]*_[a-z0-9_]*\)`.*/\1/p' | sort -u); do
    grep -qw "$name" tests/unit/*.c tests/e2e/*.c || fail "docs/security.md: no test $name"
done
for call in $(sed -n 's/^ *__NR_\([a-z0-9_]*\),$/\1/p' examples/minivmm/seccomp.c); do
    grep -q "\`$call\`" docs/security.md || fail "docs/security.md lacks $call of seccomp.c"
done
for option in $(sed -n 's/^ *{"\([a-z-]*\)", 0, 0, G_OPTION_ARG.*/\1/p' examples/minivmm/*.c); do
    grep -q "^\.It Fl Fl $option\b" docs/man/minivmm.1 || fail "minivmm.1 lacks --$option"
done
commands=$(sed -n '/} commands\[\] = {/,/^};/s/^ *{"\([a-z]*\)", "[^"]*".*/\1/p' examples/minivmm/*.c)
[ -n "$commands" ] || fail "minivmm's commands are not where this test looks for them"
for command in $commands; do
    grep -q "^\.It Cm $command\b" docs/man/minivmm.1 || fail "minivmm.1 lacks the command $command"
done

for name in $(sed -n 's/^Test: `\([a-z0-9_]*\)`.*/\1/p' docs/*.md | sort -u); do
    grep -qw "void $name" tests/e2e/*.c || fail "the documents: no test $name"
done
exit $status
