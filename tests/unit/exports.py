#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Checks that the public headers declare exactly what a file has: a symbol map (NAME.map) lists, an
archive (NAME.a) defines globally, or a shared library exports.

    exports.py FILE HEADER...
    exports.py FILE DIRECTORY   all headers in the directory

A build without an optional part lacks that part's header and its functions. So the map is compared
with the headers of the source tree, and a library with those that were built or installed with it.
"""
import pathlib
import re
import subprocess
import sys

COMMENT = re.compile(r'/\*.*?\*/|//[^\n]*', re.DOTALL)
DIRECTIVE = re.compile(r'^[ \t]*#(?:.*\\\n)*.*$', re.MULTILINE)
DECLARATION = re.compile(r'\bVCPUHP_API\b[^;{]*')
FUNCTION = re.compile(r'\b(vcpuhp_\w+)\s*\(')


def declared(headers):
    names = set()
    for header in headers:
        text = DIRECTIVE.sub('', COMMENT.sub(' ', header.read_text(encoding='utf-8')))
        for declaration in DECLARATION.findall(text):
            name = FUNCTION.search(declaration)
            if not name:
                sys.exit(f'{header}: no function in: {declaration}')
            names.add(name[1])
    return names


def mapped(path):
    text = COMMENT.sub(' ', path.read_text(encoding='utf-8'))
    lists = re.findall(r'global:(.*?)(?:local:|})', text, re.DOTALL)
    return {name for entry in lists for name in re.findall(r'[^\s;]+', entry)}


def exported(library, *options):
    lines = subprocess.run(['nm', '-g', '--defined-only', *options, library], check=True,
                           stdout=subprocess.PIPE, text=True).stdout.splitlines()
    symbols = (line.split() for line in lines if len(line.split()) == 3)
    # The version node is an absolute symbol.
    return {name.split('@')[0] for _, kind, name in symbols if kind != 'A'}


def main():
    path, *headers = map(pathlib.Path, sys.argv[1:])
    if headers[0].is_dir():
        headers = list(headers[0].glob('*.h')) + list(headers[0].glob('*.h.in'))
    wanted = declared(headers)
    if path.suffix == '.map':
        found = mapped(path)
    elif path.suffix == '.a':
        found = exported(path)
    else:
        found = exported(path, '-D')
    for name in sorted(wanted - found):
        print(f'{path} lacks {name}, which a header declares')
    for name in sorted(found - wanted):
        print(f'{path} has {name}, which no header declares')
    sys.exit(not wanted or wanted != found)


main()
