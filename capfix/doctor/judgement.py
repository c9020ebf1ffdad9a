"""One packet of an interface that promises Ethernet: is its link-layer header there, and is it the packet's own?

Evidence must agree; one byte never decides. A packet that nothing can be said of is UNDECIDED, and counts for nothing.

Source: RFC 791 section 3.1, RFC 8200 section 3; IEEE 802.3 for the type field.
"""

from enum import Enum
from typing import Final

from capfix.kernel.sampling import Sample
from capfix.wire.numbers import ETH_P_802_3_MIN, ETH_P_IP, ETH_P_IPV6

ETHERNET_LENGTH: Final = 14


class Header(Enum):
    """What the link-layer header of one packet is."""

    SOUND = "sound"
    MISSING = "missing"
    STALE = "stale"
    UNDECIDED = "undecided"


def judge(sample: Sample) -> Header:
    """Return what the header of a packet is, on an interface whose packets ought to have an Ethernet header.

    MISSING: the kernel says there are no link-layer bytes, a whole IP packet stands where they ought to be, and
    reading it as Ethernet gives another type than the kernel has for it.
    STALE: a header is there, a whole IP packet of the kernel's protocol follows, and the header's type is another.
    """
    data, link = sample.data, sample.link_length
    payload = data[link:]
    is_ip = is_whole_ip(payload, sample.protocol, sample.original_length - link)
    type_field = ethernet_type(data, link)
    if link < ETHERNET_LENGTH:
        is_missing = link == 0 and is_ip and type_field != sample.protocol
        return Header.MISSING if is_missing else Header.UNDECIDED
    if type_field == sample.protocol or type_field < ETH_P_802_3_MIN:
        return Header.SOUND
    # Tags and tunnels between the header and an IP packet are no IP packet, so they do not come here
    return Header.STALE if is_ip else Header.UNDECIDED


def ethernet_type(data: bytes, link_length: int) -> int:
    """Return the type field: the last two bytes of the header, or where there is none those taken for it."""
    end = link_length if link_length >= ETHERNET_LENGTH else ETHERNET_LENGTH
    return int.from_bytes(data[end - 2 : end], "big")


def is_whole_ip(packet: bytes, protocol: int, length: int) -> bool:
    """Tell whether `packet`, cut from `length` bytes, begins with a header of `protocol` that agrees with itself."""
    if protocol == ETH_P_IP:
        return _is_whole_ipv4(packet, length)
    return protocol == ETH_P_IPV6 and _is_whole_ipv6(packet, length)


def address_pair(packet: bytes) -> tuple[bytes, bytes] | None:
    """Return source and destination of an IP packet; None when it is none."""
    if len(packet) >= 20 and packet[0] >> 4 == 4:
        return packet[12:16], packet[16:20]
    if len(packet) >= 40 and packet[0] >> 4 == 6:
        return packet[8:24], packet[24:40]
    return None


def _is_whole_ipv4(packet: bytes, length: int) -> bool:
    header = (packet[0] & 0x0F) * 4 if packet else 0
    if not 20 <= header <= len(packet) or packet[0] >> 4 != 4:
        return False
    total = int.from_bytes(packet[2:4], "big")
    # 0 is that of a segment to be cut that is too long to say
    if total != 0 and not header <= total <= length:
        return False
    words = sum(int.from_bytes(packet[at : at + 2], "big") for at in range(0, header, 2))
    return words % 0xFFFF == 0


def _is_whole_ipv6(packet: bytes, length: int) -> bool:
    if len(packet) < 40 or packet[0] >> 4 != 6:
        return False
    payload = int.from_bytes(packet[4:6], "big")
    return payload == 0 or 40 + payload <= length
