#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""vcpuhp-tables, run as its users run it.

tables.py VCPUHP-TABLES DUMP-TABLES MAN-PAGE fdt|no-fdt
"""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.append(str(pathlib.Path(__file__).parents[1] / "acpi"))
from iasl import Failure, check_table
from machines import NODE_SIZE, Machine, machines

PROGRAM, DUMP_TABLES, MAN_PAGE = sys.argv[1:4]
HAS_FDT = sys.argv[4] == "fdt"
FAILED, BAD_CONFIG = 1, 2
TESTS = []


def test(function):
    TESTS.append(function)
    return function


def run(*arguments, status=0):
    """What the program prints: on standard output if it succeeds, as an error otherwise."""
    result = subprocess.run([PROGRAM, *map(str, arguments)], text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE)
    if result.returncode != status:
        raise Failure(f"{arguments}: status {result.returncode}, not {status}\n{result.stderr}")
    if status and (result.stdout or not result.stderr.startswith("vcpuhp-tables: ")):
        raise Failure(f"{arguments}: prints {result.stdout!r} and {result.stderr!r}")
    return result.stderr if status else result.stdout


def expect(condition, what):
    if not condition:
        raise Failure(str(what))


def contents(directory):
    return {path.name: path.read_bytes() for path in pathlib.Path(directory).iterdir()}


def files(*arguments):
    """What the program writes, by name."""
    with tempfile.TemporaryDirectory() as directory:
        run(*arguments, "-o", directory)
        return contents(directory)


def key_file(directory, *lines):
    path = pathlib.Path(directory, "machine.ini")
    path.write_text("\n".join(["# A machine", "[machine]", *lines, ""]))
    return path


# --- The library's tables ---

def arguments_of(machine):
    """The options for a machine of dump-tables."""
    nodes = ",".join(f"{i // NODE_SIZE}" for i in range(machine.n))
    given = {
        "removable": ["--coldplug=removable"],
        "numa": [f"--nodes={nodes}"],
        "pmu": ["--pmu-irq=23"],
        "its": ["--its-base=0x08080000"],
        "redists": [f"--redists=0x0a000000:{1 + machine.n // 4},0x4000000000:{machine.n},"
                    "0x5000000000:8"],
        "gicv2": ["--gic=2", "--cpu-base=0x08010000"],
        "v2m": ["--v2m=0x08020000:80:64"],
        "external-ged": ["--external-ged=yes"],
        "caches": ["--caches=1:data:core:64K:64:4,1:instruction:core:64K:64:4,"
                   "2:unified:cluster:1M:64:8,3:unified:socket:32M:64:16"],
    }
    arguments = [f"--vcpus={machine.n}", f"--enabled={machine.enabled}"]
    for option in machine.options:
        arguments += given.get(option, [f"--{option}"])  # topology=… is the same
    return arguments


@test
def the_tables_are_those_of_the_library():
    for machine in machines():
        with tempfile.TemporaryDirectory() as directory:
            machine.dump(DUMP_TABLES, directory)
            wanted = contents(directory)
        found = files(*arguments_of(machine))
        found.pop("vcpus.dtb", None)
        expect(found == wanted, f"{machine}: {sorted(found)} differ from {sorted(wanted)}")


@test
def iasl_gives_the_tables_back_as_they_were():
    with tempfile.TemporaryDirectory() as directory:
        run("--vcpus=4", "--nodes=0:2,1:2", "-o", directory)
        for path in sorted(pathlib.Path(directory).glob("*.aml")):
            check_table(path)


@test
def dtc_reads_the_device_tree_without_a_warning():
    for gic in [], ["--its-base=0x08080000", "--redists=0x0a000000:2,0x4000000000:4"], \
            ["--gic=2", "--cpu-base=0x08010000", "--v2m=0x08020000:80:64"]:
        with tempfile.TemporaryDirectory() as directory:
            run("--vcpus=4", "--enabled=3", "--topology=2,1,2,1", "--nodes=0:2,1:2",
                "--pmu-irq=23", *gic, "-o", directory)
            dtc = subprocess.run(["dtc", "-I", "dtb", "-O", "dts", f"{directory}/vcpus.dtb"],
                                 text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        expect(dtc.returncode == 0 and not dtc.stderr, dtc.stderr)
        expect(len(re.findall("cpu@", dtc.stdout)) == 3, dtc.stdout)


# --- Options and key file ---

# For each setting: the rest of a machine, a value that changes the tables, and what is in them then.
CHANGES = {
    "vcpus": ([], "2", None),
    "enabled": (["--vcpus=2"], "2", None),
    "coldplug": (["--vcpus=2", "--enabled=2"], "removable", None),
    "topology": (["--vcpus=4"], "2,1,2,1", None),
    "caches": ([], "2:unified:core:1M:64:8", ("pptt.aml", 1 << 20, 4)),
    "mpidrs": (["--vcpus=2"], "0,0x1200000034", ("madt.aml", 0x1200000034, 8)),
    "nodes": (["--vcpus=3"], "5,0x77:2", ("srat.aml", 0x77, 4)),
    "gic": (["--cpu-base=0x08010000"], "2", None),
    "irqs": ([], "512", "no table"),
    "dist-base": ([], "0x07000000", ("madt.aml", 0x07000000, 8)),
    "redists": ([], "0x4000000000:3", ("madt.aml", 0x4000000000, 8)),
    "its-base": ([], "0x08080000", ("madt.aml", 0x08080000, 8)),
    "cpu-base": (["--gic=2"], "0x08010000", ("madt.aml", 0x08010000, 8)),
    "v2m": (["--gic=2", "--cpu-base=0x08010000"], "0x08020000:80:64",
            ("madt.aml", 0x08020000, 8)),
    "regs-base": (["--vcpus=2"], "0x09090900", ("ssdt.aml", 0x09090900, 4)),
    "event-irq": (["--vcpus=2"], "77", ("ssdt.aml", 77, 4)),
    "pmu-irq": ([], "23", ("madt.aml", 23, 4)),
    "oem-id": ([], "ACME", ("madt.aml", b"ACME  ", None)),
    "oem-table-id": ([], "ROADRUNR", ("pptt.aml", b"ROADRUNR", None)),
    "oem-revision": ([], "0x1234567", ("ssdt.aml", 0x1234567, 4)),
    "container": ([], "VC0", ("ssdt.aml", b"VC0_", None)),
    "ged": (["--vcpus=2"], "EVTS", ("ssdt.aml", b"EVTS", None)),
    "external-ged": (["--vcpus=2"], "yes", None),
}
# Without these the rest of the machine is refused.
NEEDED = ["cpu-base"]


def without(name, rest):
    return [option for option in rest if not option.startswith(f"--{name}=")]


def holds(tables, expected):
    name, value, size = expected
    return (value.to_bytes(size, "little") if size else value) in tables[name]


@test
def each_setting_has_a_test_and_an_entry_in_the_manual():
    named = re.findall(r"^  --([a-z0-9-]+)=", run("--help-machine"), re.M)
    expect(sorted(named) == sorted(CHANGES), f"{named} are not {sorted(CHANGES)}")
    manual = re.findall(r"\bCm ([a-z0-9-]+) Ns = ", pathlib.Path(MAN_PAGE).read_text())
    expect(sorted(manual) == sorted(named), f"the manual has {manual}")


@test
def each_setting_changes_what_it_names():
    for name, (rest, value, expected) in CHANGES.items():
        tables = files(*rest, f"--{name}={value}")
        if name in NEEDED:
            expect(f"gic.{name.replace('-', '_')}" in run(*rest, status=BAD_CONFIG), name)
        elif expected == "no table":
            expect(tables == files(*rest), f"{name} is in a table")
            expect(run(*rest) != run(*rest, f"--{name}={value}"), f"{name} changes no summary")
        else:
            expect(tables != files(*rest), f"{name} changes nothing")
        if isinstance(expected, tuple):
            expect(holds(tables, expected), f"{name}: {expected} is not there")


@test
def a_key_of_the_file_is_worth_the_option():
    for name, (rest, value, _) in CHANGES.items():
        with tempfile.TemporaryDirectory() as directory:
            path = key_file(directory, f"{name} = {value}", *(option[2:] for option in rest))
            expect(files("--config", path) == files(*rest, f"--{name}={value}"), name)


@test
def an_option_takes_precedence_over_the_file():
    with tempfile.TemporaryDirectory() as directory:
        path = key_file(directory, "vcpus = 7", "enabled = 2")
        expect(files("-c", path, "--vcpus=5") == files("--vcpus=5", "--enabled=2"), path)


# --- Errors ---

@test
def a_bad_config_is_refused_with_the_librarys_message():
    for setting, value, message in [
            ("vcpus", "600", "n_vcpus is 600, not 1 … 512 with GICv3"),
            ("gic", "4", "gic.version is 4, not 2 or 3"),
            ("enabled", "2", "n_enabled is 2, not 1 … 1 (n_vcpus)"),
            ("regs-base", "0x100001", "regs_base is 0x100001, not a multiple of 0x80"),
            ("event-irq", "31", "event_irq is 31, not an SPI's INTID, 32 … 255"),
            ("container", "cpus", 'acpi.container_name is "cpus", which is not an ACPI name: A-Z, '
                                  "then A-Z, 0-9 and _")]:
        found = run(f"--{setting}={value}", status=BAD_CONFIG)
        expect(found == f"vcpuhp-tables: --{setting}: {message}\n", found)
        with tempfile.TemporaryDirectory() as directory:
            path = key_file(directory, f"{setting}={value}")
            found = run("-c", path, status=BAD_CONFIG)
            expect(found == f"vcpuhp-tables: {path}: {setting}: {message}\n", found)
    redists = ",".join(f"{base:#x}:1" for base in range(0x10000000, 0x11100000, 0x100000))
    for arguments, message in [
            ([f"--redists={redists}"], "gic.n_redists is 17, not 1 … 16"),
            (["--caches=" + ",".join(["1:data:core:1K:64:4"] * 15)], "n_caches is 15, more than 14")]:
        found = run(*arguments, status=BAD_CONFIG)
        expect(found == f"vcpuhp-tables: {message}\n", found)


@test
def a_value_that_cannot_be_read_is_refused_by_name():
    for setting, value in [
            ("vcpus", "many"), ("vcpus", "-1"), ("vcpus", "4294967296"), ("vcpus", "0x"),
            ("dist-base", "0x10000000000000000"), ("coldplug", "maybe"), ("external-ged", "true"),
            ("topology", "1,1,1"), ("topology", "1,1,1,1,1"), ("topology", "1,1,1,one"),
            ("caches", "1:data:core:64K:64"), ("caches", "1:dates:core:64K:64:4"),
            ("caches", "1:data:cores:64K:64:4"), ("caches", "1:data:core:64G:64:4"),
            ("caches", "1:data:core:4096M:64:4"), ("mpidrs", "0,1"),
            ("mpidrs", "zero"), ("nodes", "0:2"), ("nodes", "0:1:1"), ("nodes", "0:4294967295,0:2"),
            ("redists", "0:1:1"), ("v2m", "0x08020000:80")]:
        found = run(f"--{setting}={value}", status=BAD_CONFIG)
        expect(found.startswith(f"vcpuhp-tables: --{setting}: "), f"{value}: {found}")


@test
def a_bad_key_file_is_refused_by_name():
    for text in ["", "vcpus = 2\n", "[machine]\nvcpu = 2\n", "[machine]\nnonsense\n",
                 "[machine]\n[other]\n", "[machine]\nvcpus = \\q\n"]:
        with tempfile.TemporaryDirectory() as directory:
            path = pathlib.Path(directory, "machine.ini")
            path.write_text(text)
            found = run("-c", path, status=BAD_CONFIG)
            expect(found.startswith(f"vcpuhp-tables: {path}: "), f"{text}: {found}")


@test
def an_unknown_option_or_argument_is_refused():
    for argument in "--vcpu=2", "machine.ini":
        run(argument, status=BAD_CONFIG)


@test
def a_file_that_cannot_be_read_or_written_is_named():
    with tempfile.TemporaryDirectory() as directory:
        missing = f"{directory}/missing.ini"
        expect(missing in run("-c", missing, status=FAILED), missing)
        file = pathlib.Path(directory, "file")
        file.write_text("")
        expect(str(file) in run("-o", file, status=FAILED), file)
    with open("/dev/full", "w", encoding="ascii") as full:
        result = subprocess.run([PROGRAM], stdout=full, stderr=subprocess.PIPE, text=True)
    expect(result.returncode == FAILED and "standard output" in result.stderr, result.stderr)


# --- Files and summary ---

@test
def the_directory_is_created():
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory, "a", "b")
        printed = run("-o", path)
        names = ["madt.aml", "pptt.aml", "ssdt.aml"] + ["vcpus.dtb"] * HAS_FDT
        wanted = [f"{path / name}: {(path / name).stat().st_size} bytes" for name in names]
        expect(printed.splitlines() == wanted and sorted(contents(path)) == names, printed)


@test
def the_srat_of_an_earlier_machine_does_not_stay():
    with tempfile.TemporaryDirectory() as directory:
        run("--nodes=0", "-o", directory)
        expect("srat.aml" in contents(directory), "there was none")
        run("-o", directory)
        expect("srat.aml" not in contents(directory), "it stayed")


def summary(*arguments):
    """The labelled lines before the first empty one, and the lines of the vCPUs, as words."""
    paragraphs = run(*arguments).split("\n\n")
    labelled = dict(re.split(" {2,}| (?=0x|INTID|none|\\\\)", line, maxsplit=1)
                    for line in paragraphs[0].splitlines())
    return labelled, paragraphs[1], [line.split() for line in paragraphs[2].splitlines()[1:]]


@test
def the_summary_tells_of_each_vcpu():
    vcpus = summary("--vcpus=40", "--enabled=2", "--coldplug=removable", "--topology=2,2,5,2",
                    "--nodes=0:20,1:20")[2]
    expect(len(vcpus) == 40, vcpus)
    expect(vcpus[0] == "0 C000 0x0000000000 Enabled - 0 0 0 0 0".split(), vcpus[0])
    expect(vcpus[1] == "1 C001 0x0000000001 Online Capable 0x0F 0 0 0 1 0".split(), vcpus[1])
    expect(vcpus[39] == "39 C027 0x0000000207 Online Capable 0x0D 1 1 4 1 1".split(), vcpus[39])


@test
def the_summary_tells_of_addresses_and_interrupts():
    labelled = summary("--vcpus=4", "--regs-base=0x09000080", "--event-irq=40", "--pmu-irq=23",
                       "--its-base=0x08080000", "--container=VC0", "--ged=EVTS")[0]
    for name, value in [
            ("Redistributors", "0x0a000000 - 0x0a07ffff, 4"), ("ITS", "0x08080000 - 0x0809ffff"),
            ("Registers", "0x09000080 - 0x090000ff"),
            ("Event", "INTID 40 (SPI 8), level, active high"),
            ("Event device", r"\_SB.EVTS, which evaluates \_SB.VC0_.CSCN"),
            ("PMU", "INTID 23 (PPI 7)")]:
        expect(labelled.get(name) == value, f"{name} is {labelled.get(name)}, not {value}")


@test
def the_summary_has_the_tables_sizes():
    sizes = {name: len(data) for name, data in files("--vcpus=3", "--nodes=0:3").items()}
    expect(summary("--vcpus=3", "--nodes=0:3")[0]["Tables"] ==
           f"MADT {sizes['madt.aml']}, PPTT {sizes['pptt.aml']}, SSDT {sizes['ssdt.aml']}, "
           f"SRAT {sizes['srat.aml']} bytes", sizes)


@test
def the_summary_counts_the_guests_accesses():
    for n, reads in (2, "1 read "), (64, "1 read "), (65, "2 reads "), (512, "8 reads "):
        accesses = summary(f"--vcpus={n}")[1]
        expect(f"boot    {reads}of ENABLED" in accesses and
               f"{n - 1} CPU_ON, {n - 1} of them denied" in accesses, accesses)
    accesses = summary("--vcpus=4", "--enabled=4")[1]
    expect("EVENT" not in accesses and "3 CPU_ON, 0 of them denied" in accesses, accesses)


@test
def the_version_is_printed():
    expect(re.fullmatch(r"vcpuhp-tables \d+\.\d+\.\d+\n", run("--version")), run("--version"))


SKIPPED = {
    iasl_gives_the_tables_back_as_they_were: not shutil.which("iasl") and "no iasl",
    dtc_reads_the_device_tree_without_a_warning:
        not HAS_FDT and "built without libfdt" or not shutil.which("dtc") and "no dtc",
}


def main():
    failed = 0
    print(f"1..{len(TESTS)}")
    for number, function in enumerate(TESTS, 1):
        name = function.__name__
        if SKIPPED.get(function):
            print(f"ok {number} - {name} # SKIP {SKIPPED[function]}")
            continue
        try:
            function()
            print(f"ok {number} - {name}", flush=True)
        except Failure as failure:
            failed += 1
            print(f"not ok {number} - {name}")
            print("\n".join("# " + line for line in str(failure).splitlines()), flush=True)
    return failed > 0


sys.exit(main())
