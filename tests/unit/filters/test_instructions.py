"""BPF instructions: their bytes, their text, and what the kernel makes of them."""

import pytest

from capfix.errors import EncodeError
from capfix.filters import instructions as bpf
from capfix.filters.instructions import (
    decode_program,
    encode_program,
    jump,
    program_text,
    statement,
)

# udp to port 53, on a cooked socket, IPv4 without options
DNS = (
    statement(bpf.LD | bpf.H | bpf.ABS, bpf.SKF_AD_PROTOCOL),
    jump(bpf.JEQ, 0x0800, 0, 6),
    statement(bpf.LD | bpf.B | bpf.ABS, 9),
    jump(bpf.JEQ, 17, 0, 4),
    statement(bpf.LDX | bpf.B | bpf.MSH, 0),
    statement(bpf.LD | bpf.H | bpf.IND, 2),
    jump(bpf.JEQ, 53, 0, 1),
    statement(bpf.RET | bpf.K, 262144),
    statement(bpf.RET | bpf.K, 0),
)
DNS_BYTES = bytes.fromhex(
    "28000000 00f0ffff"
    "15000006 00080000"
    "30000000 09000000"
    "15000004 11000000"
    "b1000000 00000000"
    "48000000 02000000"
    "15000001 35000000"
    "06000000 00000400"
    "06000000 00000000"
)
DNS_TEXT = """\
(000) ldh      proto
(001) jeq      #0x800           jt 2    jf 8
(002) ldb      [9]
(003) jeq      #0x11            jt 4    jf 8
(004) ldxb     4*([0]&0xf)
(005) ldh      [x + 2]
(006) jeq      #0x35            jt 7    jf 8
(007) ret      #262144
(008) ret      #0"""


def test_encodes_as_the_kernel_has_it():
    """A program is an array of struct sock_filter, and reads back as it was."""
    assert encode_program(DNS) == DNS_BYTES
    assert decode_program(DNS_BYTES) == DNS


def test_text_is_for_people():
    """The text shows absolute jump targets and names ancillary values."""
    assert program_text(DNS) == DNS_TEXT


@pytest.mark.parametrize(
    ("instruction", "text"),
    [
        (statement(bpf.LD | bpf.W | bpf.LEN), "ld       len"),
        (statement(bpf.LDX | bpf.MEM, 3), "ldx      M[3]"),
        (statement(bpf.ST, 15), "st       M[15]"),
        (statement(bpf.STX, 2), "stx      M[2]"),
        (statement(bpf.LD | bpf.IMM, 7), "ld       #0x7"),
        (
            statement(bpf.LD | bpf.H | bpf.ABS, bpf.SKF_LL_OFF + 16),
            "ldh      [link+16]",
        ),
        (statement(bpf.ALU | bpf.AND | bpf.K, 0xFFF), "and      #0xfff"),
        (statement(bpf.ALU | bpf.ADD | bpf.X), "add      x"),
        (statement(bpf.JMP | bpf.JA, 4), "ja       5"),
        (statement(bpf.RET | bpf.A), "ret      a"),
        (statement(bpf.MISC | bpf.TAX), "tax"),
        (statement(bpf.MISC | bpf.TXA), "txa"),
    ],
)
def test_text_of_each_kind(instruction, text):
    """Each kind of instruction has its text."""
    assert program_text([instruction]) == f"(000) {text}"


@pytest.mark.parametrize(
    "program",
    [(), DNS[-1:] * 4097, (jump(bpf.JEQ, 1, 256, 0), *DNS[-1:] * 300)],
    ids=["empty", "too-long", "jump-too-far"],
)
def test_refuses_what_the_kernel_cannot_take(program):
    """An empty program, one beyond 4096 instructions and a jump beyond 8 bits are refused."""
    with pytest.raises(EncodeError):
        encode_program(program)
