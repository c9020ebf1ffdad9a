"""Ring blocks built from plain descriptions of packets, laid out as the kernel lays them out.

Sources: linux/if_packet.h; net/packet/af_packet.c for what the header leaves open: the first packet stands
behind the block header (48 bytes), each next one at a multiple of 8, the last one's next offset is 0, and on
a SOCK_DGRAM socket tp_mac = tp_net = 96.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import strategies as st

BLOCK_HEADER_SIZE = 48
PACKET_HEADER_SIZE = 48  # struct tpacket3_hdr; struct sockaddr_ll follows
NET_OFFSET = 96
PACKET_ALIGNMENT = 8  # V3_ALIGNMENT

TP_STATUS_USER = 0x1
TP_STATUS_COPY = 0x2
TP_STATUS_LOSING = 0x4
TP_STATUS_CSUMNOTREADY = 0x8
TP_STATUS_VLAN_VALID = 0x10
TP_STATUS_BLK_TMO = 0x20
TP_STATUS_VLAN_TPID_VALID = 0x40
TP_STATUS_CSUM_VALID = 0x80
TP_STATUS_GSO_TCP = 0x100
TP_STATUS_TS_SOFTWARE = 1 << 29

HOST, BROADCAST, MULTICAST, OTHERHOST, OUTGOING = range(5)


@dataclass(frozen=True)
class RingPacket:
    """A packet as a SOCK_DGRAM ring shows it.

    `payload` is what was captured, from the network layer on. `original_length` is that of the whole payload,
    None where nothing was cut. `address` may be longer than the 8 bytes that sockaddr_ll has room for;
    `address_length` is what the kernel says of it, None for the truth. `vlan` is (TCI, TPID), with TPID None
    where the kernel does not tell it. `status` holds the bits beside those of the tag.
    """

    payload: bytes
    protocol: int = 0x0800
    packet_type: int = HOST
    hardware_type: int = 1
    address: bytes = b""
    address_length: int | None = None
    ifindex: int = 2
    vlan: tuple[int, int | None] | None = None
    status: int = TP_STATUS_USER
    original_length: int | None = None
    timestamp_ns: int = 1_700_000_000_123_456_789
    net_offset: int = NET_OFFSET


def ring_block(packets: Sequence[RingPacket], size: int | None = None) -> bytes:
    """Return a TPACKET_V3 ring block holding `packets`, filled up with zeros to `size` if given."""
    parts = []
    for packet in packets[:-1]:
        unpadded = ring_packet(packet, 0)
        next_offset = -(-len(unpadded) // PACKET_ALIGNMENT) * PACKET_ALIGNMENT
        parts.append(ring_packet(packet, next_offset).ljust(next_offset, b"\0"))
    for packet in packets[-1:]:
        last = ring_packet(packet, 0)
        parts.append(last + bytes(-len(last) % PACKET_ALIGNMENT))

    body = b"".join(parts)
    used = BLOCK_HEADER_SIZE + len(body)
    times = [divmod(packet.timestamp_ns, 10**9) for packet in packets] or [(0, 0)]
    header = struct.pack(
        "<6IQ4I",
        1,  # version
        BLOCK_HEADER_SIZE,  # offset_to_priv
        TP_STATUS_USER | TP_STATUS_BLK_TMO,
        len(packets),
        BLOCK_HEADER_SIZE,  # offset_to_first_pkt
        used,  # blk_len
        7,  # seq_num
        *times[0],
        *times[-1],
    )
    return (header + body).ljust(size or 0, b"\0")


def ring_packet(packet: RingPacket, next_offset: int) -> bytes:
    """Return one packet of a ring block: struct tpacket3_hdr, struct sockaddr_ll, a gap, the payload."""
    status, tci, tpid = packet.status, 0, 0
    if packet.vlan is not None:
        tci, given_tpid = packet.vlan
        status |= TP_STATUS_VLAN_VALID
        if given_tpid is not None:
            status |= TP_STATUS_VLAN_TPID_VALID
            tpid = given_tpid
    length = len(packet.payload) if packet.original_length is None else packet.original_length
    address_length = len(packet.address) if packet.address_length is None else packet.address_length
    header = struct.pack(
        "<6I2H2I2H8x",
        next_offset,
        *divmod(packet.timestamp_ns, 10**9),
        len(packet.payload),
        length,
        status,
        packet.net_offset,  # tp_mac: the same on a SOCK_DGRAM socket
        packet.net_offset,
        0,  # tp_rxhash
        tci,
        tpid,
        0,
    )
    sockaddr = struct.pack("<H", 17) + struct.pack(">H", packet.protocol)
    sockaddr += struct.pack("<IHBB", packet.ifindex, packet.hardware_type, packet.packet_type, address_length)
    # A longer address runs on into the gap behind the structure: so does the kernel's
    room = packet.net_offset - PACKET_HEADER_SIZE - len(sockaddr)
    return header + sockaddr + packet.address[:room].ljust(room, b"\0") + packet.payload


# Strategies -------------------------------------------------------------------------------------------------

OWN_MAC = bytes.fromhex("020000000011")
NEIGHBOUR_MAC = bytes.fromhex("020000000022")
KNOWN_IFINDEXES = (1, 2, 3, 70000)


def ipv4(payload: bytes = b"", destination: bytes = b"\x0a\x08\x00\x02", identification: int = 1) -> bytes:
    """Return an IPv4 packet with a right header checksum."""
    start = struct.pack(">BBHHHBB", 0x45, 0, 20 + len(payload), identification, 0, 64, 17)
    addresses = b"\x0a\x08\x00\x01" + destination
    total = sum(struct.unpack(">5H", start) + struct.unpack(">4H", addresses))
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    return start + struct.pack(">H", total ^ 0xFFFF) + addresses + payload


def ipv6(payload: bytes = b"", destination: bytes = b"\xfd" + bytes(14) + b"\x02") -> bytes:
    """Return an IPv6 packet."""
    source = b"\xfd" + bytes(14) + b"\x01"
    return struct.pack(">IHBB", 6 << 28, len(payload), 17, 64) + source + destination + payload


def arp() -> bytes:
    """Return an ARP request for IPv4 over Ethernet."""
    sender = NEIGHBOUR_MAC + b"\x0a\x08\x00\x01"
    return bytes.fromhex("0001080006040001") + sender + bytes(6) + b"\x0a\x08\x00\x02"


_small = st.binary(max_size=64)
_protocols = st.one_of(
    st.sampled_from([0x0800, 0x86DD, 0x0806, 0x8100, 0x88A8, 0x9100, 0x8847, 0x8864, 0x88CC, 0xFFFF]),
    st.sampled_from([0, 1, 3, 4, 0x0C, 0x0026, 0xF8, 0x05F0, 0x05FF, 0x0600]),
    st.integers(0, 0xFFFF),
)
_hardware_types = st.one_of(
    st.sampled_from([1, 1, 1, 772, 772, 32, 512, 519, 768, 776, 778, 803, 824, 65534]), st.integers(0, 0xFFFF)
)
_packet_types = st.one_of(st.integers(0, 4), st.integers(0, 255))
_vlans = st.one_of(
    st.none(),
    st.tuples(st.integers(0, 0xFFFF), st.sampled_from([None, 0x8100, 0x88A8, 0x9100, 1])),
)
_destinations4 = st.one_of(
    st.sampled_from([b"\x0a\x08\x00\x02", b"\xe0\x00\x00\xfb", b"\xef\xff\xff\xfa", b"\xff\xff\xff\xff"]),
    st.binary(min_size=4, max_size=4),
)
_destinations6 = st.one_of(
    st.sampled_from([b"\xff\x02" + bytes(12) + b"\x00\xfb", b"\xfe\x80" + bytes(14)]),
    st.binary(min_size=16, max_size=16),
)
_ipv4_packets = st.builds(ipv4, _small, _destinations4)
_ipv6_packets = st.builds(ipv6, _small, _destinations6)
_l3_payloads = st.one_of(
    st.tuples(st.just(0x0800), _ipv4_packets),
    st.tuples(st.just(0x86DD), _ipv6_packets),
    st.tuples(st.just(0x0806), st.builds(arp)),
    st.tuples(st.sampled_from([4, 0x26]), st.just(bytes.fromhex("424203") + bytes(35))),
    st.tuples(st.sampled_from([1, 0x26]), st.builds(lambda tail: b"\xff\xff" + tail, _small)),
    st.tuples(_protocols, _small),
)


@st.composite
def ring_packets(draw: st.DrawFn) -> RingPacket:
    """Packets that meet each rule of framing from both sides, most of them near what a kernel would give."""
    protocol, payload = draw(_l3_payloads)
    protocol = draw(st.sampled_from([protocol, protocol, protocol, protocol, 0, 0x88B5]))
    vlan = draw(_vlans)
    if draw(st.integers(0, 3)) == 0:  # an inner tag, or two, as in a QinQ frame
        tci = draw(st.binary(min_size=2, max_size=2))
        more = draw(st.sampled_from([b"", b"", b"\x81\x00\x00\x07", b"\x88\xa8\x00\x07"]))
        payload = tci + more + struct.pack(">H", protocol) + payload
    payload += bytes(draw(st.sampled_from([0, 0, 0, 1, 18, 46, 47])))  # Ethernet padding
    original_length = len(payload)
    if draw(st.integers(0, 4)) == 0:
        payload = payload[: draw(st.integers(0, len(payload)))]
        original_length += draw(st.sampled_from([0, 0, 1460, 1535, 1536, 65535]))
    if draw(st.integers(0, 7)) == 0 and payload:  # break a checksum, a version, a length
        at = draw(st.integers(0, len(payload) - 1))
        payload = payload[:at] + draw(st.binary(min_size=1, max_size=1)) + payload[at + 1 :]

    address = draw(
        st.one_of(
            st.sampled_from([b"", bytes(6), OWN_MAC, NEIGHBOUR_MAC, payload[6:12], payload[6:12] + b"\0\0"]),
            st.binary(max_size=20),
        )
    )
    return RingPacket(
        payload=payload,
        protocol=protocol,
        packet_type=draw(_packet_types),
        hardware_type=draw(_hardware_types),
        address=address,
        address_length=draw(st.one_of(st.none(), st.none(), st.integers(0, 20))),
        ifindex=draw(st.sampled_from(KNOWN_IFINDEXES)),
        vlan=vlan,
        status=draw(st.sampled_from([1, 1, 5, 9, 0x81, 0x109, 0x18D, 0x20000001])),
        original_length=original_length,
        net_offset=draw(st.sampled_from([NET_OFFSET, NET_OFFSET, 160])),
        timestamp_ns=draw(st.one_of(st.integers(0, 2**32 * 10**9 - 1), st.just(1_700_000_000_999_999_999))),
    )


big_packets = st.builds(
    RingPacket,
    payload=st.sampled_from([1535, 1536, 9000, 65212, 65535]).map(bytes),
    protocol=st.sampled_from([0x0800, 4, 0, 0x86DD]),
    packet_type=st.integers(0, 4),
    vlan=_vlans,
)

packet_lists = st.lists(st.one_of(ring_packets(), ring_packets(), ring_packets(), big_packets), max_size=12)
