/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A guest that executes the tester's commands, among them what no operating system does: firmware
 * calls and accesses to the register block. Commands arrive by the protocol of guest-shell. Numbers
 * are decimal or 0x…; `entry` is the address at which vCPUs begin that are turned on; CPU is a
 * vCPU's number:
 *
 *     hvc CPU X0 X1 X2 X3     a call from that vCPU; prints X0. smc: the same by SMC; be: by HVC
 *                             with big-endian data accesses
 *     both CPU CPU X0 X1 X2 X3    a call from two vCPUs at once; prints both X0
 *     off CPU                 that vCPU turns itself off
 *     cycle CPU               turn that vCPU on and off, until the next command arrives
 *     all X1 X2 X3            every PSCI call, by HVC and SMC, except those that end the machine or
 *                             the caller; prints a line for each answer but NOT_SUPPORTED
 *     entry CPU               prints the registers with which that vCPU began
 *     read SIZE ADDRESS       prints the value
 *     write SIZE ADDRESS VALUE
 *     pends INTID             prints whether that interrupt is pending
 *     storm MS SEED           for MS milliseconds, random accesses and calls from vCPU 0 and all others
 *                             that are on or that one of them turns on; at its end prints how many
 *     poweroff
 *
 * vCPU 0 reads commands. The others, once on, wait for calls to make.
 */
#include <stdbool.h>
#include <stdint.h>

#include "bare.h"

typedef enum {
    AWAY, /* off, or in a call */
    LISTENING,
    POSTED, /* has a call to make */
} CallState;

typedef struct Cpu {
    uint64_t x[31], sctlr, daif, currentel, spsel; /* at the vCPU's start; saved by start.S */
    CallState state;
    uint64_t call[5], result;
} __attribute__((aligned(1 << CPU_SHIFT))) Cpu;
_Static_assert(sizeof(Cpu) == 1 << CPU_SHIFT, "start.S steps by it");

Cpu cpus[N_CPUS];
uint8_t stacks[N_CPUS][STACK_SIZE] __attribute__((aligned(16)));

extern const char secondary[];
uint64_t smccc(uint64_t conduit, uint64_t x0, uint64_t x1, uint64_t x2, uint64_t x3);
void main(void);
void secondary_main(Cpu *cpu);
void exception(void);

#define NOT_SUPPORTED UINT64_MAX

enum {
    PSCI_CPU_OFF = 0x84000002,
    PSCI_CPU_ON = 0xc4000003,
    PSCI_AFFINITY_INFO = 0xc4000004,
    PSCI_SYSTEM_OFF = 0x84000008,
    AFFINITY_OFF = 1,
};

/* --- Registers: one access of exactly this size --- */

static uint64_t read_memory(uint64_t size, uint64_t address)
{
    switch (size) {
    case 1:
        return *(volatile uint8_t *)address;
    case 2:
        return *(volatile uint16_t *)address;
    case 4:
        return *(volatile uint32_t *)address;
    default:
        return *(volatile uint64_t *)address;
    }
}

static void write_memory(uint64_t size, uint64_t address, uint64_t value)
{
    switch (size) {
    case 1:
        *(volatile uint8_t *)address = value;
        break;
    case 2:
        *(volatile uint16_t *)address = value;
        break;
    case 4:
        *(volatile uint32_t *)address = value;
        break;
    default:
        *(volatile uint64_t *)address = value;
        break;
    }
}

