/* SPDX-License-Identifier: BSD-3-Clause */
#include "ram.h"

#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

/* The most that one record holds, and that ram_send_some() sends. */
#define RUN_MAX  (MIB / 4)
#define SOME_MAX (4 * MIB)

static gsize page_size(void)
{
    return sysconf(_SC_PAGESIZE); /* KVM's log has a bit for each of these */
}

uint64_t ram_n_pages(const Machine *m)
{
    return m->ram_size / page_size();
}

static bool set_region(Machine *m, uint32_t flags, GError **error)
{
    struct kvm_userspace_memory_region region = {
        .flags = flags,
        .guest_phys_addr = RAM_BASE,
        .memory_size = m->ram_size,
        .userspace_addr = (uintptr_t)m->ram,
    };

    return ioctl(m->vm_fd, KVM_SET_USER_MEMORY_REGION, &region) == 0 ||
           fail_errno("--mem: KVM_SET_USER_MEMORY_REGION", error);
}

bool ram_create(Machine *m, GError **error)
{
    void *ram = mmap(NULL, m->ram_size, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (ram == MAP_FAILED)
        return fail_errno("--mem: mmap", error);
    m->ram = ram;
    return set_region(m, 0, error);
}

void ram_free(Machine *m)
{
    if (m->ram)
        munmap(m->ram, m->ram_size);
}

/* --- Sets of pages --- */

static gsize n_words(const Machine *m)
{
    return (ram_n_pages(m) + 63) / 64; /* as KVM_GET_DIRTY_LOG writes them */
}

Pages ram_pages_new(const Machine *m)
{
    return g_new0(uint64_t, n_words(m));
}

void ram_pages_add(const Machine *m, Pages pages, const Pages more)
{
    for (gsize i = 0; i < n_words(m); i++)
        pages[i] |= more[i];
}

uint64_t ram_pages_size(const Machine *m, const Pages pages)
{
    uint64_t n = 0;

    for (gsize i = 0; i < n_words(m); i++)
        n += __builtin_popcountll(pages[i]);
    return n * page_size();
}

bool ram_log(Machine *m, bool on, GError **error)
{
    g_atomic_int_set(&m->ram_written, false);
    return set_region(m, on ? KVM_MEM_LOG_DIRTY_PAGES : 0, error);
}

void ram_written(Machine *m)
{
    g_atomic_int_set(&m->ram_written, true);
}

bool ram_take_dirty(Machine *m, Pages pages, GError **error)
{
    struct kvm_dirty_log log = {.dirty_bitmap = pages};
    uint64_t rest = ram_n_pages(m) % 64;

    if (ioctl(m->vm_fd, KVM_GET_DIRTY_LOG, &log) < 0)
        return fail_errno("KVM_GET_DIRTY_LOG", error);
    if (g_atomic_int_compare_and_exchange(&m->ram_written, true, false)) {
        memset(pages, 0xff, n_words(m) * sizeof(*pages));
        if (rest)
            pages[n_words(m) - 1] = (UINT64_C(1) << rest) - 1;
    }
    return true;
}

/* --- Sending and receiving --- */

static bool is_set(const Pages pages, uint64_t page)
{
    return !pages || pages[page / 64] >> page % 64 & 1;
}

static bool is_zero(const uint8_t *page)
{
    uint64_t first;

    memcpy(&first, page, sizeof(first));
    return !first && !memcmp(page, page + sizeof(first), page_size() - sizeof(first));
}

static bool send_run(const Machine *m, Stream *stream, uint64_t page, gsize size, bool zero,
                     GError **error)
{
    uint64_t offset = page * page_size();
    const uint64_t run[] = {RAM_BASE + offset, size};

    if (zero)
        return stream_send(stream, RECORD_ZEROS, run, sizeof(run), error);
    return stream_send_two(stream, RECORD_PAGES, &run[0], sizeof(run[0]), m->ram + offset, size,
                           error);
}

/* A guest that runs may write a page in the meantime. Then the log has it. */
bool ram_send_some(const Machine *m, Stream *stream, const Pages pages, uint64_t *next,
                   GError **error)
{
    uint64_t page = *next, n_pages = ram_n_pages(m), size = page_size();
    uint64_t end = MIN(n_pages, page + SOME_MAX / size);

    while (page < end) {
        uint64_t first = page;
        bool zero;

        if (!is_set(pages, page)) {
            page++;
            continue;
        }
        zero = is_zero(m->ram + page * size);
        do
            page++;
        while (page < end && (page - first + 1) * size <= RUN_MAX && is_set(pages, page) &&
               is_zero(m->ram + page * size) == zero);
        if ((pages || !zero) && !send_run(m, stream, first, (page - first) * size, zero, error))
            return false;
    }
    *next = page;
    return true;
}

bool ram_send(const Machine *m, Stream *stream, const Pages pages, GError **error)
{
    uint64_t next = 0;

    while (next < ram_n_pages(m))
        if (!ram_send_some(m, stream, pages, &next, error))
            return false;
    return true;
}

/* Whether the machine has this memory. */
static bool in_ram(const Machine *m, uint64_t address, uint64_t size)
{
    return address >= RAM_BASE && size <= m->ram_size && address - RAM_BASE <= m->ram_size - size;
}

static bool fail_range(Stream *stream, GError **error)
{
    return stream_fail(stream, "damaged: a record of memory that the machine does not have", error);
}

bool ram_receive_pages(Machine *m, Stream *stream, uint32_t len, GError **error)
{
    uint64_t address;

    if (len < sizeof(address))
        return fail_range(stream, error);
    len -= sizeof(address);
    if (!stream_read(stream, &address, sizeof(address), error))
        return false;
    return in_ram(m, address, len) ? stream_read(stream, m->ram + (address - RAM_BASE), len, error)
                                   : fail_range(stream, error);
}

bool ram_receive_zeros(Machine *m, Stream *stream, uint32_t len, GError **error)
{
    uint64_t run[2];

    if (len != sizeof(run))
        return fail_range(stream, error);
    if (!stream_read(stream, run, sizeof(run), error))
        return false;
    if (!in_ram(m, run[0], run[1]))
        return fail_range(stream, error);
    memset(m->ram + (run[0] - RAM_BASE), 0, run[1]);
    return true;
}
