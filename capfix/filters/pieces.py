"""Long expressions, compiled piece by piece.

libpcap's time grows with the square of an expression's length, and its optimiser's faster still: 900 hosts take half
a minute. Terms are therefore compiled a few at a time, and the programs joined here.

A term may leave out the words it shares with the one before, as in `host A or B`; here it gets them back. Where that
or anything else goes wrong, the expression is compiled whole, with libpcap's own result or message.

Source: pcap-filter(7); libpcap, grammar.y.
"""

import functools
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple, Protocol

from capfix.errors import UsageError
from capfix.filters import composition
from capfix.filters.expressions import MOVING, NEGATIONS, Token, terms, tokens
from capfix.filters.instructions import Program

TERMS_IN_A_PIECE: Final = (
    16  # chosen by measurement: pieces of 16 take 43 ms for 2000 hosts, pieces of 48 take 180
)
_TOKENS_IN_A_PIECE: Final = 8 * TERMS_IN_A_PIECE
_DEEPEST: Final = 50  # brackets within brackets that are looked into
_REJECTS_ALL: Final = "expression rejects all packets"

# Words that stand before the address, port or number of a term
_QUALIFIERS: Final = {
    "src", "dst", "or", "and", "host", "net", "port", "portrange", "gateway", "proto", "protochain", "ether", "link",
    "fddi", "tr", "wlan", "ip", "ip6", "arp", "rarp", "tcp", "udp", "sctp", "icmp",
}  # fmt: skip
# Words that are a term by themselves. One that is missing here costs time only
_ALONE: Final = {
    "ip", "ip6", "arp", "rarp", "tcp", "udp", "sctp", "icmp", "icmp6", "igmp", "igrp", "pim", "vrrp", "carp", "ah",
    "esp", "atalk", "aarp", "decnet", "lat", "sca", "moprc", "mopdl", "iso", "esis", "isis", "clnp", "stp", "ipx",
    "netbeui", "broadcast", "multicast", "inbound", "outbound", "vlan", "pppoed",
}  # fmt: skip


class CompileText(Protocol):
    """Returns the program that libpcap makes of an expression for Ethernet frames, or raises UsageError."""

    def __call__(self, text: str, *, optimise: bool = True) -> Program: ...


class _Term(NamedTuple):
    is_and: bool
    text: str
    token_count: int
    inner: str | None  # what is in its brackets, if it is nothing else
    is_negated: bool
    qualifiers: str  # those that hold within the brackets


class _CannotCutError(Exception):
    """It is not known what a term inherits."""


def in_pieces(compile_text: CompileText) -> CompileText:
    """Return a compiler that gives the same answers in time proportional to the length of most long expressions.

    It keeps the programs of all pieces for as long as it lives itself, so keep it for one expression only.
    """
    cached = functools.cache(compile_text)

    def compile_long(text: str, *, optimise: bool = True) -> Program:
        compile_piece = functools.partial(cached, optimise=optimise)
        try:
            return _compiled(text, "", compile_piece, _DEEPEST)
        except (_CannotCutError, UsageError):
            return compile_piece(text)

    return compile_long


def _compiled(text: str, qualifiers: str, compile_piece: Callable[[str], Program], deepest: int) -> Program:
    words = tokens(text)
    if deepest == 0 or any(word.text in MOVING for word in words):
        raise _CannotCutError
    level = list(_completed(text, words, qualifiers))
    programs = [(is_and, _piece(piece, compile_piece, deepest)) for is_and, piece in _pieces(level)]
    if all(program is None for _, program in programs):
        raise UsageError(_REJECTS_ALL)
    first, *others = [(is_and, program or (composition.REFUSE,)) for is_and, program in programs]
    return composition.chain(first[1], others)


def _piece(piece: list[_Term], compile_piece: Callable[[str], Program], deepest: int) -> Program | None:
    """Return the program of some terms; None where no packet can pass."""
    try:
        if (inner := piece[0].inner) is not None and piece[0].token_count > _TOKENS_IN_A_PIECE:
            program = _compiled(inner, piece[0].qualifiers, compile_piece, deepest - 1)
            return composition.negated(program) if piece[0].is_negated else program
        joints = ["", *(" and " if term.is_and else " or " for term in piece[1:])]
        return compile_piece("".join(joint + term.text for joint, term in zip(joints, piece, strict=True)))
    except UsageError as exc:
        if str(exc) == _REJECTS_ALL:
            return None
        raise


def _pieces(level: list[_Term]) -> Iterator[tuple[bool, list[_Term]]]:
    """Yield terms that can be compiled together, and whether `and` stands before them.

    All joins bind from the left, so the first terms stay together whatever joins them, and later ones where they are
    joined to each other as they are to what stands before.
    """
    piece: list[_Term] = []
    is_first = True
    for term in level:
        if piece and not (_has_room(piece, term) and (is_first or term.is_and == piece[0].is_and)):
            yield piece[0].is_and, piece
            piece, is_first = [], False
        piece.append(term)
    yield piece[0].is_and, piece


def _has_room(piece: list[_Term], term: _Term) -> bool:
    largest = max(piece[0].token_count, term.token_count)
    return len(piece) < TERMS_IN_A_PIECE and largest <= _TOKENS_IN_A_PIECE


def _completed(text: str, words: list[Token], qualifiers: str) -> Iterator[_Term]:
    """Yield the terms of one level, each with the words that it inherits, of which `qualifiers` are the first."""
    inherited: str | None = qualifiers or None
    for is_and, _, term in terms(words):
        negations = next((at for at, word in enumerate(term) if word.text not in NEGATIONS), len(term))
        core = term[negations:]
        if not core:
            raise _CannotCutError
        written = text[core[0].start : core[-1].end]
        own, opens = _qualifiers(core)
        inner = None
        if opens is not None:
            inner = text[core[opens].end : core[-1].start]
            inherited = " ".join(own) or inherited
        elif len(core) == 1 and core[0].text not in _ALONE:
            if inherited is None:
                raise _CannotCutError
            written = f"{inherited} {written}"
        else:
            inherited = " ".join(own) or None
        within = " ".join(own) or inherited or ""
        yield _Term(is_and, "not " * (negations % 2) + written, len(term), inner, negations % 2 == 1, within)


def _qualifiers(core: list[Token]) -> tuple[list[str], int | None]:
    """Return the qualifiers of a term, and where its brackets open, if the term ends with one pair of them."""
    at = next((at for at, word in enumerate(core) if word.text not in _QUALIFIERS), len(core))
    names = [word.text for word in core[:at]]
    if at == len(core) - 1:
        return names, None
    if at < len(core) and core[at].text == "(" and _closes_at_end(core[at:]):
        return names, at
    return [], None


def _closes_at_end(words: list[Token]) -> bool:
    nesting = 0
    for at, word in enumerate(words):
        nesting += (word.text == "(") - (word.text == ")")
        if nesting == 0:
            return at == len(words) - 1
    return False
