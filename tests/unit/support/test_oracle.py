"""The judge judged: literal cases worked out by hand, and what readers of others make of its output."""

import dataclasses
import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given

from tests.support import oracle
from tests.support.oracle import ETHERNET, SLL, SLL2, Counts, Interface, Options
from tests.support.pcapng_files import packet_data, section, split_blocks
from tests.support.ring_blocks import (
    BROADCAST,
    HOST,
    MULTICAST,
    NEIGHBOUR_MAC,
    OTHERHOST,
    OUTGOING,
    OWN_MAC,
    RingPacket,
    arp,
    ipv4,
    ipv6,
    packet_lists,
    ring_block,
)
from tests.support.tools import need

ONE_INTERFACE = {2: Interface(0, OWN_MAC)}
LLC = bytes.fromhex("424203") + bytes(35)  # spanning tree, configuration
FRAME = {"address": NEIGHBOUR_MAC, "hardware_type": 1}


def blocks_of(packets: list[RingPacket], link_type: int = SLL, **options: object) -> list[bytes]:
    """Return the oracle's enhanced packet blocks for these packets."""
    asked = dataclasses.replace(Options(link_type=link_type, interfaces=ONE_INTERFACE), **options)  # type: ignore[arg-type]
    return split_blocks(oracle.transcode(ring_block(packets), asked)[0])


def frame_of(packet: RingPacket, link_type: int, **options: object) -> str:
    """Return the frame that the oracle writes for a packet, in hexadecimal without the payload."""
    (block,) = blocks_of([packet], link_type, **options)
    frame = packet_data(block)
    assert frame.endswith(packet.payload)
    return frame[: len(frame) - len(packet.payload)].hex(" ", 2)


# Literal cases ----------------------------------------------------------------------------------------------


def test_enhanced_packet_block() -> None:
    """Each byte of one block: an inbound unicast packet, its checksum not ready, three bytes of padding."""
    packet = RingPacket(
        payload=b"\x45",
        address=NEIGHBOUR_MAC,
        status=0x9,
        timestamp_ns=0x0123456789ABCDEF,
        original_length=77,
    )
    (block,) = blocks_of([packet])
    assert block.hex() == (
        "06000000" "40000000" "00000000" "67452301" "efcdab89" "11000000" "5d000000"
        "0000" "0001" "0006" "020000000022" "0000" "0800" "45" "000000"
        "0200" "0400" "05020000" "0000" "0000" "40000000"
    )  # fmt: skip


def test_comment_and_dropcount_stand_on_the_first_packet_only() -> None:
    """Options come in the order comment, flags, drop count, end; the next packet has flags alone."""
    first, second = blocks_of([RingPacket(b"", packet_type=OUTGOING)] * 2, dropcount=258, comments=("gap",))
    assert first[28 + 16 : -4].hex() == (
        "0100" "0300" "67617000"
        "0200" "0400" "02000000"
        "0400" "0800" "0201000000000000"
        "0000" "0000"
    )  # fmt: skip
    assert second[28 + 16 : -4].hex() == "020004000200000000000000"


@pytest.mark.parametrize(
    ("packet_type", "flags"),
    [(HOST, 5), (BROADCAST, 13), (MULTICAST, 9), (OTHERHOST, 17), (OUTGOING, 2), (7, 0)],
)
def test_direction_and_reception(packet_type: int, flags: int) -> None:
    """Packet types become direction and reception type; a type that is neither way says nothing."""
    (block,) = blocks_of([RingPacket(b"", packet_type=packet_type)])
    assert int.from_bytes(block[-12:-8], "little") == flags


def test_checksum_and_segmentation_flags() -> None:
    """The kernel's three checksum bits are bits 9, 10 and 11."""
    (block,) = blocks_of([RingPacket(b"", packet_type=7, status=0x1 | 0x8 | 0x80 | 0x100)])
    assert int.from_bytes(block[-12:-8], "little") == 0xE00


