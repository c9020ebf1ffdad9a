"""The hot path, compiled and uncompiled, against the independent judge in tests/support/oracle.py."""

import struct
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

import capfix.framing
import capfix.transcode.packet
import capfix.transcode.ring
from capfix.transcode.stop import NO_LIMIT, Stop
from capfix.wire.link_types import LINK_TYPES
from tests.support import oracle
from tests.support.oracle import ETHERNET, SLL, SLL2, Counts, Interface, Options
from tests.support.pcapng_files import packet_data, split_blocks
from tests.support.ring_blocks import (
    KNOWN_IFINDEXES,
    NEIGHBOUR_MAC,
    OUTGOING,
    OWN_MAC,
    RingPacket,
    arp,
    ipv4,
    ipv6,
    packet_lists,
    ring_block,
)
from tests.support.uncompiled import load_uncompiled

BESIDE_DATA = 128  # a block's own fields, its header and its options are never more, save the comments
LINK_NUMBERS = [link_type.number for link_type in LINK_TYPES.values()]
CANARY = b"\xa5" * 64

ROADS = {
    "compiled": (capfix.transcode.ring, capfix.transcode.packet, capfix.framing),
    "uncompiled": tuple(
        load_uncompiled(f"capfix.{name}") for name in ("transcode.ring", "transcode.packet", "framing")
    ),
}
each_road = pytest.mark.parametrize("road", ROADS.values(), ids=list(ROADS))
Road = tuple[ModuleType, ModuleType, ModuleType]


def transcode(
    road: Road, block: bytes, options: Options, slack: int | None = None, known: int = 0
) -> tuple[bytes, Counts]:
    """Return what a Transcoder makes of one ring block, and its counts, whatever it stops for on the way.

    `slack` is how many bytes the output buffer has beyond what the largest packet needs; None for enough.
    `known` is how many interfaces are added at the start; the others when the Transcoder asks for them.
    """
    hot, writing, framing = road
    comments = b"".join(oracle.option(1, comment.encode()) for comment in options.comments)
    largest = max((len(packet.payload) for packet in oracle.packets_of(block)), default=0)
    room = len(block) * 4 + 1000 if slack is None else slack
    room += BESIDE_DATA + len(comments) + largest

    framer = framing.Framer(options.link_type, options.local_mac, options.peer_mac)
    transcoder = hot.RingTranscoder(writing.PacketWriter(framer, options.snaplen))
    for ifindex, interface in list(options.interfaces.items())[:known]:
        transcoder.add_interface(ifindex, interface.interface_id, interface.mac)
    transcoder.start(memoryview(block), options.dropcount)

    output, at = bytearray(), 0
    buffer = bytearray(b"\xa5" * room + CANARY)
    while True:
        limit = NO_LIMIT if options.packet_limit is None else options.packet_limit - transcoder.written
        due = comments if transcoder.written == 0 else b""
        at = transcoder.convert(memoryview(block), memoryview(buffer)[:room], at, limit, due)
        assert buffer[room:] == CANARY
        if transcoder.stopped_for == Stop.UNKNOWN_INTERFACE:
            interface = options.interfaces[transcoder.unknown_ifindex]
            transcoder.add_interface(transcoder.unknown_ifindex, interface.interface_id, interface.mac)
        elif transcoder.stopped_for == Stop.OUTPUT_FULL:
            assert at > 0
            output += buffer[:at]
            at = 0
        else:
            break
    output += buffer[:at]
    for ifindex, interface in options.interfaces.items():
        blocks = split_blocks(bytes(output))
        of_interface = [b for b in blocks if struct.unpack_from("<I", b, 8) == (interface.interface_id,)]
        assert transcoder.delivered(ifindex) == len(of_interface)
    assert transcoder.malformed_blocks == 0
    return bytes(output), Counts(transcoder.written, transcoder.loopback_copies, transcoder.not_carried)


