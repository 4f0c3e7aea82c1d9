/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * KVM's state of a machine: vCPUs that are on, vGIC, ITS and counters, in the one order that KVM
 * accepts (docs/migration.md).
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "blob.h"
#include "error.h"
#include "gic/state.h"
#include "ioctl.h"
#include "kvm/kvm.h"
#include "kvm/reg.h"

static const BlobFormat format = {"vcpuhp_kvm_load", "VCPUHPKV", 1};

#define REFUSE(...) refuse(error, VCPUHP_ERROR_STATE, __VA_ARGS__)

/* What precedes a vCPU's registers in VCPU: its number, KVM_MP_STATE and events. */
#define VCPU_HEAD (3 * sizeof(uint32_t) + sizeof(uint64_t))

enum {
    EVENT_SERROR = 1 << 0,
    EVENT_SERROR_ESR = 1 << 1,
    EVENT_EXTERNAL_ABORT = 1 << 2,
    EVENTS = (1 << 3) - 1,
};

/* Which vCPUs are on, n_vcpus of them; to be freed by g_free(). Those that are ON_PENDING have no
 * state yet: they are powered on again where the machine goes on. */
static bool *get_on(Vcpuhp *hp)
{
    bool *on = g_new0(bool, hp->config.n_vcpus);

    g_mutex_lock(&hp->slots.lock);
    for (uint32_t i = 0; i < hp->config.n_vcpus; i++)
        on[i] = hp->slots.table[i].power == VCPUHP_POWER_ON;
    g_mutex_unlock(&hp->slots.lock);
    return on;
}

/* --- Save --- */

static bool save_events(const Kvm *kvm, uint32_t vcpu, BlobWriter *writer, GError **error)
{
    struct kvm_vcpu_events events = {0};

    if (ioctl_call(kvm->vcpus[vcpu].fd, KVM_GET_VCPU_EVENTS, &events, error,
                   "vCPU %u: KVM_GET_VCPU_EVENTS", vcpu) < 0)
        return false;
    blob_put_u32(writer, (events.exception.serror_pending ? EVENT_SERROR : 0) |
                             (events.exception.serror_has_esr ? EVENT_SERROR_ESR : 0) |
                             (events.exception.ext_dabt_pending ? EVENT_EXTERNAL_ABORT : 0));
    blob_put_u64(writer, events.exception.serror_esr);
    return true;
}

/* All vCPUs have the registers of vCPU 0, in the same order. */
static bool save_vcpu(const Kvm *kvm, uint32_t vcpu, const KvmImage *first, BlobWriter *writer,
                      GError **error)
{
    int fd = kvm->vcpus[vcpu].fd;
    struct kvm_mp_state mp_state;
    KvmImage image;
    bool same;

    if (ioctl_call(fd, KVM_GET_MP_STATE, &mp_state, error, "vCPU %u: KVM_GET_MP_STATE", vcpu) < 0)
        return false;
    blob_put_u32(writer, vcpu);
    blob_put_u32(writer, mp_state.mp_state);
    if (!save_events(kvm, vcpu, writer, error) || !kvm_image_take(&image, fd, vcpu, error))
        return false;
    blob_put(writer, image.values, image.size);
    same = image.n_regs == first->n_regs && image.size == first->size;
    kvm_image_clear(&image);
    return same || refuse(error, VCPUHP_ERROR_KVM,
                          "vCPU %u: KVM_GET_REG_LIST: not the registers of vCPU 0", vcpu);
}

static bool save_vcpus(const Kvm *kvm, const bool *on, BlobWriter *writer, GError **error)
{
    KvmImage first;
    bool done = true;

    if (!kvm_image_take(&first, kvm->vcpus[0].fd, 0, error))
        return false;
    blob_section(writer, "REGS", 0);
    for (uint32_t i = 0; i < first.n_regs; i++)
        blob_put_u64(writer, first.regs[i].id);
    blob_section(writer, "VCPU", 0);
    for (uint32_t i = 0; done && i < kvm->hp->config.n_vcpus; i++)
        done = !on[i] || save_vcpu(kvm, i, &first, writer, error);
    kvm_image_clear(&first);
    return done;
}

