#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# The examples of a document compile as they stand there: its ```c blocks are one file. What is
# only sketched is indented instead.
# examples.sh DOCUMENT COMPILER ARGUMENT…
set -eu
document=$1
shift
source=$(mktemp --suffix=.c)
trap 'rm -f "$source"' EXIT
awk -v name="$document" '
    /^```c$/ { inside = 1; printf "#line %d \"%s\"\n", NR + 1, name; next }
    /^```$/ { inside = 0 }
    inside' "$document" >"$source"
[ -s "$source" ]
"$@" -fsyntax-only "$source"
