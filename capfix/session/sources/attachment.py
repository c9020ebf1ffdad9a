"""Which interfaces a packet socket takes packets from: all, one, or those that match."""

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum, auto
from typing import Protocol

from capfix.errors import CaptureError
from capfix.kernel.links import Link
from capfix.kernel.packet_socket import ANY
from capfix.kernel.socket_filter import ACCEPT_ALL, REFUSE_ALL
from capfix.options.interface_names import is_pattern
from capfix.options.run import ANY_NAME
from capfix.wire.numbers import ARPHRD_ETHER


class Scope(Enum):
    """How a socket is bound. What matches is chosen by its filter: the one ring keeps packets in order."""

    ALL = auto()
    ONE = auto()
    MATCHING = auto()


def scope_of(names: Sequence[str]) -> Scope:
    """Return the scope that the names and patterns of `-i` ask for."""
    if ANY_NAME in names:
        return Scope.ALL
    return Scope.MATCHING if len(names) > 1 or is_pattern(names[0]) else Scope.ONE


class Socket(Protocol):
    """What is asked of the socket, as PacketRing has it."""

    def bind(self, ifindex: int) -> None:
        """Take packets of this interface, or of ANY."""

    def attach_filter(self, code: bytes) -> None:
        """Let only what the program accepts in."""

    def be_promiscuous(self, ifindex: int) -> None:
        """Have an interface take in frames for others too."""

    def is_bound(self) -> bool:
        """Return whether the interface bound to still exists."""


class Attachment:
    """What a socket is attached to. `ifindexes` are those of the links attached to; with Scope.ALL there are none."""

    def __init__(
        self,
        names: Sequence[str],
        socket: Socket,
        links: Mapping[str, Sequence[Link]],
        code: bytes | None = None,
        promiscuous: bool = False,
    ) -> None:
        """`links` are there already, by the name or pattern that they are wanted for; `code` is the filter to let
        packets in by, None for all.
        """
        self.names = tuple(names)
        self.scope = scope_of(names)
        self._links = {link.ifindex: link for found in links.values() for link in found}
        self._wanted_for = {link.ifindex: {name} for name, found in links.items() for link in found}
        self._socket = socket
        self._code = ACCEPT_ALL if code is None else code
        self._promiscuous = promiscuous

    @property
    def ifindexes(self) -> set[int]:
        """The links attached to."""
        return set(self._links)

    @property
    def links(self) -> tuple[Link, ...]:
        """The same, with what is known of them."""
        return tuple(self._links.values())

    def is_attached(self, name: str) -> bool:
        """Return whether packets can come from a name or pattern."""
        return self.scope is Scope.ALL or any(name in self._wanted_for[ifindex] for ifindex in self._links)

    @property
    def is_gone(self) -> bool:
        """Whether the interface that the socket was bound to exists no longer. Known of one only."""
        return self.scope is Scope.ONE and not self._socket.is_bound()

    def open(self) -> None:
        """Begin to take packets, if there is something to take them from.

        Raises:
            CaptureError: an interface to attach to is gone already.
        """
        self._attach_filter()
        for link in self._links.values():
            self._make_promiscuous(link)
        if self.scope is not Scope.ONE:
            self._socket.bind(ANY)
        elif self._links:
            self._socket.bind(*self._links)

    def attach(self, link: Link, names: Iterable[str]) -> None:
        """Take packets from `link` from now on, which is wanted for these of the names.

        Raises:
            CaptureError: it is gone already.
        """
        self._make_promiscuous(link)
        self._links[link.ifindex] = link
        self._wanted_for[link.ifindex] = set(names)
        self._attach_filter()
        if self.scope is Scope.ONE:
            try:
                self._socket.bind(link.ifindex)
            except CaptureError:
                self._links.clear()
                raise

    def detach(self, ifindex: int) -> None:
        """Take no more packets from an interface."""
        self._links.pop(ifindex, None)
        self._wanted_for.pop(ifindex, None)
        self._attach_filter()

    def _make_promiscuous(self, link: Link) -> None:
        if self._promiscuous and link.hardware_type == ARPHRD_ETHER:
            self._socket.be_promiscuous(link.ifindex)

    def _attach_filter(self) -> None:
        self._socket.attach_filter(self._filter())

    def _filter(self) -> bytes:
        if self.scope is Scope.ALL:
            return self._code
        if not self._links:
            return REFUSE_ALL
        return self._code if self.scope is Scope.ONE else self._code_for_attached()

    def _code_for_attached(self) -> bytes:
        """Return the filter that takes only what comes by the interfaces attached to."""
        from capfix.filters.composition import both
        from capfix.filters.fitting import interface_test
        from capfix.filters.instructions import decode_program, encode_program

        return encode_program(both(interface_test(self._links), decode_program(self._code)))
