#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""iasl and dtc read what examples/handover.h writes, and complain of nothing.

tools.py DUMP-HANDOVER
"""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.append(str(pathlib.Path(__file__).parents[1] / "acpi"))
from iasl import Failure, check_table, iasl

PROGRAM = sys.argv[1]
CHOSEN = """
/dts-v1/;

/ {
	#address-cells = <0x02>;
	#size-cells = <0x02>;

	chosen {
		bootargs = "console=ttyAMA0";
		linux,initrd-start = <0x00 0x48000000>;
		linux,initrd-end = <0x00 0x48123456>;
		linux,uefi-system-table = <ADDRESS>;
		linux,uefi-mmap-start = <ADDRESS>;
		linux,uefi-mmap-size = <0xa0>;
		linux,uefi-mmap-desc-size = <0x28>;
		linux,uefi-mmap-desc-ver = <0x01>;
		linux,uefi-secure-boot = <0x02>;
	};
};
"""


def dump(directory, uart):
    subprocess.run([PROGRAM, directory, uart], check=True)
    return pathlib.Path(directory)


def iasl_gives_the_tables_back(uart):
    with tempfile.TemporaryDirectory() as directory:
        tables = sorted(dump(directory, uart).glob("*.aml"))
        for table in tables:
            # iasl from 2023 on reads an SPCR of revision 2, but compiles later revisions only.
            if table.stem == "spcr":
                iasl("-d", table)
            else:
                check_table(table)
        source = tables[0].with_suffix(".dsl").read_text()
        if len(tables) != 6 or "Device (_SB.COM0)" not in source:
            raise Failure(source)


def dtc_finds_chosen_alone():
    with tempfile.TemporaryDirectory() as directory:
        dtc = subprocess.run(["dtc", "-I", "dtb", "-O", "dts", dump(directory, "pl011") / "chosen.dtb"],
                             text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    found = re.sub("(system-table|mmap-start) = <0x00 0x410[0-9a-f]+>", r"\1 = <ADDRESS>", dtc.stdout)
    if dtc.returncode or dtc.stderr or found.strip() != CHOSEN.strip():
        raise Failure(dtc.stderr + dtc.stdout)


TESTS = [
    ("iasl", "iasl gives the tables with a PL011 back", lambda: iasl_gives_the_tables_back("pl011")),
    ("iasl", "iasl gives the tables with a 16550 back", lambda: iasl_gives_the_tables_back("16550")),
    ("dtc", "dtc finds /chosen alone", dtc_finds_chosen_alone),
]


def main():
    failed = 0
    print(f"1..{len(TESTS)}")
    for number, (tool, name, test) in enumerate(TESTS, 1):
        if not shutil.which(tool):
            print(f"ok {number} - {name} # SKIP no {tool}")
            continue
        try:
            test()
            print(f"ok {number} - {name}")
        except Failure as failure:
            failed += 1
            print(f"not ok {number} - {name}")
            print("\n".join("# " + line for line in str(failure).splitlines()), flush=True)
    return failed > 0


sys.exit(main())
