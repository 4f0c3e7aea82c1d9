#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The public headers as a later release might have them: every struct that begins with its size has
one more field at its end, and is otherwise unchanged.

grow.py OUTPUT-DIRECTORY HEADER...
"""
import pathlib
import re
import sys

STRUCT = re.compile(r"(typedef struct (\w+) \{\n(?:[^}]*\n)?)(\} \2;)", re.M)


def grow(text, names):
    def add(match):
        body, name, end = match.groups()
        first = next(line for line in body.splitlines()[1:]
                     if line.startswith("    ") and not line.lstrip().startswith(("/*", "*")))
        if first.split("/*")[0].strip() != "size_t size;":
            return match.group()
        names.append(name)
        return f"{body}    uint64_t grown;\n{end}"
    return STRUCT.sub(add, text)


def main():
    directory = pathlib.Path(sys.argv[1], "vcpuhp")
    directory.mkdir(parents=True, exist_ok=True)
    names = []
    for header in map(pathlib.Path, sys.argv[2:]):
        (directory / header.name).write_text(grow(header.read_text(), names))
    if len(names) < 6:
        sys.exit(f"only {names} begin with a size")
    pathlib.Path(sys.argv[1], "grown.h").write_text(
        "#define GROWN 1\n#define GROWN_STRUCTS \"" + " ".join(sorted(names)) + "\"\n")


if __name__ == "__main__":
    main()
