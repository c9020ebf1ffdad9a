"""Which link-layer header a packet gets, from what the kernel says of it.

Compiled. The rules, for each packet:

- The EtherType is what the kernel says (sll_protocol), never guessed from bytes before the payload. Protocol 0 is
  read from the version nibble.
- On Ethernet hardware, inbound protocol 1 and 4 and every outbound number below 0x0600 are 802.3 (an outbound number
  is the frame's length field itself). Ethernet framing and a tag carry the length form, rebuilt from the original
  length where the kernel lost it; cooked framing carries protocol 4, or 1 where the payload begins ffff. The loopback
  device counts as Ethernet hardware: the kernel reads its frames the same way.
- A headerless packet is told by its address: the kernel fills it from where the source MAC would be, so it equals
  payload bytes 6 to 11. Such an address is never written down.
- A VLAN tag that the kernel stripped is put back. Of two tags it strips the outer one and takes the inner type out,
  so an inner tag is known by its TCI at the payload's start; its TPID can only be assumed to be 0x8100.
- What a link type cannot carry honestly gets no header: -1, for the caller to count.

Where headers are kept, from a SOCK_RAW socket, a frame with a sound Ethernet header goes through byte for byte, with
the tag that the kernel took out put back. A header is sound when its type field is the packet's protocol. A missing or
stale header is made up, and the peer is then called by the address that a sound outbound header has shown.

Fake addresses are locally administered and stable: 02:63:61:70:00:0x, which spells "cap" in its second to fourth byte.

Source: packet(7); tcpdump.org, link-layer header types; IEEE 802.3; RFC 1112 and RFC 2464 for group addresses.
"""

from typing import Final

import cython

from capfix.wire.numbers import (
    ARPHRD_ETHER,
    ARPHRD_LOOPBACK,
    ETH_P_802_2,
    ETH_P_802_3,
    ETH_P_802_3_MIN,
    ETH_P_8021AD,
    ETH_P_8021Q,
    ETH_P_IP,
    ETH_P_IPV6,
    LINKTYPE_ETHERNET,
    LINKTYPE_LINUX_SLL,
    PACKET_BROADCAST,
    PACKET_MULTICAST,
    PACKET_OTHERHOST,
    PACKET_OUTGOING,
)

if cython.compiled:
    from cython.cimports.libc.string import memcpy
else:  # the .pxd file has them otherwise
    from capfix.wire.facts import Facts
    from capfix.wire.ip import is_ipv4_group, is_ipv6_group, is_sound_packet, protocol_by_version
    from capfix.wire.sll import put_sll
    from capfix.wire.sll2 import put_sll2

LOCAL_FAKE: Final = bytes.fromhex("026361700001")  # us, on an interface that has no address
PEER_FAKE: Final = bytes.fromhex("026361700002")  # whoever we talk to
OTHER_FAKE: Final = bytes.fromhex("026361700003")  # whoever others talk to

HEADER_LIMIT: Final = 32  # no header is longer: SLL2 and a tag are 24 bytes, Ethernet and three tags 26
ADDRESSES_LENGTH: Final = 16  # what a framer keeps of each interface

