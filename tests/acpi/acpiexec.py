#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""acpiexec loads our SSDTs and evaluates the objects of every vCPU and container, and every
method of the first, a middle and the last vCPU: what they return, whom they notify, and each of their accesses to the registers, which are VM
exits.

acpiexec.py DUMP-TABLES ASL-DIRECTORY
"""
import pathlib
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

sys.dont_write_bytecode = True
from machines import NODE_SIZE, REGS_BASE, machines

EVENT, OST, EJECT, ENABLED = 0x18, 0x20, 0x28, 0x40
VALID, INSERT, REMOVE = 1 << 15, 1 << 14, 1 << 13
DISABLED_STA, ENABLED_STA = 0xD, 0xF

ACCESS = re.compile(r"SystemMemory (Read |Write): Val \w+ Addr (\w+) BitWidth (\w+)")
NOTIFY = re.compile(r"Dispatching Notify on \[(\w+)\] .* Value 0x(\w+)")
RESULT = re.compile(r"\[Integer\] = (\w+)")
TROUBLE = re.compile(r"ACPI (Error|Warning|Exception|BIOS)|Firmware|AE_|aborted|Could not|not found",
                     re.I)


class Failure(Exception):
    pass


def expect(what, is_, should_be):
    if is_ != should_be:
        raise Failure(f"{what}: {is_}, not {should_be}")


class Evaluation:
    """What acpiexec printed for one command."""

    def __init__(self, text):
        self.accesses = [(kind.strip().lower(), int(address, 16) - REGS_BASE, int(bits, 16))
                         for kind, address, bits in ACCESS.findall(text)]
        self.notified = [(name, int(value, 16)) for name, value in NOTIFY.findall(text)]
        result = RESULT.search(text)
        self.result = int(result.group(1), 16) if result else None


def run(tables, commands, *options):
    """An Evaluation of each command, in one namespace, the first being that of loading it."""
    typed = "".join(f"ev {command}\n" for command in commands) + "quit\n"
    # -vr prints accesses; -x 4 prints notifications where AML makes them: acpiexec hands them out
    # in threads of their own, some of which may still be under way when it ends, as it will say.
    # Commands come from its input, because -b has a limit.
    out = subprocess.run(["acpiexec", "-vr", "-x", "4", *options, *tables], text=True, input=typed,
                         errors="replace", stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout
    out = re.sub(r".*Outstanding cache allocations.*\n", "", out)
    parts = re.split(r"^Evaluating .*\n", out, flags=re.M)
    if TROUBLE.search(out) or len(parts) != len(commands) + 1:
        raise Failure(out)
    return [Evaluation(part) for part in parts]


def pluggable(machine):
    return range(machine.n_fixed, machine.n)


def chosen(machine):
    """Of those that can be plugged: the first, one in the middle, the last."""
    return sorted({machine.n_fixed, (machine.n_fixed + machine.n) // 2, machine.n - 1}
                  & set(pluggable(machine)))


def evaluate_each(machine, tables, name, vcpus, *options):
    """What an object of each of these vCPUs is; it takes no access to find out."""
    loading, *evaluations = run(tables, [f"{machine.paths[vcpu]}.{name}" for vcpu in vcpus],
                                *options)
    for vcpu, evaluation in zip(vcpus, evaluations):
        expect(f"accesses of {name} of {vcpu}", evaluation.accesses, [])
    return loading, [evaluation.result for evaluation in evaluations]


def check_loading(machine, tables):
    """_INI reads the enabled bits of the pluggable vCPUs, 64 at once, and nothing else."""
    vcpus = pluggable(machine)
    words = range(machine.n_fixed // 64, (machine.n + 63) // 64)
    reads = [("read", ENABLED + 8 * word, 64) for word in words] if vcpus else []
    for fill in (0xAA, 0x55):  # of every byte
        loading, statuses = evaluate_each(machine, tables, "_STA", vcpus, "-fv", f"{fill:#x}")
        expect("accesses of _INI", loading.accesses, reads)
        expect("_STA after _INI", statuses,
               [ENABLED_STA if fill >> vcpu % 8 & 1 else DISABLED_STA for vcpu in vcpus])
    # Until _INI, what is not enabled at boot is not there either.
    _, statuses = evaluate_each(machine, tables, "_STA", vcpus, "-di")
    expect("_STA without _INI", statuses,
           [ENABLED_STA if vcpu < machine.enabled else 0 for vcpu in vcpus])


def check_objects(machine, tables):
    vcpus = range(machine.n)
    expect("_UIDs", evaluate_each(machine, tables, "_UID", vcpus)[1], list(vcpus))
    if machine.numa:
        expect("_PXMs", evaluate_each(machine, tables, "_PXM", vcpus)[1],
               [vcpu // NODE_SIZE for vcpu in vcpus])
    _, *evaluations = run(tables, [f"{path}._UID" for path in machine.containers])
    expect("_UIDs of containers", [evaluation.result for evaluation in evaluations],
           list(machine.containers.values()))


def check_scan(machine, tables):
    scans = [r"\_SB.CPUS.CSCN"] + ([r"\_SB.CGED._EVT 0x21"] if machine.has_ged else [])
    _, *evaluations = run(tables, scans)
    for evaluation in evaluations:
        expect("notifications", evaluation.notified, [])
        expect("a scan's accesses", evaluation.accesses,
               [("read", EVENT, 64)] if pluggable(machine) else [])


def fire(*lanes):
    value = sum((VALID | lane) << (16 * i) for i, lane in enumerate(lanes))
    return rf"\FIRE 0x{value:X}"


def is_one_scan(evaluation, *notified):
    return (evaluation.accesses.count(("read", EVENT, 64)) == 1
            and evaluation.notified == list(notified))


def check_vcpu(machine, tables, vcpu):
    name, path = f"C{vcpu:03X}", machine.paths[vcpu]
    steps = [
        (fire(INSERT | vcpu), lambda e: is_one_scan(e, (name, 1))),
        (f"{path}._STA", lambda e: e.result == ENABLED_STA and not e.accesses),
        (f"{path}._OST 1 0 (00)", lambda e: e.accesses == [("write", OST, 64)]),
        (r"\ROST", lambda e: e.result == vcpu | 1 << 16),
        (fire(REMOVE | vcpu), lambda e: is_one_scan(e, (name, 3))),
        (f"{path}._STA", lambda e: e.result == ENABLED_STA),
        (f"{path}._OST 0x103 0x80000084 (00)", lambda e: len(e.accesses) == 1),
        (r"\ROST", lambda e: e.result == vcpu | 0x103 << 16 | 0x80000084 << 32),
        (f"{path}._EJ0 1", lambda e: e.accesses == [("write", EJECT, 64)]),
        (r"\REJC", lambda e: e.result == vcpu),
        (f"{path}._STA", lambda e: e.result == DISABLED_STA),
        # Both at once: neither is lost, insert comes first.
        (fire(INSERT | REMOVE | vcpu), lambda e: is_one_scan(e, (name, 1), (name, 3))),
        (f"{path}._STA", lambda e: e.result == ENABLED_STA),
    ]
    _, *evaluations = run(tables, [command for command, _ in steps])
    for (command, is_right), evaluation in zip(steps, evaluations):
        if not is_right(evaluation):
            raise Failure(f"{command}: {vars(evaluation)}")


def check_lanes(machine, tables):
    """One scan finds what is in every lane but the last, which memory can't empty, in order."""
    vcpus = chosen(machine)[::-1]
    _, scan = run(tables, [fire(*(REMOVE | vcpu for vcpu in vcpus))])
    expect("a scan", is_one_scan(scan, *((f"C{vcpu:03X}", 3) for vcpu in vcpus)), True)


