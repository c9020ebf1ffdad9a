"""Putting BPF programs together: each stands for a yes or a no, and the whole is again a program.

A program says yes by returning any number but 0. Joining programs only turns their returns into jumps, one for one,
so the eight bits of a conditional jump, right in each part, stay right in the whole.
"""

from collections.abc import Iterable
from typing import Final

from capfix.filters import instructions as bpf
from capfix.filters.instructions import Instruction, Program, jump, returns, statement

ACCEPT: Final = statement(bpf.RET | bpf.K, 0xFFFFFFFF)
REFUSE: Final = statement(bpf.RET | bpf.K, 0)


def equals(load: int, value: int, mask: int = 0xFFFFFFFF) -> Program:
    """Return the program that says whether the word at `load`, an offset as SKF_AD_MARK is, has the value."""
    masking = () if mask == 0xFFFFFFFF else (statement(bpf.ALU | bpf.AND | bpf.K, mask),)
    return (
        statement(bpf.LD | bpf.W | bpf.ABS, load),
        *masking,
        jump(bpf.JEQ, value, 0, 1),
        ACCEPT,
        REFUSE,
    )


def one_of(load: Instruction, values: Iterable[int]) -> Program:
    """Return the program that says whether what `load` puts into A is one of the values, any number of them."""
    tests = [step for value in values for step in (jump(bpf.JEQ, value, 0, 1), ACCEPT)]
    return (load, *tests, REFUSE)


def both(first: Program, second: Program) -> Program:
    """Return the program that says yes where both do; the second runs only after the first's yes."""
    return _returning(first, yes=len(first)) + second


def either(first: Program, second: Program) -> Program:
    """Return the program that says yes where one does; the second runs only after the first's no."""
    return _returning(first, no=len(first)) + second


def negated(program: Program) -> Program:
    """Return the program that says no where this one says yes."""
    return tuple(_swapped(instruction) for instruction in program)


def choose(condition: Program, if_yes: Program, if_no: Program) -> Program:
    """Return the program that answers as `if_yes` where the condition holds, and as `if_no` elsewhere."""
    start = len(condition)
    return _returning(condition, yes=start, no=start + len(if_yes)) + if_yes + if_no


def keeping(program: Program, limit: int) -> Program:
    """Return the program with every yes keeping at most `limit` bytes."""
    accept = statement(bpf.RET | bpf.K, limit)
    return tuple(accept if returns(instruction) else instruction for instruction in program)


def unrolled(program: Program, times: int) -> Program:
    """Return the program without the loops that the kernel refuses: what still loops after `times` rounds is a no.

    libpcap compiles `protochain` to a loop over a packet's chain of headers, and runs such programs in user space.
    A jump back becomes a jump ahead, to the same place in the next copy of the program.
    """
    if not any(_jumps_back(instruction) for instruction in program):
        return program
    next_copy = tuple(
        instruction._replace(k=(instruction.k + len(program)) & 0xFFFFFFFF)
        if _jumps_back(instruction)
        else instruction
        for instruction in program
    )
    last = tuple(REFUSE if _jumps_back(instruction) else instruction for instruction in program)
    return next_copy * (times - 1) + last


def _returning(program: Program, yes: int | None = None, no: int | None = None) -> Program:
    """Return the program going on at the instruction `yes` or `no`, counted from its start, where it returned."""

    def onward(at: int, instruction: Instruction) -> Instruction:
        answer = returns(instruction)
        if answer is None:
            return instruction
        target = yes if answer else no
        return instruction if target is None else statement(bpf.JMP | bpf.JA, target - at - 1)

    return tuple(onward(at, instruction) for at, instruction in enumerate(program))


def _swapped(instruction: Instruction) -> Instruction:
    answer = returns(instruction)
    if answer is None:
        return instruction
    return REFUSE if answer else ACCEPT


def _jumps_back(instruction: Instruction) -> bool:
    return instruction.code == bpf.JMP | bpf.JA and instruction.k >= 1 << 31
