"""Putting BPF programs together: each stands for a yes or a no, and the whole is again a program.

A program says yes by returning any number but 0. Joining programs only turns their returns into jumps, one for one,
so the eight bits of a conditional jump, right in each part, stay right in the whole.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from capfix.filters import instructions as bpf
from capfix.filters.instructions import Instruction, Program, jump, returns, statement

ACCEPT: Final = statement(bpf.RET | bpf.K, 0xFFFFFFFF)
REFUSE: Final = statement(bpf.RET | bpf.K, 0)

_LISTED_RANGES: Final = 16  # compared one after another; chosen: few jumps, so that more fit into the kernel


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


def within(load: Program, values: Iterable[int]) -> Program:
    """Return the program that says whether what `load` puts into A is one of the values, found by halving.

    Numbers in a row count as one, so that thousands of interfaces made one after another are two comparisons.
    """
    return (*load, *_search(_ranges(values)))


def _ranges(values: Iterable[int]) -> list[tuple[int, int]]:
    """Return the first and last number of each row of numbers, in order."""
    ranges: list[tuple[int, int]] = []
    for value in sorted(set(values)):
        if ranges and value == ranges[-1][1] + 1:
            ranges[-1] = ranges[-1][0], value
        else:
            ranges.append((value, value))
    return ranges


def _search(ranges: Sequence[tuple[int, int]]) -> Program:
    if len(ranges) <= _LISTED_RANGES:
        return (*(step for first, last in ranges for step in _range_test(first, last)), REFUSE)
    middle = len(ranges) // 2
    above = _search(ranges[middle:])
    return (
        jump(bpf.JGE, ranges[middle][0], 1, 0),
        statement(bpf.JMP | bpf.JA, len(above)),  # a conditional jump reaches 255 instructions only
        *above,
        *_search(ranges[:middle]),
    )


def _range_test(first: int, last: int) -> Program:
    if first == last:
        return (jump(bpf.JEQ, first, 0, 1), ACCEPT)
    return (jump(bpf.JGE, first, 0, 2), jump(bpf.JGT, last, 1, 0), ACCEPT)


def both(first: Program, second: Program) -> Program:
    """Return the program that says yes where both do; the second runs only after the first's yes."""
    return chain(first, [(True, second)])


def either(first: Program, second: Program) -> Program:
    """Return the program that says yes where one does; the second runs only after the first's no."""
    return chain(first, [(False, second)])


def chain(first: Program, others: Iterable[tuple[bool, Program]]) -> Program:
    """Return the programs joined from the left, each of the others by `and` (True) or by `or` (False).

    A yes goes on at the next program joined by `and`, a no at the next joined by `or`, so that no program runs whose
    answer changes nothing. Takes time in proportion to the length of the whole.
    """
    joined = [(True, first), *others]
    start = sum(len(program) for _, program in joined)
    on_yes: int | None = None
    on_no: int | None = None
    parts: list[Program] = []
    for is_and, program in reversed(joined):
        start -= len(program)
        yes = None if on_yes is None else on_yes - start
        no = None if on_no is None else on_no - start
        parts.append(_returning(program, yes, no))
        on_yes, on_no = (start, on_no) if is_and else (on_yes, start)
    return tuple(instruction for part in reversed(parts) for instruction in part)


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