/* The private interrupts of a vCPU that was on belong to the vGIC: a guest finds its LPI tables
 * where it left them. */
static bool save_private(const Kvm *kvm, BlobWriter *writer, GError **error)
{
    blob_section(writer, "PRIV", 0);
    for (uint32_t i = 0; i < kvm->hp->config.n_vcpus; i++) {
        if (!kvm->vcpus[i].used)
            continue;
        blob_put_u32(writer, i);
        if (!gic_save(&kvm->gic, GIC_PRIVATE, i, writer, error))
            return false;
    }
    blob_section(writer, "PEND", 0);
    for (uint32_t i = 0; i < kvm->hp->config.n_vcpus; i++)
        if (!kvm->vcpus[i].used && !gic_save(&kvm->gic, GIC_PENDING, i, writer, error))
            return false;
    return true;
}

static bool save_gic(const Kvm *kvm, const bool *on, BlobWriter *writer, GError **error)
{
    blob_section(writer, "DIST", 0);
    if (!gic_save(&kvm->gic, GIC_DISTRIBUTOR, 0, writer, error) ||
        !save_private(kvm, writer, error))
        return false;
    blob_section(writer, "CPUI", 0);
    for (uint32_t i = 0; i < kvm->hp->config.n_vcpus; i++)
        if (on[i] && !gic_save(&kvm->gic, GIC_CPU, i, writer, error))
            return false;
    blob_section(writer, "ITSR", 0);
    return gic_save(&kvm->gic, GIC_ITS, 0, writer, error);
}

/* The counters, which all vCPUs share. */
static const struct {
    uint64_t id;
    const char *name;
} counters[] = {{KVM_REG_ARM_TIMER_CNT, "CNTVCT"}, {KVM_REG_ARM_PTIMER_CNT, "CNTPCT"}};

static bool save_counters(const Kvm *kvm, BlobWriter *writer, GError **error)
{
    blob_section(writer, "TIME", 0);
    for (gsize i = 0; i < G_N_ELEMENTS(counters); i++) {
        uint64_t value;

        if (!ioctl_get_reg(kvm->vcpus[0].fd, 0, counters[i].id, counters[i].name, &value, error))
            return false;
        blob_put_u64(writer, value);
    }
    return true;
}

/* The counters come last, so that no time is saved which is later than theirs. */
static bool save(const Kvm *kvm, const bool *on, BlobWriter *writer, GError **error)
{
    return gic_save_tables(&kvm->gic, error) && save_vcpus(kvm, on, writer, error) &&
           save_gic(kvm, on, writer, error) && save_counters(kvm, writer, error);
}

GBytes *vcpuhp_kvm_save(Vcpuhp *hp, GError **error)
{
    const Kvm *kvm = kvm_of(hp);
    g_autofree bool *on = NULL;
    BlobWriter writer;

    if (!kvm) {
        refuse(error, VCPUHP_ERROR_ORDER, "vcpuhp_kvm_save: vcpuhp_kvm_setup() was not called");
        return NULL;
    }
    on = get_on(hp);
    blob_begin(&writer, &format, 16384);
    if (save(kvm, on, &writer, error))
        return blob_end(&writer);
    blob_abandon(&writer);
    return NULL;
}

/* --- Check, which changes nothing --- */

enum {
    REGS,
    VCPU,
    DIST,
    PRIV,
    PEND,
    CPUI,
    ITSR,
    TIME,
    N_SECTIONS,
};

typedef struct Load {
    Kvm *kvm;
    BlobSection sections[N_SECTIONS];
    bool *on;      /* n_vcpus, as vcpuhp_load() has left them … */
    uint32_t n_on; /* … and how many */
    uint32_t n_private;
    KvmImage image; /* of any vCPU; its values point into the state */
} Load;

/* The section has n parts of size bytes. */
static bool check_size(const BlobSection *section, size_t n, size_t size, GError **error)
{
    size_t left = blob_left(&section->reader);

    return left == n * size || REFUSE("%s: section %s has %zu bytes, but must have %zu",
                                      format.name, section->tag, left, n * size);
}

