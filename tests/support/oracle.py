"""The judge of the hot path: a slow, plain composition of one ring block into enhanced packet blocks.

It shares no line with `capfix`, not even the numbers, so that a mistake has to be made twice to pass. Each
rule is one small function over `bytes`; nothing is optimised.

Sources: linux/if_packet.h (ring block, packet header, sockaddr_ll); tcpdump.org, LINKTYPE_LINUX_SLL,
LINKTYPE_LINUX_SLL2 and LINKTYPE_RAW; draft-ietf-opsawg-pcapng, enhanced packet block; RFC 1112, section 6.4, and
RFC 2464, section 7, for group addresses.
"""

import struct
from dataclasses import dataclass, field, replace

ETHERNET, RAW, SLL, SLL2 = 1, 101, 113, 276  # link types

HOST, BROADCAST, MULTICAST, OTHERHOST, OUTGOING = range(5)  # packet types
ETHERNET_HARDWARE = (1, 772)  # ARPHRD_ETHER and ARPHRD_LOOPBACK
LOOPBACK_HARDWARE = 772

IPV4, ARP, IPV6, TAG, SERVICE_TAG = 0x0800, 0x0806, 0x86DD, 0x8100, 0x88A8
NOVELL_802_3, LLC_802_2 = 1, 4
FIRST_ETHERTYPE = 0x0600  # below it the type field of an Ethernet header is a length

CSUM_NOT_READY, VLAN_VALID, VLAN_TPID_VALID, CSUM_VALID, GSO_TCP = 0x8, 0x10, 0x40, 0x80, 0x100  # tp_status

LOCAL_FAKE = bytes.fromhex("026361700001")
PEER_FAKE = bytes.fromhex("026361700002")
OTHER_FAKE = bytes.fromhex("026361700003")

MAX_BLOCK_SIZE = 262144  # Wireshark's pipe reader ends the capture at a larger block
ETHERNET_PADDING = 46  # the most that a short frame is padded with


@dataclass(frozen=True)
class Interface:
    """An interface of the file: its interface id there, and its own MAC address if it has one."""

    interface_id: int
    mac: bytes | None = None


@dataclass(frozen=True)
class Options:
    """What the capture was asked for, and what is known when the ring block arrives.

    `interfaces` maps an ifindex to its interface. `dropcount` and `comments` are due on the first packet that
    is written. `packet_limit` is the number of packets that may still be written, None for all.
    """

    link_type: int = SLL
    interfaces: dict[int, Interface] = field(default_factory=dict)
    local_mac: bytes | None = None
    peer_mac: bytes = PEER_FAKE
    other_mac: bytes = OTHER_FAKE
    local_fake: bytes = LOCAL_FAKE
    snaplen: int = 262144
    dropcount: int = 0
    comments: tuple[str, ...] = ()
    packet_limit: int | None = None


@dataclass
class Counts:
    """What became of the packets of one interface."""

    written: int = 0
    loopback_copies: int = 0
    not_carried: int = 0


@dataclass(frozen=True)
class Packet:
    """One packet of a ring block, in host values. `address` is what sockaddr_ll has room for: 8 bytes."""

    timestamp_ns: int
    original_length: int
    status: int
    vlan_tci: int
    vlan_tpid: int
    protocol: int
    ifindex: int
    hardware_type: int
    packet_type: int
    address_length: int
    address: bytes
    payload: bytes

    @property
    def outbound(self) -> bool:
        return self.packet_type == OUTGOING

    @property
    def tagged(self) -> bool:
        return bool(self.status & VLAN_VALID)

    @property
    def ethernet_hardware(self) -> bool:
        return self.hardware_type in ETHERNET_HARDWARE


class NotCarriedError(Exception):
    """The link type has no honest way to say what this packet is."""


