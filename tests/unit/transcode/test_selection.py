"""What the hot path does to packets beyond framing them: cutting, completing checksums, leaving copies out."""

import struct
from types import ModuleType

import pytest
from scapy.layers.inet import IP, TCP
from scapy.packet import Raw

import capfix.framing
import capfix.transcode.packet
import capfix.transcode.ring
from capfix.filters.fitting import kernel_limit
from capfix.transcode.stop import Stop
from capfix.wire.link_types import LINK_TYPES
from tests.support.pcapng_files import packet_data, split_blocks
from tests.support.ring_blocks import (
    HOST,
    NEIGHBOUR_MAC,
    OUTGOING,
    TP_STATUS_CSUMNOTREADY,
    RingPacket,
    arp,
    ipv4,
    ipv6,
    ring_block,
)
from tests.support.uncompiled import load_uncompiled

ROADS = {
    "compiled": (capfix.transcode.ring, capfix.transcode.packet, capfix.framing),
    "uncompiled": tuple(
        load_uncompiled(f"capfix.{name}") for name in ("transcode.ring", "transcode.packet", "framing")
    ),
}
each_road = pytest.mark.parametrize("road", ROADS.values(), ids=list(ROADS))
each_link_type = pytest.mark.parametrize(
    ("link_type", "header_size"),
    [(each.number, each.header_size) for each in LINK_TYPES.values()],
    ids=list(LINK_TYPES),
)
Road = tuple[ModuleType, ModuleType, ModuleType]

CHECKSUM_NOT_READY = 1 << 9


def convert(road: Road, packets: list[RingPacket], link_type: int, **settings: object) -> list[bytes]:
    """Return the packet blocks that a Transcoder makes of the packets."""
    hot, writing, framing = road
    block = ring_block(packets)
    transcoder = hot.RingTranscoder(writing.PacketWriter(framing.Framer(link_type), **settings))
    transcoder.add_interface(2, 0, None)
    transcoder.start(memoryview(block), 0)
    out = bytearray(1 << 18)
    end = transcoder.convert(memoryview(block), memoryview(out), 0)
    assert transcoder.stopped_for == Stop.DONE
    return split_blocks(bytes(out[:end]))


def lengths(block: bytes) -> tuple[int, int]:
    """Return the captured and the original length of a packet block."""
    return struct.unpack_from("<2I", block, 20)


def flags(block: bytes) -> int:
    """Return epb_flags, the only option."""
    captured = lengths(block)[0]
    return struct.unpack_from("<I", block, 28 + -(-captured // 4) * 4 + 4)[0]


PACKETS = [
    RingPacket(ipv4(bytes(range(200))), address=NEIGHBOUR_MAC),
    RingPacket(ipv6(bytes(range(100))), 0x86DD, packet_type=2),
    RingPacket(ipv4(b"\x01" * 90), vlan=(5, 0x8100), packet_type=OUTGOING),
    RingPacket(b"\x00\x05\x08\x00" + ipv4(b"\x02" * 90), vlan=(64, 0x88A8)),
    RingPacket(arp(), 0x0806),
    RingPacket(b"x"),
    RingPacket(b""),
    RingPacket(b"\x42\x42\x03" + bytes(40), 4),
    RingPacket(ipv4(bytes(64))[:64], original_length=1400),
]


@each_road
@each_link_type
def test_each_cut_is_a_prefix(road, link_type, header_size):
    """Cut to any length, a frame is the prefix of the uncut one, and tells the same original length."""
    whole = convert(road, PACKETS, link_type)
    for snaplen in [*range(1, 129), 200, 262144]:
        cut = convert(road, PACKETS, link_type, snaplen=snaplen)
        assert [packet_data(block) for block in cut] == [packet_data(block)[:snaplen] for block in whole]
        assert [lengths(block)[1] for block in cut] == [lengths(block)[1] for block in whole]
        assert [flags(block) for block in cut] == [flags(block) for block in whole]


@each_road
@each_link_type
def test_what_the_kernel_keeps_is_enough(road, link_type, header_size):
    """With what the kernel keeps for a snapshot length, the frame begins as the uncut one does."""
    for snaplen in (1, 40, header_size + 64):
        kept = [
            RingPacket(
                packet.payload[: kernel_limit(snaplen, header_size)],
                packet.protocol,
                packet.packet_type,
                address=packet.address,
                vlan=packet.vlan,
                original_length=packet.original_length or len(packet.payload),
            )
            for packet in PACKETS
        ]
        assert [packet_data(b) for b in convert(road, kept, link_type, snaplen=snaplen)] == [
            packet_data(b) for b in convert(road, PACKETS, link_type, snaplen=snaplen)
        ]


def unfinished_tcp() -> tuple[bytes, bytes]:
    """Return a TCP packet as the kernel hands it to a device that computes checksums, and complete."""
    whole = bytes(IP(bytes(IP(src="10.0.0.1", dst="10.0.0.2") / TCP() / Raw(b"hello"))))
    total = sum(struct.unpack(">4H", whole[12:20])) + 25 + 6
    return whole[:36] + struct.pack(">H", (total & 0xFFFF) + (total >> 16)) + whole[38:], whole


@each_road
@each_link_type
@pytest.mark.parametrize("tags", [b"", b"\x00\x05\x08\x00"], ids=["plain", "inner-tag"])
def test_completes_checksums_where_asked(road, link_type, header_size, tags):
    """The checksum is right in the file, behind tags too, and no longer said to be missing."""
    unfinished, whole = unfinished_tcp()
    vlan = (64, 0x88A8) if tags else None
    packet = RingPacket(tags + unfinished, vlan=vlan, status=TP_STATUS_CSUMNOTREADY)
    (done,) = convert(road, [packet], link_type, fix_checksums=True)
    assert packet_data(done)[-45:] == whole
    assert not flags(done) & CHECKSUM_NOT_READY
    (asked_not,) = convert(road, [packet], link_type)
    assert packet_data(asked_not)[-45:] == unfinished
    assert flags(asked_not) & CHECKSUM_NOT_READY


@each_road
def test_keeps_final_and_cut_checksums(road):
    """A checksum that the kernel does not call missing stays, and so does one in a cut packet, said to be missing."""
    unfinished, _ = unfinished_tcp()
    final = RingPacket(unfinished, packet_type=OUTGOING)
    (kept,) = convert(road, [final], 113, fix_checksums=True)
    assert packet_data(kept)[16:] == unfinished
    cut = RingPacket(unfinished, packet_type=OUTGOING, status=TP_STATUS_CSUMNOTREADY)
    (kept,) = convert(road, [cut], 113, fix_checksums=True, snaplen=60)
    assert packet_data(kept)[16:] == unfinished[:44]
    assert flags(kept) & CHECKSUM_NOT_READY


@each_road
def test_loopback_copies_are_kept_where_they_are_asked_for(road):
    """Of lo's two copies the incoming one is written, or both for who asks for outgoing packets alone."""
    both = [RingPacket(ipv4(), packet_type=kind, hardware_type=772) for kind in (OUTGOING, HOST)]
    assert [flags(block) & 3 for block in convert(road, both, 113)] == [1]
    assert [flags(block) & 3 for block in convert(road, both, 113, keep_loopback_copies=True)] == [2, 1]
