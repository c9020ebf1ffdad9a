"""Running a BPF program in user space, on packets that no kernel filter has seen.

Compiled. Answers as the kernel does: a load beyond the packet and a division by zero refuse it.

Source: linux/filter.h; net/core/filter.c.
"""

from array import array
from collections.abc import Mapping
from typing import Final

import cython

from capfix.filters.instructions import (
    ADD,
    ALU,
    AND,
    DIV,
    IMM,
    IND,
    JA,
    JEQ,
    JGE,
    JGT,
    JMP,
    JSET,
    LD,
    LDX,
    LEN,
    LSH,
    MEM,
    MEMORY_WORDS,
    MOD,
    MSH,
    MUL,
    NEG,
    OR,
    RET,
    RSH,
    SKF_AD_OFF,
    SKF_LL_OFF,
    SKF_NET_OFF,
    ST,
    STX,
    SUB,
    TXA,
    XOR,
    A,
    B,
    H,
    Program,
    X,
)

_ANCILLARY_COUNT: Final = 64  # SKF_AD_MAX
_WORD: Final = 0xFFFFFFFF


class Machine:
    """A program ready to run. It is trusted to be well-formed, as `encode_program` and the kernel have it."""

    def __init__(self, program: Program) -> None:
        self._codes = array("I", [instruction.code for instruction in program])
        self._if_true = array("I", [instruction.jt for instruction in program])
        self._if_false = array("I", [instruction.jf for instruction in program])
        self._k = array("I", [instruction.k for instruction in program])
        self._memory = array("I", [0] * MEMORY_WORDS)
        self._ancillary = array("I", [0] * _ANCILLARY_COUNT)
        self._value = 0

    def set_ancillary(self, offset: cython.uint, value: cython.uint) -> cython.void:
        """Set what a load from `offset`, a SKF_AD_ number, gives from now on. It is 0 until then."""
        self._ancillary[offset - SKF_AD_OFF] = value

    def run(
        self,
        buf: cython.p_uchar,
        at: cython.Py_ssize_t,
        captured: cython.Py_ssize_t,
        original: cython.uint,
        link_length: cython.Py_ssize_t = 0,
    ) -> cython.uint:
        """Return the verdict on a packet that begins at `at` with its network layer: 0 refuses it.

        `captured` bytes of it are there, and `link_length` bytes of link-layer header before it; `original` is the
        length that `len` asks for.
        """
        a: cython.uint = 0
        x: cython.uint = 0
        k: cython.uint
        code: cython.uint
        kind: cython.uint
        pc: cython.uint = 0
        while True:
            code = self._codes[pc]
            k = self._k[pc]
            pc += 1
            kind = code & 0x07
            if kind in (LD, LDX):
                if not self._load(buf, at, captured, original, link_length, code, k, x):
                    return 0
                if kind == LD:
                    a = self._value
                else:
                    x = self._value
            elif kind == JMP:
                if code & 0xF0 == JA:
                    pc = (pc + k) & _WORD
                elif _holds(code & 0xF0, a, x if code & X else k):
                    pc += self._if_true[pc - 1]
                else:
                    pc += self._if_false[pc - 1]
            elif kind == RET:
                return a if code & 0x18 == A else k
            elif kind == ALU:
                if code & X:
                    k = x
                if code & 0xF0 in (DIV, MOD) and k == 0:
                    return 0
                a = _computed(code & 0xF0, a, k)
            elif kind == ST:
                self._memory[k] = a
            elif kind == STX:
                self._memory[k] = x
            elif code & TXA:
                a = x
            else:
                x = a

    def _load(
        self,
        buf: cython.p_uchar,
        at: cython.Py_ssize_t,
        captured: cython.Py_ssize_t,
        original: cython.uint,
        link_length: cython.Py_ssize_t,
        code: cython.uint,
        k: cython.uint,
        x: cython.uint,
    ) -> cython.bint:
        """Load into `_value`; False beyond the packet."""
        mode: cython.uint = code & 0xE0
        size: cython.uint
        i: cython.Py_ssize_t
        place: cython.Py_ssize_t
        if mode == IMM:
            self._value = k
            return True
        if mode == MEM:
            self._value = self._memory[k]
            return True
        if mode == LEN:
            self._value = original
            return True
        if mode == IND:
            k = (k + x) & _WORD
        elif k >= SKF_AD_OFF:
            self._value = self._ancillary[k - SKF_AD_OFF] if k - SKF_AD_OFF < _ANCILLARY_COUNT else 0
            return True
        if k >= SKF_NET_OFF:
            k -= SKF_NET_OFF
        elif k >= SKF_LL_OFF:
            if not link_length:
                return False
            k -= SKF_LL_OFF
            at -= link_length
            captured += link_length
        size = 1 if mode == MSH or code & 0x18 == B else (2 if code & 0x18 == H else 4)
        if cython.cast(cython.Py_ssize_t, k) + size > captured:
            return False
        place = at + k
        self._value = 0
        for i in range(size):
            self._value = (self._value << 8) | buf[place + i]
        if mode == MSH:
            self._value = 4 * (self._value & 0x0F)
        return True


def _holds(condition: cython.uint, a: cython.uint, operand: cython.uint) -> cython.bint:
    if condition == JEQ:
        return a == operand
    if condition == JGT:
        return a > operand
    if condition == JGE:
        return a >= operand
    return condition == JSET and (a & operand) != 0


def _computed(operation: cython.uint, a: cython.uint, operand: cython.uint) -> cython.uint:
    result: cython.uint = 0
    if operation == ADD:
        result = (a + operand) & _WORD
    elif operation == SUB:
        result = (a - operand) & _WORD
    elif operation == AND:
        result = a & operand
    elif operation == LSH:
        result = (a << (operand & 31)) & _WORD  # the kernel's machine code uses the low five bits of a shift
    elif operation == RSH:
        result = a >> (operand & 31)
    elif operation == OR:
        result = a | operand
    elif operation == MUL:
        result = (a * operand) & _WORD
    elif operation == DIV:
        result = a // operand
    elif operation == MOD:
        result = a % operand
    elif operation == XOR:
        result = a ^ operand
    elif operation == NEG:
        result = (0 - a) & _WORD
    return result


def run_program(
    program: Program,
    packet: bytes,
    ancillary: Mapping[int, int],
    *,
    original_length: int | None = None,
    link_header: bytes = b"",
) -> int:
    """Return the verdict on one packet, from its network layer on: 0 refuses it, else how many bytes to keep.

    `ancillary` maps SKF_AD_ offsets to values; what it lacks is 0. For many packets keep a Machine.
    """
    machine = Machine(program)
    for offset, value in ancillary.items():
        machine.set_ancillary(offset, value)
    frame: cython.uchar[::1] = bytearray(link_header + packet + b"\0")
    original = len(packet) if original_length is None else original_length
    verdict: int = machine.run(
        cython.address(frame[0]) if cython.compiled else frame,
        len(link_header),
        len(packet),
        original,
        len(link_header),
    )
    return verdict
