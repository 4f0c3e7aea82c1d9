/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * KVM's in-kernel interrupt controller, as the config describes it: GICv3 with or without an ITS,
 * or GICv2.
 */
#ifndef VCPUHP_GIC_GIC_H
#define VCPUHP_GIC_GIC_H

#include "config.h"

typedef struct Gic {
    const Config *config;
    int vm_fd;
    int fd;     /* the device, -1 before gic_create() */
    int its_fd; /* -1: none */
    bool lent;  /* fd is the VMM's, which made the device and will close it */
} Gic;

/* lent_fd: the VMM's own vGIC, or -1. */
void gic_setup(Gic *gic, const Config *config, int vm_fd, int lent_fd);
/* Whether the host has such a GIC; if not, VCPUHP_ERROR_NOT_SUPPORTED. Changes nothing. */
bool gic_probe(const Gic *gic, GError **error);
/* The device and its addresses, or for a lent one nothing. All vCPUs exist. */
bool gic_create(Gic *gic, GError **error);
/* All vCPUs are initialised: freeze them, and add the ITS, unless the device is lent. */
bool gic_init(Gic *gic, GError **error);
/* Close what is the library's. */
void gic_clear(Gic *gic);

/* An SPI's input line. */
bool gic_set_line(const Gic *gic, uint32_t intid, bool level, GError **error);

/*
 * As after gic_init(), but for the input lines, whose drivers have them in hand. KVM refuses it
 * while a vCPU is in any ioctl (EBUSY). (reset.c)
 */
bool gic_reset(const Gic *gic, GError **error);

#endif
