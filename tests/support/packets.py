"""Packets to judge and to mend, made with scapy: from the network layer up, and with headers in front of them."""

import struct

from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6
from scapy.packet import Raw

LOCAL = bytes.fromhex("02005e100001")
PEER = bytes.fromhex("02005e100002")
TYPES = {4: b"\x08\x00", 6: b"\x86\xdd"}

IPV4 = {"src": "192.0.2.1", "dst": "198.51.100.2"}
IPV6 = {"src": "2001:db8::1", "dst": "2001:db8::2"}

#: Packets of every kind that can be told by what is in them.
NETWORK_PACKETS = {
    "tcp": bytes(IP(**IPV4) / TCP(sport=1234, dport=80, flags="PA") / Raw(b"GET / HTTP/1.0\r\n\r\n")),
    "udp": bytes(IP(**IPV4) / UDP(sport=1234, dport=53) / Raw(b"question")),
    "icmp": bytes(IP(**IPV4) / ICMP() / Raw(b"abcdefgh")),
    "options": bytes(IP(**IPV4, options=b"\x94\x04\x00\x00") / UDP(sport=1, dport=2) / Raw(b"x" * 30)),
    "esp": bytes(IP(**IPV4, proto=50) / Raw(bytes(range(60)))),
    "fragment": bytes(IP(**IPV4, frag=185, proto=17) / Raw(bytes(range(80)))),
    "tcp6": bytes(IPv6(**IPV6) / TCP(sport=1234, dport=80, flags="S")),
    "udp6": bytes(IPv6(**IPV6) / UDP(sport=1234, dport=53) / Raw(b"question!")),
    "icmp6": bytes(IPv6(**IPV6) / ICMPv6EchoRequest(data=b"abc")),
}


def protocol_of(packet: bytes) -> bytes:
    """Return the EtherType of an IP packet, two bytes."""
    return TYPES[packet[0] >> 4]


def ethernet(packet: bytes, destination: bytes = PEER, source: bytes = LOCAL) -> bytes:
    """Return the packet behind an Ethernet header."""
    return destination + source + protocol_of(packet) + packet


def sll(packet: bytes, packet_type: int = 0, address: bytes = PEER, protocol: bytes | None = None) -> bytes:
    """Return the packet behind a LINUX_SLL header."""
    head = struct.pack(">HHH", packet_type, 1, len(address)) + address.ljust(8, b"\0")
    return head + (protocol_of(packet) if protocol is None else protocol) + packet


def sll2(packet: bytes, packet_type: int = 0, address: bytes = PEER, protocol: bytes | None = None) -> bytes:
    """Return the packet behind a LINUX_SLL2 header."""
    kind = protocol_of(packet) if protocol is None else protocol
    head = struct.pack(">2sHIHBB", kind, 0, 3, 1, packet_type, len(address)) + address.ljust(8, b"\0")
    return head + packet


def ppp_number(packet: bytes) -> bytes:
    """Return PPP's protocol number of an IP packet."""
    return {4: b"\x00\x21", 6: b"\x00\x57"}[packet[0] >> 4]