@pytest.mark.parametrize(
    ("link_type", "frame"),
    [
        (SLL, "0000 0001 0006 0200 0000 0022 0000 0800"),
        (SLL2, "0800 0000 0000 0002 0001 0006 0200 0000 0022 0000"),
        (ETHERNET, "0200 0000 0011 0200 0000 0022 0800"),
    ],
)
def test_sound_inbound_packet(link_type: int, frame: str) -> None:
    """A packet with a good address keeps it in each framing."""
    assert frame_of(RingPacket(ipv4(), **FRAME), link_type) == frame


@pytest.mark.parametrize(
    ("link_type", "frame"),
    [
        (SLL, "0000 0001 0000 0000 0000 0000 0000 0800"),
        (SLL2, "0800 0000 0000 0002 0001 0000 0000 0000 0000 0000"),
        (ETHERNET, "0200 0000 0011 0263 6170 0002 0800"),
    ],
)
def test_headerless_packet(link_type: int, frame: str) -> None:
    """Six bytes of the IP header are never written as an address."""
    payload = ipv4(b"data")
    assert frame_of(RingPacket(payload, address=payload[6:12]), link_type) == frame


def test_headerless_needs_twelve_bytes_of_payload() -> None:
    """With eleven bytes of payload the address stands, whatever it holds."""
    address = ipv4()[6:12]
    short, enough = RingPacket(ipv4()[:11], address=address), RingPacket(ipv4()[:12], address=address)
    assert frame_of(short, SLL) == f"0000 0001 0006 {address.hex(' ', 2)} 0000 0800"
    assert frame_of(enough, SLL) == "0000 0001 0000 0000 0000 0000 0000 0800"


@pytest.mark.parametrize(
    ("address", "length", "frame"),
    [
        (bytes(range(1, 21)), 20, "0000 0001 0014 0102 0304 0506 0708 0800"),
        (bytes(range(1, 9)), 3, "0000 0001 0003 0102 0300 0000 0000 0800"),
        (bytes(range(1, 9)), 0, "0000 0001 0000 0000 0000 0000 0000 0800"),
    ],
)
def test_address_of_another_length(address: bytes, length: int, frame: str) -> None:
    """The true length is written, eight bytes are kept, and stale bytes behind a short address are not."""
    assert frame_of(RingPacket(ipv4(), address=address, address_length=length), SLL) == frame


ETHERNET_ADDRESSES = [
    (RingPacket(ipv4(), packet_type=OUTGOING, address=OWN_MAC), "0263 6170 0002 0200 0000 0011"),
    (RingPacket(ipv4(), packet_type=OUTGOING), "0263 6170 0002 0200 0000 0011"),
    (RingPacket(ipv4(), address=bytes(6)), "0200 0000 0011 0263 6170 0002"),
    (RingPacket(ipv4(), packet_type=OTHERHOST, **FRAME), "0263 6170 0003 0200 0000 0022"),
    (RingPacket(ipv4(), packet_type=BROADCAST, **FRAME), "ffff ffff ffff 0200 0000 0022"),
    (RingPacket(arp(), 0x0806, packet_type=MULTICAST, **FRAME), "0363 6170 0003 0200 0000 0022"),
    (RingPacket(ipv4(), packet_type=MULTICAST, **FRAME), "0363 6170 0003 0200 0000 0022"),
    (
        RingPacket(ipv4(b"", b"\xe9\x81\x02\x03"), packet_type=MULTICAST, **FRAME),
        "0100 5e01 0203 0200 0000 0022",
    ),
    (RingPacket(ipv4(b"", b"\xe9\1\2\3"), 0x8847, packet_type=MULTICAST, **FRAME), "0363 6170 0003"),
    (
        RingPacket(ipv6(b"", b"\xff\x02" + bytes(10) + b"\1\2\3\4"), 0x86DD, packet_type=MULTICAST, **FRAME),
        "3333 0102 0304 0200 0000 0022",
    ),
]


@pytest.mark.parametrize(("packet", "addresses"), ETHERNET_ADDRESSES)
def test_ethernet_addresses(packet: RingPacket, addresses: str) -> None:
    """Destination and source of a rebuilt Ethernet header, by packet type."""
    assert frame_of(packet, ETHERNET)[: len(addresses)] == addresses