static bool has_register(const struct kvm_reg_list *list, uint64_t id)
{
    for (uint64_t i = 0; i < list->n; i++)
        if (list->reg[i] == id)
            return true;
    return false;
}

static bool check_register(const struct kvm_reg_list *list, uint64_t id, GError **error)
{
    g_autofree char *name = NULL;

    if (kvm_reg_kind(id) == KVM_REG_KIND_GUEST && has_register(list, id))
        return true;
    name = kvm_reg_name(id);
    return REFUSE("%s: section REGS has %s, which is no register of this machine's vCPUs that a "
                  "guest can change",
                  format.name, name);
}

/* Make the image, without values. */
static bool check_registers(Load *load, BlobSection section, GError **error)
{
    g_autofree struct kvm_reg_list *list = ioctl_get_reg_list(load->kvm->vcpus[0].fd);
    size_t n = blob_left(&section.reader) / sizeof(uint64_t);

    if (!list)
        return refuse(error, VCPUHP_ERROR_KVM, "vCPU 0: KVM_GET_REG_LIST: %s", g_strerror(errno));
    if (n > list->n)
        return REFUSE("%s: section REGS has %zu registers, but this machine's vCPUs have %llu",
                      format.name, n, (unsigned long long)list->n);
    load->image.regs = g_new0(struct kvm_one_reg, n);
    for (size_t i = 0; i < n; i++) {
        uint64_t id = blob_get_u64(&section.reader);

        if (!check_register(list, id, error))
            return false;
        load->image.regs[load->image.n_regs++].id = id;
        load->image.size += KVM_REG_SIZE(id);
    }
    return blob_close(&section, error);
}

static bool check_mp_state(uint32_t vcpu, uint32_t mp_state, GError **error)
{
    switch (mp_state) {
    case KVM_MP_STATE_RUNNABLE:
    case KVM_MP_STATE_STOPPED:
    case KVM_MP_STATE_SUSPENDED:
        return true;
    default:
        return REFUSE("%s: the KVM_MP_STATE of vCPU %u is %u", format.name, vcpu, mp_state);
    }
}

/* After its number. */
static bool check_vcpu(const Load *load, uint32_t vcpu, BlobReader *reader, GError **error)
{
    uint32_t mp_state = blob_get_u32(reader), events = blob_get_u32(reader);

    if (!check_mp_state(vcpu, mp_state, error))
        return false;
    if (events & ~EVENTS)
        return REFUSE("%s: the events of vCPU %u are 0x%x", format.name, vcpu, events);
    return blob_get(reader, sizeof(uint64_t) + load->image.size) ||
           REFUSE("%s: section VCPU is too short", format.name);
}

/* Those that are on in the library's state. */
static bool check_vcpus(const Load *load, BlobSection section, GError **error)
{
    uint32_t n_vcpus = load->kvm->hp->config.n_vcpus;
    uint32_t next = blob_left(&section.reader) ? blob_get_u32(&section.reader) : n_vcpus;

    for (uint32_t i = 0; i < n_vcpus; i++) {
        if ((next == i) != load->on[i])
            return REFUSE("%s: vCPU %u is %s in KVM's state, but %s in the library's", format.name,
                          i, load->on[i] ? "off" : "on", load->on[i] ? "on" : "off");
        if (next != i)
            continue;
        if (!check_vcpu(load, i, &section.reader, error))
            return false;
        next = blob_left(&section.reader) ? blob_get_u32(&section.reader) : n_vcpus;
    }
    return check_size(&load->sections[VCPU], load->n_on, VCPU_HEAD + load->image.size, error);
}

/* Each vCPU once, in their order. */
static bool check_private(Load *load, BlobSection section, GError **error)
{
    size_t size = gic_state_size(&load->kvm->gic, GIC_PRIVATE);
    uint32_t next = 0;

    while (blob_left(&section.reader)) {
        uint32_t vcpu = blob_get_u32(&section.reader);

        blob_get(&section.reader, size);
        if (section.reader.failed)
            return blob_close(&section, error);
        if (vcpu < next || vcpu >= load->kvm->hp->config.n_vcpus)
            return REFUSE("%s: section PRIV has vCPU %u where %u … %u can follow", format.name,
                          vcpu, next, load->kvm->hp->config.n_vcpus - 1);
        next = vcpu + 1;
        load->n_private++;
    }
    return true;
}

