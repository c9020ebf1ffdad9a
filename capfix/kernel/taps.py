"""Who is tapping what: packet sockets with their owners, and handlers of IP that are not the kernel's own.

Of a handler the kernel tells a name and no owner. One for IP that is neither the stack nor a packet socket belongs to a
module that takes packets before, or instead of, the stack: that is how an intercepting VPN shows itself.
"""

import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from capfix.kernel.processes import Process, socket_holders, user_name
from capfix.kernel.sock_diag import packet_sockets
from capfix.wire.numbers import ETH_P_ALL, ETH_P_IP, ETH_P_IPV6
from capfix.wire.packet_diag import PacketSocket
from capfix.wire.proc_net import Handler, decode_handlers

_HANDLERS: Final = Path("/proc/thread-self/net/ptype")
_SOCKET_HANDLERS: Final = ("packet_rcv", "tpacket_rcv", "packet_rcv_spkt", "packet_rcv_fanout")
_STACK: Final = {ETH_P_IP: "ip_rcv", ETH_P_IPV6: "ipv6_rcv"}
_WATCHED: Final = (*_STACK, ETH_P_ALL)
_SOCK_PACKET: Final = 10
_TYPES: Final = {socket.SOCK_DGRAM: "cooked", socket.SOCK_RAW: "raw", _SOCK_PACKET: "old"}


class Tap(NamedTuple):
    """One tap. `interface` is "any" for all, `type` "raw", "cooked", "old" or, where no socket is behind it, "handler".

    `identity` stays as long as the socket is bound as it is; of a handler it is empty. `protocol` is an EtherType, 0 of
    a socket that takes nothing yet. `processes` is empty where nobody is found.
    """

    identity: tuple[int, ...]
    interface: str
    protocol: int
    type: str
    handler: str
    ring_size_bytes: int | None
    drops: int | None
    user: str | None
    processes: tuple[Process, ...]


def read_taps(known: Sequence[Tap] = ()) -> list[Tap]:
    """Return the taps of the calling thread's network namespace: foreign handlers first, then sockets by their inode.

    Of sockets among `known` the process is not looked for again: that is most of the work.

    Raises:
        CaptureError: the kernel does not tell.
    """
    before = {tap.identity: tap for tap in known}
    sockets = sorted(packet_sockets(), key=_identity)
    holders = socket_holders([each.inode for each in sockets if _identity(each) not in before])
    taps = (before.get(_identity(each)) or _tap(each, tuple(holders.get(each.inode, ()))) for each in sockets)
    return [*foreign_handlers(), *taps]


def _identity(packet_socket: PacketSocket) -> tuple[int, int, int]:
    return packet_socket.inode, packet_socket.ifindex, packet_socket.protocol


def _tap(packet_socket: PacketSocket, holders: tuple[Process, ...]) -> Tap:
    return Tap(
        identity=_identity(packet_socket),
        interface=_interface_name(packet_socket.ifindex),
        protocol=packet_socket.protocol,
        type=_TYPES.get(packet_socket.socket_type, str(packet_socket.socket_type)),
        handler=_handler(packet_socket),
        ring_size_bytes=packet_socket.ring_size_bytes,
        drops=packet_socket.drops,
        user=None if packet_socket.uid is None else user_name(packet_socket.uid),
        processes=holders,
    )


def foreign_handlers() -> list[Tap]:
    """Return the handlers of IPv4, IPv6 or everything that are neither the stack's nor a packet socket's."""
    try:
        handlers = decode_handlers(_HANDLERS.read_text(errors="replace"))
        return [_foreign(each) for each in handlers if is_foreign(each)]
    except OSError:  # no /proc: then nothing can be said
        return []


def is_foreign(handler: Handler) -> bool:
    """Tell whether a handler takes IP, and is neither the kernel's stack nor a packet socket."""
    if handler.protocol not in _WATCHED or handler.function in _SOCKET_HANDLERS:
        return False
    return handler.function != _STACK.get(handler.protocol)


def _foreign(handler: Handler) -> Tap:
    interface = handler.interface or "any"
    return Tap((), interface, handler.protocol, "handler", handler.function, None, None, None, ())


def _interface_name(ifindex: int) -> str:
    if ifindex <= 0:
        # packet_diag has -1 for a socket whose interface is gone
        return "any" if ifindex == 0 else "gone"
    try:
        return socket.if_indextoname(ifindex)
    except (OSError, OverflowError):
        return "gone"


def _handler(packet_socket: PacketSocket) -> str:
    """The function in the kernel that its packets come by; it follows from what the socket is."""
    if packet_socket.fanout is not None:
        return "packet_rcv_fanout"
    if packet_socket.socket_type == _SOCK_PACKET:
        return "packet_rcv_spkt"
    return "packet_rcv" if packet_socket.ring_size_bytes is None else "tpacket_rcv"
