/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * With NUMA nodes, names and OEM fields of the VMM's own, a cold-plugged vCPU that can be removed,
 * and an event device that the VMM provides: it evaluates \_SB.VC0.CSCN.
 *
 * machine: 3 2 removable numa names external-ged
 */
DefinitionBlock ("", "SSDT", 2, "ACME  ", "ROADRUNR", 7)
{
    Scope (\_SB)
    {
        Device (VC0)
        {
            Name (_HID, "ACPI0010")
            Name (_UID, 0)
            OperationRegion (REGS, SystemMemory, 0x09000000, 0x80)
            Field (REGS, QWordAcc, NoLock, WriteAsZeros)
            {
                Offset (0x18),
                EVNT, 64,
                OSTR, 64,
                EJCT, 64,
                Offset (0x40),
                EN00, 64
            }

            // vCPU 1 is enabled at boot
            Name (STA0, Buffer (3) { 0x0F, 0x0F })

            Method (CSET, 2)
            {
                STA0 [Arg0] = Arg1
            }

            Method (_INI)
            {
                SYNC (EN00 >> 1, 1, 3)
            }

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

            Mutex (CLCK, 0)

            Method (CTAK)
            {
                Acquire (CLCK, 0xFFFF)
                Local0 = EVNT
                Local1 = Local0
                While (Local1)
                {
                    If (Local1 & 0x4000)
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
                    Local1 = Local0 >> 48
                    While (Local0)
                    {
                        Local2 = Local0 & 0x0FFF
                        If (Local0 & 0x4000)
                        {
                            CTFY (Local2, 1)
                        }
                        If (Local0 & 0x2000)
                        {
                            CTFY (Local2, 3)
                        }
                        Local0 >>= 16
                    }
                    If (!Local1)
                    {
                        Break
                    }
                }
            }

            Method (CEJ0, 1)
            {
                Acquire (CLCK, 0xFFFF)
                CSET (Arg0, 0x0D)
                EJCT = Arg0
                Release (CLCK)
            }

            Method (COST, 3)
            {
                OSTR = (Arg0 | (Arg1 << 16)) | (Arg2 << 32)
            }

            Method (CTFY, 2)
            {
                If (Arg0 & 2) { Notify (C002, Arg1) }
                Else { Notify (C001, Arg1) }
            }

            Device (C000)
            {
                Name (_HID, "ACPI0007")
                Name (_UID, 0)
                Name (_PXM, 0)
            }

            Device (C001)
            {
                Name (_HID, "ACPI0007")
                Name (_UID, 1)
                Name (_PXM, 0)
                Method (_STA) { Return (DerefOf (STA0 [1])) }
                Method (_EJ0, 1) { CEJ0 (1) }
                Method (_OST, 3) { COST (1, Arg0, Arg1) }
            }

            Device (C002)
            {
                Name (_HID, "ACPI0007")
                Name (_UID, 2)
                Name (_PXM, 1)
                Method (_STA) { Return (DerefOf (STA0 [2])) }
                Method (_EJ0, 1) { CEJ0 (2) }
                Method (_OST, 3) { COST (2, Arg0, Arg1) }
            }
        }
    }
}
