"""The link-layer header of one packet.

Compiled. The rules are the package's.
"""

from typing import Final

import cython

from capfix.framing.addresses import OWN_KNOWN, PEER, PEER_KNOWN, ROW_LENGTH
from capfix.wire.link_types import LINKTYPE_ETHERNET, LINKTYPE_LINUX_SLL, LINKTYPE_RAW
from capfix.wire.numbers import (
    ARPHRD_ETHER,
    ARPHRD_LOOPBACK,
    ETH_P_802_2,
    ETH_P_802_3,
    ETH_P_802_3_MIN,
    ETH_P_8021Q,
    ETH_P_IP,
    ETH_P_IPV6,
    MAC_LENGTH,
    PACKET_BROADCAST,
    PACKET_MULTICAST,
    PACKET_OTHERHOST,
    PACKET_OUTGOING,
)

if not cython.compiled:  # the .pxd file has them otherwise
    from collections import namedtuple

    from capfix.framing.addresses import InterfaceAddresses
    from capfix.framing.tags import has_sound_header, inner_tags_length
    from capfix.wire.ethernet import put_ethernet, put_tag
    from capfix.wire.facts import PacketFacts
    from capfix.wire.ip import is_ipv4_group, is_ipv6_group, protocol_by_version
    from capfix.wire.memory import advanced, copy_mac, is_same_mac, is_zero_mac, put_be16
    from capfix.wire.sll import put_sll
    from capfix.wire.sll2 import put_sll2

    # A header as it was put: its length, or NOT_CARRIED, and from where in its buffer the packet follows it
    PutHeader = namedtuple("PutHeader", "length rest_at")

LOCAL_FAKE: Final = bytes.fromhex("026361700001")  # us, on an interface that has no address
PEER_FAKE: Final = bytes.fromhex("026361700002")  # whoever we talk to
OTHER_FAKE: Final = bytes.fromhex("026361700003")  # whoever others talk to

HEADER_LIMIT: Final = 32  # no header is longer: SLL2 and a tag are 24 bytes, Ethernet and three tags 26
NOT_CARRIED: Final = -1

# The addresses that a framer was given or makes up, in one array
_LOCAL: Final = 0
_PEER: Final = 6
_OTHER: Final = 12
_ONES: Final = 18
_GROUP: Final = 24  # made anew for each packet that needs it
_MACS_LENGTH: Final = 30