def test_local_mac_option_replaces_the_interfaces_own() -> None:
    """The option wins over the interface's MAC, as destination and as source, and over nothing else."""
    asked = {"local_mac": bytes.fromhex("0a0b0c0d0e0f")}
    inbound = frame_of(RingPacket(ipv4(), **FRAME), ETHERNET, **asked)
    own = frame_of(RingPacket(ipv4(), packet_type=OUTGOING, address=OWN_MAC), ETHERNET, **asked)
    none = frame_of(RingPacket(ipv4(), packet_type=OUTGOING), ETHERNET, **asked)
    assert inbound == "0a0b 0c0d 0e0f 0200 0000 0022 0800"
    assert own == none == "0263 6170 0002 0a0b 0c0d 0e0f 0800"


def test_interface_without_a_mac_has_the_local_fake() -> None:
    """Where neither option nor interface gives an address, the default stands in."""
    frame = frame_of(RingPacket(ipv4(), hardware_type=65534), ETHERNET, interfaces={2: Interface(0)})
    assert frame == "0263 6170 0001 0263 6170 0002 0800"


@pytest.mark.parametrize(
    ("payload", "protocol"), [(ipv4(), "0800"), (ipv6(), "86dd"), (b"\x51", "0000"), (b"", "0000")]
)
def test_protocol_zero_comes_from_the_version_nibble(payload: bytes, protocol: str) -> None:
    """Protocol 0 becomes IPv4 or IPv6 by the first four bits, and stays 0 otherwise."""
    assert frame_of(RingPacket(payload, 0, hardware_type=778), SLL)[-4:] == protocol


EIGHT_O_TWO_THREE = [
    (RingPacket(LLC, 4), "0004", "0026"),
    (RingPacket(LLC, 1), "0004", "0026"),
    (RingPacket(b"\xff\xff" + LLC, 4), "0001", "0028"),
    (RingPacket(LLC, 0x26, packet_type=OUTGOING), "0004", "0026"),
    (RingPacket(LLC, 0, packet_type=OUTGOING), "0004", "0000"),
    (RingPacket(LLC, 4, packet_type=OUTGOING), "0004", "0004"),
    (RingPacket(LLC, 4, original_length=1535), "0004", "05ff"),
    (RingPacket(LLC, 4, original_length=1536), "0004", None),
    (RingPacket(LLC, 0x26), "0026", None),
    (RingPacket(LLC, 4, hardware_type=512), "0004", None),
    (RingPacket(LLC, 0x26, hardware_type=512, packet_type=OUTGOING), "0026", None),
]


@pytest.mark.parametrize(("packet", "cooked", "ethernet"), EIGHT_O_TWO_THREE)
def test_below_the_first_ethertype(packet: RingPacket, cooked: str, ethernet: str | None) -> None:
    """802.3 has its length in an Ethernet header, 1 or 4 in a cooked one; other small numbers stay cooked."""
    assert frame_of(packet, SLL)[-4:] == cooked
    if ethernet is None:
        assert blocks_of([packet], ETHERNET) == []
    else:
        assert frame_of(packet, ETHERNET)[-4:] == ethernet


INNER = b"\x00\x05\x08\x00"
TAGS = [
    (RingPacket(ipv4(), vlan=(0x6005, 0x8100)), "8100 6005 0800"),
    (RingPacket(ipv4(), vlan=(0xA000, None)), "8100 a000 0800"),
    (RingPacket(INNER + ipv4(), vlan=(0x64, 0x88A8)), "88a8 0064 8100"),
    (RingPacket(b"\0\5\x81\0\0\7\x08\0" + ipv4(), vlan=(0x64, 0x88A8)), "88a8 0064 8100"),
    (RingPacket(ipv4(bytes(2028)), vlan=(5, 0x8100)), "8100 0005 0800"),  # total length 0x0800, but sound
    (RingPacket(b"\0\0\0\0", 0, vlan=(5, 0x8100)), "8100 0005 8100"),
    (RingPacket(b"\x60\1\1\1" + ipv6()[4:], 0, vlan=(5, 0x8100)), "8100 0005 86dd"),
    (RingPacket(LLC, 4, vlan=(5, 0x8100)), "8100 0005 0026"),
    (RingPacket(LLC, 0x26, vlan=(5, 0x8100), packet_type=OUTGOING), "8100 0005 0026"),
    (RingPacket(b"\xaa\xaa\x03\0", 0x0300, packet_type=OUTGOING, vlan=(5, 0x8100)), "8100 0005 0300"),
    (RingPacket(INNER, 0x9100), "9100"),
]


