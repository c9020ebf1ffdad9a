"""The machine answers as the kernel does, compiled and uncompiled."""

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capfix.filters import instructions as bpf
from capfix.filters import machine
from capfix.filters.instructions import Instruction, encode_program, statement
from capfix.kernel.socket_filter import attach
from tests.support.uncompiled import load_uncompiled
from tests.unit.filters.test_instructions import DNS

UNCOMPILED = load_uncompiled("capfix.filters.machine")
each_build = pytest.mark.parametrize("build", [machine, UNCOMPILED], ids=["compiled", "uncompiled"])


@each_build
def test_runs_a_program(build):
    """The interpreter follows loads, jumps and ancillary values; a load beyond the packet refuses it."""
    packet = bytes.fromhex("45000020 00000000 40110000 0a000001 0a000002 0fa00035 000c0000") + bytes(4)
    ip = {bpf.SKF_AD_PROTOCOL: 0x0800}
    assert build.run_program(DNS, packet, ip) == 262144
    assert build.run_program(DNS, packet, {bpf.SKF_AD_PROTOCOL: 0x86DD}) == 0
    assert build.run_program(DNS, packet[:22], ip) == 0
    assert build.run_program(DNS, b"", ip) == 0


@each_build
def test_length_is_the_original_one(build):
    """`len` is what the packet was, not what is left of it."""
    program = (
        statement(bpf.LD | bpf.W | bpf.LEN),
        statement(bpf.RET | bpf.A),
    )
    assert build.run_program(program, b"abc", {}) == 3
    assert build.run_program(program, b"abc", {}, original_length=1500) == 1500


@each_build
def test_link_layer_loads(build):
    """Loads from SKF_LL_OFF on see the link-layer header, and then the packet."""
    program = (
        statement(bpf.LD | bpf.H | bpf.ABS, bpf.SKF_LL_OFF + 1),
        statement(bpf.RET | bpf.A),
    )
    assert build.run_program(program, b"\x05", {}, link_header=b"\x01\x02") == 0x0205
    assert build.run_program(program, b"", {}, link_header=b"\x01\x02") == 0


def kernel_keeps(program: bpf.Program, message: bytes) -> int:
    """Return how many bytes of the message the kernel lets through: any socket takes such a filter."""
    sender, receiver = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with sender, receiver:
        attach(receiver, encode_program(program))
        sender.send(message)
        try:
            return len(receiver.recv(65536, socket.MSG_DONTWAIT))
        except BlockingIOError:
            return 0


NUMBERS = st.one_of(st.integers(0, 70), st.integers(0, 0xFFFFFFFF))
DIVISIONS = st.sampled_from([bpf.DIV, bpf.MOD])
SHIFTS = st.sampled_from([bpf.LSH, bpf.RSH])
OPERATIONS = st.sampled_from(
    [
        bpf.ADD,
        bpf.SUB,
        bpf.MUL,
        bpf.OR,
        bpf.AND,
        bpf.XOR,
    ]
)
STEPS = st.one_of(
    st.builds(
        statement,
        st.sampled_from([bpf.LD | s | bpf.ABS for s in (bpf.W, bpf.H, bpf.B)]),
        st.integers(0, 40),
    ),
    st.builds(
        statement,
        st.sampled_from([bpf.LD | s | bpf.IND for s in (bpf.W, bpf.H, bpf.B)]),
        NUMBERS,
    ),
    st.builds(statement, st.just(bpf.LDX | bpf.B | bpf.MSH), st.integers(0, 40)),
    st.builds(
        statement,
        st.sampled_from([bpf.LD, bpf.LDX]).map(lambda kind: kind | bpf.IMM),
        NUMBERS,
    ),
    st.builds(
        statement,
        st.sampled_from([bpf.LD, bpf.LDX]).map(lambda kind: kind | bpf.LEN),
    ),
    st.builds(
        statement,
        st.sampled_from([bpf.LD, bpf.LDX]).map(lambda kind: kind | bpf.MEM),
        st.just(0),
    ),
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
def test_agrees_with_the_kernel(steps, message):
    """Whatever a program computes, the kernel keeps as many bytes of a message as the machine says."""
    start = (statement(bpf.ST, 0),)  # the kernel refuses to load memory that was never stored to
    last = (
        statement(bpf.ALU | bpf.AND | bpf.K, 63),
        statement(bpf.RET | bpf.A),
        *[statement(bpf.RET | bpf.K, 5)] * 2,
    )
    program = start + tuple(steps) + last
    kept = kernel_keeps(program, message)
    for build in (machine, UNCOMPILED):
        assert min(build.run_program(program, message, {}), len(message)) == kept
