/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file fdt.h
 * Device-tree nodes, for a VMM that boots its guest by device tree instead of ACPI. Such a guest
 * has the vCPUs that are enabled at boot and cannot hotplug (docs/fdt.md).
 *
 * Each function appends nodes to a tree that the VMM builds with libfdt's sequential-write
 * functions (fdt_create() … fdt_finish()), at the current position: below the root, whose
 * \#address-cells and \#size-cells must be 2, and whose interrupt-parent must be the GIC's phandle.
 * The VMM chooses phandles that it uses nowhere else.
 *
 * Error of all functions: FDT, with libfdt's text, FDT_ERR_NOSPACE if the buffer is too small. The
 * tree is then unusable: begin again with a larger buffer.
 */
#ifndef VCPUHP_FDT_H
#define VCPUHP_FDT_H

#include <vcpuhp/vcpuhp.h>

G_BEGIN_DECLS

/** Bytes of a buffer that is large enough for everything that these functions append. */
#define VCPUHP_FDT_SIZE(n_vcpus) (4096 + 256 * (gsize)(n_vcpus))

/** Append /cpus: a node for each vCPU that is enabled at boot, with its NUMA node if config.nodes
 * is set, and a cpu-map if config.topology is more than one socket of plain cores. The phandle of
 * vCPU i's node is first_phandle + i. */
VCPUHP_API bool vcpuhp_fdt_cpus(const Vcpuhp *hp, void *fdt, uint32_t first_phandle,
                                GError **error);

/** Append /psci, called by HVC. */
VCPUHP_API bool vcpuhp_fdt_psci(const Vcpuhp *hp, void *fdt, GError **error);

/** Append the interrupt controller, and below it the ITS or the MSI frame, if there is one, with
 * the phandle msi_phandle, which a PCI host bridge's msi-map or msi-parent names. */
VCPUHP_API bool vcpuhp_fdt_gic(const Vcpuhp *hp, void *fdt, uint32_t gic_phandle,
                               uint32_t msi_phandle, GError **error);

/** Append /pmu; nothing if config.pmu_irq is 0. */
VCPUHP_API bool vcpuhp_fdt_pmu(const Vcpuhp *hp, void *fdt, GError **error);

G_END_DECLS

#endif
