"""Which of netfilter's packets a tap has delivered: known again, never guessed; compiled and uncompiled alike."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6
from scapy.packet import Packet, Raw

from capfix import framing
from capfix.transcode import duplicates, netfilter, packet
from capfix.wire.link_types import LINKTYPE_LINUX_SLL2
from tests.support.ring_blocks import HOST, OUTGOING, RingPacket, ring_block
from tests.support.uncompiled import load_uncompiled
from tests.unit.transcode.test_netfilter import FORWARD, INPUT, OUTPUT, PREROUTING, message

ROOMS = ("framing", "transcode.duplicates", "transcode.netfilter", "transcode.packet")
COPIES = [
    (framing, duplicates, netfilter, packet),
    tuple(load_uncompiled(f"capfix.{name}") for name in ROOMS),
]
IFINDEX = 2
KEY = bytes(range(16))
SECOND_NS = 10**9
NOW_S = 1_700_000_000

UDP4 = IP(src="10.0.0.1", dst="10.0.0.2", id=7, ttl=64) / UDP(sport=1, dport=2) / b"payload"
SAMPLES = {
    "udp": UDP4,
    "tcp": IP(src="10.0.0.1", dst="10.0.0.2", id=0, flags="DF") / TCP(sport=1, dport=2, seq=9) / b"data",
    "icmp": IP(src="10.0.0.1", dst="10.0.0.2") / ICMP() / b"12345678",
    "options": IP(src="10.0.0.1", dst="10.0.0.2", options=b"\x07\x07\x04\x00\x00\x00\x00\x00") / UDP() / b"x",
    "fragment": IP(src="10.0.0.1", dst="10.0.0.2", id=3, frag=100, proto=17) / Raw(bytes(range(40))),
    "empty": IP(src="10.0.0.1", dst="10.0.0.2", proto=99),
    "udp6": IPv6(src="fd00::1", dst="fd00::2", fl=5) / UDP(sport=1, dport=2) / b"payload",
    "icmp6": IPv6(src="fd00::1", dst="fd00::2", fl=5) / ICMPv6EchoRequest(),
}


def tap(
    packet: Packet | bytes, packet_type: int = HOST, time_ns: int = 0, ifindex: int = IFINDEX
) -> RingPacket:
    """A packet as the tap shows it, `time_ns` after the beginning."""
    payload = bytes(packet)
    return RingPacket(
        payload,
        protocol=0x86DD if payload[:1] >= b"\x60" else 0x0800,
        packet_type=packet_type,
        ifindex=ifindex,
        timestamp_ns=NOW_S * SECOND_NS + time_ns,
    )


def log(packet: Packet | bytes, hook: int = INPUT, time_ns: int = 0, ifindex: int = IFINDEX) -> bytes:
    """The same packet as netfilter shows it."""
    payload = bytes(packet)
    side = {"outgoing": ifindex} if hook == OUTPUT else {"incoming": ifindex}
    seconds, ns = divmod(NOW_S * SECOND_NS + time_ns, SECOND_NS)
    protocol = 0x86DD if payload[:1] >= b"\x60" else 0x0800
    return message(hook, payload, protocol=protocol, time=(seconds, ns // 1000), **side)


def left(
    shown: Sequence[RingPacket],
    logged: Sequence[bytes],
    slots: int = 64,
    compared_bytes: int = 65531,
    key: bytes = KEY,
) -> int:
    """Return how many of netfilter's packets are left, and check that the others are counted."""
    counts = set()
    for frame, dedup, transcode, writing in COPIES:
        seen = dedup.SeenPackets(key, slots, compared_bytes)
        transcoder = transcode.NetfilterTranscoder(
            writing.PacketWriter(frame.Framer(LINKTYPE_LINUX_SLL2)), seen=seen
        )
        for ifindex in (IFINDEX, IFINDEX + 1):
            transcoder.add_interface(ifindex, 0, None, 1)
        seen.add_ring_block(memoryview(ring_block(shown)))
        read = memoryview(b"".join(logged))
        transcoder.start(read)
        transcoder.convert(read, memoryview(bytearray(500_000)), 0)
        assert transcoder.duplicates == len(logged) - transcoder.written
        counts.add(int(transcoder.written))
    (count,) = counts
    return count