def judge(block: bytes, options: Options) -> tuple[bytes, Counts]:
    """Return what the oracle makes of the ring block, its counts added up."""
    output, counts = oracle.transcode(block, options)
    total = Counts()
    for count in counts.values():
        total.written += count.written
        total.loopback_copies += count.loopback_copies
        total.not_carried += count.not_carried
    return output, total


macs = st.one_of(st.none(), st.just(OWN_MAC), st.binary(min_size=6, max_size=6))
capture_options = st.builds(
    Options,
    link_type=st.sampled_from(LINK_NUMBERS),
    interfaces=st.tuples(*(st.tuples(st.just(i), macs) for i in KNOWN_IFINDEXES)).map(
        lambda rows: {ifindex: Interface(9 - at, mac) for at, (ifindex, mac) in enumerate(rows)}
    ),
    local_mac=macs,
    peer_mac=st.one_of(st.just(oracle.PEER_FAKE), st.binary(min_size=6, max_size=6)),
    snaplen=st.sampled_from([262144, 262144, 262144, 1, 16, 40, 60]),
    dropcount=st.sampled_from([0, 0, 1, 2**32 + 5]),
    comments=st.sampled_from([(), (), ("gap of 3 s",), ("one", "three")]),
    packet_limit=st.one_of(st.none(), st.integers(0, 5)),
)


@each_road
@given(packets=packet_lists, options=capture_options)
def test_bytes_of_the_oracle(road: Road, packets: list[RingPacket], options: Options) -> None:
    """A ring block becomes, byte for byte, what the rules say, and each packet is counted as they say."""
    block = ring_block(packets)
    assert transcode(road, block, options, known=len(options.interfaces)) == judge(block, options)


LLC = bytes.fromhex("424203") + bytes(35)
GROUP4, GROUP6 = ipv4(b"", b"\xe0\0\0\xfb"), ipv6(b"", b"\xff" + bytes(15))
# Sound packets with their own EtherType where an inner tag would have it
LIKE_TAG4, LIKE_TAG6 = ipv4(bytes(2028)), b"\x60\0\x86\xdd" + ipv6()[4:]
CONTENTS = [
    *((0x0800, payload) for payload in (GROUP4, GROUP4[:19], b"")),
    *((0x0800, tags + GROUP4) for tags in (b"\0\5\x08\0", b"\0\5\x81\0\0\7\x08\0")),
    *(
        (0x0800, payload)
        for payload in (LIKE_TAG4, LIKE_TAG4[:-1], LIKE_TAG4[:10] + b"\0\0" + LIKE_TAG4[12:])
    ),
    *((0x86DD, payload) for payload in (GROUP6, b"\0\5\x86\xdd" + GROUP6)),
    *(
        (0x86DD, payload)
        for payload in (LIKE_TAG6, LIKE_TAG6 + bytes(46), LIKE_TAG6 + bytes(47), LIKE_TAG6[:39])
    ),
    *((0x0806, payload) for payload in (arp(), b"\0\5\x08\6" + arp())),
    *((0, payload) for payload in (GROUP4, GROUP6, LLC, b"")),
    *((1, payload) for payload in (b"\xff\xff" + LLC, b"\xff")),
    *((4, payload) for payload in (LLC, bytes(1535), bytes(1536))),
    *((0x05FF, payload) for payload in (LLC, b"\xff\xff" + LLC)),
    *((protocol, payload) for protocol in (0x0600, 0x8847) for payload in (LLC, GROUP4, GROUP6)),
]


@pytest.fixture(scope="module")
def combinations() -> bytes:
    """A ring block with each combination of contents, packet type, hardware type, address and tag."""
    return ring_block(
        [
            RingPacket(payload, protocol, packet_type, hardware_type, address, vlan=vlan)
            for protocol, payload in CONTENTS
            for packet_type in (0, 1, 2, 3, 4, 5)
            for hardware_type in (1, 772, 65534)
            for address in (b"", bytes(6), OWN_MAC, NEIGHBOUR_MAC, payload[6:12], bytes(range(20)))
            for vlan in (None, (5, 0x8100), (0xA000, None), (64, 0x88A8))
        ]
    )


