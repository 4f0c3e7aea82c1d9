/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The SSDT of a machine of four possible vCPUs, vCPU 0 enabled, in ASL: what src/acpi/cpus.c
 * generates. docs/acpi.md tells why it is as it is.
 *
 * machine: 4 1
 */
DefinitionBlock ("", "SSDT", 2, "VCPUHP", "VCPUHP  ", 0)
{
    Scope (\_SB)
    {
        Device (CPUS)
        {
            Name (_HID, "ACPI0010")
            Name (_UID, 0)              // also that of the PPTT's socket

            // docs/register-block.md, the extension
            OperationRegion (REGS, SystemMemory, 0x09000000, 0x80)
            Field (REGS, QWordAcc, NoLock, WriteAsZeros)
            {
                Offset (0x18),
                EVNT, 64,           // a read takes up to four events
                OSTR, 64,           // a write is an _OST
                EJCT, 64,           // a write is an _EJ0
                Offset (0x40),
                EN00, 64            // enabled vCPUs, a bit each
            }

            // The _STA of each vCPU; the rest is zero until _INI
            Name (STA0, Buffer (4) { 0x0F })

            // CSET (vCPU, status)
            Method (CSET, 2)
            {
                STA0 [Arg0] = Arg1
            }

            Method (_INI)
            {
                SYNC (EN00 >> 1, 1, 4)
            }

            // SYNC (enabled bits, first vCPU, vCPU after the last)
            Method (SYNC, 3)
            {
                Local0 = Arg0
                Local1 = Arg1
                While (Local1 < Arg2)
                {
                    CSET (Local1, ((Local0 << 1) & 0x02) | 0x0D)
                    Local0 >>= 1
                    Local1++
                }
            }

            // Held while STA0 and the registers change together
            Mutex (CLCK, 0)

            // Take up to four events, and record inserts
            Method (CTAK)
            {
                Acquire (CLCK, 0xFFFF)
                Local0 = EVNT
                Local1 = Local0
                While (Local1)
                {
                    If (Local1 & 0x4000)            // insert
                    {
                        CSET (Local1 & 0x0FFF, 0x0F)
                    }
                    Local1 >>= 16
                }
                Release (CLCK)
                Return (Local0)
            }

            Method (CSCN, 0, Serialized)
            {
                While (1)
                {
                    Local0 = CTAK ()
                    Local1 = Local0 >> 48           // the last lane
                    While (Local0)
                    {
                        Local2 = Local0 & 0x0FFF
                        If (Local0 & 0x4000)        // insert
                        {
                            CTFY (Local2, 1)
                        }
                        If (Local0 & 0x2000)        // remove
                        {
                            CTFY (Local2, 3)
                        }
                        Local0 >>= 16
                    }
                    If (!Local1)                    // was empty: there are no more events
                    {
                        Break
                    }
                }
            }

            // CEJ0 (vCPU)
            Method (CEJ0, 1)
            {
                Acquire (CLCK, 0xFFFF)
                CSET (Arg0, 0x0D)
                EJCT = Arg0
                Release (CLCK)
            }

            // COST (vCPU, source event, status code)
            Method (COST, 3)
            {
                OSTR = (Arg0 | (Arg1 << 16)) | (Arg2 << 32)
            }

            // CTFY (vCPU, notification)
            Method (CTFY, 2)
            {
                If (Arg0 & 2)
                {
                    If (Arg0 & 1) { Notify (C003, Arg1) }
                    Else { Notify (C002, Arg1) }
                }
                Else { Notify (C001, Arg1) }
            }

            // Permanently enabled: neither plugged nor ejected
            Device (C000)
            {
                Name (_HID, "ACPI0007")
                Name (_UID, 0)
            }

            Device (C001)
            {
                Name (_HID, "ACPI0007")
                Name (_UID, 1)
                Method (_STA) { Return (DerefOf (STA0 [1])) }
                Method (_EJ0, 1) { CEJ0 (1) }
                Method (_OST, 3) { COST (1, Arg0, Arg1) }
            }

            Device (C002)
            {
                Name (_HID, "ACPI0007")
                Name (_UID, 2)
                Method (_STA) { Return (DerefOf (STA0 [2])) }
                Method (_EJ0, 1) { CEJ0 (2) }
                Method (_OST, 3) { COST (2, Arg0, Arg1) }
            }

            Device (C003)
            {
                Name (_HID, "ACPI0007")
                Name (_UID, 3)
                Method (_STA) { Return (DerefOf (STA0 [3])) }
                Method (_EJ0, 1) { CEJ0 (3) }
                Method (_OST, 3) { COST (3, Arg0, Arg1) }
            }
        }

        Device (CGED)
        {
            Name (_HID, "ACPI0013")
            Name (_UID, "CGED")
            Name (_CRS, ResourceTemplate ()
            {
                Interrupt (ResourceConsumer, Level, ActiveHigh, Exclusive) { 33 }
            })
            Method (_EVT, 1)
            {
                \_SB.CPUS.CSCN ()
            }
        }
    }
}
