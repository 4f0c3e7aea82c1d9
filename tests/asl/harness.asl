/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For acpiexec, whose registers are memory: play the VMM. FIRE (lanes) has the scan method find
 * events; the last lane must be empty, as memory doesn't forget what was read. The others return
 * what was written last.
 */
DefinitionBlock ("", "SSDT", 2, "VCPUHP", "HARNESS", 1)
{
    External (\_SB.CPUS.CSCN, MethodObj)
    External (\_SB.CPUS.CTFY, MethodObj)

    OperationRegion (REGS, SystemMemory, 0x09000000, 0x80)
    Field (REGS, QWordAcc, NoLock, WriteAsZeros)
    {
        Offset (0x18),
        EVNT, 64,
        OSTR, 64,
        EJCT, 64
    }

    Method (FIRE, 1)
    {
        EVNT = Arg0
        \_SB.CPUS.CSCN ()
        EVNT = 0
    }

    // EACH (first vCPU, vCPU after the last): notify each of 0x100 and its number
    Method (EACH, 2)
    {
        Local0 = Arg0
        While (Local0 < Arg1)
        {
            \_SB.CPUS.CTFY (Local0, 0x100 + Local0)
            Local0++
        }
    }

    Method (ROST)
    {
        Return (OSTR)
    }

    Method (REJC)
    {
        Return (EJCT)
    }
}
