"""Traffic through the lab's VPN: what the host's own programs say to a far end that scapy plays.

The host's side is real: sockets, the kernel's TCP, its answers to pings. Everything goes in lockstep, each packet
after the one that causes it, so that the order is the same in every run and in every capture.

scapy is GPL-2.0-only and is kept out of every process that captures; this module is for the others.
"""

import select
import socket
from dataclasses import dataclass

from scapy.layers.dns import DNS, DNSQR, DNSRR
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.packet import Packet, Raw

from capfix.errors import CaptureError
from capfix.lab.vpn import LOCAL_ADDRESS, PEER_ADDRESS, HeaderlessVpn

_ETHERNET_HEADER_SIZE = 14
_PATIENCE_S = 5.0
_ICMP_ECHO_REQUEST = 8
_ICMP_ECHO_REPLY = 0
_ANSWER_ADDRESS = "10.8.0.80"
_REQUEST = b"GET / HTTP/1.0\r\n\r\n"
_RESPONSE = b"HTTP/1.0 200 OK\r\nContent-Length: 6\r\n\r\nhello\n"


@dataclass(frozen=True)
class Passed:
    """One packet that passed the interface: which way, and its bytes from the IP header on."""

    inbound: bool
    packet: bytes


class FarEnd:
    """The other end of the VPN, with a record of everything that passed, in order.

    Raises CaptureError when the host does not send what it ought to send within 5 seconds.
    """

    def __init__(self, vpn: HeaderlessVpn) -> None:
        self._vpn = vpn
        self._unread: list[bytes] = []
        self.passed: list[Passed] = []

    def deliver(self, packet: Packet) -> None:
        """Send a packet to the host."""
        data = bytes(packet)
        self._vpn.deliver(data)
        self.passed.append(Passed(True, data))

    def receive(self) -> Packet:
        """Return the next packet that the host has sent, as scapy's IP."""
        if not self._unread:
            if not select.select([self._vpn], [], [], _PATIENCE_S)[0]:
                raise CaptureError("the host's side of the lab sent nothing where it should have answered")
            self._unread = self._vpn.read_sent()
        packet = self._unread.pop(0)[_ETHERNET_HEADER_SIZE:]
        self.passed.append(Passed(False, packet))
        return IP(packet)


def all_traffic(vpn: HeaderlessVpn) -> list[Passed]:
    """Have a DNS exchange, a TCP conversation and a ping each way go through the VPN; return what passed."""
    far_end = FarEnd(vpn)
    with vpn.namespace.entered():
        exchange_dns(far_end)
        converse_tcp(far_end)
        ping_from_host(far_end)
        ping_from_far_end(far_end)
    return far_end.passed


def exchange_dns(far_end: FarEnd, name: str = "intranet.example") -> None:
    """The host asks for the address of a name, and gets it: 1 packet out, 1 in. Call it in the namespace."""
    query = DNS(id=0x1007, rd=1, qd=DNSQR(qname=name))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(bytes(query), (PEER_ADDRESS, 53))
        asked = far_end.receive()
        answer = DNS(
            id=query.id, qr=1, rd=1, ra=1, qd=query.qd, an=DNSRR(rrname=name, ttl=60, rdata=_ANSWER_ADDRESS)
        )
        far_end.deliver(_to_host() / UDP(sport=53, dport=asked[UDP].sport) / answer)
        _expect(sock, bytes(answer))


def converse_tcp(far_end: FarEnd, request: bytes = _REQUEST, response: bytes = _RESPONSE) -> None:
    """The host opens a connection, asks, is answered and closes: 5 packets out, 4 in. Call it in the namespace."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.setblocking(False)
        sock.connect_ex((PEER_ADDRESS, 80))
        opening = far_end.receive()[TCP]
        ports = {"sport": 80, "dport": opening.sport}
        ours, theirs = 1000, opening.seq + 1  # the sequence numbers that come next
        far_end.deliver(_to_host() / TCP(**ports, flags="SA", seq=ours, ack=theirs, options=[("MSS", 1360)]))
        ours += 1
        far_end.receive()

        sock.send(request)
        theirs += len(far_end.receive()[Raw].load)
        far_end.deliver(_to_host() / TCP(**ports, flags="A", seq=ours, ack=theirs))
        far_end.deliver(_to_host() / TCP(**ports, flags="PA", seq=ours, ack=theirs) / response)
        ours += len(response)
        far_end.receive()
        _expect(sock, response)

    far_end.receive()
    far_end.deliver(_to_host() / TCP(**ports, flags="FA", seq=ours, ack=theirs + 1))
    far_end.receive()


def ping_from_host(far_end: FarEnd, payload: bytes = b"from the host to the far end") -> None:
    """The host pings the far end: 1 packet out, 1 in. Call it in the namespace."""
    request = ICMP(type=_ICMP_ECHO_REQUEST, id=1, seq=1) / payload
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as sock:
        sock.sendto(bytes(request), (PEER_ADDRESS, 0))
        asked = far_end.receive()
        far_end.deliver(
            _to_host() / ICMP(type=_ICMP_ECHO_REPLY, id=asked[ICMP].id, seq=asked[ICMP].seq) / payload
        )


def ping_from_far_end(far_end: FarEnd, payload: bytes = b"from the far end to the host") -> None:
    """The far end pings the host, whose kernel answers: 1 packet in, 1 out."""
    far_end.deliver(_to_host() / ICMP(type=_ICMP_ECHO_REQUEST, id=2, seq=1) / payload)
    far_end.receive()


def _to_host() -> Packet:
    return IP(src=PEER_ADDRESS, dst=LOCAL_ADDRESS, id=0x1007)


def _expect(sock: socket.socket, data: bytes) -> None:
    """Check that the host's program got `data`: that the packet came through the host's stack, not only to it."""
    if not select.select([sock], [], [], _PATIENCE_S)[0] or sock.recv(len(data) + 1) != data:
        raise CaptureError("the host's side of the lab did not get what was delivered to it")
