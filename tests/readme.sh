#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# The README's example compiles as it stands there.
# readme.sh README COMPILER ARGUMENT…
set -eu
readme=$1
shift
source=$(mktemp --suffix=.c)
trap 'rm -f "$source"' EXIT
sed -n '/^```c$/,/^```$/{//!p}' "$readme" >"$source"
[ -s "$source" ]
"$@" -fsyntax-only "$source"
