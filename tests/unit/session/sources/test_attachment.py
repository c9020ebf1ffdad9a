"""Which interfaces a packet socket takes packets from: what it asks of the socket."""

import pytest

from capfix.filters.instructions import decode_program
from capfix.kernel.links import Link
from capfix.kernel.packet_socket import ANY
from capfix.kernel.socket_filter import ACCEPT_ALL, REFUSE_ALL
from capfix.session.sources.attachment import Attachment, Scope, scope_of

ETHERNET, NONE = 1, 65534


class Socket:
    """Remembers what it was asked for."""

    def __init__(self) -> None:
        self.bound: int | None = None
        self.code = b""
        self.promiscuous: list[int] = []

    def bind(self, ifindex: int) -> None:
        assert self.code, "what comes before the filter is not filtered"
        self.bound = ifindex

    def attach_filter(self, code: bytes) -> None:
        self.code = code

    def be_promiscuous(self, ifindex: int) -> None:
        self.promiscuous.append(ifindex)

    def is_bound(self) -> bool:
        return False


def link(ifindex: int, hardware_type: int = ETHERNET) -> Link:
    return Link(f"if{ifindex}", ifindex, hardware_type, None, "", None, True)


@pytest.mark.parametrize(
    ("names", "scope"),
    [
        (["any"], Scope.ALL),
        (["eth0"], Scope.ONE),
        (["tun*"], Scope.MATCHING),
        (["eth0", "eth1"], Scope.MATCHING),
        (["eth0", "tun*"], Scope.MATCHING),
    ],
)
def test_names_say_how_a_socket_is_bound(names: list[str], scope: Scope) -> None:
    """Several interfaces share one ring, which keeps their packets in order."""
    assert scope_of(names) is scope


def test_all() -> None:
    """Bound to everything, promiscuous nowhere."""
    socket = Socket()
    attachment = Attachment(["any"], socket, {}, promiscuous=True)
    attachment.open()
    assert (socket.bound, socket.code, socket.promiscuous) == (ANY, ACCEPT_ALL, [])
    assert attachment.is_attached("any")
    assert not attachment.is_gone


def test_one_that_is_there() -> None:
    """Bound to it; what becomes of it the socket knows."""
    socket = Socket()
    attachment = Attachment(["if7"], socket, {"if7": [link(7)]}, promiscuous=True)
    attachment.open()
    assert (socket.bound, socket.code, socket.promiscuous) == (7, ACCEPT_ALL, [7])
    assert attachment.is_gone


def test_one_that_is_waited_for() -> None:
    """Nothing is let in until it is there, nor when it has gone again."""
    socket = Socket()
    attachment = Attachment(["if7"], socket, {"if7": []})
    attachment.open()
    assert (socket.bound, socket.code) == (None, REFUSE_ALL)
    assert not attachment.is_attached("if7")
    attachment.attach(link(7), ["if7"])
    assert (socket.bound, socket.code) == (7, ACCEPT_ALL)
    assert attachment.is_attached("if7")
    attachment.detach(7)
    assert socket.code == REFUSE_ALL


def test_several_are_chosen_by_a_filter() -> None:
    """One socket takes from everywhere, and lets in what comes by those that are attached to."""
    socket = Socket()
    attachment = Attachment(["if7", "tun*"], socket, {"if7": [link(7)], "tun*": []}, promiscuous=True)
    attachment.open()
    assert socket.bound == ANY
    assert [ins.k for ins in decode_program(socket.code) if ins.jt != ins.jf] == [7]
    attachment.attach(link(9, NONE), ["tun*"])
    assert [ins.k for ins in decode_program(socket.code) if ins.jt != ins.jf] == [7, 9]
    assert (attachment.is_attached("if7"), attachment.is_attached("tun*")) == (True, True)
    assert socket.promiscuous == [7]  # tunnels have no frames for others
    attachment.detach(7)
    attachment.detach(9)
    assert socket.code == REFUSE_ALL
    assert not attachment.is_attached("tun*")
