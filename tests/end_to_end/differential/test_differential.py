"""The same traffic captured by tcpdump and by capfix: what stands above the link layer agrees, packet for packet.

One thing cannot agree. Of an outbound frame with several tags in it the kernel gives a SOCK_DGRAM socket the
outermost tag and the innermost protocol; what lies between is lost before capfix sees the packet. tcpdump, on a
SOCK_RAW socket, has the whole frame.
"""

import dataclasses
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.end_to_end.differential.conftest import FRAMES_EACH_WAY, FRAMINGS, Captures
from tests.end_to_end.differential.readings import (
    LENGTH_FORM,
    Reading,
    read_pcap,
    read_pcapng,
    read_with_tshark,
)
from tests.support.tools import need

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]
each_framing = pytest.mark.parametrize("framing", FRAMINGS)

MARKER = 0x88B5

NETWORK_FIELDS = [
    *("ip.src", "ip.dst", "ip.id", "ip.proto", "ip.len", "ip.ttl", "ip.frag_offset", "ip.flags.mf"),
    *("ipv6.src", "ipv6.dst", "ipv6.flow", "ipv6.plen", "ipv6.nxt", "ipv6.fraghdr.ident"),
    *("udp.srcport", "udp.dstport", "udp.length", "icmpv6.type", "icmpv6.echo.identifier"),
    *("tcp.srcport", "tcp.dstport", "tcp.seq_raw", "tcp.ack_raw", "tcp.flags", "tcp.len"),
    *("arp.opcode", "arp.src.hw_mac", "arp.src.proto_ipv4", "arp.dst.proto_ipv4"),
    *("llc.dsap", "llc.ssap", "llc.control", "llc.type", "stp.port", "stp.version", "ipx.dst.socket"),
    *("lldp.chassis.id.mac", "mpls.label", "mpls.ttl", "pppoe.session_id", "ppp.protocol", "data.data"),
]
FIRST, LAST = b"first".hex(), b"last".hex()  # what the markers carry
INBOUND, OUTBOUND = "0x00000001", "0x00000002"
TAG_FIELDS = ["ieee8021ad.id", "vlan.id"]


def between_markers(readings: list[Reading]) -> list[Reading]:
    """Return what everybody captured, in an order that does not hang on the time.

    Two processors may hand packets to two captures in different orders.
    """
    first, last = sorted(reading.timestamp_ns for reading in readings if reading.ethertype == MARKER)
    within = [reading for reading in readings if first < reading.timestamp_ns < last]
    return sorted(within, key=lambda reading: (reading.outbound, str(reading.ethertype), reading.payload))


@pytest.fixture(scope="session")
def sent(captures: Captures) -> list[Reading]:
    """The packets as tcpdump has them."""
    return between_markers(read_pcap(captures.inbound, False) + read_pcap(captures.outbound, True))


def as_a_datagram_socket_sees(readings: list[Reading]) -> list[Reading]:
    """Return what of these packets can be known without their link-layer headers."""
    return [
        dataclasses.replace(reading, tags=reading.tags[:1]) if reading.outbound else reading
        for reading in readings
    ]


def stamped_once(reading: Reading) -> bool:
    """Return whether the kernel gave the packet one time for all captures.

    It does not where the packet came with a time to be sent at, as a neighbour's TCP packets do.
    """
    return reading.outbound or reading.payload[9:10] != b"\6"


def test_traffic_has_what_it_should(sent: list[Reading]) -> None:
    """The traffic that all else is judged by is large and mixed enough to judge by."""
    kinds = Counter((reading.outbound, reading.ethertype, len(reading.tags)) for reading in sent)
    ethertypes = (0x0800, 0x86DD, 0x0806, 0x8847, 0x8864, 0x88CC, LENGTH_FORM, 0x9100, 0x0601, 0x88B6)
    for outbound in (False, True):
        assert sum(reading.outbound == outbound for reading in sent) >= FRAMES_EACH_WAY
        assert all(kinds[outbound, ethertype, 0] for ethertype in ethertypes)
        assert all(kinds[outbound, 0x0800, tags] for tags in (1, 2, 3))
        assert kinds[outbound, LENGTH_FORM, 1]
        assert any(not reading.payload for reading in sent if reading.outbound == outbound)
        assert max(reading.original_length for reading in sent if reading.outbound == outbound) > 60000