@pytest.mark.parametrize("packet", SAMPLES.values(), ids=SAMPLES)
def test_a_packet_that_the_tap_delivered_is_left_out(packet: Packet) -> None:
    """Inbound and outbound, for each kind of packet."""
    assert left([tap(packet)], [log(packet)]) == 0
    assert left([tap(packet, OUTGOING)], [log(packet, OUTPUT)]) == 0


@pytest.mark.parametrize("packet", SAMPLES.values(), ids=SAMPLES)
def test_a_packet_that_the_tap_did_not_deliver_stays(packet: Packet) -> None:
    """One changed bit is another packet, wherever a packet says something of its own."""
    whole = bytes(packet)
    six = whole[0] >> 4 == 6
    header = 40 if six else (whole[0] & 15) * 4
    volatile = {1, 7} if six else {1, 8, 10, 11}  # traffic class, TTL, header checksum
    protocol = whole[6] if six else whole[9]
    checksum = {6: 16, 17: 6, 1: 2, 58: 2}.get(protocol)
    if checksum is not None and packet is not SAMPLES["fragment"]:
        volatile |= {header + checksum, header + checksum + 1}
    lengths = {0, 4, 5} if six else {0, 2, 3}
    for at in set(range(len(whole))) - volatile - lengths:
        other = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
        assert left([tap(packet)], [log(other)]) == 1, at


def test_what_changes_on_the_way_does_not_matter() -> None:
    """TTL, header checksum and a transport checksum that a device was left to fill in may differ."""
    logged = bytes(UDP4)
    changed = bytearray(logged)
    changed[8] = 63
    changed[10:12] = b"\xaa\xbb"
    changed[26:28] = b"\xcc\xdd"
    assert left([tap(bytes(changed), OUTGOING)], [log(logged, OUTPUT)]) == 0


def test_ethernet_padding_does_not_matter() -> None:
    """The tap shows a short packet with its padding, netfilter without."""
    assert left([tap(bytes(UDP4) + bytes(11))], [log(UDP4)]) == 0


def test_interface_and_direction_belong_to_a_packet() -> None:
    """The same bytes on another interface, or the other way, are another packet."""
    assert left([tap(UDP4, ifindex=IFINDEX + 1)], [log(UDP4)]) == 1
    assert left([tap(UDP4, OUTGOING)], [log(UDP4)]) == 1


def test_equal_packets_are_counted() -> None:
    """Each of the tap's hides one copy a hook: a packet that came once more through netfilter alone stays."""
    assert left([tap(UDP4)], [log(UDP4), log(UDP4)]) == 1
    assert left([tap(UDP4), tap(UDP4)], [log(UDP4), log(UDP4)]) == 0
    assert left([tap(UDP4)], [log(UDP4, PREROUTING), log(UDP4, INPUT)]) == 0
    assert left([tap(UDP4)], [log(UDP4, PREROUTING), log(UDP4, PREROUTING), log(UDP4, FORWARD)]) == 1


def test_a_packet_is_remembered_for_a_second() -> None:
    """Earlier or later than that an equal packet is another one."""
    assert left([tap(UDP4)], [log(UDP4, time_ns=SECOND_NS)]) == 0
    assert left([tap(UDP4)], [log(UDP4, time_ns=SECOND_NS + 1000)]) == 1
    assert left([tap(UDP4, time_ns=2 * SECOND_NS)], [log(UDP4, time_ns=SECOND_NS)]) == 0
    assert left([tap(UDP4, time_ns=2 * SECOND_NS)], [log(UDP4, time_ns=SECOND_NS - 1000)]) == 1