def transcode(ring_block: bytes, options: Options) -> tuple[bytes, dict[int, Counts]]:
    """Return the enhanced packet blocks of one ring block, and the counts by interface id."""
    blocks = []
    counts = {interface.interface_id: Counts() for interface in options.interfaces.values()}
    dropcount, comments = options.dropcount, options.comments
    for packet in packets_of(ring_block):
        if len(blocks) == options.packet_limit:
            break
        interface = options.interfaces[packet.ifindex]
        count = counts[interface.interface_id]
        if packet.outbound and packet.hardware_type == LOOPBACK_HARDWARE:
            count.loopback_copies += 1
            continue
        try:
            if options.link_type == RAW:
                header, packet = b"", ip_packet(packet)
            else:
                header = link_layer_header(packet, interface, options)
        except NotCarriedError:
            count.not_carried += 1
            continue
        epb_options = packet_options(packet, dropcount, comments)
        blocks.append(enhanced_packet(packet, interface.interface_id, header, epb_options, options.snaplen))
        count.written += 1
        dropcount, comments = 0, ()
    return b"".join(blocks), counts


# The ring block ---------------------------------------------------------------------------------------------


def packets_of(ring_block: bytes) -> list[Packet]:
    """Return the packets of a TPACKET_V3 ring block in their order."""
    _version, _private, _status, number, at = struct.unpack_from("<5I", ring_block)
    packets = []
    for _ in range(number):
        next_offset, packet = packet_at(ring_block, at)
        packets.append(packet)
        at += next_offset
    return packets


def packet_at(ring_block: bytes, at: int) -> tuple[int, Packet]:
    """Return the distance to the next packet, and the packet whose struct tpacket3_hdr starts at `at`."""
    next_offset, seconds, nanoseconds, captured, original, status = struct.unpack_from("<6I", ring_block, at)
    _mac, net, _hash, tci, tpid = struct.unpack_from("<2H2IH", ring_block, at + 24)
    (protocol,) = struct.unpack_from(">H", ring_block, at + 50)
    ifindex, hardware_type, packet_type, address_length = struct.unpack_from("<IHBB", ring_block, at + 52)
    return next_offset, Packet(
        timestamp_ns=seconds * 10**9 + nanoseconds,
        original_length=original,
        status=status,
        vlan_tci=tci & 0xFFFF,
        vlan_tpid=tpid,
        protocol=protocol,
        ifindex=ifindex,
        hardware_type=hardware_type,
        packet_type=packet_type,
        address_length=address_length,
        address=ring_block[at + 60 : at + 68],
        payload=ring_block[at + net : at + net + captured],
    )


# The enhanced packet block ----------------------------------------------------------------------------------


def enhanced_packet(packet: Packet, interface_id: int, header: bytes, options: bytes, snaplen: int) -> bytes:
    """Return one enhanced packet block, its data clipped so that the whole stays within what readers take."""
    fixed = 7 * 4 + 4  # everything but data and options
    data = header + packet.payload
    data = data[: min(snaplen, MAX_BLOCK_SIZE - fixed - len(options))]
    total = fixed + len(pad(data)) + len(options)
    return (
        struct.pack("<3I", 6, total, interface_id)
        + struct.pack("<2I", packet.timestamp_ns >> 32, packet.timestamp_ns & 0xFFFFFFFF)
        + struct.pack("<2I", len(data), len(header) + packet.original_length)
        + pad(data)
        + options
        + struct.pack("<I", total)
    )


def packet_options(packet: Packet, dropcount: int, comments: tuple[str, ...]) -> bytes:
    """Return the option list: comments, flags, the drop count when one is due, and the end."""
    options = b"".join(option(1, comment.encode()) for comment in comments)
    options += option(2, struct.pack("<I", packet_flags(packet)))
    if dropcount:
        options += option(4, struct.pack("<Q", dropcount))
    return options + option(0, b"")


def option(code: int, value: bytes) -> bytes:
    return struct.pack("<2H", code, len(value)) + pad(value)


def pad(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def packet_flags(packet: Packet) -> int:
    """Return epb_flags: direction, reception type, and what the kernel knows of the checksum."""
    direction = {HOST: 1, BROADCAST: 1, MULTICAST: 1, OTHERHOST: 1, OUTGOING: 2}.get(packet.packet_type, 0)
    reception = {HOST: 1, MULTICAST: 2, BROADCAST: 3, OTHERHOST: 4}.get(packet.packet_type, 0)
    flags = direction | reception << 2
    if packet.status & CSUM_NOT_READY:
        flags |= 1 << 9
    if packet.status & CSUM_VALID:
        flags |= 1 << 10
    if packet.status & GSO_TCP:
        flags |= 1 << 11
    return flags


# What the packet is -----------------------------------------------------------------------------------------


def u16(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 2], "big")


