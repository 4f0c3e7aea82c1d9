/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the host offers to the guest, and whether another host can offer the same. It is described by
 * vCPU 0: all vCPUs of a machine have the same, whether they are on or not.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/ioctl.h>

#include "blob.h"
#include "error.h"
#include "gic/state.h"
#include "ioctl.h"
#include "kvm/kvm.h"
#include "kvm/reg.h"

/* The largest of them is SVE_VLS. */
#define MAX_VALUE 64

static const BlobFormat format = {"vcpuhp_kvm_load_host", "VCPUHPKH", 1};

/* --- Registers --- */

static bool is_described(const Kvm *kvm, uint64_t id)
{
    if (id == KVM_REG_ARM_PSCI_VERSION)
        return kvm->psci == VCPUHP_KVM_PSCI_SPARSE; /* otherwise the guest never sees KVM's */
    return kvm_reg_kind(id) == KVM_REG_KIND_HOST || id == KVM_REG_PMCR_EL0;
}

/* Of PMCR_EL0, only the number of counters is the host's. */
static void mask_value(uint64_t id, void *value)
{
    uint64_t pmcr;

    if (id != KVM_REG_PMCR_EL0)
        return;
    memcpy(&pmcr, value, sizeof(pmcr));
    pmcr &= PMCR_N;
    memcpy(value, &pmcr, sizeof(pmcr));
}

/* Returns 0 or the errno. */
static int get_register(const Kvm *kvm, uint32_t vcpu, uint64_t id, void *ret_value)
{
    struct kvm_one_reg reg = {.id = id, .addr = (uintptr_t)ret_value};

    memset(ret_value, 0, MAX_VALUE);
    if (ioctl(kvm->vcpus[vcpu].fd, KVM_GET_ONE_REG, &reg) < 0)
        return errno;
    mask_value(id, ret_value);
    return 0;
}

/* Returns 0 or the errno. */
static int set_register(const Kvm *kvm, uint32_t vcpu, uint64_t id, const void *value)
{
    struct kvm_one_reg reg = {.id = id, .addr = (uintptr_t)value};

    return ioctl(kvm->vcpus[vcpu].fd, KVM_SET_ONE_REG, &reg) < 0 ? errno : 0;
}

static bool refuse_ioctl(uint32_t vcpu, uint64_t id, const char *ioctl_name, int number,
                         GError **error)
{
    g_autofree char *name = kvm_reg_name(id);

    return refuse(error, VCPUHP_ERROR_KVM, "vCPU %u: %s (%s): %s", vcpu, ioctl_name, name,
                  g_strerror(number));
}

static struct kvm_reg_list *get_list(const Kvm *kvm, GError **error)
{
    struct kvm_reg_list *list = ioctl_get_reg_list(kvm->vcpus[0].fd);

    if (!list)
        refuse(error, VCPUHP_ERROR_KVM, "vCPU 0: KVM_GET_REG_LIST: %s", g_strerror(errno));
    return list;
}

/* --- Save --- */

/* A register that the VMM has hidden may be listed without being there (ENOENT). */
static bool save_register(const Kvm *kvm, uint64_t id, BlobWriter *writer, GError **error)
{
    uint8_t value[MAX_VALUE];
    int number = get_register(kvm, 0, id, value);

    if (number == ENOENT)
        return true;
    if (number)
        return refuse_ioctl(0, id, "KVM_GET_ONE_REG", number, error);
    blob_put_u64(writer, id);
    blob_put(writer, value, KVM_REG_SIZE(id));
    return true;
}

static bool save_registers(const Kvm *kvm, BlobWriter *writer, GError **error)
{
    g_autofree struct kvm_reg_list *list = get_list(kvm, error);

    if (!list)
        return false;
    blob_section(writer, "HOST", 0);
    for (uint64_t i = 0; i < list->n; i++)
        if (is_described(kvm, list->reg[i]) && !save_register(kvm, list->reg[i], writer, error))
            return false;
    blob_section(writer, "LIST", 0);
    for (uint64_t i = 0; i < list->n; i++)
        if (kvm_reg_kind(list->reg[i]) == KVM_REG_KIND_GUEST)
            blob_put_u64(writer, list->reg[i]);
    return true;
}

static uint32_t features_of(const Kvm *kvm)
{
    return kvm->init.features[0] & ~(1u << KVM_ARM_VCPU_POWER_OFF);
}

static bool save(const Kvm *kvm, BlobWriter *writer, GError **error)
{
    blob_section(writer, "INIT", 0);
    blob_put_u32(writer, features_of(kvm));
    blob_put_u32(writer, kvm->psci);
    if (!save_registers(kvm, writer, error))
        return false;
    blob_section(writer, "VGIC", 0);
    return gic_save_host(&kvm->gic, writer, error);
}