# In there: the interface's own address, and the peer's as an outbound header showed it, each with whether it is known
_OWN_KNOWN: Final = 6
_PEER: Final = 8
_PEER_KNOWN: Final = 14


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
        fakes = (local_mac or LOCAL_FAKE) + (peer_mac or PEER_FAKE) + OTHER_FAKE
        i: cython.Py_ssize_t
        if not cython.compiled:
            self._macs = bytearray(18)
        for i in range(18):
            self._macs[i] = fakes[i]

    def put_header(
        self,
        out: cython.p_uchar,
        at: cython.Py_ssize_t,
        buf: cython.p_uchar,
        facts: Facts,
        addresses: cython.p_uchar,
        addresses_at: cython.Py_ssize_t,
    ) -> cython.Py_ssize_t:
        """Put the header of one packet at `at` and return its length, or -1 when the link type cannot carry it.

        `facts` speak of `buf`; where a header is kept, they then say that what is behind its addresses is payload.
        What is known of the interface's addresses is ADDRESSES_LENGTH bytes of `addresses` from `addresses_at`. The
        caller has checked that HEADER_LIMIT bytes of room are there.
        """
        protocol: cython.uint = facts.protocol
        type_field: cython.int
        inner_tags: cython.Py_ssize_t = 0
        is_802_3: cython.bint = False
        address_length: cython.uint = facts.address_length
        length: cython.Py_ssize_t

        if self.keep_headers and _is_ethernet(facts):
            if _has_sound_header(buf, facts):
                return self._keep_header(out, at, buf, facts, addresses, addresses_at)
            if facts.header_length:
                self.headers_stale += 1
            else:
                self.headers_missing += 1
        if facts.vlan_tpid:
            inner_tags = inner_tags_length(buf, facts)
        if inner_tags:
            type_field = ETH_P_8021Q
        else:
            is_802_3 = _is_802_3(facts)
            if protocol == 0 and not is_802_3:
                protocol = protocol_by_version(buf, facts.payload_at, facts.captured_length)
            type_field = _length_field(facts) if is_802_3 else cython.cast(cython.int, protocol)
        if type_field < 0 and (facts.vlan_tpid or self.link_type == LINKTYPE_ETHERNET):
            return -1
        if _is_headerless(buf, facts):
            address_length = 0

        if self.link_type != LINKTYPE_ETHERNET:
            if is_802_3:
                protocol = _cooked_802_3(buf, facts)
            return self._put_cooked(out, at, buf, facts, address_length, protocol, type_field)
        if type_field < ETH_P_802_3_MIN and not is_802_3:
            return -1
        self._put_destination(out, at, buf, facts, protocol, inner_tags, addresses, addresses_at)
        self._put_source(out, at + 6, buf, facts, address_length, addresses, addresses_at)
        length = 12
        if facts.vlan_tpid:
            _put_u16(out, at + 12, facts.vlan_tpid)
            _put_u16(out, at + 14, facts.vlan_tci)
            length = 16
        _put_u16(out, at + length, type_field)
        return length + 2

    def _put_cooked(
        self,
        out: cython.p_uchar,
        at: cython.Py_ssize_t,
        buf: cython.p_uchar,
        facts: Facts,
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
            _put_u16(out, at + length, facts.vlan_tci)
            _put_u16(out, at + length + 2, type_field)
            length += 4
        return length

    def _put_destination(
        self,
        out: cython.p_uchar,
        at: cython.Py_ssize_t,
        buf: cython.p_uchar,
        facts: Facts,
        protocol: cython.uint,
        inner_tags: cython.Py_ssize_t,
        addresses: cython.p_uchar,
        addresses_at: cython.Py_ssize_t,
    ) -> cython.void:
        i: cython.Py_ssize_t
        if facts.packet_type == PACKET_OUTGOING:
            self._put_peer(out, at, addresses, addresses_at)
        elif facts.packet_type == PACKET_OTHERHOST:
            _put_mac(out, at, self._macs, 12)
        elif facts.packet_type == PACKET_BROADCAST:
            for i in range(6):
                out[at + i] = 0xFF
        elif facts.packet_type == PACKET_MULTICAST:
            self._put_group(
                out, at, buf, protocol, facts.payload_at + inner_tags, facts.captured_length - inner_tags
            )
        else:
            self._put_own(out, at, addresses, addresses_at)

    def _put_group(
        self,
        out: cython.p_uchar,
        at: cython.Py_ssize_t,
        buf: cython.p_uchar,
        protocol: cython.uint,
        ip_at: cython.Py_ssize_t,
        captured: cython.Py_ssize_t,
    ) -> cython.void:
        """Derive the group address from an IP destination; any other multicast gets a fake group address."""
        i: cython.Py_ssize_t
        if protocol == ETH_P_IP and is_ipv4_group(buf, ip_at, captured):
            out[at] = 0x01
            out[at + 1] = 0x00
            out[at + 2] = 0x5E
            out[at + 3] = buf[ip_at + 17] & 0x7F
            out[at + 4] = buf[ip_at + 18]
            out[at + 5] = buf[ip_at + 19]
        elif protocol == ETH_P_IPV6 and is_ipv6_group(buf, ip_at, captured):
            out[at] = 0x33
            out[at + 1] = 0x33
            for i in range(4):
                out[at + 2 + i] = buf[ip_at + 36 + i]
        else:
            _put_mac(out, at, self._macs, 12)
            out[at] = out[at] | 0x01

    def _put_source(
        self,
        out: cython.p_uchar,
        at: cython.Py_ssize_t,
        buf: cython.p_uchar,
        facts: Facts,
        address_length: cython.uint,
        addresses: cython.p_uchar,
        addresses_at: cython.Py_ssize_t,
    ) -> cython.void:
        given: cython.Py_ssize_t = facts.address_at
        if address_length == 6 and not _is_zero_mac(buf, given):
            if (
                self._local_given
                and addresses[addresses_at + _OWN_KNOWN]
                and _same_mac(buf, given, addresses, addresses_at)
            ):
                _put_mac(out, at, self._macs, 0)
            else:
                _put_mac(out, at, buf, given)
        elif facts.packet_type == PACKET_OUTGOING:
            self._put_own(out, at, addresses, addresses_at)
        else:
            self._put_peer(out, at, addresses, addresses_at)

    def _put_own(
        self,
        out: cython.p_uchar,
        at: cython.Py_ssize_t,
        addresses: cython.p_uchar,
        addresses_at: cython.Py_ssize_t,
    ) -> cython.void:
        if self._local_given or not addresses[addresses_at + _OWN_KNOWN]:
            _put_mac(out, at, self._macs, 0)
        else:
            _put_mac(out, at, addresses, addresses_at)

    def _put_peer(
        self,
        out: cython.p_uchar,
        at: cython.Py_ssize_t,
        addresses: cython.p_uchar,
        addresses_at: cython.Py_ssize_t,
    ) -> cython.void:
        if self._peer_given or not addresses[addresses_at + _PEER_KNOWN]:
            _put_mac(out, at, self._macs, 6)
        else:
            _put_mac(out, at, addresses, addresses_at + _PEER)

    def _keep_header(
        self,
        out: cython.p_uchar,
        at: cython.Py_ssize_t,
        buf: cython.p_uchar,
        facts: Facts,
        addresses: cython.p_uchar,
        addresses_at: cython.Py_ssize_t,
    ) -> cython.Py_ssize_t:
        """Put the packet's own two addresses, and its tag, and leave the rest of its header to the payload."""
        header_at: cython.Py_ssize_t = facts.payload_at - facts.header_length
        if facts.packet_type == PACKET_OUTGOING and not buf[header_at] & 0x01:
            _put_mac(addresses, addresses_at + _PEER, buf, header_at)
            addresses[addresses_at + _PEER_KNOWN] = 1
        self.headers_kept += 1
        _put_mac(out, at, buf, header_at)
        _put_mac(out, at + 6, buf, header_at + 6)
        facts.payload_at = header_at + 12
        facts.captured_length += facts.header_length - 12
        facts.original_length += facts.header_length - 12
        facts.header_length = 0
        if not facts.vlan_tpid:
            return 12
        _put_u16(out, at + 12, facts.vlan_tpid)
        _put_u16(out, at + 14, facts.vlan_tci)
        return 16


def _put_u16(out: cython.p_uchar, at: cython.Py_ssize_t, value: cython.uint) -> cython.void:
    out[at] = (value >> 8) & 0xFF
    out[at + 1] = value & 0xFF


def known_addresses(own_mac: bytes | None) -> bytes:
    """Return the ADDRESSES_LENGTH bytes that a framer keeps of an interface, as they are at first."""
    known = own_mac + b"\x01" if own_mac is not None else b""
    return known.ljust(ADDRESSES_LENGTH, b"\0")


def _put_mac(
    out: cython.p_uchar, at: cython.Py_ssize_t, macs: cython.p_uchar, mac_at: cython.Py_ssize_t
) -> cython.void:
    if cython.compiled:
        memcpy(out + at, macs + mac_at, 6)
    else:
        out[at : at + 6] = macs[mac_at : mac_at + 6]


def _same_mac(
    buf: cython.p_uchar, at: cython.Py_ssize_t, other: cython.p_uchar, other_at: cython.Py_ssize_t
) -> cython.bint:
    i: cython.Py_ssize_t
    for i in range(6):
        if buf[at + i] != other[other_at + i]:
            return False
    return True


def _is_zero_mac(buf: cython.p_uchar, at: cython.Py_ssize_t) -> cython.bint:
    i: cython.Py_ssize_t
    for i in range(6):
        if buf[at + i]:
            return False
    return True


def _is_headerless(buf: cython.p_uchar, facts: Facts) -> cython.bint:
    """Return whether the packet's address gives away that it had no link-layer header."""
    return (
        facts.address_length == 6
        and facts.captured_length >= 12
        and _same_mac(buf, facts.address_at, buf, facts.payload_at + 6)
    )


def _is_ethernet(facts: Facts) -> cython.bint:
    return facts.hardware_type in (ARPHRD_ETHER, ARPHRD_LOOPBACK)


def _has_sound_header(buf: cython.p_uchar, facts: Facts) -> cython.bint:
    """Return whether the header in front of the payload is Ethernet's, of this packet.

    Its type field is the protocol, right behind the addresses or behind tags; or both mean 802.3.
    """
    first: cython.uint
    last: cython.uint
    header_at: cython.Py_ssize_t = facts.payload_at - facts.header_length
    if facts.header_length < 14:
        return False
    first = buf[header_at + 12] << 8 | buf[header_at + 13]
    last = buf[facts.payload_at - 2] << 8 | buf[facts.payload_at - 1]
    if facts.protocol < ETH_P_802_3_MIN:
        return first < ETH_P_802_3_MIN or last < ETH_P_802_3_MIN
    return facts.protocol in (first, last)


def _is_802_3(facts: Facts) -> cython.bint:
    if not _is_ethernet(facts):
        return False
    if facts.packet_type == PACKET_OUTGOING:
        return facts.protocol < ETH_P_802_3_MIN
    return facts.protocol == ETH_P_802_3 or facts.protocol == ETH_P_802_2


def _length_field(facts: Facts) -> cython.int:
    """Return the length field of an 802.3 frame, or -1 when the frame is longer than one can say."""
    if facts.packet_type == PACKET_OUTGOING:
        return facts.protocol
    return facts.original_length if facts.original_length < ETH_P_802_3_MIN else -1


def _cooked_802_3(buf: cython.p_uchar, facts: Facts) -> cython.uint:
    at: cython.Py_ssize_t = facts.payload_at
    if facts.captured_length >= 2 and buf[at] == 0xFF and buf[at + 1] == 0xFF:
        return ETH_P_802_3
    return ETH_P_802_2


def inner_tags_length(buf: cython.p_uchar, facts: Facts) -> cython.Py_ssize_t:
    """Return how many bytes of tags a payload behind a stripped tag begins with: 0, 4 or 8.

    They are told by the type that closes them, the packet's own protocol, unless the payload is a sound packet of
    that protocol which merely has the same bytes there. An outbound payload never begins with one: the kernel skips
    all tags to the network layer, and an 802.3 length or 0 could only resemble one.
    """
    at: cython.Py_ssize_t = facts.payload_at
    captured: cython.Py_ssize_t = facts.captured_length
    inner_type: cython.uint
    length: cython.Py_ssize_t = 0
    if captured >= 4 and facts.packet_type != PACKET_OUTGOING:
        inner_type = buf[at + 2] << 8 | buf[at + 3]
        if inner_type == facts.protocol:
            length = 4
        elif (
            (inner_type in (ETH_P_8021Q, ETH_P_8021AD))
            and captured >= 8
            and (buf[at + 6] << 8 | buf[at + 7]) == facts.protocol
        ):
            length = 8
    if length and is_sound_packet(buf, at, captured, facts.original_length, facts.protocol):
        return 0
    return length
