"""Classic BPF, the filter language of packet sockets: instructions, their bytes, their text.

A program is a tuple of instructions. It ends at a `ret`: 0 refuses the packet, any other number accepts it and
keeps at most that many bytes.

Beside the packet's own bytes a program can read what the kernel knows of it: a load whose offset is SKF_AD_OFF + n
is the ancillary value n; one from SKF_LL_OFF on counts from the start of the link-layer header, one from SKF_NET_OFF
on from that of the network layer.

Sources: linux/filter.h, linux/bpf_common.h; Documentation/networking/filter.rst, whose assembler names the
ancillary values as the text here does.
"""

import struct
from collections.abc import Iterable
from typing import Final, NamedTuple

from capfix.errors import EncodeError

# Instruction classes
LD: Final = 0x00
LDX: Final = 0x01
ST: Final = 0x02
STX: Final = 0x03
ALU: Final = 0x04
JMP: Final = 0x05
RET: Final = 0x06
MISC: Final = 0x07
# Sizes of a load
W: Final = 0x00
H: Final = 0x08
B: Final = 0x10
# Addressing modes of a load
IMM: Final = 0x00
ABS: Final = 0x20
IND: Final = 0x40
MEM: Final = 0x60
LEN: Final = 0x80
MSH: Final = 0xA0
# The operand of ALU and JMP, and the value of RET
K: Final = 0x00
X: Final = 0x08
A: Final = 0x10
# Arithmetic
ADD, SUB, MUL, DIV, OR, AND, LSH, RSH, NEG, MOD, XOR = range(0x00, 0xB0, 0x10)
# Jumps
JA, JEQ, JGT, JGE, JSET = range(0x00, 0x50, 0x10)
# MISC
TAX: Final = 0x00
TXA: Final = 0x80

# Loads that are no offsets into the packet
SKF_AD_OFF: Final = 0xFFFFF000
SKF_NET_OFF: Final = 0xFFF00000
SKF_LL_OFF: Final = 0xFFE00000
SKF_AD_PROTOCOL: Final = SKF_AD_OFF + 0  # EtherType, in host order
SKF_AD_PKTTYPE: Final = SKF_AD_OFF + 4
SKF_AD_IFINDEX: Final = SKF_AD_OFF + 8
SKF_AD_MARK: Final = SKF_AD_OFF + 20
SKF_AD_HATYPE: Final = SKF_AD_OFF + 28
SKF_AD_VLAN_TAG: Final = SKF_AD_OFF + 44  # the whole TCI
SKF_AD_VLAN_TAG_PRESENT: Final = SKF_AD_OFF + 48  # 0 or 1
SKF_AD_VLAN_TPID: Final = SKF_AD_OFF + 60

ANCILLARY_NAMES: Final = {
    SKF_AD_PROTOCOL: "proto",
    SKF_AD_PKTTYPE: "type",
    SKF_AD_IFINDEX: "ifidx",
    SKF_AD_MARK: "mark",
    SKF_AD_HATYPE: "hatype",
    SKF_AD_VLAN_TAG: "vlan_tci",
    SKF_AD_VLAN_TAG_PRESENT: "vlan_avail",
    SKF_AD_VLAN_TPID: "vlan_tpid",
}

MAX_INSTRUCTIONS: Final = 4096  # BPF_MAXINSNS
MEMORY_WORDS: Final = 16  # BPF_MEMWORDS
_SOCK_FILTER: Final = struct.Struct("=HBBI")
_WORD: Final = 0xFFFFFFFF


class Instruction(NamedTuple):
    """One instruction: `code` says what to do with `k`; a conditional jump skips `jt` or `jf` instructions."""

    code: int
    jt: int
    jf: int
    k: int


Program = tuple[Instruction, ...]


def statement(code: int, k: int = 0) -> Instruction:
    """Return an instruction that does not branch; `k` may be negative, as in C."""
    return Instruction(code, 0, 0, k & _WORD)


