/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * KVM's in-kernel interrupt controller, as the config describes it: GICv3 with or without an ITS,
 * or GICv2. The library creates it, or the VMM lends it.
 */
#ifndef VCPUHP_SRC_GIC_GIC_H
#define VCPUHP_SRC_GIC_GIC_H

#include "config.h"

/* KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION: Documentation/virt/kvm/devices/arm-vgic-v3.rst */
#define REGION_COUNT_SHIFT 52

typedef struct Gic {
    const Config *config;
    int vm_fd;
    int fd;     /* the device; -1: not created yet */
    int its_fd; /* -1: none */
    bool lent;  /* both are the VMM's, which will close them */
} Gic;

/* fd, its_fd: the VMM's own, or -1. */
void gic_setup(Gic *gic, const Config *config, int vm_fd, int fd, int its_fd);
/* Whether the host can create such a GIC. Changes nothing. Errors: NOT_SUPPORTED. */
bool gic_probe(const Gic *gic, GError **error);
/* Whether a lent GIC is the config's. Changes nothing. Errors: INVALID. (lent.c) */
bool gic_check_lent(const Gic *gic, GError **error);
/* Whether a lent GIC, all of whose vCPUs exist, is initialised. Errors: INVALID. (lent.c) */
bool gic_check_initialised(const Gic *gic, GError **error);
/* Create the device and set its addresses; nothing for a lent one. All vCPUs exist. */
bool gic_create(Gic *gic, GError **error);
/* All vCPUs are initialised: initialise the device and, unless it is lent, create the ITS. */
bool gic_init(Gic *gic, GError **error);
/* Close what is the library's. */
void gic_clear(Gic *gic);

/* An SPI's input line. */
bool gic_set_line(const Gic *gic, uint32_t intid, bool level, GError **error);

/*
 * All of these restore what is there after gic_init(), except for the input lines, which belong to
 * the devices that drive them. KVM refuses them while a vCPU is in any ioctl (EBUSY), for which they
 * wait a little. (reset.c)
 */

/* ITS and distributor. They come before the vCPUs. */
bool gic_reset(const Gic *gic, GError **error);
/* What belongs to one vCPU: its redistributor or banked registers, and its CPU interface. */
bool gic_reset_vcpu(const Gic *gic, uint32_t vcpu, GError **error);
/* Only its pending SGIs and PPIs: one ioctl instead of 30, each of which locks all vCPUs. */
bool gic_clear_pending(const Gic *gic, uint32_t vcpu, GError **error);

#endif