#define READ_SYS(name)                                                                             \
    ({                                                                                             \
        uint64_t value_;                                                                           \
        __asm__ volatile("mrs %0, " #name : "=r"(value_));                                         \
        value_;                                                                                    \
    })
#define WRITE_SYS(name, value) __asm__ volatile("msr " #name ", %0; isb" : : "r"((uint64_t)(value)))

/* --- Console: Arm DDI0183 --- */

enum {
    UARTDR = 0x09010000,
    UARTFR = UARTDR + 0x18,
    UARTIMSC = UARTDR + 0x38,
    FR_RXFE = 1 << 4,
    FR_TXFF = 1 << 5,
    INT_RX = 1 << 4,
    INT_TX = 1 << 5,
    UART_INTID = 34,
};

static void put(char c)
{
    while (read_memory(4, UARTFR) & FR_TXFF)
        ;
    write_memory(4, UARTDR, c);
}

static void print(const char *text)
{
    while (*text)
        put(*text++);
}

static void print_hex(uint64_t value)
{
    int shift = 60;

    while (shift && !(value >> shift))
        shift -= 4;
    for (; shift >= 0; shift -= 4)
        put("0123456789abcdef"[value >> shift & 15]);
}

static void print_named(const char *name, uint64_t value)
{
    print(name);
    put(' ');
    print_hex(value);
}

static char get(void)
{
    while (read_memory(4, UARTFR) & FR_RXFE)
        __asm__ volatile("wfi");
    return read_memory(4, UARTDR);
}

static void get_line(char *line, int size)
{
    int n = 0;
    char c;

    while ((c = get()) != '\n')
        if (n < size - 1)
            line[n++] = c;
    line[n] = '\0';
}

/* --- The vCPU that reads commands --- */

#define GICD 0x08000000

/* Input makes the UART's interrupt pending, which ends WFI. The CPU masks the interrupt. */
static void init_gic(void)
{
    write_memory(4, GICD, 1 << 4 | 1 << 1);                  /* CTLR: ARE, group 1 */
    write_memory(4, GICD + 0x80 + UART_INTID / 32 * 4, ~0u); /* IGROUPR */
    write_memory(4, GICD + 0x100 + UART_INTID / 32 * 4, 1u << UART_INTID % 32); /* ISENABLER */
    write_memory(4, GICD + 0xc00 + UART_INTID / 16 * 4, 0);                     /* ICFGR: levels */
    WRITE_SYS(S3_0_C4_C6_0, 0xff);                                              /* ICC_PMR_EL1 */
    WRITE_SYS(S3_0_C12_C12_7, 1); /* ICC_IGRPEN1_EL1 */
    write_memory(4, UARTIMSC, INT_RX);
}

/* With the MMU off, a misaligned access faults in the guest and never reaches KVM. The table maps
 * all addresses to themselves, in blocks of 1 GiB, and uncached as for vCPUs whose MMU is off. */
static uint64_t table[512] __attribute__((aligned(4096)));

static void init_table(void)
{
    enum {
        BLOCK = 1,
        ACCESSED = 1 << 10
    };

    for (uint64_t i = 0; i < 4; i++)
        table[i] = i << 30 | ACCESSED | BLOCK;
}

static void init_mmu(void)
{
    WRITE_SYS(mair_el1, 0x44);                     /* normal memory, not cached */
    WRITE_SYS(tcr_el1, 1ULL << 32 | 1 << 23 | 25); /* 36 bits out, no TTBR1, 39 bits in */
    WRITE_SYS(ttbr0_el1, (uintptr_t)table);
    __asm__ volatile("dsb sy; tlbi vmalle1; dsb sy; isb");
    WRITE_SYS(sctlr_el1, READ_SYS(sctlr_el1) | SCTLR_M);
}

/* --- Calls --- */

static uint64_t make_call(const uint64_t *call)
{
    return smccc(call[0], call[1], call[2], call[3], call[4]);
}

/* --- Storm --- */

enum {
    BLOCK = 0x09000000,
    BLOCK_SIZE = 0x80,
    NEIGHBOURHOOD = 0x100, /* on both sides, where minivmm has no device */
    EVENT = 0x18,
    OST = 0x20,
    EJECT = 0x28,
    CONTROL_EJECT = 1 << 3,
};

static volatile uint64_t storm_end; /* by the counter; 0: there is none */
static volatile uint64_t storm_seed;
static volatile uint64_t storm_steps[N_CPUS];

static bool is_storm(void)
{
    return READ_SYS(cntvct_el0) < storm_end;
}

/* G. Marsaglia, Xorshift RNGs, 2003 */
static uint64_t next_random(uint64_t *random)
{
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    return *random;
}

/* Half of the values are those that registers take: few bits, or a vCPU and flags above it. */
static uint64_t storm_value(uint64_t *random)
{
    uint64_t value = next_random(random);

    switch (value >> 60 & 3) {
    case 0:
        return value & 7;
    case 1:
        return (value & 0xf000) | (value & 3);
    default:
        return value;
    }
}

static void storm_access(uint64_t *random)
{
    uint64_t pick = next_random(random), size = 1 << (pick & 3);
    uint64_t at = BLOCK - NEIGHBOURHOOD + (pick >> 8) % (BLOCK_SIZE + 2 * NEIGHBOURHOOD);

    if (pick >> 63)
        at &= -size;
    if (pick >> 62 & 1)
        read_memory(size, at);
    else
        write_memory(size, at, storm_value(random));
}

/* What OSPM does: takes events, answers them, ejects. Ejects are rare, so that all vCPUs run most of
 * the time. */
static void storm_ospm(uint64_t *random)
{
    uint64_t pick = next_random(random);
    bool is_rare = pick >> 56 == 0;

    switch (pick & 3) {
    case 0:
        read_memory(8, BLOCK + EVENT);
        break;
    case 1:
        write_memory(8, BLOCK + OST, storm_value(random));
        break;
    case 2:
        if (is_rare)
            write_memory(8, BLOCK + EJECT, pick >> 8 & 3);
        break;
    default: /* the 12 bytes: selector, then control or command */
        write_memory(4, BLOCK, pick >> 8 & 3);
        write_memory(1, BLOCK + 4 + (pick >> 16 & 1),
                     (pick >> 24 & ~CONTROL_EJECT) | (is_rare ? CONTROL_EJECT : 0));
        break;
    }
}

/* An entry address is ours, or anything: then that vCPU runs wild until it is turned off. */
static void storm_cpu_on(uint64_t *random)
{
    uint64_t pick = next_random(random);
    uint64_t id = pick & 1 ? 0xc4000003 : 0x84000003;
    uint64_t target = pick & 0xf0 ? pick >> 8 & 3 : storm_value(random);
    uint64_t entry = pick & 0xfc0000 ? (uintptr_t)secondary : next_random(random);

    smccc(pick >> 4 & 1, id, target, entry, pick);
}

/* CPU_SUSPEND waits for an interrupt, which only vCPU 0 gets. The others must not end the storm. */
static bool is_harmless(uint32_t id)
{
    const uint64_t final = 1 << 0x1 | 1 << 2 | 1 << 8 | 1 << 9 | 1 << 0xe | 1 << 0x12 | 1 << 0x15;
    uint32_t function = id & 0xff;

    return (id & 0xbfffff00) != 0x84000000 || function >= 64 || !(final >> function & 1);
}

static void storm_call(uint64_t *random)
{
    uint64_t pick = next_random(random);
    uint32_t id = pick & 3 ? 0x84000000 | (pick & 1) << 30 | (pick >> 8 & 0x1f) : pick >> 16;

    if (is_harmless(id))
        smccc(pick >> 4 & 1, id | (pick & 0xf0 ? 0 : pick << 32), storm_value(random),
              storm_value(random), pick);
}

static void storm(uint64_t cpu)
{
    uint64_t random = storm_seed + (cpu + 1) * 0x9e3779b97f4a7c15;

    while (is_storm()) {
        uint64_t pick = next_random(&random);

        if (pick % 1024 == 0 && cpu)
            smccc(CONDUIT_HVC, PSCI_CPU_OFF, 0, 0, 0); /* returns only if it failed */
        else if (pick & 3)
            storm_access(&random);
        else if (pick & 4)
            storm_ospm(&random);
        else if (pick & 8)
            storm_cpu_on(&random);
        else
            storm_call(&random);
        storm_steps[cpu]++;
    }
}

static void wait_for(Cpu *cpu, CallState state)
{
    while (__atomic_load_n(&cpu->state, __ATOMIC_ACQUIRE) != state)
        __asm__ volatile("wfe");
}

/* Take part in a storm meanwhile. */
static void wait_for_call(Cpu *cpu)
{
    while (__atomic_load_n(&cpu->state, __ATOMIC_ACQUIRE) != POSTED) {
        __asm__ volatile("wfe");
        storm(cpu - cpus);
    }
}

static void set_state(Cpu *cpu, CallState state)
{
    __atomic_store_n(&cpu->state, state, __ATOMIC_RELEASE);
    __asm__ volatile("dsb sy; sev");
}

void secondary_main(Cpu *cpu)
{
    init_mmu();
    storm(cpu - cpus);
    for (;;) {
        set_state(cpu, LISTENING);
        wait_for_call(cpu);
        set_state(cpu, AWAY);
        cpu->result = make_call(cpu->call);
    }
}

static void post(Cpu *cpu, const uint64_t *call)
{
    wait_for(cpu, LISTENING);
    for (int i = 0; i < 5; i++)
        cpu->call[i] = call[i];
    set_state(cpu, POSTED);
}

static uint64_t wait_result(Cpu *cpu)
{
    wait_for(cpu, LISTENING);
    return cpu->result;
}

static uint64_t call_from(uint64_t cpu, uint64_t conduit, const uint64_t *x)
{
    const uint64_t call[] = {conduit, x[0], x[1], x[2], x[3]};

    if (cpu == 0)
        return make_call(call);
    post(&cpus[cpu], call);
    return wait_result(&cpus[cpu]);
}

static void call_both(uint64_t a, uint64_t b, const uint64_t *x)
{
    const uint64_t call[] = {CONDUIT_HVC, x[0], x[1], x[2], x[3]};

    post(&cpus[a], call);
    post(&cpus[b], call);
    print_hex(wait_result(&cpus[a]));
    put(' ');
    print_hex(wait_result(&cpus[b]));
}

static void cycle(uint64_t cpu)
{
    const uint64_t off[5] = {CONDUIT_HVC, PSCI_CPU_OFF};

    while (read_memory(4, UARTFR) & FR_RXFE) {
        while (smccc(CONDUIT_HVC, PSCI_CPU_ON, cpu, (uintptr_t)secondary, 0) != 0)
            ;
        post(&cpus[cpu], off);
        while (smccc(CONDUIT_HVC, PSCI_AFFINITY_INFO, cpu, 0, 0) != AFFINITY_OFF)
            ;
    }
}

static void try_call(uint32_t id, const uint64_t *x)
{
    static const char *const names[] = {[CONDUIT_HVC] = "hvc ", [CONDUIT_SMC] = "smc "};

    for (uint64_t conduit = CONDUIT_HVC; conduit <= CONDUIT_SMC; conduit++) {
        uint64_t result = smccc(conduit, id, x[0], x[1], x[2]);

        if (result == NOT_SUPPORTED)
            continue;
        print(names[conduit]);
        print_hex(id);
        put(' ');
        print_hex(result);
        put('\n');
    }
}

static void call_all(const uint64_t *x)
{
    static const uint32_t bases[] = {0x84000000, 0xc4000000};
    /* CPU_OFF, SYSTEM_OFF, SYSTEM_RESET, SYSTEM_RESET2, SYSTEM_OFF2 */
    const uint64_t final = 1 << 2 | 1 << 8 | 1 << 9 | 1 << 0x12 | 1 << 0x15;

    write_memory(4, UARTIMSC, INT_RX | INT_TX); /* always pending: CPU_SUSPEND returns */
    for (int i = 0; i < 2; i++)
        for (uint32_t n = 0; n < 0x100; n++)
            if (n >= 64 || !(final >> n & 1))
                try_call(bases[i] + n, x);
    for (uint32_t id = 0x95c1ba5e; id <= 0x95c1ba61; id++) /* PSCI 0.1, as KVM has it */
        try_call(id, x);
    write_memory(4, UARTIMSC, INT_RX);
}

static void print_entry(const Cpu *cpu)
{
    uint64_t others = 0;

    for (int i = 1; i < 31; i++)
        others |= cpu->x[i];
    print_named("x0", cpu->x[0]);
    print_named(" others", others);
    print_named(" sctlr", cpu->sctlr & (SCTLR_M | SCTLR_C | SCTLR_I | SCTLR_EE));
    print_named(" daif", cpu->daif);
    print_named(" el", cpu->currentel >> 2);
    print_named(" spsel", cpu->spsel);
}

static void raise_storm(uint64_t milliseconds, uint64_t seed)
{
    uint64_t n = 0;

    storm_seed = seed;
    storm_end = READ_SYS(cntvct_el0) + READ_SYS(cntfrq_el0) / 1000 * milliseconds;
    __asm__ volatile("dsb sy; sev");
    storm(0);
    for (int i = 0; i < N_CPUS; i++) {
        n += storm_steps[i];
        storm_steps[i] = 0;
    }
    print("storm over: ");
    print_hex(n);
    print(" steps");
}

static void power_off(void)
{
    smccc(CONDUIT_HVC, PSCI_SYSTEM_OFF, 0, 0, 0);
}

void exception(void)
{
    print_named("\nexception: esr", READ_SYS(esr_el1));
    print_named(" elr", READ_SYS(elr_el1));
    print_named(" far", READ_SYS(far_el1));
    put('\n');
    power_off();
}

/* --- Commands --- */

static bool equal(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return *a == *b;
}

/* Remove the next word from the line, and return it. */
static const char *next_word(char **line)
{
    char *word = *line, *end;

    while (*word == ' ')
        word++;
    for (end = word; *end && *end != ' ';)
        end++;
    *line = *end ? end + 1 : end;
    *end = '\0';
    return word;
}

static uint64_t parse_number(const char *word)
{
    unsigned base = 10;
    uint64_t value = 0;

    if (equal(word, "entry"))
        return (uintptr_t)secondary;
    if (word[0] == '0' && word[1] == 'x') {
        base = 16;
        word += 2;
    }
    for (; *word; word++)
        value = value * base + (*word >= 'a' ? *word - 'a' + 10 : *word - '0');
    return value;
}

static bool execute(const char *command, char *args)
{
    uint64_t n[6];

    for (int i = 0; i < 6; i++)
        n[i] = parse_number(next_word(&args));
    if (equal(command, "hvc"))
        print_hex(call_from(n[0], CONDUIT_HVC, n + 1));
    else if (equal(command, "smc"))
        print_hex(call_from(n[0], CONDUIT_SMC, n + 1));
    else if (equal(command, "be"))
        print_hex(call_from(n[0], CONDUIT_BE, n + 1));
    else if (equal(command, "both"))
        call_both(n[0], n[1], n + 2);
    else if (equal(command, "off"))
        post(&cpus[n[0]], (const uint64_t[5]){CONDUIT_HVC, PSCI_CPU_OFF});
    else if (equal(command, "cycle"))
        cycle(n[0]);
    else if (equal(command, "all"))
        call_all(n);
    else if (equal(command, "entry"))
        print_entry(&cpus[n[0]]);
    else if (equal(command, "read"))
        print_hex(read_memory(n[0], n[1]));
    else if (equal(command, "write"))
        write_memory(n[0], n[1], n[2]);
    else if (equal(command, "storm"))
        raise_storm(n[0], n[1]);
    else if (equal(command, "pends"))
        print_hex(read_memory(4, GICD + 0x200 + n[0] / 32 * 4) >> n[0] % 32 & 1); /* ISPENDR */
    else if (equal(command, "poweroff"))
        power_off();
    else
        return false;
    return true;
}

static void print_marker(const char *id, const char *what)
{
    print("\n[[vcpuhp ");
    print(id);
    print(what);
}

void main(void)
{
    char line[256];

    init_table();
    init_mmu();
    init_gic();
    print_marker("", "ready bare]]\n");
    for (;;) {
        char *rest = line;
        const char *id, *command;

        get_line(line, sizeof(line));
        id = next_word(&rest);
        command = next_word(&rest);
        print_marker(id, " begin]]\n");
        print_marker(id, execute(command, rest) ? " end 0]]\n" : " end 127]]\n");
    }
}
