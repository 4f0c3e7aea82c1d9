/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The checked config, and what follows from it: MPIDRs, topology, addresses. Read only after
 * config_init(). Tables, device tree, PSCI and vGIC all read it here.
 */
#ifndef VCPUHP_SRC_CONFIG_H
#define VCPUHP_SRC_CONFIG_H

#include "blob.h"

/* The affinity fields of MPIDR_EL1 (Arm ARM, D19.2.103): Aff3 and Aff2 … Aff0. */
#define MPIDR_AFFINITY 0xff00ffffffULL

/* What KVM's GICv2 and GICv3 occupy. */
#define KIB          1024ULL
#define GICD_V3_SIZE (64 * KIB)
#define GICD_V2_SIZE (4 * KIB)
#define GICC_V2_SIZE (8 * KIB)
#define ITS_SIZE     (128 * KIB)
#define V2M_SIZE     (4 * KIB)

typedef struct Config {
    uint32_t n_vcpus;
    uint32_t n_enabled; /* enabled at boot */
    uint32_t n_fixed;   /* vCPUs 0 … n_fixed-1 are enabled permanently */
    VcpuhpTopology topology;
    VcpuhpCache caches[VCPUHP_MAX_CACHES];
    uint32_t n_caches;
    bool custom_mpidrs; /* chosen by the VMM, and written to KVM */
    uint64_t *mpidrs;   /* n_vcpus */
    GHashTable *by_mpidr;
    uint32_t *nodes; /* n_vcpus, or NULL */
    VcpuhpGic gic;   /* redists[].count is never 0 */
    uint64_t regs_base;
    uint32_t event_irq;
    uint32_t pmu_irq;
    char oem_id[6];       /* padded by spaces, without terminator */
    char oem_table_id[8]; /* same */
    uint32_t oem_revision;
    char container_name[5]; /* padded by '_', terminated */
    char ged_name[5];
    bool external_ged;
    char *scan_method;
    uint32_t retry_ms;
    uint32_t eject_timeout_ms;
} Config;

/* Check and copy the caller's config. On error nothing is kept. Errors: STRUCT, INVALID. */
bool config_init(Config *config, const VcpuhpConfig *caller, GError **error);
void config_clear(Config *config);

/* Whether size bytes at base, which must be a multiple of size, overlap nothing that the config
 * places. field is the address's name, for the error. Errors: INVALID. */
bool config_check_region(const Config *config, uint64_t base, uint64_t size, const char *field,
                         GError **error);

/* The vCPU with these affinity fields, or -1. Its time does not depend on n_vcpus. */
int config_vcpu_by_mpidr(const Config *config, uint64_t affinity);

/* --- State: config_state.c --- */

#define CONFIG_SECTION "CONF"

/* What is hardware to the guest. */
void config_save(const Config *config, BlobWriter *writer);
/* Whether it is the same. Errors: STATE, which names the field and both values. */
bool config_check(const Config *config, BlobSection *section, GError **error);

#endif
