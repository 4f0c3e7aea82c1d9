# SPDX-License-Identifier: BSD-3-Clause
"""The machines whose tables are tried, and what their options say."""
import subprocess

COUNTS = [1, 2, 4, 16, 64, 512]
NODE_SIZE = 2
REGS_BASE = 0x09000000


class Machine:
    """N possible vCPUs, some enabled, and options of dump-tables."""

    def __init__(self, n, enabled, *options):
        self.n, self.enabled, self.options = n, enabled, options
        self.n_fixed = 1 if "removable" in options else enabled
        self.numa = "numa" in options
        self.has_ged = "external-ged" not in options and self.n_fixed < n

    def __str__(self):
        return " ".join([f"{self.n} vCPUs, {self.enabled} enabled", *self.options])

    def dump(self, program, directory):
        subprocess.run([program, directory, str(self.n), str(self.enabled), *self.options],
                       check=True)


def topology(n):
    """The topology option that uses as many levels as N allows."""
    counts = [1, 1, n, 1]
    for level in (3, 0, 1):
        if counts[2] % 2 == 0:
            counts[2] //= 2
            counts[level] *= 2
    return "topology=" + ",".join(str(count) for count in counts)


def machines():
    for n in COUNTS:
        half = max(1, n // 2)
        yield Machine(n, 1)
        yield Machine(n, half)
        yield Machine(n, n)
        yield Machine(n, half, "removable")
        yield Machine(n, n, "removable")
        yield Machine(n, 1, "numa")
        yield Machine(n, 1, "pmu")
        yield Machine(n, 1, "its")
        yield Machine(n, 1, "redists")
        yield Machine(n, 1, "external-ged")
        yield Machine(n, 1, topology(n))
        yield Machine(n, 1, "caches")
        yield Machine(n, 1, "caches", topology(n))
        yield Machine(n, half, "removable", "numa", "pmu", "its", "redists", "external-ged",
                      topology(n))
        if n <= 8:
            yield Machine(n, 1, "gicv2")
            yield Machine(n, half, "gicv2", "v2m", "numa", "removable")