static bool check_gic(Load *load, GError **error)
{
    const Gic *gic = &load->kvm->gic;
    const BlobSection *sections = load->sections;

    return check_private(load, sections[PRIV], error) &&
           check_size(&sections[DIST], 1, gic_state_size(gic, GIC_DISTRIBUTOR), error) &&
           check_size(&sections[PEND], load->kvm->hp->config.n_vcpus - load->n_private,
                      gic_state_size(gic, GIC_PENDING), error) &&
           check_size(&sections[CPUI], load->n_on, gic_state_size(gic, GIC_CPU), error) &&
           check_size(&sections[ITSR], 1, gic_state_size(gic, GIC_ITS), error);
}

static bool check(Load *load, GError **error)
{
    for (uint32_t i = 0; i < load->kvm->hp->config.n_vcpus; i++)
        load->n_on += load->on[i];
    return check_registers(load, load->sections[REGS], error) &&
           check_vcpus(load, load->sections[VCPU], error) && check_gic(load, error) &&
           check_size(&load->sections[TIME], G_N_ELEMENTS(counters), sizeof(uint64_t), error);
}

/* --- Load --- */

static bool load_events(const Kvm *kvm, uint32_t vcpu, BlobReader *reader, GError **error)
{
    uint32_t flags = blob_get_u32(reader);
    struct kvm_vcpu_events events = {
        .exception = {.serror_pending = flags & EVENT_SERROR,
                      .serror_has_esr = (flags & EVENT_SERROR_ESR) != 0,
                      .ext_dabt_pending = (flags & EVENT_EXTERNAL_ABORT) != 0,
                      .serror_esr = blob_get_u64(reader)}};

    return ioctl_call(kvm->vcpus[vcpu].fd, KVM_SET_VCPU_EVENTS, &events, error,
                      "vCPU %u: KVM_SET_VCPU_EVENTS", vcpu) >= 0;
}

/* Events may change registers, so they come after these. */
static bool load_vcpu(Load *load, uint32_t vcpu, BlobReader *reader, GError **error)
{
    KvmVcpu *v = &load->kvm->vcpus[vcpu];
    uint32_t mp_state;
    BlobReader events;
    const uint8_t *value;

    blob_get_u32(reader);
    mp_state = blob_get_u32(reader);
    events = *reader;
    blob_get(reader, VCPU_HEAD - 2 * sizeof(uint32_t));
    value = blob_get(reader, load->image.size);
    for (uint32_t i = 0; i < load->image.n_regs; i++) {
        load->image.regs[i].addr = (uintptr_t)value;
        value += KVM_REG_SIZE(load->image.regs[i].id);
    }
    v->used = true;
    return kvm_image_apply(&load->image, v->fd, vcpu, error) &&
           load_events(load->kvm, vcpu, &events, error) &&
           kvm_vcpu_set_mp_state(load->kvm, vcpu, mp_state, "loaded", error);
}

static bool load_vcpus(Load *load, BlobReader *reader, GError **error)
{
    for (uint32_t i = 0; i < load->kvm->hp->config.n_vcpus; i++)
        if (load->on[i] && !load_vcpu(load, i, reader, error))
            return false;
    return true;
}

static bool is_zero(const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (bytes[i])
            return false;
    return true;
}

/* Nothing is pending at first, so that is not written: each access locks every vCPU. */
static bool load_pending(const Kvm *kvm, uint32_t vcpu, BlobReader *reader, GError **error)
{
    size_t size = gic_state_size(&kvm->gic, GIC_PENDING);
    const uint8_t *bytes = blob_get(reader, size);

    return is_zero(bytes, size) ||
           gic_load(&kvm->gic, GIC_PENDING, vcpu, &(BlobReader){bytes, bytes + size, false}, error);
}