GBytes *vcpuhp_kvm_save_host(Vcpuhp *hp, GError **error)
{
    const Kvm *kvm = kvm_of(hp);
    BlobWriter writer;

    if (!kvm) {
        refuse(error, VCPUHP_ERROR_ORDER,
               "vcpuhp_kvm_save_host: vcpuhp_kvm_setup() was not called");
        return NULL;
    }
    blob_begin(&writer, &format, 4096);
    if (save(kvm, &writer, error))
        return blob_end(&writer);
    blob_abandon(&writer);
    return NULL;
}

/* --- Load --- */

enum {
    INIT,
    HOST,
    LIST,
    VGIC,
    N_SECTIONS,
};

static bool check_features(const Kvm *kvm, uint32_t features, GError **error)
{
    static const struct {
        uint32_t bit;
        const char *name;
    } names[] = {
        {KVM_ARM_VCPU_SVE, "SVE"},
        {KVM_ARM_VCPU_PTRAUTH_ADDRESS, "pointer authentication"},
        {KVM_ARM_VCPU_PMU_V3, "a PMU"},
    };
    uint32_t own = features_of(kvm), differ = own ^ features;

    for (gsize i = 0; i < G_N_ELEMENTS(names); i++)
        if (differ >> names[i].bit & 1)
            return refuse(error, VCPUHP_ERROR_NOT_SUPPORTED,
                          "the vCPUs of the saved machine %s %s, but these %s",
                          own >> names[i].bit & 1 ? "lack" : "have", names[i].name,
                          own >> names[i].bit & 1 ? "have it" : "lack it");
    return !differ ||
           refuse(error, VCPUHP_ERROR_NOT_SUPPORTED,
                  "the features of the saved machine's vCPUs are 0x%x, but those of these 0x%x",
                  features, own);
}

static bool check_init(const Kvm *kvm, BlobSection *section, GError **error)
{
    static const char *const names[] = {
        [VCPUHP_KVM_PSCI_SPARSE] = "SPARSE", [VCPUHP_KVM_PSCI_WHOLE] = "WHOLE"};
    uint32_t features = blob_get_u32(&section->reader), psci = blob_get_u32(&section->reader);

    if (!blob_close(section, error))
        return false;
    if (psci >= G_N_ELEMENTS(names))
        return refuse(error, VCPUHP_ERROR_STATE, "%s: psci is %u", format.name, psci);
    if (psci != kvm->psci)
        return refuse(error, VCPUHP_ERROR_STATE, "psci is %s in the saved machine, but %s here",
                      names[psci], names[kvm->psci]);
    return check_features(kvm, features, error);
}

static bool has_register(const struct kvm_reg_list *list, uint64_t id)
{
    for (uint64_t i = 0; i < list->n; i++)
        if (list->reg[i] == id)
            return true;
    return false;
}

static bool refuse_lacking(uint64_t id, GError **error)
{
    g_autofree char *name = kvm_reg_name(id);

    return refuse(error, VCPUHP_ERROR_NOT_SUPPORTED,
                  "the vCPUs of the saved machine have %s, but this host's lack it", name);
}

/* The next register, whose value the section has. NULL: error is set. */
static const uint8_t *next_register(const Kvm *kvm, BlobSection *section, uint64_t *ret_id,
                                    GError **error)
{
    uint64_t id = blob_get_u64(&section->reader);
    const uint8_t *value;

    if (!section->reader.failed && (!is_described(kvm, id) || KVM_REG_SIZE(id) > MAX_VALUE)) {
        g_autofree char *name = kvm_reg_name(id);

        refuse(error, VCPUHP_ERROR_STATE, "%s: section HOST has %s, which is not the host's",
               format.name, name);
        return NULL;
    }
    value = blob_get(&section->reader, KVM_REG_SIZE(id));
    if (!value)
        blob_close(section, error);
    *ret_id = id;
    return value;
}

/* Changes nothing. */
static bool check_registers(const Kvm *kvm, BlobSection section, const struct kvm_reg_list *list,
                            GError **error)
{
    uint64_t id;

    while (blob_left(&section.reader)) {
        if (!next_register(kvm, &section, &id, error))
            return false;
        if (!has_register(list, id))
            return refuse_lacking(id, error);
    }
    return true;
}

static uint64_t word(const void *value)
{
    uint64_t word;

    memcpy(&word, value, sizeof(word));
    return word;
}

static bool refuse_value(uint64_t id, const void *wanted, const void *own, int number,
                         GError **error)
{
    g_autofree char *name = kvm_reg_name(id);

    return refuse(error, VCPUHP_ERROR_NOT_SUPPORTED,
                  "%s is 0x%" PRIx64 " in the saved machine, but 0x%" PRIx64 " on this host%s%s",
                  name, word(wanted), word(own), number ? ": KVM_SET_ONE_REG: " : "",
                  number ? g_strerror(number) : "");
}

