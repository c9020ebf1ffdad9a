"""Which packets to take, as one program for the kernel.

Expressions are compiled by the system's libpcap, called through ctypes and only for them: everything else is made
here.
"""

import ctypes
import functools
import time
from dataclasses import dataclass
from typing import Any, Final

from capfix.errors import CaptureError, UsageError
from capfix.filters import composition, expressions, fitting
from capfix.filters import instructions as bpf
from capfix.filters.expressions import Node, Text
from capfix.filters.fitting import View
from capfix.filters.instructions import Program

_DLT_EN10MB: Final = 1
_NETMASK_UNKNOWN: Final = 0xFFFFFFFF  # pcap/pcap.h

_LIBRARY_NAMES: Final = ("libpcap.so.0.8", "libpcap.so.1")  # Debian's name of it, and everybody else's

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
_PLACE_SEARCH_S: Final = 1.0  # names in the expression are looked up each time

# What to say beside libpcap's message, by a part of it
_HINTS: Final = {
    "ifname supported only": "choose interfaces with -i",
    "not a broadcast link": "the link layer's addresses can't be asked for, since capfix takes packets without them",
    "netmask not known": "name the broadcast address instead: dst host ADDRESS",
}


class _Instructions(ctypes.Structure):
    """struct bpf_program of pcap/bpf.h: a count, and an array of 8-byte instructions."""

    _fields_ = (("count", ctypes.c_uint), ("first", ctypes.c_void_p))


@dataclass(frozen=True)
class Selection:
    """Which packets to take. None asks for nothing, and `snaplen` is in bytes of the frame as it is written."""

    expression: str | None = None
    mark: tuple[int, int] | None = None  # value, mask
    direction: str | None = None  # a key of fitting.DIRECTIONS
    snaplen: int = fitting.MAX_SNAPLEN


def selection_program(
    selection: Selection, header_size: int, *, with_headers: bool = False
) -> Program | None:
    """Return the one program that takes the selected packets, None where all are taken whole.

    `header_size` is how many bytes of link-layer header the packets are written with, VLAN tag not counted. The
    program is for a SOCK_DGRAM socket, and one `with_headers` for a SOCK_RAW socket.

    Raises:
        UsageError: the expression is wrong, or asks for what the socket does not have.
        CaptureError: libpcap is missing.
    """
    parts: list[Program] = []
    if selection.direction is not None:
        parts.append(fitting.DIRECTIONS[selection.direction])
    if selection.mark is not None:
        parts.append(fitting.mark_test(*selection.mark))
    if selection.expression is not None:
        parts.append(expression_program(selection.expression, header_size, with_headers=with_headers))
    limit = fitting.MAX_SNAPLEN
    if selection.snaplen < fitting.MAX_SNAPLEN:
        limit = fitting.kernel_limit(selection.snaplen, header_size, with_headers=with_headers)
        parts = parts or [(composition.ACCEPT,)]
    if not parts:
        return None
    return composition.keeping(functools.reduce(composition.both, parts), limit)


def expression_program(expression: str, header_size: int, *, with_headers: bool = False) -> Program:
    """Return a libpcap filter expression as a program; the arguments are those of `selection_program`.

    Raises:
        UsageError: the expression is wrong, with libpcap's message, or asks for what the socket does not have.
        CaptureError: libpcap is missing.
    """
    try:
        tree = _parse(expression)
        if not with_headers:
            return fitting.counting_frames(_program(tree, fitting.COOKED), header_size)
        return composition.choose(
            fitting.HAS_SOUND_HEADER,
            fitting.counting_frames(_program(tree, fitting.HEADER_KEPT), 0),
            fitting.counting_frames(_program(tree, fitting.HEADER_MISSING), header_size),
        )
    except UsageError as exc:
        place = _place_of_error(expression) if str(exc).endswith(_SYNTAX_ERROR) else ""
        raise UsageError(f"filter `{expression}`: {exc}{place}") from exc


def _parse(expression: str) -> Node:
    compile_ethernet(expressions.without_keywords(expression), optimise=False)
    return expressions.split(expression) if expressions.needs_splitting(expression) else Text(expression, 0)


def _place_of_error(expression: str) -> str:
    """Return where a syntax error is, in words; nothing when that would take long, or is not to be found.

    libpcap does not tell. It is the first word after which no continuation is free of a syntax error.
    """
    deadline = time.monotonic() + _PLACE_SEARCH_S
    for beginning, word, before in expressions.prefixes(expression):
        closing = expressions.open_brackets(beginning)
        known = expressions.without_keywords(beginning)
        if not any(_may_go_on(known + more + closing + end) for more in _CONTINUATIONS for end in _ENDINGS):
            return f" at `{word}`, after `{before.strip()}`" if before.strip() else f" at `{word}`"
        if time.monotonic() > deadline:
            return ""
    return " at its end"