@each_road
@pytest.mark.parametrize(
    ("link_type", "local_mac"), [*((number, None) for number in LINK_NUMBERS), (ETHERNET, NEIGHBOUR_MAC)]
)
def test_each_combination(road: Road, combinations: bytes, link_type: int, local_mac: bytes | None) -> None:
    """What decides a header meets each other thing that does, and the rules hold."""
    options = Options(link_type, {2: Interface(0, OWN_MAC)}, local_mac=local_mac)
    assert transcode(road, combinations, options) == judge(combinations, options)


@each_road
@given(packets=packet_lists, options=capture_options, slack=st.integers(0, 400), known=st.integers(0, 4))
def test_stopping_and_going_on_changes_nothing(
    road: Road, packets: list[RingPacket], options: Options, slack: int, known: int
) -> None:
    """Small output buffers and interfaces first seen in the middle of a block leave the bytes as they were."""
    block = ring_block(packets)
    assert transcode(road, block, options, slack, known) == judge(block, options)


@given(
    packets=packet_lists, damage=st.lists(st.tuples(st.integers(0, 2000), st.integers(1, 255)), max_size=8)
)
def test_damaged_ring_blocks(packets: list[RingPacket], damage: list[tuple[int, int]]) -> None:
    """Both roads make the same of a ring block that no kernel would write, within its bounds and their buffer's."""
    block = bytearray(ring_block(packets, size=2048))
    for at, change in damage:
        block[at % len(block)] ^= change
    results = []
    for hot, writing, framing in ROADS.values():
        transcoder = hot.RingTranscoder(writing.PacketWriter(framing.Framer(SLL2)))
        for ifindex in KNOWN_IFINDEXES:
            transcoder.add_interface(ifindex, 0, OWN_MAC)
        transcoder.start(memoryview(block))
        buffer = bytearray(len(block) * 4) + CANARY
        at = transcoder.convert(memoryview(block), memoryview(buffer)[: -len(CANARY)], 0)
        assert buffer.endswith(CANARY)
        counts = (
            transcoder.written,
            transcoder.not_carried,
            transcoder.malformed_blocks,
            transcoder.stopped_for,
        )
        results.append((buffer[:at], counts))
    assert results[0] == results[1]


@each_road
def test_drops_wait_for_a_packet_that_is_written(road: Road) -> None:
    """A drop count that finds no packet in its ring block goes with the first packet of a later one."""
    hot, writing, framing = road
    transcoder = hot.RingTranscoder(writing.PacketWriter(framing.Framer(SLL)))
    transcoder.add_interface(1, 0, None)
    copy = ring_block([RingPacket(ipv4(), hardware_type=772, packet_type=OUTGOING, ifindex=1)])
    sound = ring_block([RingPacket(ipv4(), ifindex=1)])
    buffer = bytearray(1000)

    transcoder.start(memoryview(copy), 3)
    assert transcoder.convert(memoryview(copy), buffer, 0) == 0
    transcoder.start(memoryview(sound), 4)
    end = transcoder.convert(memoryview(sound), buffer, 0)

    options = Options(SLL, {1: Interface(0)}, dropcount=7)
    assert (bytes(buffer[:end]), transcoder.pending_drops) == (oracle.transcode(sound, options)[0], 0)


@each_road
def test_limit_stops_before_the_next_packet(road: Road) -> None:
    """At the limit the transcoder says so while packets are left, and goes on with the next one when asked to."""
    hot, writing, framing = road
    transcoder = hot.RingTranscoder(writing.PacketWriter(framing.Framer(SLL)))
    transcoder.add_interface(2, 0, None)
    block = memoryview(ring_block([RingPacket(ipv4(identification=n)) for n in range(3)]))
    buffer = bytearray(1000)

    transcoder.start(block)
    at = transcoder.convert(block, buffer, 0, 2)
    assert transcoder.stopped_for == Stop.LIMIT_REACHED
    at = transcoder.convert(block, buffer, at)
    assert transcoder.stopped_for == Stop.DONE
    assert bytes(buffer[:at]) == oracle.transcode(bytes(block), Options(SLL, {2: Interface(0)}))[0]


