#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""iasl reads our tables, and gives them back: disassembled and compiled again without an error,
warning or remark, they are what they were. The reference ASL in tests/asl/, compiled, is our
SSDT.

iasl.py DUMP-TABLES ASL-DIRECTORY
"""
import pathlib
import re
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
from machines import Machine, machines

CLEAN = "Compilation successful. 0 Errors, 0 Warnings, 0 Remarks"
# A header's checksum, and the creator's ID and revision, which are iasl's.
OWN_BYTES = [9, *range(28, 36)]
GICC = 0x0B
CACHE = 0x01


class Failure(Exception):
    pass


def iasl(*arguments):
    run = subprocess.run(["iasl", *arguments], text=True, errors="replace",
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if run.returncode or re.search("error|warning|remark", run.stdout.replace(CLEAN, ""), re.I):
        raise Failure(f"iasl {' '.join(map(str, arguments))}:\n{run.stdout}")
    return run.stdout


def compile_asl(source, target):
    """What iasl makes of an ASL or data table source."""
    # A container in which one vCPU or container can be notified has no use for the argument (remark
    # 2146) or the quotient (warning 3144) that says which one.
    out = iasl("-vw", "2146", "-vw", "3144", "-p", target.with_suffix(""), source)
    if CLEAN not in out:
        raise Failure(out)
    return target.read_bytes()


def comparable(table):
    return bytes(0 if i in OWN_BYTES else byte for i, byte in enumerate(table))


def rewrite(table, begin, change):
    """The table with each structure from begin on, whose length is its second byte, changed."""
    structures, offset = b"", begin
    while offset < len(table):
        structure = bytearray(table[offset:offset + table[offset + 1]])
        offset += len(structure)
        change(structure)
        structures += bytes(structure)
    header = bytearray(table[:begin])
    header[4:8] = (begin + len(structures)).to_bytes(4, "little")
    return bytes(header) + structures


def as_known_before(stem, table):
    """What an older iasl makes of structures that are longer than it knows: it drops the rest."""
    def shorten_gicc(entry):  # before 2022: without TRBE Interrupt and the flag Online Capable
        if entry[0] == GICC:
            del entry[80:]
            entry[1] = 80
            entry[12] &= 7

    def shorten_cache(structure):  # before 2021: without Cache ID
        if structure[0] == CACHE:
            del structure[24:]
            structure[1] = 24

    if stem == "madt":
        return rewrite(table, 44, shorten_gicc)
    return rewrite(table, 36, shorten_cache) if stem == "pptt" else table


def check_table(path):
    original = path.read_bytes()
    source = path.with_suffix(".dsl")
    iasl("-d", path)
    back = comparable(compile_asl(source, path.with_name(path.stem + "-back.aml")))
    if back not in (comparable(original), comparable(as_known_before(path.stem, original))):
        raise Failure(f"{path.stem} doesn't come back as it was:\n{source.read_text()}")


def check_machine(machine, program):
    with tempfile.TemporaryDirectory() as directory:
        machine.dump(program, directory)
        tables = sorted(pathlib.Path(directory).glob("*.aml"))
        expected = ["madt", "pptt", "srat", "ssdt"] if machine.numa else ["madt", "pptt", "ssdt"]
        if [path.stem for path in tables] != expected:
            raise Failure(f"tables are {tables}")
        for path in tables:
            check_table(path)


def check_reference(source, program):
    """The machine is told in the source's line "machine: N ENABLED OPTION…"."""
    n, enabled, *options = re.search("machine: (.*)", source.read_text()).group(1).split()
    with tempfile.TemporaryDirectory() as directory:
        Machine(int(n), int(enabled), *options).dump(program, directory)
        ours = comparable(pathlib.Path(directory, "ssdt.aml").read_bytes())
        if comparable(compile_asl(source, pathlib.Path(directory, "reference.aml"))) != ours:
            iasl("-d", pathlib.Path(directory, "ssdt.aml"))
            raise Failure(f"our SSDT is\n{pathlib.Path(directory, 'ssdt.dsl').read_text()}")


def main():
    program, asl = sys.argv[1], pathlib.Path(sys.argv[2])
    references = [path for path in sorted(asl.glob("*.asl")) if "machine:" in path.read_text()]
    checks = [(str(machine), check_machine, machine) for machine in machines()]
    checks += [(path.name, check_reference, path) for path in references]
    failed = 0
    print(f"1..{len(checks)}")
    for number, (name, check, what) in enumerate(checks, 1):
        try:
            check(what, program)
            print(f"ok {number} - {name}", flush=True)
        except Failure as failure:
            failed += 1
            print(f"not ok {number} - {name}")
            print("\n".join("# " + line for line in str(failure).splitlines()), flush=True)
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
