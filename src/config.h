/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The checked config, and what follows from it. Read only after config_init(): tables, device
 * tree, PSCI and vGIC all take MPIDRs, topology and geometry from here.
 */
#ifndef VCPUHP_CONFIG_H
#define VCPUHP_CONFIG_H

#include <vcpuhp/vcpuhp.h>

/* The affinity fields of MPIDR_EL1 (Arm ARM, D19.2.103): Aff3 and Aff2 … Aff0. */
#define MPIDR_AFFINITY 0xff00ffffffULL

typedef struct Config {
    uint32_t n_vcpus;
    uint32_t n_enabled; /* enabled at boot */
    uint32_t n_fixed;   /* vCPUs 0 … n_fixed-1 are enabled for good */
    VcpuhpTopology topology;
    VcpuhpCache caches[VCPUHP_MAX_CACHES];
    uint32_t n_caches;
    bool custom_mpidrs; /* given by the VMM: KVM has to be told */
    uint64_t *mpidrs;   /* n_vcpus */
    GHashTable *by_mpidr;
    uint32_t *nodes; /* n_vcpus, or NULL */
    VcpuhpGic gic;   /* redists' counts made explicit, n_redists >= 1 with GICv3 */
    uint64_t regs_base;
    uint32_t irq;
    uint32_t pmu_irq;
    char oem_id[6];       /* padded by spaces, without terminator */
    char oem_table_id[8]; /* same */
    uint32_t oem_revision;
    char container_name[5]; /* padded by '_', terminated */
    char ged_name[5];
    bool external_ged;
    char *scan_method;
    uint32_t retry_ms;
    uint32_t eject_ms;
} Config;

/* Check and copy. On error nothing is kept. */
bool config_init(Config *config, const VcpuhpConfig *from, GError **error);
void config_clear(Config *config);

/* The vCPU with these affinity fields, or -1. Takes a time that doesn't depend on n_vcpus. */
int config_vcpu_by_mpidr(const Config *config, uint64_t affinity);

#endif
