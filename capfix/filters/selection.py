"""Which packets to take, as one program.

Expressions are compiled by a function that is handed in, as `capfix.kernel.libpcap.compile_ethernet` is; everything
else is made here.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from capfix.errors import UsageError
from capfix.filters import composition, expressions, fitting
from capfix.filters.expressions import Node, Text
from capfix.filters.fitting import Reading, View
from capfix.filters.instructions import MAX_INSTRUCTIONS, Program
from capfix.filters.pieces import CompileText, in_pieces
from capfix.filters.vlan_set import VlanSet
from capfix.filters.vlans import outer_tag_choice

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
    vlans: VlanSet | None = None  # by the outer tag; the expression then speaks of what follows it


@dataclass(frozen=True)
class Plan:
    """What the kernel tests, and what is left to test in user space, None for nothing.

    The kernel's program comes first. Where the other reads a packet's bytes, the kernel keeps packets whole, and the
    other's verdict says how many bytes to keep.
    """

    kernel: Program
    user: Program | None = None


@dataclass(frozen=True)
class CompiledSelection:
    """A selection as programs: `facts` asks for direction and mark, `packet` for VLANs and the expression.

    `limit` is how many bytes to keep of what the socket shows. None asks for nothing.
    """

    facts: Program | None
    packet: Program | None
    limit: int

    def program(self) -> Program | None:
        """Return the one program that takes the selected packets, None where all are taken whole."""
        if self.facts is None and self.packet is None and self.limit == fitting.MAX_SNAPLEN:
            return None
        return self._joined(self.facts, self.packet)

    def plans(self, ifindexes: Collection[int] | None = None) -> Iterator[Plan]:
        """Yield ways to share the work, each with less for the kernel than the one before; the last always fits.

        `ifindexes` are the interfaces to take packets from, None all. Plans too long for any kernel are left out;
        what else it has no memory for shows when the program is attached.
        """
        interfaces = None if ifindexes is None else fitting.interface_test(ifindexes)
        candidates = [Plan(self._joined(self.facts, interfaces, self.packet))]
        if interfaces is not None and self.packet is not None:
            candidates.append(Plan(self._joined(self.facts, self.packet), interfaces))
            candidates.append(Plan(self._kept_whole(self.facts, interfaces), self._joined(self.packet)))
        if self.packet is not None:
            candidates.append(Plan(self._kept_whole(self.facts), self._joined(interfaces, self.packet)))
        elif interfaces is not None:
            candidates.append(Plan(self._joined(self.facts), interfaces))
        return (plan for plan in candidates if len(plan.kernel) <= MAX_INSTRUCTIONS)

    def _joined(self, *parts: Program | None) -> Program:
        return composition.keeping(_all_of(*parts), self.limit)

    def _kept_whole(self, *parts: Program | None) -> Program:
        return composition.keeping(_all_of(*parts), fitting.MAX_SNAPLEN)


def _all_of(*parts: Program | None) -> Program:
    first, *others = [part for part in parts if part is not None] or [(composition.ACCEPT,)]
    return composition.chain(first, [(True, other) for other in others])


def compiled_selection(
    selection: Selection, header_size: int, compiler: Compiler, *, with_headers: bool = False
) -> CompiledSelection:
    """Return a selection as programs for a SOCK_DGRAM socket, or `with_headers` for a SOCK_RAW socket.

    `header_size` is how many bytes of link-layer header the packets are written with, VLAN tag not counted.

    Raises:
        UsageError: the expression is wrong, or asks for what the socket does not have.
        CaptureError: there is no compiler.
    """
    direction = None if selection.direction is None else fitting.DIRECTIONS[selection.direction]
    mark = None if selection.mark is None else fitting.mark_test(*selection.mark)
    packet = None
    if selection.expression is not None or selection.vlans is not None:
        packet = expression_program(
            selection.expression, header_size, compiler, with_headers=with_headers, vlans=selection.vlans
        )
    limit = fitting.MAX_SNAPLEN
    if selection.snaplen < fitting.MAX_SNAPLEN:
        limit = fitting.kernel_limit(selection.snaplen, header_size, with_headers=with_headers)
    facts = None if direction is None and mark is None else _all_of(direction, mark)
    return CompiledSelection(facts, packet, limit)


def selection_program(
    selection: Selection, header_size: int, compiler: Compiler, *, with_headers: bool = False
) -> Program | None:
    """Return the one program that takes the selected packets, None where all are taken whole.

    Arguments and errors are those of `compiled_selection`.
    """
    return compiled_selection(selection, header_size, compiler, with_headers=with_headers).program()


def expression_program(
    expression: str | None,
    header_size: int,
    compiler: Compiler,
    *,
    with_headers: bool = False,
    vlans: VlanSet | None = None,
) -> Program:
    """Return a libpcap filter expression, of packets in some VLANs, as a program; None asks for the VLANs alone.

    The other arguments are those of `compiled_selection`.

    Raises:
        UsageError: the expression is wrong, with libpcap's message, or asks for what the socket does not have.
        CaptureError: there is no compiler.
    """
    compile_text = in_pieces(compiler.compile_text)
    try:
        tree = None if expression is None else _parse(expression, compile_text)
        parts = _Parts(tree, vlans, compile_text)
        if not with_headers:
            return fitting.counting_frames(parts.program(fitting.COOKED), header_size)
        return composition.choose(
            fitting.HAS_SOUND_HEADER,
            fitting.counting_frames(parts.program(fitting.HEADER_KEPT), None),
            fitting.counting_frames(parts.program(fitting.HEADER_MISSING), header_size),
        )
    except UsageError as exc:
        if expression is None or not str(exc).endswith(_SYNTAX_ERROR):
            raise UsageError(f"filter `{expression}`: {exc}") from exc
        raise UsageError(f"filter `{expression}`: {exc}{_place_of_error(expression, compiler)}") from exc


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


@dataclass(frozen=True)
class _Parts:
    """An expression taken apart, None for none, and the VLANs that it is asked of."""

    tree: Node | None
    vlans: VlanSet | None
    compile_text: CompileText

    def program(self, view: View) -> Program:
        """Return the program for packets that lie as the view says."""
        if self.vlans is None and self.tree is not None and not expressions.asks_for_tags(self.tree):
            return self._behind(0, view, stripped=True)
        return fitting.by_tag(self._by_place(view, stripped=True), self._by_place(view, stripped=False))

    def _by_place(self, view: View, *, stripped: bool) -> Program:
        """Return the program for packets whose first tag was stripped, or for the others."""
        if self.vlans is None:
            return self._behind(0, view, stripped=stripped)
        return outer_tag_choice(
            self.vlans,
            (view.stripped if stripped else view.in_frame)(0),
            stripped=stripped,
            if_tagged=self._behind(1, view, stripped=stripped),
            if_untagged=self._behind(0, view, stripped=stripped),
        )

    def _behind(self, tags: int, view: View, *, stripped: bool) -> Program:
        """Return the program of the expression for what follows some tags."""
        if self.tree is None:
            return (composition.ACCEPT,)
        return self._node(
            self.tree, lambda depth: self._reading(view, depth + tags, stripped), tags, stripped
        )

    @staticmethod
    def _reading(view: View, depth: int, stripped: bool) -> Reading:
        return (view.stripped if stripped else view.in_frame)(depth)

    def _node(self, node: Node, reading: Callable[[int], Reading], tags: int, stripped: bool) -> Program:
        match node:
            case Text(text, depth):
                return fitting.fitted(_compile_part(text, self.compile_text), reading(depth))
            case expressions.Vlan(vlan_id, depth):
                return fitting.vlan_test(reading(depth), vlan_id, stripped=stripped and depth + tags == 0)
            case expressions.Direction(outbound):
                return fitting.OUTBOUND if outbound else fitting.INBOUND
            case expressions.Interface(ifindex):
                return fitting.interface_test([ifindex])
            case expressions.Not(term):
                return composition.negated(self._node(term, reading, tags, stripped))
            case expressions.Join():
                first, others = expressions.chained(node)
                return composition.chain(
                    self._node(first, reading, tags, stripped),
                    [(both, self._node(other, reading, tags, stripped)) for both, other in others],
                )


def _compile_part(text: str, compile_text: CompileText) -> Program:
    try:
        return compile_text(text)
    except UsageError as exc:
        # The whole was sound, so a syntax error is a number that takes its `port` from another part
        advice = ", which stands by itself; write out what it is" if str(exc).endswith(_SYNTAX_ERROR) else ""
        raise UsageError(f"{exc} in `{text}`{advice}") from exc
