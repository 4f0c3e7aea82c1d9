/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * All vCPUs are permanently enabled: the SSDT only describes them.
 *
 * machine: 2 2
 */
DefinitionBlock ("", "SSDT", 2, "VCPUHP", "VCPUHP  ", 0)
{
    Scope (\_SB)
    {
        Device (CPUS)
        {
            Name (_HID, "ACPI0010")
            Name (_UID, 0)

            // An event device of the VMM's own may call it
            Method (CSCN)
            {
            }

            Device (C000)
            {
                Name (_HID, "ACPI0007")
                Name (_UID, 0)
            }

            Device (C001)
            {
                Name (_HID, "ACPI0007")
                Name (_UID, 1)
            }
        }
    }
}
