"""BPF instructions: their bytes, their text, and what the kernel makes of them."""

import ctypes
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capfix.errors import EncodeError
from capfix.wire import bpf
from capfix.wire.bpf import (
    Instruction,
    decode_program,
    encode_program,
    jump,
    program_text,
    run_program,
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
        (statement(bpf.LD | bpf.H | bpf.ABS, bpf.SKF_LL_OFF + 16), "ldh      [link+16]"),
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


def test_runs_a_program():
    """The interpreter follows loads, jumps and ancillary values; a load beyond the packet refuses it."""
    packet = bytes.fromhex("45000020 00000000 40110000 0a000001 0a000002 0fa00035 000c0000") + bytes(4)
    ip = {bpf.SKF_AD_PROTOCOL: 0x0800}
    assert run_program(DNS, packet, ip) == 262144
    assert run_program(DNS, packet, {bpf.SKF_AD_PROTOCOL: 0x86DD}) == 0
    assert run_program(DNS, packet[:22], ip) == 0
    assert run_program(DNS, b"", ip) == 0


def test_length_is_the_original_one():
    """`len` is what the packet was, not what is left of it."""
    program = (statement(bpf.LD | bpf.W | bpf.LEN), statement(bpf.RET | bpf.A))
    assert run_program(program, b"abc", {}) == 3
    assert run_program(program, b"abc", {}, original_length=1500) == 1500


def test_link_layer_loads():
    """Loads from SKF_LL_OFF on see the link-layer header, and then the packet."""
    program = (statement(bpf.LD | bpf.H | bpf.ABS, bpf.SKF_LL_OFF + 1), statement(bpf.RET | bpf.A))
    assert run_program(program, b"\x05", {}, link_header=b"\x01\x02") == 0x0205
    assert run_program(program, b"", {}, link_header=b"\x01\x02") == 0


def kernel_keeps(program: bpf.Program, message: bytes) -> int:
    """Return how many bytes of the message the kernel lets through: any socket takes such a filter."""
    code = ctypes.create_string_buffer(encode_program(program))
    header = len(program).to_bytes(8, "little") + ctypes.addressof(code).to_bytes(8, "little")
    sender, receiver = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with sender, receiver:
        receiver.setsockopt(socket.SOL_SOCKET, 26, header)
        sender.send(message)
        try:
            return len(receiver.recv(65536, socket.MSG_DONTWAIT))
        except BlockingIOError:
            return 0


NUMBERS = st.one_of(st.integers(0, 70), st.integers(0, 0xFFFFFFFF))
DIVISIONS = st.sampled_from([bpf.DIV, bpf.MOD])
SHIFTS = st.sampled_from([bpf.LSH, bpf.RSH])
OPERATIONS = st.sampled_from([bpf.ADD, bpf.SUB, bpf.MUL, bpf.OR, bpf.AND, bpf.XOR])
STEPS = st.one_of(
    st.builds(
        statement, st.sampled_from([bpf.LD | s | bpf.ABS for s in (bpf.W, bpf.H, bpf.B)]), st.integers(0, 40)
    ),
    st.builds(statement, st.sampled_from([bpf.LD | s | bpf.IND for s in (bpf.W, bpf.H, bpf.B)]), NUMBERS),
    st.builds(statement, st.just(bpf.LDX | bpf.B | bpf.MSH), st.integers(0, 40)),
    st.builds(statement, st.sampled_from([bpf.LD, bpf.LDX]).map(lambda kind: kind | bpf.IMM), NUMBERS),
    st.builds(statement, st.sampled_from([bpf.LD, bpf.LDX]).map(lambda kind: kind | bpf.LEN)),
    st.builds(statement, st.sampled_from([bpf.LD, bpf.LDX]).map(lambda kind: kind | bpf.MEM), st.just(0)),
    st.builds(statement, st.sampled_from([bpf.ST, bpf.STX]), st.integers(0, 15)),
    st.builds(lambda op, k: statement(bpf.ALU | op | bpf.K, k), OPERATIONS, NUMBERS),
    st.builds(lambda op, k: statement(bpf.ALU | op | bpf.K, k), SHIFTS, st.integers(0, 31)),
    st.builds(lambda op: statement(bpf.ALU | op | bpf.X), st.one_of(OPERATIONS, SHIFTS)),
    st.builds(lambda op, k: statement(bpf.ALU | op | bpf.K, k), DIVISIONS, NUMBERS.filter(bool)),
    st.builds(lambda op: statement(bpf.ALU | op | bpf.X), DIVISIONS),
    st.just(statement(bpf.ALU | bpf.NEG)),
    st.sampled_from([statement(bpf.MISC | bpf.TAX), statement(bpf.MISC | bpf.TXA)]),
    st.builds(
        lambda op, source, k, t, f: Instruction(bpf.JMP | op | source, t, f, 0 if source else k),
        st.sampled_from([bpf.JEQ, bpf.JGT, bpf.JGE, bpf.JSET]),
        st.sampled_from([bpf.K, bpf.X]),
        NUMBERS,
        st.integers(0, 2),
        st.integers(0, 2),
    ),
    st.builds(statement, st.just(bpf.JMP | bpf.JA), st.integers(0, 2)),
)


@given(st.lists(STEPS, max_size=12), st.binary(min_size=1, max_size=48))
def test_interpreter_agrees_with_the_kernel(steps, message):
    """Whatever a program computes, the kernel keeps as many bytes of a message as the interpreter says."""
    start = (statement(bpf.ST, 0),)  # the kernel refuses to load memory that was never stored to
    last = (
        statement(bpf.ALU | bpf.AND | bpf.K, 63),
        statement(bpf.RET | bpf.A),
        *[statement(bpf.RET | bpf.K, 5)] * 2,
    )
    program = start + tuple(steps) + last
    assert kernel_keeps(program, message) == min(run_program(program, message, {}), len(message))
