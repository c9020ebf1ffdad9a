"""From netfilter's messages to enhanced packet blocks, compiled and uncompiled alike."""

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capfix import framing
from capfix.transcode import netfilter, packet
from capfix.transcode.stop import Stop
from capfix.wire.checksum import with_checksums
from capfix.wire.link_types import LINKTYPE_ETHERNET, LINKTYPE_LINUX_SLL2
from capfix.wire.pcapng import decode_blocks, decode_options
from tests.support.uncompiled import load_uncompiled

COPIES = [
    (framing, packet, netfilter),
    tuple(
        load_uncompiled(f"capfix.{name}") for name in ("framing", "transcode.packet", "transcode.netfilter")
    ),
]

PREROUTING, INPUT, FORWARD, OUTPUT, POSTROUTING = range(5)
ETHERNET, LOOPBACK = 1, 772
MAC = bytes.fromhex("020000000002")
PEER = bytes.fromhex("020000000001")
RECEIPT_NS = 1_700_000_001_000_000_000

IP_PACKET = bytes.fromhex("45000020 000100004011a6a8 0a080001 0a080002 1389138a000c0000 6869686a")


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def be32(kind: int, value: int) -> bytes:
    return attribute(kind, value.to_bytes(4, "big"))


def netlink(kind: int, payload: bytes) -> bytes:
    return struct.pack("=IHHII", 16 + len(payload), kind, 0, 0, 0) + payload + bytes(-len(payload) % 4)


def message(
    hook: int,
    payload: bytes = IP_PACKET,
    *more: bytes,
    incoming: int = 0,
    outgoing: int = 0,
    protocol: int = 0x0800,
    sequence: int | None = None,
    time: tuple[int, int] | None = None,
) -> bytes:
    attributes = [attribute(1, struct.pack(">HBx", protocol, hook))]
    attributes += [be32(4, incoming)] if incoming else []
    attributes += [be32(5, outgoing)] if outgoing else []
    attributes += [be32(12, sequence)] if sequence is not None else []
    attributes += [attribute(3, struct.pack(">QQ", *time))] if time else []
    return netlink(0x400, bytes(4) + b"".join(attributes) + b"".join(more) + attribute(9, payload))


def ethernet(header: bytes = MAC + PEER + b"\x08\x00", kind: int = ETHERNET) -> bytes:
    address = attribute(8, b"\0\x06\0\0" + header[6:12] + b"\0\0")
    return attribute(15, kind.to_bytes(2, "big")) + attribute(17, b"\0\x0e") + attribute(16, header) + address