class Framer:
    """Puts link-layer headers of one link type.

    `local_mac`, where given, stands wherever the interface's own address would. Addresses are 6 bytes. With
    `keep_headers`, for Ethernet only, `headers_kept`, `headers_missing` and `headers_stale` count what became of those
    of Ethernet hardware.
    """

    def __init__(
        self,
        link_type: int,
        local_mac: bytes | None = None,
        peer_mac: bytes | None = None,
        keep_headers: bool = False,
    ) -> None:
        self.link_type = link_type
        self.keep_headers = keep_headers
        self.headers_kept = 0
        self.headers_missing = 0
        self.headers_stale = 0
        self._local_given = local_mac is not None
        self._peer_given = peer_mac is not None
        macs = (local_mac or LOCAL_FAKE) + (peer_mac or PEER_FAKE) + OTHER_FAKE + b"\xff" * 6 + bytes(6)
        i: cython.Py_ssize_t
        if not cython.compiled:
            self._macs = bytearray(_MACS_LENGTH)
        for i in range(_MACS_LENGTH):
            self._macs[i] = macs[i]

    def put_header(
        self,
        out: cython.p_uchar,
        at: cython.Py_ssize_t,
        buf: cython.p_uchar,
        facts: PacketFacts,
        addresses: InterfaceAddresses,
        row: cython.Py_ssize_t,
    ) -> PutHeader:
        """Put the header of one packet at `at`; return its length and from where in `buf` the packet follows it.

        The length is NOT_CARRIED when the link type cannot carry the packet. It follows from `facts.payload_at` on,
        from earlier where a part of the header it came with is kept, from later where tags are left out. `addresses`
        has in `row` what is known of the packet's interface, and learns. The caller has checked that HEADER_LIMIT
        bytes of room are there.
        """
        protocol: cython.uint = facts.protocol
        type_field: cython.int
        inner_tags: cython.Py_ssize_t = 0
        is_802_3: cython.bint = False
        address_length: cython.uint = facts.address_length

        if self.keep_headers and _is_ethernet(facts):
            if has_sound_header(buf, facts):
                return self._keep_header(out, at, buf, facts, _row_of(addresses, row))
            if facts.header_length:
                self.headers_stale += 1
            else:
                self.headers_missing += 1
        # The protocol is that of the network layer. What stood in the frame's own type field is another number where
        # the kernel left a tag in the payload, or where the field was a length.
        if facts.vlan_tpid:
            inner_tags = inner_tags_length(buf, facts)
        if inner_tags:
            type_field = ETH_P_8021Q
        else:
            is_802_3 = _is_802_3(facts)
            if protocol == 0 and not is_802_3:
                protocol = protocol_by_version(buf, facts.payload_at, facts.captured_length)
            type_field = _length_field(facts) if is_802_3 else cython.cast(cython.int, protocol)
        if self.link_type == LINKTYPE_RAW:
            return _put_raw(buf, facts, 0 if is_802_3 else protocol, inner_tags)
        # Cooked headers say "802.3" without a length, so one that is too long for its field hurts only behind a tag
        if type_field < 0 and (facts.vlan_tpid or self.link_type == LINKTYPE_ETHERNET):
            return PutHeader(NOT_CARRIED, facts.payload_at)
        # The kernel took the address from where a header would be; there is none, so it is no address
        if _is_headerless(buf, facts):
            address_length = 0

        if self.link_type != LINKTYPE_ETHERNET:
            if is_802_3:
                protocol = _cooked_802_3(buf, facts)
            return PutHeader(
                self._put_cooked(out, at, buf, facts, address_length, protocol, type_field), facts.payload_at
            )
        if type_field < ETH_P_802_3_MIN and not is_802_3:  # a reader would take it for a length
            return PutHeader(NOT_CARRIED, facts.payload_at)
        known: cython.p_uchar = _row_of(addresses, row)
        destination: cython.p_uchar = self._destination(buf, facts, protocol, inner_tags, known)
        source: cython.p_uchar = self._source(buf, facts, address_length, known)
        return PutHeader(_put_ethernet(out, at, destination, source, facts, type_field), facts.payload_at)

    def _put_cooked(
        self,
        out: cython.p_uchar,
        at: cython.Py_ssize_t,
        buf: cython.p_uchar,
        facts: PacketFacts,
        address_length: cython.uint,
        protocol: cython.uint,
        type_field: cython.int,
    ) -> cython.Py_ssize_t:
        """Put an SLL or SLL2 header; with a tag its protocol is the TPID, and tag and type follow behind it."""
        length: cython.Py_ssize_t
        packet_type: cython.uint = facts.packet_type
        hardware_type: cython.uint = facts.hardware_type
        address_at: cython.Py_ssize_t = facts.address_at
        if facts.vlan_tpid:
            protocol = facts.vlan_tpid
        if self.link_type == LINKTYPE_LINUX_SLL:
            length = put_sll(out, at, packet_type, hardware_type, address_length, buf, address_at, protocol)
        else:
            length = put_sll2(
                out, at, packet_type, hardware_type, facts.ifindex, address_length, buf, address_at, protocol
            )
        if facts.vlan_tpid:
            length += put_tag(out, at + length, facts.vlan_tci, type_field)
        return length

    def _destination(
        self,
        buf: cython.p_uchar,
        facts: PacketFacts,
        protocol: cython.uint,
        inner_tags: cython.Py_ssize_t,
        known: cython.p_uchar,
    ) -> cython.p_uchar:
        """Return where the destination address stands."""
        if facts.packet_type == PACKET_OUTGOING:
            return self._peer(known)
        if facts.packet_type == PACKET_OTHERHOST:
            return advanced(self._macs, _OTHER)
        if facts.packet_type == PACKET_BROADCAST:
            return advanced(self._macs, _ONES)
        if facts.packet_type == PACKET_MULTICAST:
            self._make_group(buf, protocol, facts.payload_at + inner_tags, facts.captured_length - inner_tags)
            return advanced(self._macs, _GROUP)
        return self._own(known)

    def _make_group(
        self,
        buf: cython.p_uchar,
        protocol: cython.uint,
        ip_at: cython.Py_ssize_t,
        captured: cython.Py_ssize_t,
    ) -> cython.void:
        """Derive the group address from an IP destination; any other multicast gets a fake group address."""
        i: cython.Py_ssize_t
        if protocol == ETH_P_IP and is_ipv4_group(buf, ip_at, captured):
            self._macs[_GROUP] = 0x01
            self._macs[_GROUP + 1] = 0x00
            self._macs[_GROUP + 2] = 0x5E
            self._macs[_GROUP + 3] = buf[ip_at + 17] & 0x7F
            self._macs[_GROUP + 4] = buf[ip_at + 18]
            self._macs[_GROUP + 5] = buf[ip_at + 19]
        elif protocol == ETH_P_IPV6 and is_ipv6_group(buf, ip_at, captured):
            self._macs[_GROUP] = 0x33
            self._macs[_GROUP + 1] = 0x33
            for i in range(4):
                self._macs[_GROUP + 2 + i] = buf[ip_at + 36 + i]
        else:
            copy_mac(self._macs, _GROUP, self._macs, _OTHER)
            self._macs[_GROUP] |= 0x01

    def _source(
        self,
        buf: cython.p_uchar,
        facts: PacketFacts,
        address_length: cython.uint,
        known: cython.p_uchar,
    ) -> cython.p_uchar:
        """Return where the source address stands."""
        given: cython.Py_ssize_t = facts.address_at
        if address_length == MAC_LENGTH and not is_zero_mac(buf, given):
            if self._local_given and known[OWN_KNOWN] and is_same_mac(buf, given, known, 0):
                return advanced(self._macs, _LOCAL)
            return advanced(buf, given)
        if facts.packet_type == PACKET_OUTGOING:
            return self._own(known)
        return self._peer(known)

    def _own(self, known: cython.p_uchar) -> cython.p_uchar:
        if self._local_given or not known[OWN_KNOWN]:
            return advanced(self._macs, _LOCAL)
        return known

    def _peer(self, known: cython.p_uchar) -> cython.p_uchar:
        if self._peer_given or not known[PEER_KNOWN]:
            return advanced(self._macs, _PEER)
        return advanced(known, PEER)

    def _keep_header(
        self,
        out: cython.p_uchar,
        at: cython.Py_ssize_t,
        buf: cython.p_uchar,
        facts: PacketFacts,
        known: cython.p_uchar,
    ) -> PutHeader:
        """Put the packet's own two addresses, and its tag; the rest of its header follows with the payload."""
        header_at: cython.Py_ssize_t = facts.payload_at - facts.header_length
        type_at: cython.Py_ssize_t = header_at + 2 * MAC_LENGTH
        if facts.packet_type == PACKET_OUTGOING and not buf[header_at] & 0x01:
            copy_mac(known, PEER, buf, header_at)
            known[PEER_KNOWN] = 1
        self.headers_kept += 1
        copy_mac(out, at, buf, header_at)
        copy_mac(out, at + 6, buf, header_at + 6)
        if not facts.vlan_tpid:
            return PutHeader(12, type_at)
        put_be16(out, at + 12, facts.vlan_tpid)
        put_be16(out, at + 14, facts.vlan_tci)
        return PutHeader(16, type_at)


