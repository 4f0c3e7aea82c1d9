#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The code blocks of the documents: each one compiles, or runs.

    blocks.py SOURCE_ROOT BUILD_ROOT COMPILER ARGUMENT...

A block is fenced and names its language:

  c    All blocks of a document are one file, which compiles.
  asl  It compiles inside a definition block.
  sh   It runs in a copy of the sources, all blocks of a document in the same copy, unless a comment
       before the block says which file runs it, by a text of that file, and why it is not run here:

         <!-- ./demo: run by test ("check demo"), because it boots a guest -->

  console, text  What a program prints. A comment of the same form names the test that has it
       printed; its command is `output`.

Results are in TAP.
"""
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

RUN_BY = re.compile(r'<!-- (?P<command>.+?): run by (?P<file>\S+) \("(?P<text>.+?)"\),.* because .+ -->')
FENCE = re.compile(r'^```(\w*)$')


class Block:
    def __init__(self, language, line, markers):
        self.language = language
        self.line = line  # the first one inside
        self.markers = markers
        self.lines = []

    def commands(self):
        return '\n'.join(self.lines).replace('\\\n', ' ').splitlines()


class Failed(Exception):
    pass


def blocks_of(text):
    """The blocks of a document; raises Failed."""
    block = None
    markers = []
    previous = ''
    for number, line in enumerate(text.splitlines(), 1):
        fence = FENCE.match(line)
        marker = RUN_BY.match(line)
        if block:
            if line == '```':
                yield block
                block, markers = None, []
            else:
                block.lines.append(line)
        elif fence:
            block = Block(fence[1], number + 1, markers)
        elif line.startswith('    ') and not previous:
            raise Failed(f'line {number}: an indented block; fence it and name its language')
        elif marker:
            markers.append(marker)
        elif ': run by ' in line:
            raise Failed(f'line {number}: not the form of such a comment')
        elif markers:
            raise Failed(f'line {number}: the comment before it belongs to no block')
        previous = line
    if block:
        raise Failed(f'line {block.line}: a block without an end')


def run(command, **arguments):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors='replace', **arguments)
    if done.returncode:
        raise Failed(f'{command}: exit status {done.returncode}\n{done.stdout[-3000:]}')


def check_markers(root, block):
    for marker in block.markers:
        path = root / marker['file']
        if not path.is_file():
            raise Failed(f'there is no file {marker["file"]}')
        if marker['text'] not in path.read_text():
            raise Failed(f'{marker["file"]} does not contain "{marker["text"]}"')
        lines = ['output'] if block.language in ('console', 'text') else block.commands()
        if not any(line.startswith(marker['command']) for line in lines):
            raise Failed(f'the block has no command {marker["command"]}')


def compile_c(compiler, document, blocks, folder):
    source = folder / 'blocks.c'
    source.write_text(''.join(f'#line {block.line} "{document}"\n' + '\n'.join(block.lines) + '\n'
                              for block in blocks))
    run([*compiler, '-fsyntax-only', str(source)])


def compile_asl(block, folder):
    source = folder / 'block.asl'
    source.write_text('DefinitionBlock ("", "DSDT", 2, "VCPUHP", "EXAMPLE", 1)\n{\n' +
                      '\n'.join(block.lines) + '\n}\n')
    run(['iasl', '-ve', '-p', str(folder / 'block'), str(source)])


def run_commands(root, block, copy):
    commands = [line for line in block.commands()
                if not any(line.startswith(marker['command']) for marker in block.markers)]
    if not commands:
        return
    if not copy.exists():
        shutil.copytree(root, copy, symlinks=True, ignore=lambda folder, names:
                        {'build', '.git'} & set(names) if Path(folder) == root else set())
        (copy / 'build').mkdir()
        if (root / 'build/cache').exists():
            (copy / 'build/cache').symlink_to((root / 'build/cache').resolve())
    run(['bash', '-euc', '\n'.join(commands)], cwd=copy)


def cases(root, compiler, document, folder):
    """Names and functions of a document's tests."""
    name = document.relative_to(root)
    blocks = list(blocks_of(document.read_text()))
    c = [block for block in blocks if block.language == 'c']
    if c:
        yield f'{name}: c', lambda: compile_c(compiler, name, c, folder)
    for block in blocks:
        at = f'{name}:{block.line}: {block.language}'
        if block.markers:
            yield f'{at}, run elsewhere', lambda block=block: check_markers(root, block)
        if block.language == 'sh':
            yield at, lambda block=block: run_commands(root, block, folder / 'copy')
        elif block.language == 'asl':
            yield at, lambda block=block: compile_asl(block, folder)
        elif block.language in ('console', 'text'):
            if not block.markers:
                raise Failed(f'line {block.line}: no comment says which test prints it')
        elif block.language != 'c':
            raise Failed(f'line {block.line}: "{block.language}" is no language of a block')


def documents_of(root):
    for document in sorted(root.glob('**/*.md')):
        parts = document.relative_to(root).parts
        if parts[0] not in ('build', 'subprojects') and not parts[0].startswith('.'):
            yield document


class Tap:
    def __init__(self):
        self.number = self.failed = 0

    def result(self, name, function):
        self.number += 1
        try:
            function()
            verdict = 'ok'
        except Failed as error:
            self.failed += 1
            print('\n'.join('# ' + line for line in str(error).splitlines()))
            verdict = 'not ok'
        print(f'{verdict} {self.number} - {name}', flush=True)


def main():
    root, build = Path(sys.argv[1]), Path(sys.argv[2])
    tap = Tap()

    for document in documents_of(root):
        with tempfile.TemporaryDirectory(dir=build) as folder:
            found = []
            # What is malformed ends the list.
            tap.result(f'{document.relative_to(root)}: form', lambda: found.extend(
                cases(root, sys.argv[3:], document, Path(folder))))
            for name, function in found:
                tap.result(name, function)
    print(f'1..{tap.number}')
    return tap.failed > 0


if __name__ == '__main__':
    sys.exit(main())
