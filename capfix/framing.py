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

HEADER_LIMIT: Final = 24  # the longest header: SLL2 and a tag


class Framer:
    """Puts link-layer headers of one link type.

    `local_mac`, where given, stands wherever the interface's own address would. Addresses are 6 bytes.
    """

    def __init__(self, link_type: int, local_mac: bytes | None = None, peer_mac: bytes | None = None) -> None:
        self.link_type = link_type
        self._local_given = local_mac is not None
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
        macs: cython.p_uchar,
        own_mac_at: cython.Py_ssize_t,
    ) -> cython.Py_ssize_t:
        """Put the header of one packet at `at` and return its length, or -1 when the link type cannot carry it.

        `facts` speak of `buf`. The interface's own address is 6 bytes of `macs` from `own_mac_at`; it has none where
        that is negative. The caller has checked that HEADER_LIMIT bytes of room are there.
        """
        protocol: cython.uint = facts.protocol
        type_field: cython.int
        inner_tags: cython.Py_ssize_t = 0
        is_802_3: cython.bint = False
        address_length: cython.uint = facts.address_length
        length: cython.Py_ssize_t

        if facts.vlan_tpid:
            inner_tags = _inner_tags_length(buf, facts)
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

        if self.link_type == LINKTYPE_ETHERNET:
            if type_field < ETH_P_802_3_MIN and not is_802_3:
                return -1
            self._put_destination(out, at, buf, facts, inner_tags, macs, own_mac_at)
            self._put_source(out, at + 6, buf, facts, address_length, macs, own_mac_at)
            length = 12
            if facts.vlan_tpid:
                _put_u16(out, at + 12, facts.vlan_tpid)
                _put_u16(out, at + 14, facts.vlan_tci)
                length = 16
            _put_u16(out, at + length, type_field)
            return length + 2

        if facts.vlan_tpid:
            protocol = facts.vlan_tpid
        elif is_802_3:
            protocol = _cooked_802_3(buf, facts)
        if self.link_type == LINKTYPE_LINUX_SLL:
            length = put_sll(
                out,
                at,
                facts.packet_type,
                facts.hardware_type,
                address_length,
                buf,
                facts.address_at,
                protocol,
            )
        else:
            length = put_sll2(
                out,
                at,
                facts.packet_type,
                facts.hardware_type,
                facts.ifindex,
                address_length,
                buf,
                facts.address_at,
                protocol,
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
        inner_tags: cython.Py_ssize_t,
        macs: cython.p_uchar,
        own_mac_at: cython.Py_ssize_t,
    ) -> cython.void:
        i: cython.Py_ssize_t
        if facts.packet_type == PACKET_OUTGOING:
            _put_mac(out, at, self._macs, 6)
        elif facts.packet_type == PACKET_OTHERHOST:
            _put_mac(out, at, self._macs, 12)
        elif facts.packet_type == PACKET_BROADCAST:
            for i in range(6):
                out[at + i] = 0xFF
        elif facts.packet_type == PACKET_MULTICAST:
            self._put_group(out, at, buf, facts.payload_at + inner_tags, facts.captured_length - inner_tags)
        else:
            self._put_own(out, at, macs, own_mac_at)

    def _put_group(
        self,
        out: cython.p_uchar,
        at: cython.Py_ssize_t,
        buf: cython.p_uchar,
        ip_at: cython.Py_ssize_t,
        captured: cython.Py_ssize_t,
    ) -> cython.void:
        """Derive the group address from an IP destination; any other multicast gets a fake group address."""
        i: cython.Py_ssize_t
        if is_ipv4_group(buf, ip_at, captured):
            out[at] = 0x01
            out[at + 1] = 0x00
            out[at + 2] = 0x5E
            out[at + 3] = buf[ip_at + 17] & 0x7F
            out[at + 4] = buf[ip_at + 18]
            out[at + 5] = buf[ip_at + 19]
        elif is_ipv6_group(buf, ip_at, captured):
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
        macs: cython.p_uchar,
        own_mac_at: cython.Py_ssize_t,
    ) -> cython.void:
        given: cython.Py_ssize_t = facts.address_at
        if address_length == 6 and not _is_zero_mac(buf, given):
            if self._local_given and own_mac_at >= 0 and _same_mac(buf, given, macs, own_mac_at):
                _put_mac(out, at, self._macs, 0)
            else:
                _put_mac(out, at, buf, given)
        elif facts.packet_type == PACKET_OUTGOING:
            self._put_own(out, at, macs, own_mac_at)
        else:
            _put_mac(out, at, self._macs, 6)

    def _put_own(
        self, out: cython.p_uchar, at: cython.Py_ssize_t, macs: cython.p_uchar, own_mac_at: cython.Py_ssize_t
    ) -> cython.void:
        if self._local_given or own_mac_at < 0:
            _put_mac(out, at, self._macs, 0)
        else:
            _put_mac(out, at, macs, own_mac_at)


def _put_u16(out: cython.p_uchar, at: cython.Py_ssize_t, value: cython.uint) -> cython.void:
    out[at] = (value >> 8) & 0xFF
    out[at + 1] = value & 0xFF


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


def _is_802_3(facts: Facts) -> cython.bint:
    if facts.hardware_type != ARPHRD_ETHER and facts.hardware_type != ARPHRD_LOOPBACK:
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


def _inner_tags_length(buf: cython.p_uchar, facts: Facts) -> cython.Py_ssize_t:
    """Return how many bytes of tags a payload behind a stripped tag begins with: 0, 4 or 8.

    They are told by the type that closes them, the packet's own protocol, unless the payload is a sound packet of
    that protocol which merely has the same bytes there.
    """
    at: cython.Py_ssize_t = facts.payload_at
    captured: cython.Py_ssize_t = facts.captured_length
    inner_type: cython.uint
    length: cython.Py_ssize_t = 0
    if captured >= 4:
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
