/* SPDX-License-Identifier: BSD-3-Clause */
/* The state of the vGIC and the ITS: saved, and loaded into a machine that has not run. */
#ifndef VCPUHP_SRC_GIC_STATE_H
#define VCPUHP_SRC_GIC_STATE_H

#include "blob.h"
#include "gic/gic.h"

/*
 * What the guest can see of the host in them: revisions, and the priority bits of a GICv3. Load
 * changes what it can, and refuses the rest. Errors: KVM; NOT_SUPPORTED, with the register and both
 * values; STATE.
 */
bool gic_save_host(const Gic *gic, BlobWriter *writer, GError **error);
bool gic_load_host(const Gic *gic, BlobReader *reader, GError **error);

/* Write what the vGIC and the ITS keep of the guest's tables into the guest's memory. */
bool gic_save_tables(const Gic *gic, GError **error);

/* The parts of the state. */
typedef enum {
    GIC_DISTRIBUTOR, /* with the SPIs' lines */
    GIC_PRIVATE,     /* a vCPU's redistributor, or banked registers */
    GIC_PENDING,     /* a vCPU's pending SGIs and PPIs alone, which other vCPUs can change */
    GIC_CPU,         /* a vCPU's CPU interface */
    GIC_ITS,         /* nothing without an ITS. After all others: it reads them and guest memory */
} GicPart;

/* vcpu is unused with GIC_DISTRIBUTOR and GIC_ITS. */
bool gic_save(const Gic *gic, GicPart part, uint32_t vcpu, BlobWriter *writer, GError **error);
/* The reader has gic_state_size() bytes. */
bool gic_load(const Gic *gic, GicPart part, uint32_t vcpu, BlobReader *reader, GError **error);
/* How many bytes a part has. */
size_t gic_state_size(const Gic *gic, GicPart part);

#endif