def is_802_3(packet: Packet) -> bool:
    """Return whether this is an 802.3 frame: its type field was a length.

    Outbound the kernel gives that length as the protocol, whichever special number it resembles.
    """
    if not packet.ethernet_hardware:
        return False
    if packet.outbound:
        return packet.protocol < FIRST_ETHERTYPE
    return packet.protocol in (NOVELL_802_3, LLC_802_2)


def length_802_3(packet: Packet) -> int:
    """Return the length field of an 802.3 frame. Inbound it is lost, and rebuilt from the original length."""
    length = packet.protocol if packet.outbound else packet.original_length
    if length >= FIRST_ETHERTYPE:
        raise NotCarriedError
    return length


def ethertype(packet: Packet) -> int:
    """Return the protocol, where the kernel has none from the version nibble of the payload."""
    if packet.protocol == 0 and packet.payload:
        return {4: IPV4, 6: IPV6}.get(packet.payload[0] >> 4, 0)
    return packet.protocol


def inner_tag_size(packet: Packet) -> int:
    """Return how many bytes of tags the payload begins with: a TCI and a type each, 0 for none.

    The kernel takes one tag away and gives the innermost protocol; inbound a second tag's TCI stays in the payload.
    Outbound nothing of it stays.
    """
    data = packet.payload
    if not packet.tagged or packet.outbound or len(data) < 4 or is_sound(packet):
        return 0
    if u16(data, 2) == packet.protocol:
        return 4
    if u16(data, 2) in (TAG, SERVICE_TAG) and len(data) >= 8 and u16(data, 6) == packet.protocol:
        return 8
    return 0


def is_sound(packet: Packet) -> bool:
    """Return whether the payload is, from its first byte, a packet of the protocol that the kernel gave."""
    if packet.protocol == IPV4:
        return is_sound_ipv4(packet.payload, packet.original_length)
    if packet.protocol == IPV6:
        return is_sound_ipv6(packet.payload, packet.original_length)
    if packet.protocol == ARP:
        return len(packet.payload) >= 8 and packet.payload[:6] == bytes.fromhex("000108000604")
    return False


def is_sound_ipv4(data: bytes, original_length: int) -> bool:
    if len(data) < 20 or data[0] >> 4 != 4:
        return False
    header_size = 4 * (data[0] & 15)
    if header_size < 20 or header_size > len(data):
        return False
    total_length = u16(data, 2)
    if total_length < header_size or total_length > original_length:
        return False
    words = sum(u16(data, at) for at in range(0, header_size, 2))
    while words > 0xFFFF:
        words = (words >> 16) + (words & 0xFFFF)
    return words == 0xFFFF


def is_sound_ipv6(data: bytes, original_length: int) -> bool:
    if len(data) < 40 or data[0] >> 4 != 6:
        return False
    length = 40 + u16(data, 4)
    return length <= original_length <= length + ETHERNET_PADDING


def has_telltale_address(packet: Packet) -> bool:
    """Return whether the address is six bytes of the payload, read where a missing MAC header would be."""
    if packet.address_length != 6 or len(packet.payload) < 12:
        return False
    return packet.address[:6] == packet.payload[6:12]


def ip_packet(packet: Packet) -> Packet:
    """Return the packet from its IP header on, which is all that a raw frame has; readers know it by its version."""
    skipped = inner_tag_size(packet)
    rest = replace(packet, payload=packet.payload[skipped:], original_length=packet.original_length - skipped)
    is_ip = not is_802_3(packet) or bool(skipped)
    protocol = packet.protocol if skipped else ethertype(packet)
    versions = {IPV4: 4, IPV6: 6}
    if not is_ip or protocol not in versions or not rest.payload:
        raise NotCarriedError
    if rest.payload[0] >> 4 != versions[protocol]:
        raise NotCarriedError
    return rest


# The link-layer header --------------------------------------------------------------------------------------