@each_framing
def test_packets_agree(captures: Captures, sent: list[Reading], framing: str) -> None:
    """Direction, source, tags, EtherType, lengths and every byte from the network layer up are tcpdump's."""
    found = between_markers(read_pcapng(captures.capfix[framing]))
    expected = as_a_datagram_socket_sees(sent)
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        assert dataclasses.replace(ours, timestamp_ns=theirs.timestamp_ns) == theirs


@each_framing
def test_times_agree(captures: Captures, sent: list[Reading], framing: str) -> None:
    """Where the kernel stamps a packet once for all captures, the time is tcpdump's to the nanosecond."""
    found = between_markers(read_pcapng(captures.capfix[framing]))
    ours, theirs = (
        sorted(reading.timestamp_ns for reading in readings if stamped_once(reading))
        for readings in (found, as_a_datagram_socket_sees(sent))
    )
    assert ours == theirs


def decoded(path: Path) -> list[list[str]]:
    """Return tshark's fields of each packet: its time, its direction, its tags, and its network layer up."""
    return read_with_tshark(
        path, ["frame.time_epoch", "frame.packet_flags_direction", *TAG_FIELDS, *NETWORK_FIELDS]
    )


def without_time(rows: list[list[str]]) -> list[list[str]]:
    """Return the rows between the two markers without their times, in an order of their own."""
    first, last = sorted(time for time, *fields in rows if fields[-1] in (FIRST, LAST))
    return sorted(fields for time, *fields in rows if first < time < last)


def outermost_tag(service_tags: str, tags: str) -> list[str]:
    """Return both fields with only the outermost tag left; service tags are outside the others."""
    return [service_tags.split(",")[0], "" if service_tags else tags.split(",")[0]]


@pytest.fixture(scope="session")
def sent_decoded(captures: Captures) -> list[list[str]]:
    """What tshark makes of tcpdump's captures, as far as a SOCK_DGRAM socket can know it."""
    inbound, outbound = decoded(captures.inbound), decoded(captures.outbound)
    for fields in inbound:
        fields[1] = INBOUND
    for fields in outbound:
        fields[1] = OUTBOUND
        fields[2:4] = outermost_tag(*fields[2:4])
    return without_time(inbound + outbound)


def test_traffic_sets_each_field(sent_decoded: list[list[str]]) -> None:
    """No field is compared that no packet has."""
    names = ["direction", *TAG_FIELDS, *NETWORK_FIELDS]
    assert [name for name, *values in zip(names, *sent_decoded, strict=True) if not any(values)] == []


@each_framing
def test_tshark_decodes_the_same(captures: Captures, sent_decoded: list[list[str]], framing: str) -> None:
    """VLAN ids, and all fields from the network layer up, are those that tshark finds in tcpdump's capture."""
    found = without_time(decoded(captures.capfix[framing]))
    assert len(found) == len(sent_decoded)
    for ours, theirs in zip(found, sent_decoded, strict=True):
        assert ours == theirs


@each_framing
def test_tcpdump_reads_the_file(captures: Captures, tmp_path: Path, framing: str) -> None:
    """tcpdump reads the file to its end and copies each packet of it."""
    path, copy = captures.capfix[framing], tmp_path / "copy.pcap"
    subprocess.run([need("tcpdump"), "-r", path, "-w", copy], check=True, capture_output=True)
    counts = [len(read_with_tshark(each, ["frame.number"])) for each in (path, copy)]
    assert counts[0] == counts[1] >= 2 * FRAMES_EACH_WAY