class Both:
    """A compiled and an uncompiled transcoder that are given the same and must give the same."""

    def __init__(
        self,
        link_type: int = LINKTYPE_LINUX_SLL2,
        interfaces: tuple[int, ...] = (7, 9),
        writing: dict[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        """`writing` are the settings of the packet writer, the others those of the transcoder."""
        self.transcoders = [
            transcode.NetfilterTranscoder(
                packets.PacketWriter(frame.Framer(link_type), **(writing or {})), **settings
            )
            for frame, packets, transcode in COPIES
        ]
        for ifindex in interfaces:
            self.each("add_interface", ifindex, ifindex * 10, MAC, ETHERNET)

    def each(self, name: str, *arguments: Any) -> None:
        for transcoder in self.transcoders:
            getattr(transcoder, name)(*arguments)

    def count(self, name: str) -> int:
        first, second = (getattr(transcoder, name) for transcoder in self.transcoders)
        assert first == second
        return int(first)

    def read(self, *messages: bytes) -> list[dict[str, Any]]:
        """Return the packets one read of `messages` gives."""
        self.start(*messages)
        return self.convert(*messages)

    def start(self, *messages: bytes) -> None:
        for transcoder in self.transcoders:
            transcoder.receipt_ns = RECEIPT_NS
            transcoder.start(memoryview(b"".join(messages)))

    def convert(self, *messages: bytes, **settings: Any) -> list[dict[str, Any]]:
        data = memoryview(b"".join(messages) or b"\0")
        outputs = []
        for transcoder in self.transcoders:
            out = bytearray(300_000)
            end = transcoder.convert(data, memoryview(out), 0, **settings)
            outputs.append(bytes(out[:end]))
        assert outputs[0] == outputs[1]
        return [fields_of(block.body) for block in decode_blocks(memoryview(outputs[0]))]


def fields_of(body: memoryview) -> dict[str, Any]:
    interface, high, low, captured, original = struct.unpack_from("<IIIII", body)
    options = dict(decode_options(body[20 + captured + -captured % 4 :]))
    flags = int.from_bytes(options[2], "little")
    return {
        "interface": interface,
        "time": high << 32 | low,
        "frame": bytes(body[20 : 20 + captured]),
        "original": original,
        "direction": {1: "in", 2: "out"}[flags & 3],
        "reception": flags >> 2 & 7,
        "drops": int.from_bytes(options.get(4, b""), "little"),
    }


@pytest.mark.parametrize(
    ("hook", "incoming", "outgoing", "interface", "direction"),
    [
        (PREROUTING, 7, 0, 70, "in"),
        (INPUT, 7, 0, 70, "in"),
        (OUTPUT, 0, 9, 90, "out"),
        (POSTROUTING, 7, 9, 90, "out"),
        (FORWARD, 7, 9, 70, "in"),
        (FORWARD, 8, 9, 90, "out"),
    ],
)
def test_the_hook_tells_interface_and_direction(
    hook: int, incoming: int, outgoing: int, interface: int, direction: str
) -> None:
    """A forwarded packet counts where it came in, or where it leaves when only that interface is wanted."""
    both = Both()
    both.each("ignore_interface", 8)
    (found,) = both.read(message(hook, incoming=incoming, outgoing=outgoing))
    assert (found["interface"], found["direction"]) == (interface, direction)


def test_packets_of_other_interfaces_are_left_out_and_counted() -> None:
    """Foreign rules may log more than was asked for."""
    both = Both()
    both.each("ignore_interface", 8)
    assert both.read(message(INPUT, incoming=8), message(FORWARD, incoming=8, outgoing=8)) == []
    assert both.count("other_interfaces") == 2


def test_an_unknown_interface_stops_until_it_is_known() -> None:
    """The packet that waited is written once, its sequence number counted once; either side can be unknown."""
    both = Both(interfaces=())
    data = message(FORWARD, incoming=3, outgoing=4, sequence=5)
    assert both.read(data) == []
    assert (both.count("stopped_for"), both.count("unknown_ifindex")) == (Stop.UNKNOWN_INTERFACE, 3)
    both.each("ignore_interface", 3)
    assert both.convert(data) == []
    assert (both.count("stopped_for"), both.count("unknown_ifindex")) == (Stop.UNKNOWN_INTERFACE, 4)
    both.each("add_interface", 4, 1, MAC, ETHERNET)
    (found,) = both.convert(data)
    assert (found["interface"], found["direction"], found["drops"]) == (1, "out", 5)
    assert both.count("stopped_for") == Stop.DONE
    assert both.count("lost") == 5


def test_the_frame_is_the_one_a_ring_packet_gets() -> None:
    """Cooked: protocol, ifindex, hardware type, packet type and address in their places."""
    (found,) = Both().read(message(INPUT, IP_PACKET, ethernet(), incoming=7, time=(1_700_000_000, 5)))
    header = "0800 0000 00000007 0001 00 06 0200000000010000"
    assert found["frame"] == bytes.fromhex(header) + IP_PACKET
    assert found["time"] == 1_700_000_000_000_005_000
    assert found["reception"] == 1


def test_an_outgoing_packet_has_the_interface_s_hardware_type() -> None:
    """Its message has none, so that of the interface stands; there is no address."""
    (found,) = Both().read(message(OUTPUT, outgoing=9))
    assert found["frame"][:20] == bytes.fromhex("0800 0000 00000009 0001 04 00 0000000000000000")


def test_ethernet_framing_uses_trusted_addresses_only() -> None:
    """A header that disagrees with the packet lends it no address; the fake stands instead."""
    both = Both(LINKTYPE_ETHERNET)
    wrong = MAC + PEER + b"\x86\xdd"
    sound, other = both.read(
        message(INPUT, IP_PACKET, ethernet(), incoming=7),
        message(INPUT, IP_PACKET, ethernet(wrong), incoming=7),
    )
    assert sound["frame"] == MAC + PEER + b"\x08\x00" + IP_PACKET
    assert other["frame"] == MAC + bytes.fromhex("026361700002 0800") + IP_PACKET


@pytest.mark.parametrize(
    ("destination", "link", "reception"),
    [
        ("0a080002", MAC, 1),
        ("0a0800ff", b"\xff" * 6, 3),
        ("e00000fb", bytes.fromhex("01005e0000fb"), 2),
        ("0a080002", None, 1),
        ("ffffffff", None, 3),
        ("e00000fb", None, 2),
    ],
)
def test_reception_comes_from_the_header_or_the_destination(
    destination: str, link: bytes | None, reception: int
) -> None:
    """Broadcast and multicast show in the Ethernet header, else in the IP destination."""
    payload = IP_PACKET[:16] + bytes.fromhex(destination) + IP_PACKET[20:]
    more = [ethernet(link + PEER + b"\x08\x00")] if link else []
    (found,) = Both().read(message(INPUT, payload, *more, incoming=7))
    assert found["reception"] == reception


def test_the_original_length_is_the_ip_header_s() -> None:
    """Of a packet that was cut the header knows the length; a jumbogram's header does not."""
    cut = IP_PACKET[:2] + (65535).to_bytes(2, "big") + IP_PACKET[4:]
    six = bytes.fromhex("60000000 ff00 1140") + bytes(34)
    jumbo = bytes.fromhex("60000000 0000 0040") + bytes(34)  # cut before its length
    found = Both().read(
        message(INPUT, cut, incoming=7),
        message(INPUT, six, incoming=7, protocol=0x86DD),
        message(INPUT, jumbo, incoming=7, protocol=0x86DD),
        message(INPUT, b"\x45", incoming=7),
    )
    assert [entry["original"] - 20 for entry in found] == [65535, 0xFF00 + 40, 42, 1]


def test_loopback_packets_come_once() -> None:
    """The output copy is skipped and counted, the input copy written."""
    both = Both(interfaces=())
    both.each("add_interface", 1, 0, None, LOOPBACK)
    (found,) = both.read(message(OUTPUT, outgoing=1), message(INPUT, incoming=1))
    assert found["direction"] == "in"
    assert both.count("loopback_copies") == 1


def test_a_gap_in_the_sequence_is_told_on_the_next_packet() -> None:
    """Counting begins at 0 and goes on through 2**32; messages without a number count nothing."""
    both = Both()
    first = both.read(
        message(INPUT, incoming=7, sequence=2),
        message(INPUT, incoming=7),
        message(INPUT, incoming=7, sequence=3),
    )
    assert [entry["drops"] for entry in first] == [2, 0, 0]
    (second,) = both.read(message(INPUT, incoming=7, sequence=10))
    assert second["drops"] == 6
    assert both.count("lost") == 8
    both.read(
        message(INPUT, incoming=7, sequence=0x7FFFFFFF), message(INPUT, incoming=7, sequence=0xFFFFFFFD)
    )
    (third,) = both.read(message(INPUT, incoming=7, sequence=1))
    assert third["drops"] == 3


def test_a_packet_without_time_gets_the_latest_it_can_have_been() -> None:
    """That is the next packet's time in the same read, else the read's; a time after the read is not believed."""
    both = Both()
    early = (1_700_000_000, 7)
    late = (1_700_000_009, 0)
    found = both.read(
        message(OUTPUT, outgoing=9),
        message(OUTPUT, outgoing=9),
        message(INPUT, incoming=7, time=early),
        message(OUTPUT, outgoing=9),
        message(INPUT, incoming=7, time=late),
        message(OUTPUT, outgoing=9),
    )
    early_ns, late_ns = 1_700_000_000_000_007_000, 1_700_000_009_000_000_000
    assert [entry["time"] for entry in found] == [early_ns] * 3 + [RECEIPT_NS, late_ns, RECEIPT_NS]


def test_merged_packets_keep_their_order() -> None:
    """A time a little before the last packet's becomes that; one far before it stands, the clock was set back."""
    both = Both(merging=True)
    (first,) = both.read(message(OUTPUT, outgoing=9))
    times = [(1_700_000_000, 999_990), (1_699_999_000, 0), (1_700_000_002, 0)]
    found = both.read(*(message(INPUT, incoming=7, time=time) for time in times))
    assert first["time"] == RECEIPT_NS
    assert [entry["time"] for entry in found] == [RECEIPT_NS, 1_699_999_000 * 10**9, 1_700_000_002 * 10**9]


def test_it_stops_before_a_later_packet() -> None:
    """What is not before `until_ns` waits, is told, and comes once."""
    both = Both()
    data = [message(INPUT, incoming=7, sequence=n, time=(1_700_000_000 + n, 0)) for n in range(3)]
    for transcoder in both.transcoders:
        transcoder.until_ns = 1_700_000_001 * 10**9
    assert len(both.read(*data)) == 1
    assert both.count("stopped_for") == Stop.LATER
    assert both.count("waiting_ns") == 1_700_000_001 * 10**9
    for transcoder in both.transcoders:
        transcoder.until_ns = 1_700_000_002 * 10**9 + 1
    assert len(both.convert(*data)) == 2
    assert both.count("stopped_for") == Stop.DONE
    assert both.count("lost") == 0


def test_other_messages_are_passed_over() -> None:
    """Each read ends with NLMSG_DONE."""
    both = Both()
    assert len(both.read(netlink(2, bytes(20)), message(INPUT, incoming=7), netlink(3, bytes(4)))) == 1
    assert both.count("malformed_blocks") == 0


@pytest.mark.parametrize(
    "bad", [netlink(0x400, bytes(4)), netlink(0x400, b"\0\0\0\0\xff\0\x01\0"), netlink(0x400, b"")]
)
def test_a_malformed_message_costs_itself_alone(bad: bytes) -> None:
    """It is counted, and the next one read."""
    both = Both()
    assert len(both.read(bad, message(INPUT, incoming=7))) == 1
    assert both.count("malformed_blocks") == 1


@pytest.mark.parametrize("length", [0, 15, 200, 0x80000010])
def test_an_unsound_message_length_ends_the_read(length: int) -> None:
    """What follows could not be found; the next read is taken as usual."""
    both = Both()
    good = message(INPUT, incoming=7)
    bad = length.to_bytes(4, "little") + good[4:]
    assert len(both.read(good, bad)) == 1
    assert both.count("malformed_blocks") == 1
    assert len(both.read(good)) == 1


def test_it_stops_at_the_limit_and_goes_on() -> None:
    """No packet is lost or doubled by stopping."""
    both = Both()
    data = [message(INPUT, incoming=7, sequence=number) for number in range(5)]
    both.start(*data)
    assert len(both.convert(*data, limit=2)) == 2
    assert both.count("stopped_for") == Stop.LIMIT_REACHED
    assert len(both.convert(*data)) == 3
    assert both.count("lost") == 0


@given(st.data())
def test_damaged_reads_are_survived_alike(data: st.DataObject) -> None:
    """Changed bytes in a read end with blocks or counts, the same in both builds, within the buffer."""
    good = b"".join(
        [
            message(INPUT, IP_PACKET, ethernet(), incoming=7, sequence=0, time=(1_700_000_000, 5)),
            message(OUTPUT, outgoing=9, sequence=1),
            message(FORWARD, incoming=7, outgoing=9, sequence=2),
        ]
    )
    damaged = bytearray(good)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    both = Both()
    both.read(bytes(damaged[: data.draw(st.integers(0, len(damaged)))]))
    both.count("malformed_blocks")


def jumbogram(options: str, payload_length: int = 0, next_header: int = 0) -> bytes:
    """Return an IPv6 packet whose hop-by-hop header has these options, cut some bytes later."""
    header = (
        bytes.fromhex("60000000") + payload_length.to_bytes(2, "big") + bytes([next_header, 64]) + bytes(32)
    )
    return header + b"\x06\x00" + bytes.fromhex(options) + bytes(30)


@pytest.mark.parametrize(
    ("packet", "original"),
    [
        (jumbogram("c204 00030d40"), 200_000 + 40),
        (jumbogram("0000 c204 0001"), None),  # its value begins in the header and ends beyond
        (jumbogram("0104 00000000"), None),
        (jumbogram("c204 0000ffff"), None),  # shorter than a jumbogram can be
        (jumbogram("c204 ffffffff"), None),  # longer than an original length can say
        (jumbogram("c202 00030d40"), None),
        (jumbogram("c204 00030d40", payload_length=100), 140),
        (jumbogram("c204 00030d40", next_header=6), None),
        (jumbogram("c204 00030d40")[:47], None),
        (jumbogram("c204 00030d40")[:48], 200_000 + 40),
    ],
)
def test_a_jumbogram_says_its_length_in_an_option(packet: bytes, original: int | None) -> None:
    """Where the option is whole and can be true; else the length is what was copied."""
    (found,) = Both().read(message(INPUT, packet, incoming=7, protocol=0x86DD))
    assert found["original"] - 20 == (len(packet) if original is None else original)


def unfinished() -> bytes:
    """Return IP_PACKET with the sum of its pseudo-header in place of the UDP checksum."""
    total = sum(struct.unpack(">4H", IP_PACKET[12:20])) + 17 + 12
    return IP_PACKET[:26] + total.to_bytes(2, "big") + IP_PACKET[28:]


@pytest.mark.parametrize("hook", [{"hook": OUTPUT, "outgoing": 9}, {"hook": INPUT, "incoming": 7}])
def test_unfinished_checksums_are_completed_where_asked(hook: dict[str, int]) -> None:
    """Netfilter does not say which they are; the pseudo-header's sum in place of one does."""
    packet = unfinished()
    whole = with_checksums(packet, 0x0800)
    assert whole != packet
    (found,) = Both(writing={"fix_checksums": True}).read(message(**hook, payload=packet))
    assert found["frame"][20:] == whole
    (found,) = Both().read(message(**hook, payload=packet))
    assert found["frame"][20:] == packet


def test_final_checksums_stay() -> None:
    """Right ones, wrong ones, and no checksum at all."""
    right = with_checksums(unfinished(), 0x0800)
    wrong = right[:26] + b"\x12\x34" + right[28:]
    both = Both(writing={"fix_checksums": True})
    found = both.read(*(message(INPUT, packet, incoming=7) for packet in (right, wrong, IP_PACKET)))
    assert [entry["frame"][20:] for entry in found] == [right, wrong, IP_PACKET]


def test_snaplen_counts_the_header() -> None:
    """Frames are cut as a ring's are, and keep the original length."""
    (found,) = Both(writing={"snaplen": 30}).read(message(INPUT, incoming=7))
    assert (found["frame"][20:], found["original"]) == (IP_PACKET[:10], 52)