@pytest.mark.parametrize(("packet", "tail"), TAGS)
def test_tag_is_put_back(packet: RingPacket, tail: str) -> None:
    """TPID, TCI and type stand where each framing has them; behind a first tag a second one is found."""
    head, sll2 = tail[:4], frame_of(packet, SLL2)
    assert frame_of(packet, ETHERNET).endswith(tail)
    assert frame_of(packet, SLL).endswith(tail)
    assert sll2.startswith(head)
    assert sll2[len("0800 0000 0000 0002 0001 0006 0200 0000 0022 0000") :] == tail[4:]


def test_tag_before_a_frame_too_long_for_802_3_is_not_carried() -> None:
    """Behind a tag there is only the length form, also in cooked framing."""
    packet = RingPacket(LLC, 4, vlan=(5, 0x8100), original_length=1536)
    assert [blocks_of([packet], link_type) for link_type in (SLL, SLL2, ETHERNET)] == [[], [], []]


def test_group_address_is_found_behind_an_inner_tag() -> None:
    """The destination of a QinQ frame comes from the IP header behind its inner tag."""
    packet = RingPacket(
        INNER + ipv4(b"", b"\xe0\0\0\xfb"), vlan=(0x64, 0x88A8), packet_type=MULTICAST, address=NEIGHBOUR_MAC
    )
    assert frame_of(packet, ETHERNET) == "0100 5e00 00fb 0200 0000 0022 88a8 0064 8100"


def test_data_is_clipped_to_what_readers_take() -> None:
    """With the largest block the data gives way, and the original length stays true."""
    packet = RingPacket(bytes(262144), original_length=300000)
    (block,) = blocks_of([packet], dropcount=1)
    assert len(block) == 262144
    assert int.from_bytes(block[20:24], "little") == 262144 - 32 - 24
    assert int.from_bytes(block[24:28], "little") == 300016


def test_counts_and_the_dropcount_passed_on() -> None:
    """Loopback's outgoing copies and what is not carried are counted, and pass the drop count on."""
    packets = [
        RingPacket(ipv4(), hardware_type=772, packet_type=OUTGOING, ifindex=1),
        RingPacket(ipv4(), hardware_type=772, ifindex=1, protocol=3),
        RingPacket(ipv4(), packet_type=OUTGOING),
        RingPacket(ipv4()),
        RingPacket(ipv4()),
    ]
    interfaces = {1: Interface(7), 2: Interface(1)}
    asked = Options(link_type=ETHERNET, interfaces=interfaces, dropcount=3, packet_limit=2)
    output, counts = oracle.transcode(ring_block(packets), asked)
    assert counts == {7: Counts(0, 1, 1), 1: Counts(2, 0, 0)}
    first, second = split_blocks(output)
    assert first[8:12] == second[8:12] == b"\1\0\0\0"
    assert first.count(b"\4\0\x08\0\3\0\0\0\0\0\0\0") == 1
    assert len(first) == len(second) + 12


# Judges from outside ----------------------------------------------------------------------------------------

