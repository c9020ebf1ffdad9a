"""Packet sockets, their owners, and who handles IP."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from capfix.errors import CaptureError
from capfix.kernel import sock_diag, taps
from capfix.kernel.namespaces import Namespace, all_namespaces, find_namespace, run_in_namespace
from capfix.kernel.packet_socket import PacketRing
from capfix.kernel.processes import Process, socket_holders
from capfix.kernel.taps import is_foreign, read_taps
from capfix.lab import NetworkNamespace
from capfix.wire.packet_diag import PacketSocket
from capfix.wire.proc_net import Handler

pytestmark = pytest.mark.root


@pytest.fixture
def opened(namespace: NetworkNamespace) -> Iterator[socket.socket]:
    """A cooked packet socket for IPv4 on lo."""
    with namespace.entered():
        made = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
    with made:
        made.bind(("lo", 0x0800))
        yield made


def inode(opened: socket.socket) -> int:
    return os.fstat(opened.fileno()).st_ino


def test_a_socket_of_ours(namespace: NetworkNamespace, opened: socket.socket) -> None:
    """Everything about it is told, this process included."""
    (tap,) = namespace.run(read_taps)
    assert (tap.interface, tap.protocol, tap.type, tap.handler) == ("lo", 0x0800, "cooked", "packet_rcv")
    assert (tap.ring_size_bytes, tap.drops, tap.user) == (None, 0, "root")
    assert [process.pid for process in tap.processes] == [os.getpid()]
    assert "python" in tap.processes[0].command
    assert tap.identity[0] == inode(opened)


def test_a_ring_on_everything(namespace: NetworkNamespace) -> None:
    """A capture's ring has a size, another handler, and drops that only its owner may ask for."""
    with namespace.entered():
        ring = PacketRing(1 << 20, 50)
    ring.bind(0)
    (tap,) = namespace.run(read_taps)
    ring.close()
    assert (tap.interface, tap.handler, tap.ring_size_bytes, tap.drops) == (
        "any",
        "tpacket_rcv",
        1 << 20,
        None,
    )


def test_without_packet_diag(
    namespace: NetworkNamespace, opened: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the kernel lacks packet_diag, /proc tells of the same sockets."""

    def refuse(*_: object) -> None:
        raise CaptureError("cannot ask the kernel for its packet sockets: no such file or directory")

    monkeypatch.setattr(sock_diag, "dump", refuse)
    index = namespace.index("lo")
    assert namespace.run(sock_diag.packet_sockets) == [
        PacketSocket(inode(opened), 2, 0x0800, index, 0, None, None, None)
    ]
    monkeypatch.setattr(sock_diag, "_TABLE", Path("/proc/nothing"))
    with pytest.raises(CaptureError, match="packet sockets"):
        namespace.run(sock_diag.packet_sockets)


def test_known_taps_are_not_looked_up_again(
    namespace: NetworkNamespace, opened: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The search through all processes is for new sockets alone."""
    known = namespace.run(read_taps)
    searched: list[object] = []
    monkeypatch.setattr(taps, "socket_holders", lambda inodes: searched.extend(inodes) or {})
    assert namespace.run(read_taps, known) == known
    assert searched == []


@pytest.mark.parametrize(
    ("handler", "foreign"),
    [
        (Handler(0x0800, "", "ip_rcv"), False),
        (Handler(0x86DD, "", "ipv6_rcv"), False),
        (Handler(0x0806, "", "arp_rcv"), False),
        (Handler(0x0800, "", "packet_rcv"), False),
        (Handler(3, "eth0", "tpacket_rcv"), False),
        (Handler(0x88CC, "", "lldp_rcv [lldp]"), False),
        (Handler(0x0800, "", "handle_ip [cipsec]"), True),
        (Handler(0x0800, "", "0xffffffffc0a81234"), True),
        (Handler(3, "", "sniff [tap]"), True),
    ],
)
def test_foreign_handlers(handler: Handler, foreign: bool) -> None:
    """A module that takes IP, or everything, is foreign; the stack, packet sockets and other protocols are not."""
    assert is_foreign(handler) is foreign


def test_a_foreign_handler_is_a_tap(
    namespace: NetworkNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is listed without socket and process. Nothing here can load such a module, so the kernel's file is made up."""
    table = tmp_path / "ptype"
    table.write_text("Type Device      Function\n0800          ip_rcv\n0800          handle_ip [cipsec]\n")
    monkeypatch.setattr(taps, "_HANDLERS", table)
    (tap,) = namespace.run(read_taps)
    assert (tap.interface, tap.type, tap.handler, tap.processes) == (
        "any",
        "handler",
        "handle_ip [cipsec]",
        (),
    )


def test_holders_of_nothing() -> None:
    """A socket that nobody has is left out."""
    assert socket_holders([1]) == {}
    assert socket_holders([]) == {}


def test_holders_tell_the_unit(opened: socket.socket) -> None:
    """The process is found by the socket's inode."""
    (process,) = socket_holders([inode(opened)])[inode(opened)]
    assert isinstance(process, Process)
    assert process.pid == os.getpid()


def test_namespaces(namespace: NetworkNamespace) -> None:
    """One is entered by pid or path, and only by a thread of its own; all of them are found once each."""
    own = os.stat("/proc/self/ns/net").st_ino
    path = f"/proc/self/fd/{namespace.fd}"
    assert run_in_namespace(find_namespace(path), socket.if_nameindex) == [(1, "lo")]
    assert os.stat("/proc/thread-self/ns/net").st_ino == own
    found = [each.path.stat().st_ino for each in all_namespaces()]
    assert found[0] == own
    assert len(found) == len(set(found))
    assert find_namespace(str(os.getpid())).path.stat().st_ino == own


def test_namespaces_that_are_not_there() -> None:
    """A wrong name is one sentence, and so is a path that is no namespace."""
    with pytest.raises(CaptureError, match="no network namespace blue; there are: "):
        find_namespace("blue")
    with pytest.raises(CaptureError, match="cannot enter network namespace x: invalid argument"):
        run_in_namespace(Namespace("x", Path("/etc/passwd")), socket.if_nameindex)