def link_layer_header(packet: Packet, interface: Interface, options: Options) -> bytes:
    """Return the header of the link type asked for, with a tag that the kernel took away put back."""
    if packet.tagged:
        tpid = packet.vlan_tpid if packet.status & VLAN_TPID_VALID else TAG
        tag = struct.pack(">2H", packet.vlan_tci, type_behind_tag(packet))
        if options.link_type == ETHERNET and not is_802_3(packet) and u16(tag, 2) < FIRST_ETHERTYPE:
            raise NotCarriedError
        return header_of_type(packet, tpid, interface, options) + tag
    if options.link_type == ETHERNET:
        return header_of_type(packet, untagged_ethernet_type(packet), interface, options)
    return header_of_type(packet, untagged_cooked_protocol(packet), interface, options)


def type_behind_tag(packet: Packet) -> int:
    if inner_tag_size(packet):
        return TAG  # assumed: the kernel gives the inner TCI but not the inner TPID
    if is_802_3(packet):
        return length_802_3(packet)
    return ethertype(packet)


def untagged_ethernet_type(packet: Packet) -> int:
    if is_802_3(packet):
        return length_802_3(packet)
    if ethertype(packet) < FIRST_ETHERTYPE:
        raise NotCarriedError
    return ethertype(packet)


def untagged_cooked_protocol(packet: Packet) -> int:
    if is_802_3(packet):
        return NOVELL_802_3 if packet.payload[:2] == b"\xff\xff" else LLC_802_2
    return ethertype(packet)


def header_of_type(packet: Packet, protocol: int, interface: Interface, options: Options) -> bytes:
    if options.link_type == ETHERNET:
        destination = destination_mac(packet, interface, options)
        source = source_mac(packet, interface, options)
        return destination + source + struct.pack(">H", protocol)

    length, address = cooked_address(packet)
    if options.link_type == SLL:
        return (
            struct.pack(">3H", packet.packet_type, packet.hardware_type, length)
            + address
            + struct.pack(">H", protocol)
        )
    return (
        struct.pack(">2HI", protocol, 0, packet.ifindex)
        + struct.pack(">H2B", packet.hardware_type, packet.packet_type, length)
        + address
    )


def cooked_address(packet: Packet) -> tuple[int, bytes]:
    """Return the true length of the address and its first 8 bytes, zeros behind a shorter one."""
    if has_telltale_address(packet):
        return 0, bytes(8)
    kept = packet.address[: min(packet.address_length, 8)]
    return packet.address_length, kept + bytes(8 - len(kept))


def own_mac(interface: Interface, options: Options) -> bytes:
    if options.local_mac is not None:
        return options.local_mac
    if interface.mac is not None:
        return interface.mac
    return options.local_fake


def source_mac(packet: Packet, interface: Interface, options: Options) -> bytes:
    given = packet.address[:6]
    if packet.address_length == 6 and given != bytes(6) and not has_telltale_address(packet):
        if options.local_mac is not None and given == interface.mac:
            return options.local_mac
        return given
    if packet.outbound:
        return own_mac(interface, options)
    return options.peer_mac


def destination_mac(packet: Packet, interface: Interface, options: Options) -> bytes:
    if packet.packet_type == OUTGOING:
        return options.peer_mac
    if packet.packet_type == OTHERHOST:
        return options.other_mac
    if packet.packet_type == BROADCAST:
        return b"\xff" * 6
    if packet.packet_type == MULTICAST:
        return multicast_mac(packet, options)
    return own_mac(interface, options)


def multicast_mac(packet: Packet, options: Options) -> bytes:
    """Return the group address that IPv4 or IPv6 derives from the destination, else a fake group address."""
    skipped = inner_tag_size(packet)
    data = packet.payload[skipped:]
    protocol = packet.protocol if skipped else ethertype(packet)
    if protocol == IPV4 and len(data) >= 20 and data[0] >> 4 == 4 and data[16] >> 4 == 0xE:
        return bytes((0x01, 0x00, 0x5E, data[17] & 0x7F, data[18], data[19]))
    if protocol == IPV6 and len(data) >= 40 and data[0] >> 4 == 6 and data[24] == 0xFF:
        return b"\x33\x33" + data[36:40]
    return bytes((options.other_mac[0] | 0x01,)) + options.other_mac[1:]
