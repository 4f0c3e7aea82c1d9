/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Device-tree nodes, for a VMM that boots its guest by device tree instead of ACPI. Such a guest
 * has the vCPUs that are enabled at boot and can't hotplug: docs/fdt.md.
 *
 * Each function appends nodes to a tree that the VMM has under construction by libfdt's
 * sequential-write functions (fdt_create() … fdt_finish()), where it stands: below the root, whose
 * #address-cells and #size-cells are to be 2, and whose interrupt-parent is to be the GIC's
 * phandle. Phandles are the VMM's to choose: any that it uses nowhere else.
 *
 * Errors: FDT, with libfdt's own text: FDT_ERR_NOSPACE when the buffer is too small. The tree is
 * then spoilt: begin anew, with a larger one.
 */
#ifndef VCPUHP_FDT_H
#define VCPUHP_FDT_H

#include <vcpuhp/vcpuhp.h>

G_BEGIN_DECLS

/* Bytes of the buffer that suffice for all that these functions append. */
#define VCPUHP_FDT_SIZE(n_vcpus) (4096 + 256 * (gsize)(n_vcpus))

/*
 * /cpus, with a node for each vCPU that is enabled at boot, its NUMA node if config.nodes is
 * given, and a cpu-map if config.topology is more than one socket of plain cores. The phandle of
 * vCPU i's node is first_phandle + i.
 */
VCPUHP_API bool vcpuhp_fdt_cpus(const Vcpuhp *hp, void *fdt, uint32_t first_phandle,
                                GError **error);

/* /psci, to be called by HVC. */
VCPUHP_API bool vcpuhp_fdt_psci(const Vcpuhp *hp, void *fdt, GError **error);

/*
 * The interrupt controller, and below it the ITS or the MSI frame, if there is one, which gets
 * msi_phandle: a PCI host bridge's msi-map or msi-parent is to name it.
 */
VCPUHP_API bool vcpuhp_fdt_gic(const Vcpuhp *hp, void *fdt, uint32_t gic_phandle,
                               uint32_t msi_phandle, GError **error);

/* /pmu; nothing without config.pmu_irq. */
VCPUHP_API bool vcpuhp_fdt_pmu(const Vcpuhp *hp, void *fdt, GError **error);

G_END_DECLS

#endif
