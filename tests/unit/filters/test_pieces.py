"""Expressions compiled in pieces answer as libpcap's program for the whole does."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capfix.errors import UsageError
from capfix.filters import pieces
from capfix.filters.machine import run_program
from capfix.filters.pieces import in_pieces
from capfix.kernel.libpcap import compile_ethernet


def udp_packet(host: int, source: int, destination: int) -> bytes:
    """Return an Ethernet frame from 10.0.0.HOST to 10.0.1.HOST."""
    ip = bytes.fromhex("4500001c 00000000 40110000 0a0000") + bytes([host, 10, 0, 1, host])
    return (
        bytes(12)
        + b"\x08\x00"
        + ip
        + source.to_bytes(2, "big")
        + destination.to_bytes(2, "big")
        + bytes([0, 8, 0, 0])
    )


PACKETS = [
    udp_packet(host, source, destination)
    for host in (1, 2, 9)
    for source, destination in ((1, 2), (2, 3), (7, 7))
]
TERMS = st.sampled_from(
    [
        "host 10.0.0.1", "10.0.0.1", "not 10.0.0.2", "src net 10.0.0.0/24", "10.0.1.0/24", "port 1", "2", "! 3", "udp",
        "src or dst port 7", "dst host 10.0.1.9", "ip[15] & 1 = 1", "not not udp port 2", "(port 2 or 3)",
        "not (port 2 and host 10.0.0.2)", "host (10.0.0.1 or 10.0.0.9)", "(10.0.0.1 or 2)", "greater 100",
    ]
)  # fmt: skip
EXPRESSIONS = st.lists(st.tuples(st.sampled_from([" and ", " or "]), TERMS), min_size=1, max_size=7).map(
    lambda terms: "".join(joint + term for joint, term in terms).partition(terms[0][0])[2]
)


def verdicts(compile_text, text: str) -> list[bool] | str:
    try:
        program = compile_text(text)
    except UsageError:
        return "refused"
    return [run_program(program, packet, {}) != 0 for packet in PACKETS]


@given(EXPRESSIONS)
def test_pieces_answer_as_the_whole(text):
    """Whatever is joined and inherited, nothing passes that would not pass the whole, and nothing is missing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "TERMS_IN_A_PIECE", 2)
        patch.setattr(pieces, "_TOKENS_IN_A_PIECE", 3)
        whole, cut = verdicts(compile_ethernet, text), verdicts(in_pieces(compile_ethernet), text)
    # In pieces it goes unnoticed that no packet can pass
    assert cut == whole or (whole == "refused" and cut == [False] * len(PACKETS))


@pytest.mark.parametrize(
    "text",
    [
        "udp and not host 10.0.0.1 and ! 10.0.0.2 and not not udp",
        "host 10.0.0.1 or not (port 2 and host 10.0.0.2) or 10.0.0.9",
        "port 1 or not 2 or 3 and host (10.0.0.1 or 10.0.0.9)",
    ],
)
def test_negated_and_inherited_terms(monkeypatch, text):
    """Terms that are negated, inherit or do both are cut, and answer as in the whole."""
    monkeypatch.setattr(pieces, "TERMS_IN_A_PIECE", 1)
    monkeypatch.setattr(pieces, "_TOKENS_IN_A_PIECE", 3)
    compiled = []

    def compile_piece(piece: str, *, optimise: bool = True):
        compiled.append(piece)
        return compile_ethernet(piece, optimise=optimise)

    assert verdicts(in_pieces(compile_piece), text) == verdicts(compile_ethernet, text)
    assert text not in compiled


@pytest.mark.parametrize(
    "form", ["{hosts}", "udp and ({hosts})", "dst host ({addresses})", "host {addresses} and udp"]
)
def test_thousands_of_hosts_take_a_moment(form):
    """2000 hosts compile in well under two seconds, in each of the ways to write them."""
    addresses = [f"10.0.{number // 250}.{number % 250 + 1}" for number in range(2000)]
    text = form.format(hosts="host " + " or host ".join(addresses), addresses=" or ".join(addresses))
    began = time.process_time()
    program = in_pieces(compile_ethernet)(text)
    assert time.process_time() - began < 1
    assert run_program(program, udp_packet(1, 1, 1), {})
    assert run_program(program, udp_packet(251, 1, 1), {}) == 0


def test_messages_are_those_of_the_whole():
    """A mistake far down a long expression is told as libpcap tells it."""
    with pytest.raises(UsageError, match="unknown port 'nosuchport'"):
        in_pieces(compile_ethernet)("port 1 or " * 100 + "port nosuchport")
    with pytest.raises(UsageError, match="expression rejects all packets"):
        in_pieces(compile_ethernet)("tcp and udp")