UDP = bytes.fromhex("0035 0400 0008 0000")
PPPOE = bytes.fromhex("1100 0009 001e 0021") + ipv4(UDP)
MPLS = bytes.fromhex("0001 01ff") + ipv4(UDP)
LLDP = bytes.fromhex("0207 04 020000000022 0405 07 65746830 0602 0078 0000")
SNAP = bytes.fromhex("aaaa03 000000 0800") + ipv4(UDP)
TRAFFIC = [
    # packet, link of protocols behind the link-layer header, VLAN ids
    (RingPacket(ipv4(UDP), **FRAME), "ip:udp", ""),
    (RingPacket(ipv4(UDP), address=ipv4(UDP)[6:12]), "ip:udp", ""),
    (RingPacket(ipv6(UDP), 0x86DD, packet_type=OUTGOING, address=OWN_MAC), "ipv6:udp", ""),
    (RingPacket(arp(), 0x0806, packet_type=BROADCAST, **FRAME), "arp", ""),
    (RingPacket(LLC, 4, packet_type=MULTICAST, **FRAME), "llc:stp", ""),
    (RingPacket(SNAP, 4, **FRAME), "llc:ip:udp", ""),
    (RingPacket(SNAP, len(SNAP), packet_type=OUTGOING, address=OWN_MAC), "llc:ip:udp", ""),
    (RingPacket(LLDP, 0x88CC, packet_type=MULTICAST, **FRAME), "lldp", ""),
    (RingPacket(MPLS, 0x8847, **FRAME), "mpls:ip:udp", ""),
    (RingPacket(PPPOE, 0x8864, **FRAME), "pppoes:ppp:ip:udp", ""),
    (RingPacket(ipv4(UDP), vlan=(0x6005, 0x8100), **FRAME), "vlan:ethertype:ip:udp", "5"),
    (RingPacket(b"\0\7\x08\0" + ipv4(UDP), vlan=(5, 0x88A8), **FRAME), "vlan:ethertype:ip:udp", "5,7"),
    (RingPacket(SNAP, 4, vlan=(5, 0x8100), **FRAME), "vlan:llc:ip:udp", "5"),
    (RingPacket(ipv4(UDP), 0, hardware_type=65534), "ip:udp", ""),
    (RingPacket(ipv4(UDP), hardware_type=512), "ip:udp", ""),
    (RingPacket(ipv4(UDP), hardware_type=32, address=bytes(range(20))), "ip:udp", ""),
    (RingPacket(ipv4(UDP), packet_type=OTHERHOST, **FRAME), "ip:udp", ""),
]


