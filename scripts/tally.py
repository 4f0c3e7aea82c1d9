#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Counts single tests, from what the runs left behind.

    tally.py meson NAME TESTLOG.json        a run of `meson test`
    tally.py tap NAME OUTPUT STATUS         one program: what it printed, its exit status

Prints "PASSED FAILED SKIPPED" to standard output, and failures and skips to standard error, each
failure with what its test said. A program that dies, that announces no tests, or runs fewer than it
announced has failed, whatever the tests before that point said.
"""
import json
import re
import sys

RESULT = re.compile(r'(ok|not ok)\b(?: +(\d+))?(?: +-)?(?: +(.*))?$')
PLAN = re.compile(r'1\.\.(\d+)(?: *# *skip\S* *(.*))?', re.IGNORECASE)
# cmocka before 1.1.6 says "not ok N # SKIP name", everybody else "ok N - name # SKIP reason".
SKIP = re.compile(r'(.*?) *# *skip\S* *(.*)', re.IGNORECASE)
GROUP = re.compile(r'# (not )?ok - ')  # what cmocka says of a whole group
QUOTED_LINES = 80


class Tally:
    def __init__(self, run):
        self.run, self.passed, self.failed, self.skipped = run, 0, 0, 0

    def fail(self, *what):
        self.failed += 1
        self.tell('FAILED ', what)

    def skip(self, *what):
        self.skipped += 1
        self.tell('skipped', what)

    def tell(self, how, what):
        print(f'  {how}  ' + ': '.join(filter(None, (self.run, *what))), file=sys.stderr)

    @staticmethod
    def quote(lines):
        for line in lines[-QUOTED_LINES:]:
            print(f'    | {line}', file=sys.stderr)

    def tap(self, program, text, status):
        planned = seen = 0
        failed_before, remark = self.failed, ''
        said, explains_failure = [], False  # what was printed since the last result
        for line in text.splitlines():
            plan, result = PLAN.fullmatch(line), RESULT.fullmatch(line)
            if plan:
                planned += int(plan[1])
                if plan[1] == '0':
                    self.skip(program, plan[2] or 'no tests')
                    seen = planned = 0
                    if status == 0:
                        return
            elif result and (result[2] or line.startswith('ok')):
                seen += 1
                name, skip = result[3] or result[2] or '', SKIP.fullmatch(result[3] or '')
                if skip:
                    self.skip(program, skip[1] or skip[2], skip[2] if skip[1] else remark)
                elif result[1] == 'ok':
                    self.passed += 1
                else:
                    self.fail(program, name)
                    self.quote(said)
                said, explains_failure = [], result[1] != 'ok'
                remark = ''
            elif not GROUP.match(line):
                remark = line.lstrip('# ').strip() or remark
                said.append(line)
                if explains_failure and line.startswith('#'):
                    self.quote([line])
        if planned > seen:
            self.quote(said)
        for _ in range(planned - seen):
            self.fail(program, 'a test that was announced did not run')
        if not planned:
            self.fail(program, f'no tests (exit status {status})')
        elif status and self.failed == failed_before:
            self.fail(program, f'exit status {status} after its tests')

    def meson(self, path):
        with open(path, encoding='utf-8') as log:
            for entry in map(json.loads, log):
                name, result = entry['name'].split(' / ')[-1], entry['result']
                text = entry.get('stdout') or ''
                if re.search(r'^1\.\.\d', text, re.MULTILINE):
                    bad = result not in ('OK', 'SKIP', 'EXPECTEDFAIL')
                    self.tap(name, text, entry.get('returncode') or int(bad))
                elif result in ('OK', 'EXPECTEDFAIL'):
                    self.passed += 1
                elif result == 'SKIP':
                    self.skip(name, (text.strip().splitlines() or [''])[-1])
                else:
                    self.fail(name, result)


def main():
    kind, name, path, *rest = sys.argv[1:]
    tally = Tally(name)
    if kind == 'meson':
        tally.meson(path)
        if not tally.passed + tally.failed + tally.skipped:
            tally.fail('meson test', 'ran nothing')
    else:
        with open(path, encoding='utf-8', errors='replace') as output:
            tally.tap('', output.read(), int(rest[0]))
    print(tally.passed, tally.failed, tally.skipped)


main()
