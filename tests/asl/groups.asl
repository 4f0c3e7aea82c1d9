/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A socket of 17 cores, of which 15 are permanently enabled: P001 and P002 are groups, of which the
 * PPTT says nothing.
 *
 * machine: 17 15
 */
DefinitionBlock ("", "SSDT", 2, "VCPUHP", "VCPUHP  ", 0)
{
    Scope (\_SB)
    {
        Device (CPUS)
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

            Name (STA0, Buffer (17) { 0x0F, 0x0F, 0x0F, 0x0F, 0x0F, 0x0F, 0x0F, 0x0F, 0x0F, 0x0F, 0x0F, 0x0F, 0x0F, 0x0F, 0x0F })

            Method (CSET, 2)
            {
                STA0 [Arg0] = Arg1
            }

            Method (_INI)
            {
                SYNC (EN00 >> 15, 15, 17)
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
                Divide (Arg0, 16, Local0, Local1)
                Local2 = Local0 & 1
                Local3 = Local0 & 2
                Local4 = Local0 & 4
                Local5 = Local0 & 8
                If (Local1 < 1) { ^P001.CBIT (Local2, Local3, Local4, Local5, Arg1) }
                Else { ^P002.CBIT (Local2, Local3, Local4, Local5, Arg1) }
            }

            Device (P001)
            {
                Name (_HID, "ACPI0010")
                Name (_UID, 1)

                // Of 16 vCPUs, the last
                Method (CBIT, 5) { Notify (C00F, Arg4) }

                Device (C000) { Name (_HID, "ACPI0007") Name (_UID, 0) }
                Device (C001) { Name (_HID, "ACPI0007") Name (_UID, 1) }
                Device (C002) { Name (_HID, "ACPI0007") Name (_UID, 2) }
                Device (C003) { Name (_HID, "ACPI0007") Name (_UID, 3) }
                Device (C004) { Name (_HID, "ACPI0007") Name (_UID, 4) }
                Device (C005) { Name (_HID, "ACPI0007") Name (_UID, 5) }
                Device (C006) { Name (_HID, "ACPI0007") Name (_UID, 6) }
                Device (C007) { Name (_HID, "ACPI0007") Name (_UID, 7) }
                Device (C008) { Name (_HID, "ACPI0007") Name (_UID, 8) }
                Device (C009) { Name (_HID, "ACPI0007") Name (_UID, 9) }
                Device (C00A) { Name (_HID, "ACPI0007") Name (_UID, 10) }
                Device (C00B) { Name (_HID, "ACPI0007") Name (_UID, 11) }
                Device (C00C) { Name (_HID, "ACPI0007") Name (_UID, 12) }
                Device (C00D) { Name (_HID, "ACPI0007") Name (_UID, 13) }
                Device (C00E) { Name (_HID, "ACPI0007") Name (_UID, 14) }

                Device (C00F)
                {
                    Name (_HID, "ACPI0007")
                    Name (_UID, 15)
                    Method (_STA) { Return (DerefOf (STA0 [15])) }
                    Method (_EJ0, 1) { CEJ0 (15) }
                    Method (_OST, 3) { COST (15, Arg0, Arg1) }
                }
            }

            Device (P002)
            {
                Name (_HID, "ACPI0010")
                Name (_UID, 2)

                Method (CBIT, 5) { Notify (C010, Arg4) }

                Device (C010)
                {
                    Name (_HID, "ACPI0007")
                    Name (_UID, 16)
                    Method (_STA) { Return (DerefOf (STA0 [16])) }
                    Method (_EJ0, 1) { CEJ0 (16) }
                    Method (_OST, 3) { COST (16, Arg0, Arg1) }
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