@pytest.fixture(params=[SLL, SLL2, ETHERNET], ids=["sll", "sll2", "ethernet"])
def traffic(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[int, Path]:
    """The link type, and a file of that link type with one packet of each kind."""
    path = tmp_path / "traffic.pcapng"
    blocks = b"".join(blocks_of([packet for packet, _, _ in TRAFFIC], request.param))
    path.write_bytes(section(request.param, blocks))
    return request.param, path


def tshark(path: Path, *fields: str) -> list[list[str]]:
    """Return the fields of each packet, as tshark reads them."""
    command = [need("tshark"), "-n", "-r", str(path), "-T", "fields"]
    for name in fields:
        command += ["-e", name]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [line.split("\t") for line in output.splitlines()]


def test_tshark_decodes_what_was_meant(traffic: tuple[int, Path]) -> None:
    """Protocols from the link layer up and VLAN ids are those of the packet that went in."""
    _, path = traffic
    rows = tshark(path, "frame.protocols", "ieee8021ad.id", "vlan.id", "_ws.malformed")
    assert len(rows) == len(TRAFFIC)
    for (packet, chain, vlans), (protocols, *ids, malformed) in zip(TRAFFIC, rows, strict=True):
        assert protocols.startswith(("sll:", "eth:")), packet
        assert f":{chain}" in protocols, packet
        assert (",".join(filter(None, ids)), malformed) == (vlans, ""), packet


def test_tshark_reads_the_link_layer(traffic: tuple[int, Path]) -> None:
    """Packet type, hardware type, address and direction are those that the kernel gave."""
    link_type, path = traffic
    if link_type == ETHERNET:
        rows = tshark(path, "eth.dst", "eth.src", "frame.packet_flags_direction")
        assert rows[0] == ["02:00:00:00:00:11", "02:00:00:00:00:22", "0x00000001"]
        assert rows[1] == ["02:00:00:00:00:11", "02:63:61:70:00:02", "0x00000001"]
        assert rows[2] == ["02:63:61:70:00:02", "02:00:00:00:00:11", "0x00000002"]
        assert rows[-1] == ["02:63:61:70:00:03", "02:00:00:00:00:22", "0x00000001"]
        return
    rows = tshark(path, "sll.pkttype", "sll.hatype", "sll.halen", "frame.packet_flags_direction")
    for (packet, _, _), (packet_type, hardware_type, length, direction) in zip(TRAFFIC, rows, strict=True):
        telltale = packet.address == packet.payload[6:12]
        assert int(packet_type) == packet.packet_type
        assert int(hardware_type) == packet.hardware_type
        assert int(length) == (0 if telltale else len(packet.address))
        assert int(direction, 0) == (2 if packet.packet_type == OUTGOING else 1)


def test_tcpdump_reads_each_packet(traffic: tuple[int, Path]) -> None:
    """tcpdump reads the file to its end and finds IP; only behind 88a8 in a cooked header it never looks."""
    link_type, path = traffic
    result = subprocess.run(
        [need("tcpdump"), "-nr", path, "--number"], check=True, capture_output=True, text=True
    )
    starts = re.split(r"^ *\d+  (?=\d\d:)", result.stdout, flags=re.MULTILINE)[1:]  # STP takes several lines
    assert len(starts) == len(TRAFFIC)
    for (packet, chain, _), text in zip(TRAFFIC, starts, strict=True):
        blind = link_type != ETHERNET and packet.vlan is not None and packet.vlan[1] == 0x88A8
        decodable = "ip" in chain.split(":") or chain == "arp"
        assert ("10.8.0.1" in text) == (decodable and not blind), packet


def test_scapy_reads_each_packet(traffic: tuple[int, Path]) -> None:
    """scapy finds the link layer and, where there is one, the IP layer."""
    scapy = pytest.importorskip("scapy.all")
    link_type, path = traffic
    packets = scapy.rdpcap(str(path))
    first = {SLL: scapy.CookedLinux, SLL2: scapy.CookedLinuxV2, ETHERNET: scapy.Ether}[link_type]
    assert len(packets) == len(TRAFFIC)
    for (packet, chain, _), found in zip(TRAFFIC, packets, strict=True):
        assert type(found) in (first, scapy.Dot3), packet
        if chain == "ip:udp":
            assert found[scapy.IP].src == "10.8.0.1"
        assert found.time * 10**9 == pytest.approx(packet.timestamp_ns, abs=1)


def test_python_pcapng_reads_the_options(tmp_path: Path) -> None:
    """python-pcapng reads flags, drop count, comment, lengths and data as they were meant."""
    pcapng = pytest.importorskip("pcapng")
    packets = [RingPacket(ipv4(b"x"), status=0x189, original_length=40, **FRAME), RingPacket(arp(), 0x0806)]
    blocks = blocks_of(packets, ETHERNET, dropcount=5, comments=("one", "two"))
    path = tmp_path / "options.pcapng"
    path.write_bytes(section(ETHERNET, b"".join(blocks)))
    with path.open("rb") as stream:
        first, second = [b for b in pcapng.FileScanner(stream) if isinstance(b, pcapng.blocks.EnhancedPacket)]
    assert first.options.get_all("opt_comment") == ["one", "two"]
    assert first.options["epb_dropcount"] == 5
    assert first.options.get_raw("epb_flags") == (0x205 | 0x400 | 0x800).to_bytes(4, "little")
    assert (first.captured_len, first.packet_len) == (35, 54)
    assert first.packet_data[14:] == packets[0].payload
    assert "epb_dropcount" not in second.options


@given(packet_lists)
def test_whole_blocks_of_any_packets(packets: list[RingPacket]) -> None:
    """Whatever is in a ring block, whole blocks come out, and each packet is counted once."""
    for link_type in (SLL, SLL2, ETHERNET):
        interfaces = {number: Interface(number, OWN_MAC) for number in (1, 2, 3, 70000)}
        output, counts = oracle.transcode(ring_block(packets), Options(link_type, interfaces))
        assert len(split_blocks(output)) == sum(count.written for count in counts.values())
        assert len(packets) == sum(
            count.written + count.loopback_copies + count.not_carried for count in counts.values()
        )