def _row_of(addresses: InterfaceAddresses, row: cython.Py_ssize_t) -> cython.p_uchar:
    """Return the bytes of a row. Not a method of theirs: a call into another module would cost 4 % of a packet."""
    if cython.compiled:
        return cython.address(addresses.rows[row * ROW_LENGTH])
    return memoryview(addresses.rows)[row * ROW_LENGTH :]


def _put_raw(
    buf: cython.p_uchar, facts: PacketFacts, protocol: cython.uint, inner_tags: cython.Py_ssize_t
) -> PutHeader:
    """Put nothing. Readers go by the version nibble, so it has to say what the protocol says."""
    ip_at: cython.Py_ssize_t = facts.payload_at + inner_tags
    if protocol == 0 or protocol_by_version(buf, ip_at, facts.captured_length - inner_tags) != protocol:
        return PutHeader(NOT_CARRIED, ip_at)
    return PutHeader(0, ip_at)


def _put_ethernet(
    out: cython.p_uchar,
    at: cython.Py_ssize_t,
    destination: cython.p_uchar,
    source: cython.p_uchar,
    facts: PacketFacts,
    type_field: cython.uint,
) -> cython.Py_ssize_t:
    length: cython.Py_ssize_t
    if not facts.vlan_tpid:
        return put_ethernet(out, at, destination, 0, source, 0, type_field)
    length = put_ethernet(out, at, destination, 0, source, 0, facts.vlan_tpid)
    return length + put_tag(out, at + length, facts.vlan_tci, type_field)


def _is_headerless(buf: cython.p_uchar, facts: PacketFacts) -> cython.bint:
    """Return whether the packet's address gives away that it had no link-layer header."""
    return (
        facts.address_length == MAC_LENGTH
        and facts.captured_length >= 12
        and is_same_mac(buf, facts.address_at, buf, facts.payload_at + 6)
    )


def _is_ethernet(facts: PacketFacts) -> cython.bint:
    return facts.hardware_type in (ARPHRD_ETHER, ARPHRD_LOOPBACK)


def _is_802_3(facts: PacketFacts) -> cython.bint:
    if not _is_ethernet(facts):
        return False
    if facts.packet_type == PACKET_OUTGOING:
        return facts.protocol < ETH_P_802_3_MIN
    return facts.protocol == ETH_P_802_3 or facts.protocol == ETH_P_802_2


def _length_field(facts: PacketFacts) -> cython.int:
    """Return the length field of an 802.3 frame, or -1 when the frame is longer than one can say."""
    if facts.packet_type == PACKET_OUTGOING:
        return facts.protocol
    return facts.original_length if facts.original_length < ETH_P_802_3_MIN else -1


def _cooked_802_3(buf: cython.p_uchar, facts: PacketFacts) -> cython.uint:
    at: cython.Py_ssize_t = facts.payload_at
    if facts.captured_length >= 2 and buf[at] == 0xFF and buf[at + 1] == 0xFF:
        return ETH_P_802_3
    return ETH_P_802_2
