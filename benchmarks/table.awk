# SPDX-License-Identifier: BSD-3-Clause
# Lines "KEY VALUE" and "KEY MEDIAN LEAST MOST", from ../bench, become its table and its JSON.

# A key, its goal ("<=" is understood), the strongest peer's figure, what it is.
function goal(key, limit, peer, what) {
    keys[++n_keys] = key
    limits[key] = limit
    peers[key] = peer
    texts[key] = what
}

# A goal that some hosts have no figure for.
function host_goal(key, limit, what) {
    goal(key, limit, "", what)
    optional[key] = 1
}

# What helps to understand a key, and has no goal.
function besides(key, what) {
    others[++n_others] = key
    texts[key] = what
}

function number(x) {
    x = sprintf("%.3f", x)
    sub(/\.?0+$/, "", x)
    return x
}

function spread(key) {
    return key in least && least[key] != most[key] ? number(least[key]) " … " number(most[key]) : ""
}

function row(key, limit, verdict) {
    printf "| %-22s | %8s | %-18s | %6s | %-6s | %-4s | %s |\n", key, number(median[key]),
        spread(key), limit, peers[key], verdict, texts[key]
}

BEGIN {
    goal("exits.boot.n512", 8, "9213", "register accesses while the guest boots")
    goal("exits.add.n4", 2, "30", "per plug, until _OST")
    goal("exits.add.n512", 2, "1554", "")
    goal("exits.remove.n4", 4, "31", "per unplug, until ejected")
    goal("exits.remove.n512", 4, "31", "")
    goal("exits.add_burst.n64", 1.3, "18.2", "63 plugs at once, per vCPU")
    goal("exits.remove_burst.n64", 3.3, "25.1", "63 unplugs at once, per vCPU")
    goal("aml.bytes_per_cpu", 92, "85-88", "marginal, containers and dispatch included")
    goal("tables.build_us.n512", 1000, "", "all tables, µs")
    goal("state.bytes_per_cpu", 64, "", "of the library's saved state, per possible vCPU")
    goal("state.bytes.rest", 1024, "", "the rest of it")
    goal("state.save_us.n512", 1000, "", "CPU time to save it, µs")
    goal("state.load_us.n512", 1000, "", "CPU time to load it, µs")
    goal("mmio.instructions", 120, "", "the most expensive register access")
    goal("psci.instructions", 300, "", "CPU_ON denied or AFFINITY_INFO, the more expensive")
    goal("hypercalls.boot.n512", 512, "511", "PSCI calls while the guest boots")
    goal("slot.bytes", 256, "", "library memory per possible vCPU")
    goal("disabled.threads", 0, "0", "per disabled vCPU")
    goal("disabled.mappings", 0, "", "per disabled vCPU")
    goal("start.ratio.n256", 1.15, "", "set-up / the bare ioctls")
    goal("plug.scaling", 1.1, "1.26", "plug to online, N = 64 / N = 4")
    goal("plug.scaling.n512", 1.1, "", "the same, N = 512 / N = 4")
    goal("replug.ratio", 1.1, "", "second plug to online / first")
    host_goal("power_on.ioctls.fwb", 8, "of a vCPU that was never on")
    host_goal("power_on.ioctls.no_fwb", 8, "")
    host_goal("replug.ioctls.fwb", 8, "of one that was")
    host_goal("replug.ioctls.no_fwb", 300, "")
    goal("reset.ioctls.on", 40, "", "machine reset, more per vCPU that has been on")
    goal("reset.ioctls.off", 1, "", "the same, per vCPU")
    host_goal("warm.flushes", 0, "cleanings of all memory by a first power-on with warm-up")
    host_goal("warm.ratio", 1.2, "its time, 256 MiB touched / 16 MiB touched")

    besides("state.bytes.n4", "the library's saved state")
    besides("state.bytes.n64", "")
    besides("state.bytes.n512", "")
    besides("mmio.instructions.cycle", "all six accesses of a plug and an unplug")
    besides("hypercalls.boot.share", "the refused call in the guest kernel's try of a CPU, N = 64")
    besides("reset.ioctls.n512", "machine reset, 512 vCPUs of which 4 have been on")
    besides("power_on.ioctls.warm_up", "as power_on.ioctls.no_fwb, with warm-up")
    besides("warm.us.256", "its time, 256 MiB touched, µs")
    besides("cold.flushes", "as warm.flushes, without warm-up")
    besides("cold.ratio", "as warm.ratio, without warm-up")
    besides("cold.us.16", "time without warm-up, 16 MiB touched, µs")
    besides("cold.us.256", "the same, 256 MiB touched")
    besides("unplug.ratio", "unplug to ejected / the CPU offline alone")
    besides("unplug.ratio.guest", "as unplug.ratio, but the guest's part only, without its accesses")
    besides("unplug.ms", "unplug to ejected, ms")
    besides("unplug.guest_share", "the guest's part of it, without its accesses")
    besides("unplug.exit_share", "the part of its accesses")
    besides("unplug.vmm_share", "the part before the guest's first notice and after _EJ0")
    besides("unplug.rcu_waits", "grace periods that the guest's part waits for: unplug")
    besides("offline.rcu_waits", "the same: offline alone")
    besides("plug.ratio", "plug to online / online alone, by the same agent")
    besides("plug.ratio.shell", "as plug.ratio, but the shell's echo instead of the agent")
    besides("plug.ratio.guest", "as plug.ratio, but the guest's part only, without its accesses")
    besides("plug.guest_share", "the guest's part of plug to online")
    besides("plug.rcu_waits", "grace periods that the guest's part waits for: plug")
    besides("online.rcu_waits", "the same: online alone")
    besides("plug.lock_retries", "sleeps of the agent while the hotplug lock is taken: plug")
    besides("online.lock_retries", "the same: online alone")
    besides("move.ratio.n4", "down-time of a migration / time for the memory that is copied last")
    besides("move.ratio.n64", "")
    besides("move.ratio.n512", "")
}

{
    median[$1] = $2
    if (NF == 4) {
        least[$1] = $3
        most[$1] = $4
    }
}

END {
    printf "| %-22s | %8s | %-18s | %6s | %-6s | %-4s | %s |\n", "key", "median", "least … most",
        "goal", "peer", "met", "what"
    print "|---|--:|---|--:|---|---|---|"
    for (i = 1; i <= n_keys; i++) {
        key = keys[i]
        if (!(key in median) && key in optional)
            continue
        n_goals++
        if (!(key in median)) {
            print "no result: " key > "/dev/stderr"
            missing = 1
            continue
        }
        met = median[key] + 0 <= limits[key]
        n_met += met
        row(key, limits[key], met ? "yes" : "NO")
        value = "\"median\": " number(median[key])
        if (key in least)
            value = value sprintf(", \"min\": %s, \"max\": %s", number(least[key]), number(most[key]))
        object = object sprintf("%s\n  \"%s\": {%s}", object ? "," : "", key, value)
    }
    for (i = 1; i <= n_others; i++)
        if (others[i] in median)
            row(others[i], "", "")
    printf "%d of %d goals met\n", n_met, n_goals
    printf "{%s\n}\n", object > json
    exit missing
}
