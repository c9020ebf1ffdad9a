"""A few packets of one interface as they lie in the kernel: with their link-layer bytes, and where those end.

A plain SOCK_RAW socket with PACKET_AUXDATA. Its filter takes one direction out once enough is known of it, so that a
busy interface costs no more than an idle one.

Source: packet(7); linux/if_packet.h, struct tpacket_auxdata; linux/filter.h, SKF_AD_PKTTYPE.
"""

import socket
import struct
from typing import Final, NamedTuple

from capfix.errors import CaptureError, PrivilegeError
from capfix.filters import instructions as bpf
from capfix.kernel.packet_socket import PACKET_STATISTICS, SOL_PACKET
from capfix.kernel.socket_filter import ACCEPT_ALL, REFUSE_ALL, attach
from capfix.wire.numbers import ETH_P_ALL, PACKET_OUTGOING, TP_STATUS_CSUMNOTREADY

_PACKET_AUXDATA: Final = 8
_AUXDATA: Final = struct.Struct("=IIIHHHH")  # status, original length, captured length, mac, net, tci, tpid
_SNAP_BYTES: Final = 192  # a link-layer header with tags, an IP header with options, ports
_CONTROL_SIZE: Final = socket.CMSG_SPACE(_AUXDATA.size)
_BURST: Final = 64  # packets between two looks at the clock


class Sample(NamedTuple):
    """One packet. `data` begins at the link-layer header, which is `link_length` bytes long by the kernel's account.

    `protocol` is the kernel's own, an EtherType; `original_length` counts the link-layer header.
    """

    outgoing: bool
    link_length: int
    protocol: int
    data: bytes
    original_length: int
    checksum_not_ready: bool


class SamplingTap:
    """A tap on one interface that is read at leisure."""

    def __init__(self, interface: str) -> None:
        """Listen on the interface called `interface`.

        Raises:
            PrivilegeError: CAP_NET_RAW is missing.
            CaptureError: the interface is gone or down.
        """
        try:
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
        except PermissionError as exc:
            raise PrivilegeError("open a packet socket", "CAP_NET_RAW") from exc
        try:
            self.socket.setblocking(False)
            self.socket.setsockopt(SOL_PACKET, _PACKET_AUXDATA, 1)
            self.socket.bind((interface, ETH_P_ALL))
        except OSError as exc:
            self.socket.close()
            raise CaptureError(f"cannot listen on {interface}: {(exc.strerror or str(exc)).lower()}") from exc

    def fileno(self) -> int:
        """Return the descriptor, readable when packets wait."""
        return self.socket.fileno()

    def read(self) -> list[Sample]:
        """Return up to 64 of the packets that wait. An interface that goes down has none."""
        samples: list[Sample] = []
        while len(samples) < _BURST:
            try:
                data, control, _, address = self.socket.recvmsg(_SNAP_BYTES, _CONTROL_SIZE)
            except OSError:  # nothing waits; or ENETDOWN, told once
                break
            if sample := _sample(data, control, address):
                samples.append(sample)
        return samples

    def take(self, inbound: bool, outbound: bool) -> None:
        """Let only these directions in from now on."""
        if inbound and outbound:
            attach(self.socket, ACCEPT_ALL)
        elif inbound or outbound:
            attach(self.socket, bpf.encode_program(_one_direction(outbound)))
        else:
            attach(self.socket, REFUSE_ALL)

    def drops(self) -> int:
        """Return how many packets found no room since the last call."""
        statistics = self.socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8)
        dropped: int = struct.unpack("=II", statistics)[1]
        return dropped

    def close(self) -> None:
        """Stop listening."""
        self.socket.close()


def _one_direction(outbound: bool) -> bpf.Program:
    refuse, accept = bpf.statement(bpf.RET | bpf.K, 0), bpf.statement(bpf.RET | bpf.K, 0xFFFF)
    return (
        bpf.statement(bpf.LD | bpf.B | bpf.ABS, bpf.SKF_AD_PKTTYPE),
        bpf.jump(bpf.JEQ, PACKET_OUTGOING, 0, 1),
        accept if outbound else refuse,
        refuse if outbound else accept,
    )


def _sample(data: bytes, control: list[tuple[int, int, bytes]], address: tuple[object, ...]) -> Sample | None:
    """None for a packet whose length of the link-layer header the kernel does not tell soundly."""
    for level, kind, value in control:
        if (level, kind) == (SOL_PACKET, _PACKET_AUXDATA) and len(value) >= _AUXDATA.size:
            status, original, captured, mac, net, _, _ = _AUXDATA.unpack_from(value)
            if not mac <= net <= mac + captured:
                return None
            not_ready = bool(status & TP_STATUS_CSUMNOTREADY)
            outgoing = address[2] == PACKET_OUTGOING
            return Sample(outgoing, net - mac, int(str(address[1])), data, original, not_ready)
    return None