def jump(condition: int, k: int, if_true: int, if_false: int) -> Instruction:
    """Return a conditional jump that compares A with the number k."""
    return Instruction(JMP | condition | K, if_true, if_false, k & _WORD)


def returns(instruction: Instruction) -> int | None:
    """Return the number a `ret #k` ends with, None for any other instruction."""
    return instruction.k if instruction.code == RET | K else None


def decode_program(data: bytes) -> Program:
    """Return the program in an array of struct sock_filter, in host byte order. Its length must be whole."""
    return tuple(Instruction(*fields) for fields in _SOCK_FILTER.iter_unpack(data))


def encode_program(program: Program) -> bytes:
    """Return the program as an array of struct sock_filter, in host byte order.

    Raises:
        EncodeError: the program is empty or longer than the kernel takes, or a jump does not fit in 8 bits.
    """
    if not 0 < len(program) <= MAX_INSTRUCTIONS:
        raise EncodeError(f"a filter has 1 to {MAX_INSTRUCTIONS} instructions, this one {len(program)}")
    try:
        return b"".join(_SOCK_FILTER.pack(*instruction) for instruction in program)
    except struct.error as exc:
        raise EncodeError(f"a filter instruction does not fit: {exc}") from exc


def program_text(program: Iterable[Instruction]) -> str:
    """Return the program for people to read, an instruction a line, numbered from 0."""
    return "\n".join(f"({at:03d}) {_instruction_text(at, ins)}" for at, ins in enumerate(program))


_SIZE_NAMES: Final = {W: "", H: "h", B: "b"}
_ALU_NAMES: Final = {
    ADD: "add", SUB: "sub", MUL: "mul", DIV: "div", OR: "or", AND: "and",
    LSH: "lsh", RSH: "rsh", NEG: "neg", MOD: "mod", XOR: "xor",
}  # fmt: skip
_JUMP_NAMES: Final = {JEQ: "jeq", JGT: "jgt", JGE: "jge", JSET: "jset"}


def _instruction_text(at: int, ins: Instruction) -> str:
    kind = ins.code & 0x07
    if kind in (LD, LDX):
        name = ("ldx" if kind == LDX else "ld") + _SIZE_NAMES.get(ins.code & 0x18, "?")
        return f"{name:<8} {_load_text(ins)}"
    if kind in (ST, STX):
        return f"{'stx' if kind == STX else 'st':<8} M[{ins.k}]"
    operand = "x" if ins.code & X else f"#{ins.k:#x}"
    if kind == ALU:
        return f"{_ALU_NAMES.get(ins.code & 0xF0, '?'):<8} {operand}"
    if kind == RET:
        return f"{'ret':<8} {'a' if ins.code & 0x18 == A else f'#{ins.k}'}"
    if kind == MISC:
        return "txa" if ins.code & TXA else "tax"
    if ins.code & 0xF0 == JA:
        return f"{'ja':<8} {at + 1 + _signed(ins.k)}"
    name = _JUMP_NAMES.get(ins.code & 0xF0, "?")
    return f"{name:<8} {operand:<16} jt {at + 1 + ins.jt:<4} jf {at + 1 + ins.jf}"


def _load_text(ins: Instruction) -> str:
    mode = ins.code & 0xE0
    if mode == IMM:
        return f"#{ins.k:#x}"
    if mode == MEM:
        return f"M[{ins.k}]"
    if mode == LEN:
        return "len"
    if mode == ABS and ins.k in ANCILLARY_NAMES:
        return ANCILLARY_NAMES[ins.k]
    place = str(ins.k)
    if SKF_NET_OFF <= ins.k < SKF_AD_OFF:
        place = f"net+{ins.k - SKF_NET_OFF}"
    elif SKF_LL_OFF <= ins.k < SKF_NET_OFF:
        place = f"link+{ins.k - SKF_LL_OFF}"
    if mode == IND:
        return f"[x + {place}]"
    return f"4*([{place}]&0xf)" if mode == MSH else f"[{place}]"


def _signed(k: int) -> int:
    return k - (1 << 32) if k >= 1 << 31 else k