/* The value to be written: PMCR_EL0's other fields are the guest's. */
static int merge_value(const Kvm *kvm, uint32_t vcpu, uint64_t id, uint8_t *value)
{
    struct kvm_one_reg reg = {.id = id};
    uint64_t pmcr;

    if (id != KVM_REG_PMCR_EL0)
        return 0;
    reg.addr = (uintptr_t)&pmcr;
    if (ioctl(kvm->vcpus[vcpu].fd, KVM_GET_ONE_REG, &reg) < 0)
        return errno;
    pmcr = (pmcr & ~PMCR_N) | word(value);
    memcpy(value, &pmcr, sizeof(pmcr));
    return 0;
}

/*
 * What is equal is left alone: KVM refuses to write many of them, even with the value that they
 * have. It takes some values without effect, so a value is read back.
 */
static bool load_register(const Kvm *kvm, uint32_t vcpu, uint64_t id, const uint8_t *saved,
                          GError **error)
{
    uint8_t wanted[MAX_VALUE] = {0}, own[MAX_VALUE], value[MAX_VALUE];
    int number = get_register(kvm, vcpu, id, own);

    if (number == ENOENT)
        return refuse_lacking(id, error);
    if (number)
        return refuse_ioctl(vcpu, id, "KVM_GET_ONE_REG", number, error);
    memcpy(wanted, saved, KVM_REG_SIZE(id));
    mask_value(id, wanted);
    if (!memcmp(wanted, own, sizeof(wanted)))
        return true;
    memcpy(value, wanted, sizeof(value));
    number = merge_value(kvm, vcpu, id, value);
    if (!number)
        number = set_register(kvm, vcpu, id, value);
    if (number)
        return refuse_value(id, wanted, own, number, error);
    number = get_register(kvm, vcpu, id, value);
    if (number)
        return refuse_ioctl(vcpu, id, "KVM_GET_ONE_REG", number, error);
    return !memcmp(wanted, value, sizeof(wanted)) || refuse_value(id, wanted, own, 0, error);
}

static bool load_registers(const Kvm *kvm, BlobSection *section, GError **error)
{
    const uint8_t *value;
    uint64_t id;

    while (blob_left(&section->reader)) {
        uint32_t n;

        value = next_register(kvm, section, &id, error);
        if (!value)
            return false;
        n = kvm_reg_is_per_vcpu(id) ? kvm->hp->config.n_vcpus : 1;
        for (uint32_t vcpu = 0; vcpu < n; vcpu++)
            if (!load_register(kvm, vcpu, id, value, error))
                return false;
    }
    return true;
}

/* The registers that vcpuhp_kvm_load() will write. */
static bool check_list(BlobSection *section, const struct kvm_reg_list *list, GError **error)
{
    while (blob_left(&section->reader)) {
        uint64_t id = blob_get_u64(&section->reader);

        if (section->reader.failed)
            return blob_close(section, error);
        if (!has_register(list, id))
            return refuse_lacking(id, error);
    }
    return true;
}

/* Whatever is damaged is refused before anything is written. */
static bool load(const Kvm *kvm, BlobSection sections[N_SECTIONS], GError **error)
{
    g_autofree struct kvm_reg_list *list = get_list(kvm, error);

    return list && check_init(kvm, &sections[INIT], error) &&
           check_list(&sections[LIST], list, error) &&
           check_registers(kvm, sections[HOST], list, error) &&
           gic_load_host(&kvm->gic, &sections[VGIC].reader, error) &&
           load_registers(kvm, &sections[HOST], error);
}

bool vcpuhp_kvm_load_host(Vcpuhp *hp, GBytes *host, GError **error)
{
    BlobSection sections[N_SECTIONS] = {
        [INIT] = {.tag = "INIT"},
        [HOST] = {.tag = "HOST"},
        [LIST] = {.tag = "LIST"},
        [VGIC] = {.tag = "VGIC"},
    };
    Kvm *kvm = kvm_of(hp);

    if (!kvm)
        return refuse(error, VCPUHP_ERROR_ORDER,
                      "vcpuhp_kvm_load_host: vcpuhp_kvm_setup() was not called");
    if (g_atomic_int_get(&kvm->powered))
        return refuse(error, VCPUHP_ERROR_ORDER, "vcpuhp_kvm_load_host: a vCPU has run");
    if (!blob_open(&format, host, sections, N_SECTIONS, error) || !load(kvm, sections, error))
        return false;
    kvm->host_loaded = true;
    return true;
}