/* A vCPU that was on is not as at boot, even if only its part of the vGIC is loaded. */
static bool load_private(Load *load, BlobReader *reader, BlobReader *pending, GError **error)
{
    Kvm *kvm = load->kvm;
    uint32_t next = blob_get_u32(reader);

    for (uint32_t i = 0; i < kvm->hp->config.n_vcpus; i++) {
        if (load->n_private && next == i) {
            kvm->vcpus[i].used = true;
            if (!gic_load(&kvm->gic, GIC_PRIVATE, i, reader, error))
                return false;
            load->n_private--;
            next = blob_get_u32(reader);
        } else if (!load_pending(kvm, i, pending, error)) {
            return false;
        }
    }
    return true;
}

static bool load_cpus(const Load *load, BlobReader *reader, GError **error)
{
    for (uint32_t i = 0; i < load->kvm->hp->config.n_vcpus; i++)
        if (load->on[i] && !gic_load(&load->kvm->gic, GIC_CPU, i, reader, error))
            return false;
    return true;
}

static bool load_counters(const Kvm *kvm, BlobReader *reader, GError **error)
{
    for (gsize i = 0; i < G_N_ELEMENTS(counters); i++)
        if (!ioctl_set_reg(kvm->vcpus[0].fd, 0, counters[i].id, counters[i].name,
                           blob_get_u64(reader), error))
            return false;
    return true;
}

/* The image of a vCPU at power-on can be taken only now: no vCPU but those that are loaded is sure
 * to be as KVM_ARM_VCPU_INIT has left it later. */
static bool take_image(Kvm *kvm, GError **error)
{
    return kvm->fwb || kvm_image_take(&kvm->image, kvm->vcpus[0].fd, 0, error);
}

static bool load_all(Load *load, GError **error)
{
    BlobSection *sections = load->sections;
    const Gic *gic = &load->kvm->gic;

    return take_image(load->kvm, error) && load_vcpus(load, &sections[VCPU].reader, error) &&
           gic_load(gic, GIC_DISTRIBUTOR, 0, &sections[DIST].reader, error) &&
           load_private(load, &sections[PRIV].reader, &sections[PEND].reader, error) &&
           load_cpus(load, &sections[CPUI].reader, error) &&
           gic_load(gic, GIC_ITS, 0, &sections[ITSR].reader, error) &&
           load_counters(load->kvm, &sections[TIME].reader, error);
}

/* Whether vcpuhp_load() was called, and vcpuhp_resume() was not. */
static bool is_loaded(Vcpuhp *hp)
{
    bool loaded;

    g_mutex_lock(&hp->slots.lock);
    loaded = hp->slots.loaded_at != 0;
    g_mutex_unlock(&hp->slots.lock);
    return loaded;
}

static bool check_order(const Kvm *kvm, GError **error)
{
    const char *why = NULL;

    if (!kvm)
        why = "vcpuhp_kvm_setup() was not called";
    else if (kvm->load_begun)
        why = "it was called before";
    else if (g_atomic_int_get(&kvm->powered))
        why = "a vCPU has run";
    else if (!kvm->host_loaded)
        why = "vcpuhp_kvm_load_host() was not called";
    else if (!is_loaded(kvm->hp))
        why = "vcpuhp_load() was not called";
    return !why || refuse(error, VCPUHP_ERROR_ORDER, "vcpuhp_kvm_load: %s", why);
}

bool vcpuhp_kvm_load(Vcpuhp *hp, GBytes *state, GError **error)
{
    Load load = {.kvm = kvm_of(hp),
                 .sections = {
                     [REGS] = {.tag = "REGS"},
                     [VCPU] = {.tag = "VCPU"},
                     [DIST] = {.tag = "DIST"},
                     [PRIV] = {.tag = "PRIV"},
                     [PEND] = {.tag = "PEND"},
                     [CPUI] = {.tag = "CPUI"},
                     [ITSR] = {.tag = "ITSR"},
                     [TIME] = {.tag = "TIME"},
                 }};

    if (!check_order(load.kvm, error) ||
        !blob_open(&format, state, load.sections, N_SECTIONS, error))
        return false;
    load.on = get_on(hp);
    if (check(&load, error)) {
        load.kvm->load_begun = true;
        load.kvm->loaded = load_all(&load, error);
    }
    g_free(load.image.regs);
    g_free(load.on);
    return load.kvm->loaded;
}
