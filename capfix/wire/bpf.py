"""Classic BPF, the filter language of packet sockets: instructions, their bytes, their text, their meaning.

A program is a tuple of instructions. It ends at a `ret`: 0 refuses the packet, any other number accepts it and
keeps at most that many bytes.

Beside the packet's own bytes a program can read what the kernel knows of it: a load whose offset is SKF_AD_OFF + n
is the ancillary value n; one from SKF_LL_OFF on counts from the start of the link-layer header, one from SKF_NET_OFF
on from that of the network layer.

Sources: linux/filter.h, linux/bpf_common.h; Documentation/networking/filter.rst, whose assembler names the
ancillary values as the text here does.
"""

import struct
from collections.abc import Iterable, Mapping
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
_SIZES: Final = {W: 4, H: 2, B: 1}
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


class _OutsideError(Exception):
    """A load beyond the packet, which refuses it."""


def _signed(k: int) -> int:
    return k - (1 << 32) if k >= 1 << 31 else k


def _load(packet: bytes, at: int, size: int, ancillary: Mapping[int, int], link_header: bytes) -> int:
    if at >= SKF_AD_OFF:
        return ancillary.get(at, 0)
    if at >= SKF_NET_OFF:
        at -= SKF_NET_OFF
    elif at >= SKF_LL_OFF:
        packet, at = link_header + packet, at - SKF_LL_OFF
    if at + size > len(packet):
        raise _OutsideError
    return int.from_bytes(packet[at : at + size], "big")


def run_program(
    program: Program,
    packet: bytes,
    ancillary: Mapping[int, int],
    *,
    original_length: int | None = None,
    link_header: bytes = b"",
) -> int:
    """Return what the kernel's filter would: 0 for a refused packet, else how many bytes to keep at most.

    `packet` begins at the network layer, as on a SOCK_DGRAM socket. `ancillary` maps SKF_AD_ offsets to values; what
    it lacks is 0. `link_header` is what SKF_LL_OFF loads see before the packet. A program is trusted to be
    well-formed, as `encode_program` and the kernel have it.

    Raises:
        ValueError: an instruction that does not exist.
    """
    try:
        return _run(program, packet, ancillary, original_length, link_header)
    except _OutsideError:
        return 0


def _run(
    program: Program,
    packet: bytes,
    ancillary: Mapping[int, int],
    original_length: int | None,
    link_header: bytes,
) -> int:
    length = len(packet) if original_length is None else original_length
    memory = [0] * MEMORY_WORDS
    a = x = at = 0
    while True:
        code, jt, jf, k = program[at]
        at += 1
        kind = code & 0x07
        if kind in (LD, LDX):
            mode = code & 0xE0
            if mode == ABS:
                value = _load(packet, k, _SIZES[code & 0x18], ancillary, link_header)
            elif mode == IND:
                value = _load(packet, (x + k) & _WORD, _SIZES[code & 0x18], {}, link_header)
            elif mode == MSH:
                value = 4 * (_load(packet, k, 1, {}, link_header) & 0xF)
            elif mode == IMM:
                value = k
            elif mode == MEM:
                value = memory[k]
            elif mode == LEN:
                value = length
            else:
                raise ValueError(f"BPF load mode {mode:#x} does not exist")
            if kind == LD:
                a = value
            else:
                x = value
        elif kind == JMP:
            operation = code & 0xF0
            operand = x if code & X else k
            if operation == JA:
                at += _signed(k)
            elif (
                (operation == JEQ and a == operand)
                or (operation == JGT and a > operand)
                or (operation == JGE and a >= operand)
                or (operation == JSET and a & operand)
            ):
                at += jt
            else:
                at += jf
        elif kind == RET:
            return a if code & 0x18 == A else k
        elif kind == ALU:
            operand = x if code & X else k
            if code & 0xF0 in (DIV, MOD) and operand == 0:
                return 0
            a = _alu(code & 0xF0, a, operand)
        elif kind == ST:
            memory[k] = a
        elif kind == STX:
            memory[k] = x
        elif code & TXA:
            a = x
        else:
            x = a


def _alu(operation: int, a: int, operand: int) -> int:
    if operation == ADD:
        return (a + operand) & _WORD
    if operation == SUB:
        return (a - operand) & _WORD
    if operation == AND:
        return a & operand
    if operation == LSH:
        return (a << (operand & 31)) & _WORD  # the kernel's machine code uses the low five bits of a shift
    if operation == RSH:
        return a >> (operand & 31)
    if operation == OR:
        return a | operand
    if operation == MUL:
        return (a * operand) & _WORD
    if operation == DIV:
        return a // operand
    if operation == MOD:
        return a % operand
    if operation == XOR:
        return a ^ operand
    if operation == NEG:
        return -a & _WORD
    raise ValueError(f"BPF operation {operation:#x} does not exist")
