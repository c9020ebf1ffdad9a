"""What of a packet is VLAN tags, and whether the link-layer header in front of it is its own.

Compiled.
"""

import cython

from capfix.wire.numbers import ETH_P_802_3_MIN, ETH_P_8021AD, ETH_P_8021Q, PACKET_OUTGOING

if not cython.compiled:  # the .pxd file has them otherwise
    from capfix.wire.facts import PacketFacts
    from capfix.wire.ip import is_sound_packet
    from capfix.wire.memory import load_be16


def has_sound_header(buf: cython.p_uchar, facts: PacketFacts) -> cython.bint:
    """Return whether the header in front of the payload is Ethernet's, of this packet.

    Its type field is the protocol, right behind the addresses or behind tags; or both mean 802.3.
    """
    first: cython.uint
    last: cython.uint
    header_at: cython.Py_ssize_t = facts.payload_at - facts.header_length
    if facts.header_length < 14:
        return False
    first = load_be16(buf, header_at + 12)
    last = load_be16(buf, facts.payload_at - 2)
    if facts.protocol < ETH_P_802_3_MIN:
        return first < ETH_P_802_3_MIN or last < ETH_P_802_3_MIN
    return facts.protocol in (first, last)


def inner_tags_length(buf: cython.p_uchar, facts: PacketFacts) -> cython.Py_ssize_t:
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
        inner_type = load_be16(buf, at + 2)
        if inner_type == facts.protocol:
            length = 4
        elif (
            (inner_type in (ETH_P_8021Q, ETH_P_8021AD))
            and captured >= 8
            and load_be16(buf, at + 6) == facts.protocol
        ):
            length = 8
    if length and is_sound_packet(buf, at, captured, facts.original_length, facts.protocol):
        return 0
    return length
