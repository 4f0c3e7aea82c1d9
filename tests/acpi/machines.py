# SPDX-License-Identifier: BSD-3-Clause
"""The machines whose tables are tried, and what their options say."""
import math
import subprocess

COUNTS = [1, 2, 4, 16, 64, 512]
ODD_COUNTS = [3, 15, 17, 33, 100]
# Sockets, clusters, cores, threads: clusters that groups of 16 divide evenly, unevenly, not at all.
TOPOLOGIES = [(1, 2, 3, 1), (3, 2, 3, 2), (2, 2, 16, 1), (1, 2, 17, 1), (1, 2, 20, 1),
              (2, 2, 20, 2), (2, 1, 17, 1), (3, 1, 11, 3), (1, 2, 2, 20), (2, 16, 16, 1),
              (4, 4, 16, 2), (100, 1, 1, 1), (1, 100, 1, 1)]
GROUP = 16
NODE_SIZE = 2
REGS_BASE = 0x09000000
ROOT = r"\_SB.CPUS"


class Machine:
    """N possible vCPUs, some enabled, and options of dump-tables."""

    def __init__(self, n, enabled, *options):
        self.n, self.enabled, self.options = n, enabled, options
        self.n_fixed = 1 if "removable" in options else enabled
        self.numa = "numa" in options
        self.has_ged = "external-ged" not in options and self.n_fixed < n
        given = [option[len("topology="):] for option in options if option.startswith("topology=")]
        self.topology = tuple(map(int, given[0].split(","))) if given else (1, 1, n, 1)
        self.containers = {}  # _UIDs by path
        self.paths = []  # of vCPUs, in their order
        self.describe()

    def describe(self):
        """The namespace as docs/acpi.md tells it. _UIDs: sockets, clusters, the machine, groups."""
        sockets, clusters, cores, threads = self.topology
        size = GROUP // threads * threads if threads < GROUP else GROUP
        next_uid = sockets + (sockets * clusters if clusters > 1 else 0)
        self.containers[ROOT] = 0
        if sockets > 1:
            self.containers[ROOT] = next_uid
            next_uid += 1
        for socket in range(sockets):
            socket_path = self.container(ROOT, socket) if sockets > 1 else ROOT
            for cluster in range(clusters):
                path = cluster_path = socket_path
                if clusters > 1:
                    uid = sockets + socket * clusters + cluster
                    path = cluster_path = self.container(socket_path, uid)
                for vcpu in range(cores * threads):
                    if cores * threads > size and vcpu % size == 0:
                        path = self.container(cluster_path, next_uid)
                        next_uid += 1
                    self.paths.append(f"{path}.C{len(self.paths):03X}")

    def container(self, parent, uid):
        path = f"{parent}.P{uid:03X}"
        self.containers[path] = uid
        return path

    def __str__(self):
        return " ".join([f"{self.n} vCPUs, {self.enabled} enabled", *self.options])

    def dump(self, program, directory):
        subprocess.run([program, directory, str(self.n), str(self.enabled), *self.options],
                       check=True)


def option(topology):
    return "topology=" + ",".join(map(str, topology))


def all_levels(n):
    """The topology option that uses as many levels as N allows."""
    counts = [1, 1, n, 1]
    for level in (3, 0, 1):
        if counts[2] % 2 == 0:
            counts[2] //= 2
            counts[level] *= 2
    return option(counts)


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
        yield Machine(n, 1, all_levels(n))
        yield Machine(n, 1, "caches")
        yield Machine(n, 1, "caches", all_levels(n))
        yield Machine(n, half, "removable", "numa", "pmu", "its", "redists", "external-ged",
                      all_levels(n))
        if n <= 8:
            yield Machine(n, 1, "gicv2")
            yield Machine(n, half, "gicv2", "v2m", "numa", "removable")
    for n in ODD_COUNTS:
        yield Machine(n, 1)
        yield Machine(n, max(1, n // 2), "removable", "numa")
        yield Machine(n, n - 1)
    for topology in TOPOLOGIES:
        n = math.prod(topology)
        yield Machine(n, 1, option(topology))
        yield Machine(n, n // 2 + 1, option(topology))
        yield Machine(n, n // 2, "removable", "caches", option(topology))