def test_what_netfilter_reassembled_stays() -> None:
    """The tap shows fragments, netfilter the whole."""
    whole = IP(src="10.0.0.1", dst="10.0.0.2", id=9) / UDP(sport=1, dport=2) / bytes(64)
    data = bytes(whole)[20:]
    fragments = [
        IP(src="10.0.0.1", dst="10.0.0.2", id=9, proto=17, flags="MF") / Raw(data[:40]),
        IP(src="10.0.0.1", dst="10.0.0.2", id=9, proto=17, frag=5) / Raw(data[40:]),
    ]
    assert left([tap(fragment) for fragment in fragments], [log(whole)]) == 1


def test_what_one_side_cut_off_is_not_compared() -> None:
    """With a snapshot length the two have different lengths of the same packet."""
    cut = replace(tap(bytes(UDP4)[:30]), original_length=len(UDP4))
    assert left([cut], [log(UDP4)], compared_bytes=30) == 0
    assert left([cut], [log(UDP4)], compared_bytes=31) == 1
    assert left([cut], [log(UDP4)], compared_bytes=19) == 1


@pytest.mark.parametrize("payload", [b"", b"\x45", bytes(19), b"\x4f" + bytes(30), b"\x55" + bytes(40)])
def test_what_is_no_whole_ip_header_stays(payload: bytes) -> None:
    """It cannot be known again."""
    assert left([tap(payload)], [log(payload)]) == 1


def test_a_full_table_forgets_and_hides_nothing_wrong() -> None:
    """More packets than slots: some stay in the capture twice, and each that is left out was there."""
    packets = [bytes(UDP4)[:4] + n.to_bytes(2, "big") + bytes(UDP4)[6:] for n in range(200)]
    others = [bytes(UDP4)[:4] + n.to_bytes(2, "big") + bytes(UDP4)[6:] for n in range(1000, 1200)]
    shown = [tap(packet) for packet in packets]
    assert 0 < left(shown, [log(packet) for packet in packets]) < 200
    assert left(shown, [log(packet) for packet in others]) == 200


@given(st.binary(max_size=80), st.binary(max_size=80))
def test_no_bytes_are_too_strange(shown: bytes, logged: bytes) -> None:
    """Whatever is in a packet, both builds agree on it, and only equal things hide each other."""
    remaining = left([replace(tap(b"E" + shown), payload=shown)], [log(logged)], slots=8)
    assert remaining == 1 or shown[12:20] == logged[12:20]


def test_no_difference_hides_under_an_unknown_key() -> None:
    """Two packets that differ as a weaker hash would not notice stay two, whatever the key.

    A product with an odd number carries the top bit of a word along unchanged, so that the next word could take it
    back: a multiplying hash called these the same under every seed.
    """
    body = bytes(range(64))
    other = bytearray(body)
    other[0] ^= 0x80
    other[8] ^= 0x80
    other[11] ^= 0x04
    shown = IP(src="10.0.0.1", dst="10.0.0.2", id=1) / UDP(sport=1, dport=2) / body
    hidden = IP(src="10.0.0.1", dst="10.0.0.2", id=1) / UDP(sport=1, dport=2) / bytes(other)
    for number in range(50):
        key = number.to_bytes(16, "little")
        assert left([tap(shown)], [log(hidden)], key=key) == 1
        assert left([tap(shown)], [log(shown)], key=key) == 0


def test_jumbograms_are_told_apart_by_their_payload() -> None:
    """An IPv6 payload length of 0 does not end the comparison at the header."""
    start = bytes.fromhex("60000000 0000 0040") + bytes(32) + bytes.fromhex("0600 c204 00011170")
    assert left([tap(start + bytes(70000))], [log(start + bytes(400) + b"x" + bytes(64000))]) == 1
    assert left([tap(start + bytes(70000))], [log(start + bytes(65000))], compared_bytes=65000) == 0
