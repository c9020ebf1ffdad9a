"""Checksums left to the device are computed as scapy computes them, and no others are touched."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP, IPOption_Router_Alert
from scapy.layers.inet6 import (
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
)
from scapy.layers.vxlan import VXLAN
from scapy.packet import Packet, Raw

from capfix.wire import checksum
from tests.support.uncompiled import load_uncompiled

ETH_P_IP = 0x0800
ETH_P_IPV6 = 0x86DD
V4 = {"src": "10.1.2.3", "dst": "10.255.254.1"}
V6 = {"src": "fd00::1:2", "dst": "fd00:ffff::3"}

UNCOMPILED = load_uncompiled("capfix.wire.checksum")
both_builds = pytest.mark.parametrize("build", [checksum, UNCOMPILED], ids=["compiled", "uncompiled"])


def complete(packet: Packet) -> bytes:
    """Return the packet with every checksum in place, by scapy."""
    return bytes(type(packet)(bytes(packet)))


def protocol_of(packet: Packet) -> int:
    return ETH_P_IP if packet.version == 4 else ETH_P_IPV6


def left_to_device(
    whole: bytes, field: int, addresses: slice, transport_length: int, ip_protocol: int
) -> bytes:
    """Return the packet as the kernel gives it to a device that computes checksums: the pseudo-header's sum."""
    words = whole[addresses] + transport_length.to_bytes(4, "big") + ip_protocol.to_bytes(4, "big")
    total = sum(int.from_bytes(words[i : i + 2], "big") for i in range(0, len(words), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return whole[:field] + total.to_bytes(2, "big") + whole[field + 2 :]


def as_kernel_leaves_it(packet: Packet) -> bytes:
    transport = packet[TCP] if TCP in packet else packet[UDP]
    whole = complete(packet)
    length = len(transport)
    field = len(whole) - length + (16 if TCP in packet else 6)
    addresses = slice(12, 20) if packet.version == 4 else slice(8, 40)
    return left_to_device(whole, field, addresses, length, 6 if TCP in packet else 17)


SOUND = {
    "tcp": IP(**V4) / TCP(sport=1, dport=2) / Raw(b"hello"),
    "tcp-empty": IP(**V4) / TCP(flags="S", options=[("MSS", 1460)]),
    "udp": IP(**V4) / UDP(sport=1, dport=2) / Raw(b"hello!"),
    "udp-empty": IP(**V4) / UDP(),
    "ip-options": IP(**V4, options=[IPOption_Router_Alert()]) / UDP() / Raw(b"x"),
    "dont-fragment": IP(**V4, flags="DF") / TCP() / Raw(b"x"),
    "large": IP(**V4) / TCP() / Raw(b"\xff" * 65000),
    "tcp6": IPv6(**V6) / TCP() / Raw(b"hello"),
    "udp6": IPv6(**V6) / UDP() / Raw(b"hello"),
    "extension-headers": IPv6(**V6) / IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() / UDP() / Raw(b"x"),
}


@both_builds
@pytest.mark.parametrize("name", SOUND)
def test_computes_what_was_left_to_the_device(build, name):
    """The result is what scapy computes, padding behind the packet does not count."""
    packet = SOUND[name]
    unfinished = as_kernel_leaves_it(packet)
    assert unfinished != complete(packet)
    assert build.with_checksums(unfinished, protocol_of(packet)) == complete(packet)
    assert build.with_checksums(unfinished + b"padding", protocol_of(packet)) == complete(packet) + b"padding"


@both_builds
def test_computes_the_ipv4_header_too(build):
    """A header checksum that was left out with it is computed."""
    packet = SOUND["udp"]
    unfinished = bytearray(as_kernel_leaves_it(packet))
    unfinished[10:12] = b"\0\0"
    assert build.with_checksums(bytes(unfinished), ETH_P_IP) == complete(packet)


@both_builds
def test_udp_checksum_of_zero_is_written_as_ones(build):
    """A UDP checksum that comes out as 0 is ffff, since 0 says that there is none."""
    ports = int.from_bytes(complete(IP(**V4) / UDP(sport=0, dport=0))[26:28], "big")
    packet = IP(**V4) / UDP(sport=ports, dport=0)  # now the sum is all ones
    whole = complete(packet)
    assert whole[26:28] == b"\xff\xff"
    assert build.with_checksums(as_kernel_leaves_it(packet), ETH_P_IP) == whole


def unfinished_tunnel() -> bytes:
    """Return VXLAN without an outer checksum, whose inner checksum is the one left to the device."""
    inner = as_kernel_leaves_it(SOUND["tcp"])
    return complete(IP(**V4) / UDP(sport=9, dport=4789, chksum=0) / VXLAN(vni=5) / Raw(bytes(14) + inner))


def towards_first_hop() -> bytes:
    """Return a packet with a routing header: its checksum is for the last address, not for the one in the header."""
    whole = as_kernel_leaves_it(IPv6(**V6) / IPv6ExtHdrRouting(addresses=["fd00::9"]) / TCP())
    return whole[:24] + b"\xfd" + bytes(15) + whole[40:]


WRONG = bytearray(complete(SOUND["tcp"]))
WRONG[36:38] = b"\x12\x34"

LEFT_ALONE = {
    "final": (complete(SOUND["tcp"]), ETH_P_IP),
    "wrong-and-final": (bytes(WRONG), ETH_P_IP),
    "udp-without-checksum": (complete(IP(**V4) / UDP(chksum=0) / Raw(b"x")), ETH_P_IP),
    "tunnel": (unfinished_tunnel(), ETH_P_IP),
    "ip-in-ip": (complete(IP(**V4, proto=4) / Raw(as_kernel_leaves_it(SOUND["tcp"]))), ETH_P_IP),
    "cut": (as_kernel_leaves_it(SOUND["tcp"])[:-1], ETH_P_IP),
    "cut6": (as_kernel_leaves_it(SOUND["udp6"])[:-1], ETH_P_IPV6),
    "first-fragment": (as_kernel_leaves_it(IP(**V4, flags="MF") / UDP() / Raw(b"x" * 8)), ETH_P_IP),
    "fragment6": (bytes(IPv6(**V6) / IPv6ExtHdrFragment(nh=17, m=1) / Raw(b"x" * 16)), ETH_P_IPV6),
    "other-protocol": (as_kernel_leaves_it(SOUND["tcp"]), 0x8847),
    "wrong-version": (as_kernel_leaves_it(SOUND["tcp"]), ETH_P_IPV6),
    "udp-length-disagrees": (as_kernel_leaves_it(IP(**V4) / UDP(len=9) / Raw(b"xyz")), ETH_P_IP),
    "on-its-way-to-another": (towards_first_hop(), ETH_P_IPV6),
    "icmp": (complete(IP(**V4, proto=1) / Raw(b"\x08\x00\x12\x34" + bytes(20))), ETH_P_IP),
    "empty": (b"", ETH_P_IP),
}


@both_builds
@pytest.mark.parametrize("name", LEFT_ALONE)
def test_leaves_the_rest_alone(build, name):
    """Final checksums, right or wrong, and what is not wholly understood stay byte for byte."""
    packet, protocol = LEFT_ALONE[name]
    assert build.with_checksums(packet, protocol) == packet


@given(
    st.binary(max_size=80), st.sampled_from([ETH_P_IP, ETH_P_IPV6]), st.sampled_from([b"", b"\x45", b"\x60"])
)
def test_any_bytes_come_out_at_their_length(data, protocol, start):
    """No packet makes it fail, and both builds agree."""
    packet = start + data
    out = checksum.with_checksums(packet, protocol)
    assert len(out) == len(packet)
    assert out == UNCOMPILED.with_checksums(packet, protocol)


@given(
    st.sampled_from(["tcp", "udp", "tcp6", "udp6"]),
    st.binary(max_size=200),
    st.integers(0, 65535),
)
def test_agrees_with_scapy(name, payload, port):
    """Whatever the payload, the checksum is scapy's."""
    packet = SOUND[name].copy()
    packet.lastlayer().underlayer.remove_payload()
    packet.lastlayer().sport = port
    packet = packet / Raw(payload)
    unfinished = as_kernel_leaves_it(packet)
    assert checksum.with_checksums(unfinished, protocol_of(packet)) == complete(packet)
