"""Every packet socket of a network namespace, by sock_diag, or from /proc where the kernel lacks packet_diag.

Takes no privilege. Source: sock_diag(7).
"""

from pathlib import Path
from typing import Final

from capfix.errors import CaptureError
from capfix.kernel.dump import dump
from capfix.wire.packet_diag import PacketSocket, decode_packet_socket, encode_request
from capfix.wire.proc_net import decode_packet_table

_NETLINK_SOCK_DIAG: Final = 4
_SOCK_DIAG_BY_FAMILY: Final = 20
_TABLE: Final = Path("/proc/thread-self/net/packet")


def packet_sockets() -> list[PacketSocket]:
    """Return the packet sockets of the calling thread's network namespace, in no order.

    Raises:
        CaptureError: neither of the kernel's two ways answers.
    """
    try:
        answers = dump(_NETLINK_SOCK_DIAG, _SOCK_DIAG_BY_FAMILY, encode_request(), "its packet sockets")
        return [decode_packet_socket(answer.payload) for answer in answers]
    except CaptureError as refusal:
        try:
            return list(decode_packet_table(_TABLE.read_text()))
        except OSError:
            raise refusal from None


def has_packet_diag() -> bool:
    """Tell whether the kernel has packet_diag, by asking it."""
    try:
        list(dump(_NETLINK_SOCK_DIAG, _SOCK_DIAG_BY_FAMILY, encode_request(), "its packet sockets"))
    except CaptureError:
        return False
    return True