def _may_go_on(text: str) -> bool:
    try:
        compile_ethernet(text, optimise=False)
    except UsageError as exc:
        return _SYNTAX_ERROR not in str(exc)
    return True


def _program(tree: Node, view: View) -> Program:
    if not expressions.asks_for_tags(tree):
        return _node_program(tree, view, stripped=True)
    return fitting.by_tag(_node_program(tree, view, stripped=True), _node_program(tree, view, stripped=False))


def _node_program(node: Node, view: View, *, stripped: bool) -> Program:
    """Return the program of one node, for packets whose first tag was stripped, or for the others."""
    reading = view.stripped if stripped else view.in_frame
    match node:
        case Text(text, depth):
            return fitting.fitted(_compile_part(text), reading(depth))
        case expressions.Vlan(vlan_id, depth):
            return fitting.vlan_test(reading(depth), vlan_id, stripped=stripped and depth == 0)
        case expressions.Direction(outbound):
            return fitting.OUTBOUND if outbound else fitting.INBOUND
        case expressions.Interface(ifindex):
            return fitting.interface_test([ifindex])
        case expressions.Not(term):
            return composition.negated(_node_program(term, view, stripped=stripped))
        case expressions.Join(left, right, both):
            join = composition.both if both else composition.either
            return join(
                _node_program(left, view, stripped=stripped), _node_program(right, view, stripped=stripped)
            )


def _compile_part(text: str) -> Program:
    try:
        return compile_ethernet(text)
    except UsageError as exc:
        # The whole was sound, so a syntax error is a number that takes its `port` from another part
        advice = ", which stands by itself; write out what it is" if str(exc).endswith(_SYNTAX_ERROR) else ""
        raise UsageError(f"{exc} in `{text}`{advice}") from exc


@functools.lru_cache(
    maxsize=64
)  # the parts of an expression are asked for once for each way a packet may lie
def compile_ethernet(text: str, *, optimise: bool = True) -> Program:
    """Return the program that libpcap makes of an expression for Ethernet frames.

    Only its optimiser finds out, and refuses, that no packet can ever pass. That is wrong of a frame whose first tag
    is not in it: `udp and vlan 5`.

    Raises:
        UsageError: with libpcap's message.
        CaptureError: libpcap is missing.
    """
    pcap = _libpcap()
    handle = pcap.pcap_open_dead(_DLT_EN10MB, fitting.MAX_SNAPLEN)
    try:
        compiled = _Instructions()
        if pcap.pcap_compile(handle, ctypes.byref(compiled), text.encode(), optimise, _NETMASK_UNKNOWN) != 0:
            message = pcap.pcap_geterr(handle).decode(errors="replace")
            hint = next((hint for part, hint in _HINTS.items() if part in message), None)
            raise UsageError(f"{message}; {hint}" if hint else message)
        try:
            return bpf.decode_program(ctypes.string_at(compiled.first, 8 * compiled.count))
        finally:
            pcap.pcap_freecode(ctypes.byref(compiled))
    finally:
        pcap.pcap_close(handle)


@functools.cache
def _libpcap() -> Any:
    for name in _LIBRARY_NAMES:
        try:
            return _declared(ctypes.CDLL(name))
        except OSError:
            continue
    raise CaptureError(
        "a filter expression needs libpcap, which is not installed (Debian: apt install libpcap0.8); "
        "everything else works without it"
    )


def _declared(library: ctypes.CDLL) -> ctypes.CDLL:
    library.pcap_open_dead.argtypes = (ctypes.c_int, ctypes.c_int)
    library.pcap_open_dead.restype = ctypes.c_void_p
    library.pcap_compile.argtypes = (
        ctypes.c_void_p,
        ctypes.POINTER(_Instructions),
        ctypes.c_char_p,
        ctypes.c_int,
        ctypes.c_uint32,
    )
    library.pcap_geterr.argtypes = (ctypes.c_void_p,)
    library.pcap_geterr.restype = ctypes.c_char_p
    library.pcap_freecode.argtypes = (ctypes.POINTER(_Instructions),)
    library.pcap_freecode.restype = None
    library.pcap_close.argtypes = (ctypes.c_void_p,)
    library.pcap_close.restype = None
    return library