def check_dispatch(machine, tables):
    """Each vCPU that can be plugged is notified of what is meant for it."""
    firsts = range(machine.n_fixed, machine.n, 64)
    _, *evaluations = run(tables, [rf"\EACH {first} {min(first + 64, machine.n)}"
                                   for first in firsts])
    expect("notifications", [notified for e in evaluations for notified in e.notified],
           [(f"C{vcpu:03X}", 0x100 + vcpu) for vcpu in pluggable(machine)])


def check_machine(machine, program, harness):
    with tempfile.TemporaryDirectory() as directory:
        machine.dump(program, directory)
        tables = [pathlib.Path(directory, "ssdt.aml"), harness]
        check_loading(machine, tables)
        check_objects(machine, tables)
        check_scan(machine, tables)
        for vcpu in chosen(machine):
            check_vcpu(machine, tables, vcpu)
        if pluggable(machine):
            check_lanes(machine, tables)
            check_dispatch(machine, tables)


def trouble_of(machine, program, harness):
    try:
        check_machine(machine, program, harness)
    except Failure as failure:
        return str(failure)
    return None


def main():
    program, asl = sys.argv[1], pathlib.Path(sys.argv[2])
    # The SSDT says nothing about what other options change.
    tried = [machine for machine in machines()
             if {option.split("=")[0] for option in machine.options}
             <= {"removable", "numa", "external-ged", "topology"}]
    failed = 0
    with tempfile.TemporaryDirectory() as directory:
        harness = pathlib.Path(directory, "harness.aml")
        subprocess.run(["iasl", "-p", harness.with_suffix(""), asl / "harness.asl"], check=True,
                       stdout=subprocess.DEVNULL)
        print(f"1..{len(tried)}")
        # acpiexec sleeps most of its time
        with ThreadPoolExecutor(16) as pool:
            results = pool.map(lambda machine: trouble_of(machine, program, harness), tried)
            for number, (machine, trouble) in enumerate(zip(tried, results), 1):
                failed += trouble is not None
                print(f"{'not ok' if trouble else 'ok'} {number} - {machine}", flush=True)
                for line in (trouble or "").splitlines():
                    print("# " + line, flush=True)
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
