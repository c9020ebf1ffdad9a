"""Which packets to take, as one program.

Expressions are compiled by a function that is handed in, as `capfix.kernel.libpcap.compile_ethernet` is; everything
else is made here.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from capfix.errors import UsageError
from capfix.filters import composition, expressions, fitting
from capfix.filters.expressions import Node, Text
from capfix.filters.fitting import View
from capfix.filters.instructions import Program

_SYNTAX_ERROR: Final = "syntax error"
# What can follow a word of an expression, and what the whole can then end with: enough to complete any beginning
_CONTINUATIONS: Final = (
    "",
    " ip",
    " 1",
    " 1.2.3.4",
    " 1:2:3:4:5:6",
    " 255.0.0.0",
    " host 1.2.3.4",
    " = 1",
    " 1 = 1",
)
_ENDINGS: Final = ("", " = 1")


class CompileText(Protocol):
    """Returns the program that libpcap makes of an expression for Ethernet frames, or raises UsageError."""

    def __call__(self, text: str, *, optimise: bool = True) -> Program: ...


class Compiler(NamedTuple):
    """What compiles expressions. `is_patient` says whether there is still time to look for the place of an error."""

    compile_text: CompileText
    is_patient: Callable[[], bool] = lambda: True


@dataclass(frozen=True)
class Selection:
    """Which packets to take. None asks for nothing, and `snaplen` is in bytes of the frame as it is written."""

    expression: str | None = None
    mark: tuple[int, int] | None = None  # value, mask
    direction: str | None = None  # a key of fitting.DIRECTIONS
    snaplen: int = fitting.MAX_SNAPLEN


def selection_program(
    selection: Selection, header_size: int, compiler: Compiler, *, with_headers: bool = False
) -> Program | None:
    """Return the one program that takes the selected packets, None where all are taken whole.

    `header_size` is how many bytes of link-layer header the packets are written with, VLAN tag not counted. The
    program is for a SOCK_DGRAM socket, and one `with_headers` for a SOCK_RAW socket.

    Raises:
        UsageError: the expression is wrong, or asks for what the socket does not have.
        CaptureError: there is no compiler.
    """
    parts: list[Program] = []
    if selection.direction is not None:
        parts.append(fitting.DIRECTIONS[selection.direction])
    if selection.mark is not None:
        parts.append(fitting.mark_test(*selection.mark))
    if selection.expression is not None:
        parts.append(
            expression_program(selection.expression, header_size, compiler, with_headers=with_headers)
        )
    limit = fitting.MAX_SNAPLEN
    if selection.snaplen < fitting.MAX_SNAPLEN:
        limit = fitting.kernel_limit(selection.snaplen, header_size, with_headers=with_headers)
        parts = parts or [(composition.ACCEPT,)]
    if not parts:
        return None
    return composition.keeping(functools.reduce(composition.both, parts), limit)


def expression_program(
    expression: str, header_size: int, compiler: Compiler, *, with_headers: bool = False
) -> Program:
    """Return a libpcap filter expression as a program; the arguments are those of `selection_program`.

    Raises:
        UsageError: the expression is wrong, with libpcap's message, or asks for what the socket does not have.
        CaptureError: there is no compiler.
    """
    compile_text = compiler.compile_text
    try:
        tree = _parse(expression, compile_text)
        if not with_headers:
            return fitting.counting_frames(_program(tree, fitting.COOKED, compile_text), header_size)
        return composition.choose(
            fitting.HAS_SOUND_HEADER,
            fitting.counting_frames(_program(tree, fitting.HEADER_KEPT, compile_text), 0),
            fitting.counting_frames(_program(tree, fitting.HEADER_MISSING, compile_text), header_size),
        )
    except UsageError as exc:
        place = _place_of_error(expression, compiler) if str(exc).endswith(_SYNTAX_ERROR) else ""
        raise UsageError(f"filter `{expression}`: {exc}{place}") from exc


def _parse(expression: str, compile_text: CompileText) -> Node:
    compile_text(expressions.without_keywords(expression), optimise=False)
    return expressions.split(expression) if expressions.needs_splitting(expression) else Text(expression, 0)


def _place_of_error(expression: str, compiler: Compiler) -> str:
    """Return where a syntax error is, in words; nothing when that would take long, or is not to be found.

    libpcap does not tell. It is the first word after which no continuation is free of a syntax error.
    """
    for beginning, word, before in expressions.prefixes(expression):
        closing = expressions.open_brackets(beginning)
        known = expressions.without_keywords(beginning)
        completions = (known + more + closing + end for more in _CONTINUATIONS for end in _ENDINGS)
        if not any(_may_go_on(text, compiler.compile_text) for text in completions):
            return f" at `{word}`, after `{before.strip()}`" if before.strip() else f" at `{word}`"
        if not compiler.is_patient():
            return ""
    return " at its end"


def _may_go_on(text: str, compile_text: CompileText) -> bool:
    try:
        compile_text(text, optimise=False)
    except UsageError as exc:
        return _SYNTAX_ERROR not in str(exc)
    return True


def _program(tree: Node, view: View, compile_text: CompileText) -> Program:
    if not expressions.asks_for_tags(tree):
        return _node_program(tree, view, compile_text, stripped=True)
    return fitting.by_tag(
        _node_program(tree, view, compile_text, stripped=True),
        _node_program(tree, view, compile_text, stripped=False),
    )


def _node_program(node: Node, view: View, compile_text: CompileText, *, stripped: bool) -> Program:
    """Return the program of one node, for packets whose first tag was stripped, or for the others."""
    reading = view.stripped if stripped else view.in_frame
    match node:
        case Text(text, depth):
            return fitting.fitted(_compile_part(text, compile_text), reading(depth))
        case expressions.Vlan(vlan_id, depth):
            return fitting.vlan_test(reading(depth), vlan_id, stripped=stripped and depth == 0)
        case expressions.Direction(outbound):
            return fitting.OUTBOUND if outbound else fitting.INBOUND
        case expressions.Interface(ifindex):
            return fitting.interface_test([ifindex])
        case expressions.Not(term):
            return composition.negated(_node_program(term, view, compile_text, stripped=stripped))
        case expressions.Join(left, right, both):
            join = composition.both if both else composition.either
            return join(
                _node_program(left, view, compile_text, stripped=stripped),
                _node_program(right, view, compile_text, stripped=stripped),
            )


def _compile_part(text: str, compile_text: CompileText) -> Program:
    try:
        return compile_text(text)
    except UsageError as exc:
        # The whole was sound, so a syntax error is a number that takes its `port` from another part
        advice = ", which stands by itself; write out what it is" if str(exc).endswith(_SYNTAX_ERROR) else ""
        raise UsageError(f"{exc} in `{text}`{advice}") from exc
