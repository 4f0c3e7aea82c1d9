/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two sockets of two clusters of one core. The outermost container is the machine, which has no node
 * in the PPTT; P000 and P001 are the sockets, P002 to P005 the clusters.
 *
 * machine: 4 1 topology=2,2,1,1
 */
DefinitionBlock ("", "SSDT", 2, "VCPUHP", "VCPUHP  ", 0)
{
    Scope (\_SB)
    {
        Device (CPUS)
        {
            Name (_HID, "ACPI0010")
            Name (_UID, 6)

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

            Name (STA0, Buffer (4) { 0x0F })

            Method (CSET, 2)
            {
                STA0 [Arg0] = Arg1
            }

            Method (_INI)
            {
                SYNC (EN00 >> 1, 1, 4)
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
                Divide (Arg0, 2, Local0, Local1)
                If (Local1 < 1) { ^P000.CTFY (Local0, Arg1) }
                Else { ^P001.CTFY (Local0, Arg1) }
            }

            Device (P000)
            {
                Name (_HID, "ACPI0010")
                Name (_UID, 0)

                Method (CTFY, 2)
                {
                    Divide (Arg0, 1, Local0, Local1)
                    Local2 = Local0 & 1
                    Local3 = Local0 & 2
                    Local4 = Local0 & 4
                    Local5 = Local0 & 8
                    ^P003.CBIT (Local2, Local3, Local4, Local5, Arg1)
                }

                Device (P002)
                {
                    Name (_HID, "ACPI0010")
                    Name (_UID, 2)

                    Device (C000)
                    {
                        Name (_HID, "ACPI0007")
                        Name (_UID, 0)
                    }
                }

                Device (P003)
                {
                    Name (_HID, "ACPI0010")
                    Name (_UID, 3)

                    Method (CBIT, 5) { Notify (C001, Arg4) }

                    Device (C001)
                    {
                        Name (_HID, "ACPI0007")
                        Name (_UID, 1)
                        Method (_STA) { Return (DerefOf (STA0 [1])) }
                        Method (_EJ0, 1) { CEJ0 (1) }
                        Method (_OST, 3) { COST (1, Arg0, Arg1) }
                    }
                }
            }

            Device (P001)
            {
                Name (_HID, "ACPI0010")
                Name (_UID, 1)

                Method (CTFY, 2)
                {
                    Divide (Arg0, 1, Local0, Local1)
                    Local2 = Local0 & 1
                    Local3 = Local0 & 2
                    Local4 = Local0 & 4
                    Local5 = Local0 & 8
                    If (Local1 < 1) { ^P004.CBIT (Local2, Local3, Local4, Local5, Arg1) }
                    Else { ^P005.CBIT (Local2, Local3, Local4, Local5, Arg1) }
                }

                Device (P004)
                {
                    Name (_HID, "ACPI0010")
                    Name (_UID, 4)

                    Method (CBIT, 5) { Notify (C002, Arg4) }

                    Device (C002)
                    {
                        Name (_HID, "ACPI0007")
                        Name (_UID, 2)
                        Method (_STA) { Return (DerefOf (STA0 [2])) }
                        Method (_EJ0, 1) { CEJ0 (2) }
                        Method (_OST, 3) { COST (2, Arg0, Arg1) }
                    }
                }

                Device (P005)
                {
                    Name (_HID, "ACPI0010")
                    Name (_UID, 5)

                    Method (CBIT, 5) { Notify (C003, Arg4) }

                    Device (C003)
                    {
                        Name (_HID, "ACPI0007")
                        Name (_UID, 3)
                        Method (_STA) { Return (DerefOf (STA0 [3])) }
                        Method (_EJ0, 1) { CEJ0 (3) }
                        Method (_OST, 3) { COST (3, Arg0, Arg1) }
                    }
                }
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
