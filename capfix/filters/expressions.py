"""The text of a filter expression, taken apart only as far as libpcap cannot compile it.

libpcap's offline compiler knows nothing of `vlan` in a tag that the kernel took out, of the direction or of an
interface's index. An expression that uses these words is split around them; everything between stays text, for
libpcap. As there, `and` and `or` bind alike and from the left, and each `vlan` moves what stands to the right of it
behind one more tag, wherever in the tree it stands.

Source: pcap-filter(7).
"""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from capfix.errors import UsageError


@dataclass(frozen=True)
class Text:
    """What libpcap compiles; `depth` is how many VLAN tags stand before the network layer it asks about."""

    text: str
    depth: int


@dataclass(frozen=True)
class Vlan:
    """`vlan` or `vlan ID`, asked of the tag behind `depth` others."""

    vlan_id: int | None
    depth: int


@dataclass(frozen=True)
class Direction:
    """`inbound`, or `outbound`."""

    outbound: bool


@dataclass(frozen=True)
class Interface:
    """`ifindex N`."""

    ifindex: int


@dataclass(frozen=True)
class Not:
    """The opposite."""

    term: "Node"


@dataclass(frozen=True)
class Join:
    """Two terms, both of which must hold, or one."""

    left: "Node"
    right: "Node"
    both: bool


Node = Text | Vlan | Direction | Interface | Not | Join

_DEEPEST: Final = 100  # chosen: far above what people write, far below what recursion bears
_TOKEN: Final = re.compile(r"&&|\|\||!=|[A-Za-z0-9_.:\\/-]+|\S")
_KEYWORDS: Final = {"vlan", "inbound", "outbound", "ifindex"}
_JOINS: Final = {"and": True, "&&": True, "or": False, "||": False}
_ENDS: Final = {"src", "dst"}  # the `or` between them joins no terms
_CLOSING: Final = {"(": ")", "[": "]"}
NEGATIONS: Final = {"not", "!"}
# Words that, like vlan, change where all that follows is looked for: cutting behind them would lose that
MOVING: Final = {"mpls", "pppoes", "geneve"}
# Words that read the frame from its first byte, whatever stands before them
_ABSOLUTE: Final = {"ether", "link", "fddi", "tr", "wlan", "ppp", "slip", "radio"}


@dataclass(frozen=True)
class Token:
    """A word or a sign, and where in the text it stands."""

    text: str
    start: int
    end: int


def tokens(text: str) -> list[Token]:
    """Return the words and signs of an expression."""
    return [Token(found.group(), found.start(), found.end()) for found in _TOKEN.finditer(text)]


def needs_splitting(text: str) -> bool:
    """Return whether the expression uses a word that libpcap cannot compile offline."""
    return _has_keyword(tokens(text))


def without_keywords(text: str) -> str:
    """Return an expression that libpcap can compile exactly when it could this one, to hear what it finds wrong.

    `vlan` is left to libpcap, which finds wrong numbers.
    """
    return re.sub(r"\bifindex\b", "greater", re.sub(r"\b(in|out)bound\b", "greater 0", text))


def prefixes(text: str) -> Iterator[tuple[str, str, str]]:
    """Yield the beginnings of an expression, word by word: each with its last word and what stands before that."""
    for token in tokens(text):
        yield text[: token.end], token.text, text[: token.start]


def open_brackets(text: str) -> str:
    """Return what closes the brackets that the beginning of an expression leaves open."""
    closing = ""
    for token in tokens(text):
        if token.text in _CLOSING:
            closing = _CLOSING[token.text] + closing
        elif token.text == closing[:1]:
            closing = closing[1:]
    return closing


def split(text: str) -> Node:
    """Return the tree of an expression, which libpcap found sound as `without_keywords` wrote it.

    Raises:
        UsageError: it is sound, but can't be taken apart here.
    """
    words = tokens(text)
    nesting = itertools.accumulate((word.text == "(") - (word.text == ")") for word in words)
    if max(nesting, default=0) > _DEEPEST or _most_negations(words) > _DEEPEST:
        raise UsageError(
            f"its parentheses or negations are nested more than {_DEEPEST} deep; write it more simply"
        )
    return _Splitter(text).expression(words)


def _most_negations(words: list[Token]) -> int:
    runs = itertools.groupby(words, lambda word: word.text in NEGATIONS)
    return max((len(list(run)) for is_negation, run in runs if is_negation), default=0)


