"""Programs joined by and, or and not answer as their parts do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capfix.filters import instructions as bpf
from capfix.filters.composition import (
    ACCEPT,
    REFUSE,
    both,
    chain,
    choose,
    either,
    equals,
    keeping,
    negated,
    one_of,
    unrolled,
    within,
)
from capfix.filters.instructions import encode_program, jump, statement
from capfix.filters.machine import run_program


def first_byte(at: int, value: int) -> bpf.Program:
    return one_of(statement(bpf.LD | bpf.B | bpf.ABS, at), [value])


def says(program: bpf.Program, packet: bytes) -> bool:
    encode_program(program)
    return run_program(program, packet, {}) != 0


# A tree of questions to a packet of 4 bytes, and the answer worked out in Python beside it
LEAVES = st.tuples(st.integers(0, 3), st.integers(0, 2)).map(
    lambda leaf: (first_byte(*leaf), lambda packet: packet[leaf[0]] == leaf[1])
)
TREES = st.recursive(
    LEAVES,
    lambda trees: st.one_of(
        st.tuples(trees, trees).map(lambda t: (both(t[0][0], t[1][0]), lambda p: t[0][1](p) and t[1][1](p))),
        st.tuples(trees, trees).map(lambda t: (either(t[0][0], t[1][0]), lambda p: t[0][1](p) or t[1][1](p))),
        trees.map(lambda t: (negated(t[0]), lambda p: not t[1](p))),
        st.tuples(trees, trees, trees).map(
            lambda t: (
                choose(t[0][0], t[1][0], t[2][0]),
                lambda p: t[1][1](p) if t[0][1](p) else t[2][1](p),
            )
        ),
    ),
    max_leaves=40,
)


@given(TREES, st.lists(st.integers(0, 2), min_size=4, max_size=4).map(bytes))
def test_joined_programs_answer_as_their_parts(tree, packet):
    """Any tree of and, or, not and choice gives what the same tree of booleans gives."""
    program, answer = tree
    assert says(program, packet) == answer(packet)


def test_long_lists_need_no_long_jumps():
    """A thousand values are within the 8 bits of a jump, and so is what stands before and behind them."""
    many = one_of(statement(bpf.LD | bpf.H | bpf.ABS, 0), range(1000))
    program = both(negated(both(many, many)), first_byte(0, 9))
    assert not says(program, (999).to_bytes(2, "big"))
    assert says(program, (0x0900).to_bytes(2, "big"))
    assert says(many, (999).to_bytes(2, "big"))
    assert not says(many, (1000).to_bytes(2, "big"))


def test_equals_under_a_mask():
    """A value is compared under its mask."""
    program = equals(bpf.SKF_AD_MARK, 0x30, 0xF0)
    assert run_program(program, b"", {bpf.SKF_AD_MARK: 0x3F})
    assert not run_program(program, b"", {bpf.SKF_AD_MARK: 0x2F})


def test_keeping_limits_only_what_is_accepted():
    """The limit replaces every yes and no no."""
    program = keeping(either(first_byte(0, 1), first_byte(0, 2)), 70)
    assert [run_program(program, bytes([n]), {}) for n in (1, 2, 3)] == [70, 70, 0]


# Skip zeros, each round one further; then accept a 7: a loop such as libpcap's protochain is
SEARCH = (
    statement(bpf.LDX | bpf.IMM, 0),
    statement(bpf.LD | bpf.B | bpf.IND, 0),
    jump(bpf.JEQ, 0, 0, 4),
    statement(bpf.MISC | bpf.TXA),
    statement(bpf.ALU | bpf.ADD | bpf.K, 1),
    statement(bpf.MISC | bpf.TAX),
    statement(bpf.JMP | bpf.JA, -6),
    jump(bpf.JEQ, 7, 0, 1),
    ACCEPT,
    REFUSE,
)


@pytest.mark.parametrize(("zeros", "answer"), [(0, True), (3, True), (4, False)])
def test_unrolled_loops_end(zeros, answer):
    """A loop runs as many times as it was unrolled, and what would go on is refused."""
    program = unrolled(SEARCH, 4)
    assert all(ins.k < 1 << 31 for ins in program if ins.code == bpf.JMP | bpf.JA)
    assert says(program, bytes(zeros) + b"\x07") is answer
    assert not says(program, bytes(zeros) + b"\x08")


def test_program_without_a_loop_stays():
    """Only a loop is unrolled."""
    program = first_byte(0, 1)
    assert unrolled(program, 16) == program


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=12),
    st.lists(st.integers(0, 2), min_size=4, max_size=4).map(bytes),
)
def test_chains_bind_from_the_left(terms, packet):
    """A chain of and and or answers as it does read from the left."""
    answer = packet[terms[0][1]] == terms[0][2]
    for is_and, at, value in terms[1:]:
        holds = packet[at] == value
        answer = (answer and holds) if is_and else (answer or holds)
    (_, *first), *others = terms
    assert says(chain(first_byte(*first), [(a, first_byte(*leaf)) for a, *leaf in others]), packet) == answer


@given(st.sets(st.integers(0, 300)), st.integers(0, 302))
def test_within_finds_what_is_there(values, asked):
    """Halving finds each of the values and nothing else."""
    program = within((statement(bpf.LD | bpf.H | bpf.ABS, 0),), values)
    assert says(program, asked.to_bytes(2, "big")) is (asked in values)


def test_within_is_short_for_numbers_in_a_row():
    """Numbers in a row take no more room than two, and 1300 scattered ones fit into the kernel."""
    load = (statement(bpf.LD | bpf.W | bpf.ABS, bpf.SKF_AD_IFINDEX),)
    assert len(within(load, range(3, 5000))) < 6
    scattered = within(load, range(0, 2600, 2))
    encode_program(scattered)
    assert [run_program(scattered, b"", {bpf.SKF_AD_IFINDEX: n}) != 0 for n in (0, 1, 1300, 2598, 2600)] == [
        True, False, True, True, False,
    ]  # fmt: skip
