/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The registers of KVM's vGIC and ITS, as user space reads and writes them
 * (Documentation/virt/kvm/devices/arm-vgic*.rst).
 */
#ifndef VCPUHP_SRC_GIC_REGS_H
#define VCPUHP_SRC_GIC_REGS_H

#include <linux/kvm.h>

#include "gic/gic.h"

#define N_PRIVATE 32 /* SGIs and PPIs */
#define SGIS      0xffffu

/* Arm IHI 0069H, 12.9 and 12.11: distributor and redistributor; IHI 0048B, 4.3: GICv2's alone */
enum {
    GICD_CTLR = 0x0000,
    GICD_IIDR = 0x0008,
    GICD_TYPER2 = 0x000c,
    GICD_IROUTER = 0x6000,
    GICR_CTLR = 0x0000,
    GICR_PROPBASER = 0x0070,
    GICR_PENDBASER = 0x0078,
    /* The frame with the private interrupts' fields, which lie as the distributor's do. */
    GICR_SGI_BASE = 0x10000,
    IGROUPR = 0x0080,
    ISENABLER = 0x0100,
    ICENABLER = 0x0180,
    ISPENDR = 0x0200,
    ICPENDR = 0x0280,
    ISACTIVER = 0x0300,
    ICACTIVER = 0x0380,
    IPRIORITYR = 0x0400,
    ITARGETSR = 0x0800,
    ICFGR = 0x0c00,
    SPENDSGIR = 0x0f20,
};

/* Arm IHI 0069H, 12.2, as KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS has them. */
#define ICC(op1, crn, crm, op2) (3u << 14 | (op1) << 11 | (crn) << 7 | (crm) << 3 | (op2))
#define ICC_PMR                 ICC(0u, 4u, 6u, 0u)
#define ICC_BPR0                ICC(0u, 12u, 8u, 3u)
#define ICC_AP0R(n)             ICC(0u, 12u, 8u, 4u + (n))
#define ICC_AP1R(n)             ICC(0u, 12u, 9u, (n))
#define ICC_BPR1                ICC(0u, 12u, 12u, 3u)
#define ICC_CTLR                ICC(0u, 12u, 12u, 4u)
#define ICC_IGRPEN0             ICC(0u, 12u, 12u, 6u)
#define ICC_IGRPEN1             ICC(0u, 12u, 12u, 7u)
/* ICC_CTLR: CBPR and EOImode, all of it that can be written. Bits 10-8: priority bits - 1. */
#define ICC_CTLR_WRITABLE 3u
/* The most active priorities registers of a group. */
#define MAX_APRS 4

/* Arm IHI 0048B, 4.4: the GICv2's CPU interface */
enum {
    GICC_CTLR = 0x00,
    GICC_PMR = 0x04,
    GICC_BPR = 0x08,
    GICC_ABPR = 0x1c,
    GICC_APR = 0xd0,
};

/* Arm IHI 0069H, 12.19: the ITS */
enum {
    GITS_CTLR = 0x0000,
    GITS_IIDR = 0x0004,
    GITS_CBASER = 0x0080,
    GITS_CWRITER = 0x0088,
    GITS_CREADR = 0x0090,
    GITS_BASER = 0x0100,
};

/*
 * Read or write a register, of 64 bits in the groups CPU_SYSREGS and ITS_REGS, else of 32. KVM
 * answers EBUSY while any vCPU is in an ioctl. No vCPU runs, but the VMM may just look into one of
 * them, for its statistics, say; so these wait a little.
 */
bool gic_get(const Gic *gic, uint32_t group, uint64_t attr, void *ret_value, GError **error);
bool gic_set(const Gic *gic, uint32_t group, uint64_t attr, const void *value, GError **error);
/* An attribute of the group CTRL, of the vGIC's or the ITS's fd, waiting likewise. */
bool gic_control(int fd, uint64_t attr, GError **error);

/* Write value to n registers. */
bool gic_set_words(const Gic *gic, uint32_t group, uint64_t attr, uint32_t n, uint32_t stride,
                   uint32_t value, GError **error);

static inline bool gic_is_v3(const Gic *gic)
{
    return gic->config->gic.version == 3;
}

/* How KVM addresses a vCPU's registers: GICv3. There is no Aff3: vcpuhp_kvm_setup() refuses it. */
static inline uint64_t gic_v3_frame(const Gic *gic, uint32_t vcpu)
{
    return gic->config->mpidrs[vcpu] << KVM_DEV_ARM_VGIC_V3_MPIDR_SHIFT;
}

/* The same: GICv2. */
static inline uint64_t gic_v2_bank(uint32_t vcpu)
{
    return (uint64_t)vcpu << KVM_DEV_ARM_VGIC_CPUID_SHIFT;
}

/* The group and the address of the registers of a vCPU's private interrupts, of either version. */
static inline uint32_t gic_private_group(const Gic *gic)
{
    return gic_is_v3(gic) ? KVM_DEV_ARM_VGIC_GRP_REDIST_REGS : KVM_DEV_ARM_VGIC_GRP_DIST_REGS;
}

static inline uint64_t gic_private_frame(const Gic *gic, uint32_t vcpu)
{
    return gic_is_v3(gic) ? gic_v3_frame(gic, vcpu) + GICR_SGI_BASE : gic_v2_bank(vcpu);
}

/* How many active priorities registers a group has: as many as 32 preemption levels each need. */
static inline uint32_t gic_n_aprs(uint64_t icc_ctlr)
{
    return 1u << (MIN(MAX(icc_ctlr >> 8 & 7, 4), 6) - 4);
}

/* KVM ignores writes to a GICv2's IGROUPR until user space has written GICD_IIDR back. */
bool gic_confirm_iidr(const Gic *gic, GError **error);

#endif