def chained(node: Join) -> tuple[Node, list[tuple[bool, Node]]]:
    """Return the first of the terms joined from the left, and the others, each with whether `and` joins it."""
    others: list[tuple[bool, Node]] = []
    first: Node = node
    while isinstance(first, Join):
        others.append((first.both, first.right))
        first = first.left
    return first, others[::-1]


def asks_for_tags(node: Node) -> bool:
    """Return whether there is a `vlan` in the tree."""
    match node:
        case Not(term):
            return asks_for_tags(term)
        case Join():
            first, others = chained(node)
            return asks_for_tags(first) or any(asks_for_tags(other) for _, other in others)
        case _:
            return isinstance(node, Vlan)


class _Splitter:
    """Goes through one expression from left to right, counting tags."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._depth = 0
        self._moved_by: str | None = None

    def expression(self, tokens: list[Token]) -> Node:
        """Return the tree of the terms of one level."""
        runs = _runs(tokens)
        tree = self._term(next(runs)[1])
        for both, run in runs:
            tree = Join(tree, self._term(run), both)
        return tree

    def _term(self, tokens: list[Token]) -> Node:
        if not _has_keyword(tokens):
            return self._opaque(tokens)
        words = [token.text for token in tokens]
        if words[0] in NEGATIONS:
            return Not(self._term(tokens[1:]))
        if words[0] == "(":
            return self.expression(tokens[1:-1])
        if words[0] == "vlan":
            return self._vlan(words)
        if words[0] == "ifindex":
            return Interface(int(words[1], 0))
        return Direction(words[0] == "outbound")

    def _vlan(self, words: list[str]) -> Node:
        if self._moved_by is not None:
            raise self._cut("vlan")
        self._depth += 1
        return Vlan(int(words[1], 0) if len(words) > 1 else None, self._depth - 1)

    def _opaque(self, tokens: list[Token]) -> Node:
        if self._moved_by is not None:
            raise self._cut(tokens[0].text)
        self._moved_by = next((token.text for token in tokens if token.text in MOVING), None)
        if self._depth:
            _refuse_absolute(tokens)
        return Text(self._text[tokens[0].start : tokens[-1].end], self._depth)

    def _cut(self, word: str) -> UsageError:
        return UsageError(
            f"`{word}` can't follow `{self._moved_by}` here; write vlan, inbound, outbound and ifindex before "
            f"`{self._moved_by}`, and what follows it in one pair of parentheses with it"
        )


def _runs(tokens: list[Token]) -> Iterator[tuple[bool, list[Token]]]:
    """Yield the terms of one level, each with whether it is joined to those before by `and`.

    Terms without a keyword that follow each other stay one text where that changes nothing: at the start always,
    since all joins bind from the left, and later where they are joined alike.
    """
    run: list[Token] = []
    run_both, run_is_text, at_start = True, False, True
    for both, joint, term in terms(tokens):
        is_text = not _has_keyword(term)
        if run and run_is_text and is_text and (at_start or both == run_both):
            run += [joint, *term]
            continue
        if run:
            yield run_both, run
            at_start = False
        run, run_both, run_is_text = list(term), both, is_text
    yield run_both, run


def terms(tokens: list[Token]) -> Iterator[tuple[bool, Token, list[Token]]]:
    """Yield each term of one level, with whether `and` stands before it, and the token that does.

    Nothing stands before the first; its token is only there to have one.
    """
    nesting = 0
    joint, term = tokens[0], list[Token]()
    for token in tokens:
        if nesting == 0 and token.text in _JOINS and not (term and term[-1].text in _ENDS):
            yield _JOINS.get(joint.text, True), joint, term
            joint, term = token, []
            continue
        nesting += (token.text in {"(", "["}) - (token.text in {")", "]"})
        term.append(token)
    yield _JOINS.get(joint.text, True), joint, term


def _has_keyword(tokens: list[Token]) -> bool:
    return any(token.text in _KEYWORDS for token in tokens)


def _refuse_absolute(tokens: list[Token]) -> None:
    for token, following in pairwise(tokens):
        if token.text in _ABSOLUTE and following.text == "[":
            raise UsageError(
                f"behind `vlan`, {token.text}[...] can't be asked for, since the kernel took the tag out of the "
                "frame; write it before `vlan`"
            )