@each_road
def test_block_limit(road: Road) -> None:
    """Data that would make a block larger than readers take is clipped as the oracle clips it."""
    block = ring_block([RingPacket(bytes(262144), original_length=300000)] * 2)
    for comments in ((), ("gap",)):
        for link_type in (SLL, SLL2, ETHERNET):
            options = Options(link_type, {2: Interface(0, OWN_MAC)}, dropcount=1, comments=comments)
            assert transcode(road, block, options, known=1) == judge(block, options)


def torn(road: Road, block: bytes) -> tuple[int, int]:
    """Return how many packets came out of a ring block, and how many ring blocks count as malformed."""
    hot, writing, framing = road
    transcoder = hot.RingTranscoder(writing.PacketWriter(framing.Framer(SLL)))
    transcoder.add_interface(2, 0, None)
    transcoder.start(memoryview(block))
    transcoder.convert(memoryview(block), bytearray(100_000), 0)
    assert transcoder.stopped_for == Stop.DONE
    return transcoder.written, transcoder.malformed_blocks


def changed(block: bytes, at: int, value: int) -> bytes:
    """Return the block with another 32-bit number at `at`."""
    return block[:at] + struct.pack("<I", value) + block[at + 4 :]


FIRST_PACKET, NUMBER_OF_PACKETS, CAPTURED_LENGTH = 48, 12, 12


@each_road
@pytest.mark.parametrize("next_offset", [0, 8, 67, 100_000, 0xFFFFFFFF, 0x80000000])
def test_a_next_offset_that_cannot_be_ends_the_ring_block(road: Road, next_offset: int) -> None:
    """No packet comes twice; what was before it comes out."""
    block = ring_block([RingPacket(ipv4(identification=n)) for n in range(3)])
    assert torn(road, changed(block, FIRST_PACKET, next_offset)) == (1, 1)


@each_road
@pytest.mark.parametrize("count", [4, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_count_that_cannot_be_ends_with_the_last_packet(road: Road, count: int) -> None:
    """The packets that are there come once, and the ring block counts as malformed."""
    block = ring_block([RingPacket(ipv4(identification=n)) for n in range(3)])
    assert torn(road, changed(block, NUMBER_OF_PACKETS, count)) == (3, 1)


@each_road
def test_one_bad_packet_costs_itself_alone(road: Road) -> None:
    """A captured length beyond the ring block takes none of the packets after it along."""
    block = ring_block([RingPacket(ipv4(identification=n)) for n in range(4)])
    assert torn(road, changed(block, FIRST_PACKET + CAPTURED_LENGTH, 1 << 20)) == (3, 1)
    assert torn(road, block) == (4, 0)


@each_road
def test_raw_frames_are_ip_packets_without_tags(road: Road) -> None:
    """The frame is the IP packet alone, its length counted without the tag; what is not IP is counted."""
    hot, writing, framing = road
    packets = [
        RingPacket(ipv4(b"a"), vlan=(5, 0x8100)),
        RingPacket(b"\0\7\x08\0" + ipv4(b"b"), vlan=(5, 0x88A8)),
        RingPacket(ipv6(b"c"), 0x86DD),
        RingPacket(arp(), 0x0806),
        RingPacket(ipv6(b"d"), 0x0800),
    ]
    block = ring_block(packets)
    transcoder = hot.RingTranscoder(writing.PacketWriter(framing.Framer(oracle.RAW)))
    transcoder.add_interface(2, 0, None)
    transcoder.start(memoryview(block))
    buffer = bytearray(1000)
    end = transcoder.convert(memoryview(block), buffer, 0)
    blocks = split_blocks(bytes(buffer[:end]))
    assert [packet_data(each) for each in blocks] == [ipv4(b"a"), ipv4(b"b"), ipv6(b"c")]
    assert [struct.unpack_from("<2I", each, 20) for each in blocks] == [(21, 21), (21, 21), (41, 41)]
    assert transcoder.not_carried == 2
