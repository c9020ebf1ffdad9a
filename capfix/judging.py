"""Whether the link-layer header of one packet is sound, missing, another one's, or cannot be told.

Compiled. For `capfix repair` and `capfix doctor`. A packet is read in several ways: as its link type says, as an IP
packet without any header, and as an IP packet behind each header that is known to be left there by accident. The rules:

- Evidence has to agree, and never is it one byte: the version nibble, the header length, the total length against the
  packet's, the header checksum (IPv4), the next header (IPv6), the lengths and the checksum of TCP, UDP and ICMP.
- The reading that the link type gives comes first. Where its type field names a protocol and the payload is one, the
  packet is sound, whatever else it might be read as. A MAC address may begin with 45.
- So it is where the type field names a protocol whose payload nothing can be checked in, or is the length of an 802.3
  frame with a known LLC header: only a packet whose transport checksum is right takes it for a source address.
- A packet that could not be anything else is sound: files without IP are nobody's damage.
- HEADERLESS: the bytes where the header should be are a sound IP packet of this very length.
- STALE: a sound IP packet of this length lies behind a header of another form or length, or behind one of its own
  that names another protocol. `form` says behind what.
- COOKED: the cooked header's source address is the packet's own bytes 6 to 11: what the kernel writes where there was
  no header to take an address from. Or it names no protocol.
- UNDECIDABLE: an IP packet by version, header length and exact total length, which has no other evidence for it, where
  the reading that the link type gives has none either.

Source: RFC 791, RFC 8200, RFC 1071, RFC 1662, RFC 2516; IEEE 802.3, 802.1Q; linux/if_tun.h; tcpdump.org, link types.
"""

from enum import IntEnum
from typing import Final, NamedTuple

import cython

from capfix.wire.link_types import LINKTYPE_ETHERNET, LINKTYPE_LINUX_SLL, LINKTYPE_LINUX_SLL2
from capfix.wire.numbers import (
    ETH_P_802_3_MIN,
    ETH_P_8021AD,
    ETH_P_8021Q,
    ETH_P_ARP,
    ETH_P_IP,
    ETH_P_IPV6,
    ETH_P_PPP_SES,
    IPPROTO_DSTOPTS,
    IPPROTO_HOPOPTS,
    IPPROTO_ROUTING,
    IPPROTO_TCP,
    IPPROTO_UDP,
)

if not cython.compiled:  # the .pxd file has them otherwise
    from capfix.wire.ip import is_sound_packet


class Verdict(IntEnum):
    """What a packet's link-layer header is."""

    SOUND = 0
    HEADERLESS = 1
    STALE = 2
    COOKED = 3  # with an address that is none, or without a protocol
    UNDECIDABLE = 4


class Form(IntEnum):
    """What lies in front of the network layer."""

    NONE = 0
    DECLARED = 1  # the header that the link type says
    ETHERNET = 2
    TAGGED = 3  # Ethernet, with four bytes more than its type field says
    PPP = 4
    PPPOE = 5
    TUN = 6  # struct tun_pi
    FAMILY = 7  # the word in front of a loopback packet
    SLL = 8
    SLL2 = 9
    PREFIX = 10  # four bytes of no known meaning


_SOUND: Final = int(Verdict.SOUND)
_HEADERLESS: Final = int(Verdict.HEADERLESS)
_STALE: Final = int(Verdict.STALE)
_COOKED: Final = int(Verdict.COOKED)
_UNDECIDABLE: Final = int(Verdict.UNDECIDABLE)

_NONE: Final = int(Form.NONE)
_DECLARED: Final = int(Form.DECLARED)
_ETHERNET: Final = int(Form.ETHERNET)
_TAGGED: Final = int(Form.TAGGED)
_PPP: Final = int(Form.PPP)
_PPPOE: Final = int(Form.PPPOE)
_TUN: Final = int(Form.TUN)
_FAMILY: Final = int(Form.FAMILY)
_SLL: Final = int(Form.SLL)
_SLL2: Final = int(Form.SLL2)
_PREFIX: Final = int(Form.PREFIX)

LINKTYPE_NULL: Final = 0
LINKTYPE_PPP: Final = 9
LINKTYPE_PPP_HDLC: Final = 50
LINKTYPE_RAW: Final = 101
LINKTYPE_LOOP: Final = 108
LINKTYPE_IPV4: Final = 228
LINKTYPE_IPV6: Final = 229

_IPPROTO_ICMP: Final = 1
_IPPROTO_ICMPV6: Final = 58

# How much speaks for an IP packet at a place
_NOTHING: Final = 0
_LENGTHS: Final = 1  # version, header length and the exact total length
_HEADER: Final = 2  # and the header's checksum, or for IPv6 a transport header that agrees
_TRANSPORT: Final = 3  # and the checksum of the transport


class Judgement:
    """What was found of one packet. Filled again for each, so that nothing is allocated on the way.

    `payload_at` is where its network layer begins, counted from the packet's first byte; `protocol` the EtherType of
    what is there, 0 where a sound packet was not looked at so far; `form` one of Form.
    """

    def __init__(self) -> None:
        self.verdict = _SOUND
        self.form = _DECLARED
        self.payload_at = 0
        self.protocol = 0


class Judged(NamedTuple):
    """A Judgement as a value."""

    verdict: Verdict
    form: Form
    payload_at: int
    protocol: int


def judge_packet(packet: bytes, link_type: int, original_length: int | None = None) -> Judged:
    """Return what the link-layer header of `packet` is, which the file says has `link_type`, a LINKTYPE_ number.

    `original_length` is that of the wire, where fewer bytes were captured.
    """
    found = Judgement()
    data: cython.uchar[::1] = bytearray(packet or b"\0")
    judge(
        cython.address(data[0]) if cython.compiled else data,
        0,
        len(packet),
        len(packet) if original_length is None else original_length,
        link_type,
        found,
    )
    return Judged(Verdict(found.verdict), Form(found.form), found.payload_at, found.protocol)


def judge(
    buf: cython.p_uchar,
    at: cython.Py_ssize_t,
    captured: cython.Py_ssize_t,
    original: cython.Py_ssize_t,
    link_type: cython.int,
    found: Judgement,
) -> cython.void:
    """Fill `found` with what the header of the packet at `at` is; reads `captured` bytes and no more."""
    kind: cython.uint
    found.verdict = _SOUND
    found.form = _DECLARED
    found.payload_at = 0
    found.protocol = 0
    if original < captured:
        original = captured
    if captured < 20:
        return
    if link_type == LINKTYPE_ETHERNET:
        # Nearly every packet ends here: a type field, the version that it asks for, and no IP version in front
        kind = buf[at + 12] << 8 | buf[at + 13]
        if (
            (kind == ETH_P_IP and buf[at + 14] >> 4 == 4) or (kind == ETH_P_IPV6 and buf[at + 14] >> 4 == 6)
        ) and not _is_version(buf[at]):
            return
        _judge_ethernet(buf, at, captured, original, found)
    elif link_type in (LINKTYPE_LINUX_SLL, LINKTYPE_LINUX_SLL2):
        _judge_cooked(buf, at, captured, original, link_type, found)
    elif link_type in (LINKTYPE_RAW, LINKTYPE_IPV4, LINKTYPE_IPV6):
        if not _is_version(buf[at]):
            _look_behind_headers(buf, at, captured, original, found)
    elif link_type in (LINKTYPE_NULL, LINKTYPE_LOOP):
        if not _is_family(buf, at):
            _look_behind_headers(buf, at, captured, original, found)
    elif link_type in (LINKTYPE_PPP, LINKTYPE_PPP_HDLC) and not _is_ppp(buf, at):
        _look_behind_headers(buf, at, captured, original, found)


def _judge_ethernet(
    buf: cython.p_uchar,
    at: cython.Py_ssize_t,
    captured: cython.Py_ssize_t,
    original: cython.Py_ssize_t,
    found: Judgement,
) -> cython.void:
    bare: cython.int
    known: cython.bint
    payload: cython.Py_ssize_t = 12
    kind: cython.uint = buf[at + 12] << 8 | buf[at + 13]
    while kind in (ETH_P_8021Q, ETH_P_8021AD) and payload + 6 <= captured:
        payload += 4
        kind = buf[at + payload] << 8 | buf[at + payload + 1]
    payload += 2
    if kind == ETH_P_PPP_SES and payload + 8 <= captured and buf[at + payload] == 0x11:
        kind = _ppp_protocol(buf, at + payload + 6)
        payload += 8
    if kind in (ETH_P_IP, ETH_P_IPV6, ETH_P_ARP) and _is_payload(
        buf, at + payload, captured - payload, original - payload, kind
    ):
        return
    known = _is_802_3(buf, at, captured, original, kind) if kind < ETH_P_802_3_MIN else _is_known_type(kind)
    bare = _ip_evidence(buf, at, captured, original, False)
    if known or payload != 14:
        if bare == _TRANSPORT:
            _settle(found, _HEADERLESS, _NONE, 0, _version_protocol(buf[at]))
        return
    if bare >= _HEADER:
        _settle(found, _HEADERLESS, _NONE, 0, _version_protocol(buf[at]))
        return
    _look_behind_headers(buf, at, captured, original, found)
    if found.verdict == _SOUND and bare == _LENGTHS and kind not in (ETH_P_IP, ETH_P_IPV6, ETH_P_ARP):
        _settle(found, _UNDECIDABLE, _NONE, 0, _version_protocol(buf[at]))


def _judge_cooked(
    buf: cython.p_uchar,
    at: cython.Py_ssize_t,
    captured: cython.Py_ssize_t,
    original: cython.Py_ssize_t,
    link_type: cython.int,
    found: Judgement,
) -> cython.void:
    """Judge a packet that the file says is cooked."""
    is_sll: cython.bint = link_type == LINKTYPE_LINUX_SLL
    header: cython.Py_ssize_t = 16 if is_sll else 20
    payload: cython.Py_ssize_t = at + header
    address_at: cython.Py_ssize_t = at + (6 if is_sll else 12)
    protocol: cython.uint
    version: cython.uint
    evidence: cython.int
    if not (_is_sll(buf, at, captured) if is_sll else _is_sll2(buf, at, captured)):
        _look_behind_headers(buf, at, captured, original, found)
        return
    if captured < header + 20:
        return
    protocol = (buf[at + 14] << 8 | buf[at + 15]) if is_sll else (buf[at] << 8 | buf[at + 1])
    version = _version_protocol(buf[payload])
    if version == 0 or (protocol == version and not _is_own_address(buf, at, is_sll, address_at, payload)):
        return
    evidence = _ip_evidence(buf, payload, captured - header, original - header, True)
    if evidence < _HEADER:
        return
    if _is_own_address(buf, at, is_sll, address_at, payload) or protocol == 0:
        _settle(found, _COOKED, _DECLARED, header, version)
    elif protocol in (ETH_P_IP, ETH_P_IPV6):  # the other one of the two
        _settle(found, _STALE, _DECLARED, header, version)


def _is_own_address(
    buf: cython.p_uchar,
    at: cython.Py_ssize_t,
    is_sll: cython.bint,
    address_at: cython.Py_ssize_t,
    payload: cython.Py_ssize_t,
) -> cython.bint:
    """Return whether a cooked header's address is bytes 6 to 11 of what follows it."""
    i: cython.Py_ssize_t
    if (buf[at + 5] if is_sll else buf[at + 11]) != 6:
        return False
    for i in range(6):
        if buf[address_at + i] != buf[payload + 6 + i]:
            return False
    return True


def _look_behind_headers(
    buf: cython.p_uchar,
    at: cython.Py_ssize_t,
    captured: cython.Py_ssize_t,
    original: cython.Py_ssize_t,
    found: Judgement,
) -> cython.void:
    """Find a sound IP packet without a header, or behind one of those that are left there by accident."""
    form: cython.int
    length: cython.Py_ssize_t = 0
    protocol: cython.uint
    evidence: cython.int
    while length <= 34:
        if captured - length < 20:
            return
        protocol = _version_protocol(buf[at + length])
        form = _form(buf, at, length, protocol, captured) if protocol else -1
        if form >= 0:
            evidence = _ip_evidence(
                buf, at + length, captured - length, original - length, form in (_ETHERNET, _TAGGED)
            )
            # Without a form of its own, the four bytes in front have to be made up for by the transport
            if evidence >= (_TRANSPORT if form == _PREFIX else _HEADER):
                _settle(found, _STALE if length else _HEADERLESS, form, length, protocol)
                return
        length += 2


def _form(
    buf: cython.p_uchar,
    at: cython.Py_ssize_t,
    length: cython.Py_ssize_t,
    protocol: cython.uint,
    captured: cython.Py_ssize_t,
) -> cython.int:
    """Return which header the `length` bytes at `at` are, if they are one for `protocol`; else -1."""
    if length == 0:
        return _NONE
    if length == 2:
        return _PPP if _ppp_protocol(buf, at) == protocol else -1
    if length == 4:
        if _is_ppp(buf, at):
            return _PPP
        if (buf[at + 2] << 8 | buf[at + 3]) == protocol:
            return _TUN
        return _FAMILY if _is_family(buf, at) else _PREFIX
    if length == 8 and buf[at] == 0x11 and buf[at + 1] == 0:
        return _PPPOE if _ppp_protocol(buf, at + 6) == protocol else -1
    if length == 14 and (buf[at + 12] << 8 | buf[at + 13]) in (ETH_P_IP, ETH_P_IPV6, 0):
        return _ETHERNET
    if length == 16 and _is_sll(buf, at, captured) and (buf[at + 14] << 8 | buf[at + 15]) in (protocol, 0):
        return _SLL
    if length == 18 and (buf[at + 16] << 8 | buf[at + 17]) == protocol:
        return _TAGGED
    if length == 18 and (buf[at + 12] << 8 | buf[at + 13]) == protocol:
        return _TAGGED
    if length == 20 and _is_sll2(buf, at, captured) and (buf[at] << 8 | buf[at + 1]) in (protocol, 0):
        return _SLL2
    if length == 22 and buf[at + 14] == 0x11 and _ppp_protocol(buf, at + 20) == protocol:
        return _TAGGED
    if (
        length == 30
        and _is_sll(buf, at + 14, captured - 14)
        and (buf[at + 28] << 8 | buf[at + 29]) in (protocol, 0)
    ):
        return _SLL
    if (
        length == 34
        and _is_sll2(buf, at + 14, captured - 14)
        and (buf[at + 14] << 8 | buf[at + 15]) in (protocol, 0)
    ):
        return _SLL2
    return -1


def _settle(
    found: Judgement,
    verdict: cython.int,
    form: cython.int,
    payload_at: cython.Py_ssize_t,
    protocol: cython.uint,
) -> cython.void:
    found.verdict = verdict
    found.form = form
    found.payload_at = payload_at
    found.protocol = protocol


def _is_version(first: cython.uint) -> cython.bint:
    return first >> 4 == 4 or first >> 4 == 6


def _version_protocol(first: cython.uint) -> cython.uint:
    """Return the EtherType that an IP packet's first byte stands for, 0 for no IP."""
    if first >> 4 == 4:
        return ETH_P_IP
    return ETH_P_IPV6 if first >> 4 == 6 else 0


def _ppp_protocol(buf: cython.p_uchar, at: cython.Py_ssize_t) -> cython.uint:
    """Return the EtherType of the PPP protocol number at `at`, 0 for none of IP's."""
    if buf[at] != 0:
        return 0
    if buf[at + 1] == 0x21:
        return ETH_P_IP
    return ETH_P_IPV6 if buf[at + 1] == 0x57 else 0


def _is_ppp(buf: cython.p_uchar, at: cython.Py_ssize_t) -> cython.bint:
    """Return whether a PPP header stands at `at`: of HDLC's form, or a bare protocol number of IP's."""
    if buf[at] == 0xFF and buf[at + 1] == 0x03:
        return True
    # An odd low byte and an even high one make a protocol number; control protocols have the top bit
    return (buf[at] & 1) == 0 and (buf[at + 1] & 1) == 1 and (buf[at] & 0x40) == 0


def _is_family(buf: cython.p_uchar, at: cython.Py_ssize_t) -> cython.bint:
    """Return whether the word at `at` is an address family that some system writes for IP, in either byte order."""
    if buf[at + 1] or buf[at + 2]:
        return False
    return (buf[at] == 0 and buf[at + 3] in (2, 10, 24, 28, 30)) or (
        buf[at + 3] == 0 and buf[at] in (2, 10, 24, 28, 30)
    )


def _is_sll(buf: cython.p_uchar, at: cython.Py_ssize_t, captured: cython.Py_ssize_t) -> cython.bint:
    """Return whether a LINUX_SLL header stands at `at`, by its packet type and address length."""
    return captured >= 16 and buf[at] == 0 and buf[at + 1] <= 4 and buf[at + 4] == 0 and buf[at + 5] <= 32


def _is_sll2(buf: cython.p_uchar, at: cython.Py_ssize_t, captured: cython.Py_ssize_t) -> cython.bint:
    """Return whether a LINUX_SLL2 header stands at `at`, by its reserved bytes, packet type and address length."""
    return (
        captured >= 20 and buf[at + 2] == 0 and buf[at + 3] == 0 and buf[at + 10] <= 4 and buf[at + 11] <= 32
    )


def _is_802_3(
    buf: cython.p_uchar,
    at: cython.Py_ssize_t,
    captured: cython.Py_ssize_t,
    original: cython.Py_ssize_t,
    length: cython.uint,
) -> cython.bint:
    """Return whether `length` is that of an 802.3 frame which begins with an LLC header."""
    if captured < 17 or length < 3 or length + 14 > original:
        return False
    if length + 14 < original and original > 64:  # only short frames are padded
        return False
    return _is_service(buf[at + 14]) and _is_service(buf[at + 15])


def _is_service(access_point: cython.uint) -> cython.bint:
    """Return whether an LLC service access point is in use; its lowest bit says something else."""
    return access_point in (
        0xFF,
        0xFE,
        0xAA,
        0xAB,
        0x42,
        0x43,
        0xE0,
        0xE1,
        0xF0,
        0xF1,
        0xF4,
        0xF5,
        0xF8,
        0xFC,
    ) or (access_point & 0xFE) in (
        0x00,
        0x02,
        0x04,
        0x06,
        0x08,
        0x0E,
        0x18,
        0x4E,
        0x7E,
        0x8E,
        0x98,
        0xBC,
        0xD4,
    )


def _is_known_type(kind: cython.uint) -> cython.bint:
    """Return whether `kind` is an EtherType in use whose payload cannot be checked here."""
    return (
        kind
        in (0x0842, 0x22EA, 0x22F0, 0x22F3, 0x6002, 0x6003, 0x6004, 0x8035, 0x809B, 0x80F3, 0x8137, 0x8204)
        or kind
        in (0x8808, 0x8809, 0x8819, 0x8847, 0x8848, 0x8863, 0x8864, 0x886C, 0x887B, 0x888E, 0x8892, 0x889A)
        or kind
        in (0x88A2, 0x88A4, 0x88A8, 0x88AB, 0x88B5, 0x88B6, 0x88B7, 0x88B8, 0x88B9, 0x88BA, 0x88BF, 0x88CA)
        or kind
        in (0x88CC, 0x88CD, 0x88DC, 0x88E1, 0x88E3, 0x88E5, 0x88E7, 0x88F5, 0x88F7, 0x88F8, 0x88FB, 0x8902)
        or kind
        in (0x8906, 0x8914, 0x8915, 0x891D, 0x892F, 0x893A, 0x893F, 0x8940, 0x8946, 0x894F, 0x9000, 0x9100)
        or kind in (0x9200, 0xCAFE, 0xF1C1)
    )


def _is_payload(
    buf: cython.p_uchar,
    at: cython.Py_ssize_t,
    captured: cython.Py_ssize_t,
    original: cython.Py_ssize_t,
    protocol: cython.uint,
) -> cython.bint:
    """Return whether a packet of `protocol` stands at `at`: sound, or as far as it was captured no other."""
    total: cython.Py_ssize_t
    if captured <= 0:
        return True
    if is_sound_packet(buf, at, captured, original, protocol):
        return True
    if protocol == ETH_P_ARP:  # of another hardware, or cut before it says
        return captured < 8 or (buf[at + 2] << 8 | buf[at + 3]) == ETH_P_IP
    if _version_protocol(buf[at]) != protocol:
        return False
    if protocol == ETH_P_IP:
        if captured < 20:
            return True
        total = buf[at + 2] << 8 | buf[at + 3]
        # 0 is what segmentation offload leaves, and the checksum may be left to the device
        return (buf[at] & 0x0F) >= 5 and (total == 0 or total <= original)
    return captured < 40 or 40 + (buf[at + 4] << 8 | buf[at + 5]) <= original


def _ip_evidence(
    buf: cython.p_uchar,
    at: cython.Py_ssize_t,
    captured: cython.Py_ssize_t,
    original: cython.Py_ssize_t,
    padded: cython.bint,
) -> cython.int:
    """Return how much speaks for an IP packet of this very length at `at`; `padded` allows a short frame's padding."""
    header: cython.Py_ssize_t
    total: cython.Py_ssize_t
    if captured < 20:
        return _NOTHING
    if buf[at] >> 4 == 4:
        header = (buf[at] & 0x0F) * 4
        total = buf[at + 2] << 8 | buf[at + 3]
        if header < 20 or header > captured or total < header or not _fits(total, original, padded):
            return _NOTHING
        if _fold(_sum(buf, at, header)) == 0xFFFF:
            if (buf[at + 6] & 0x3F) or buf[at + 7]:  # a fragment has no whole transport
                return _HEADER
            if (
                _transport_evidence(
                    buf, at + 12, 8, at + header, captured - header, total - header, buf[at + 9]
                )
                == 2
            ):
                return _TRANSPORT
            return _HEADER
        # A checksum left to the device is made up for by a transport that agrees
        if (buf[at + 10] == 0 and buf[at + 11] == 0) and _transport_evidence(
            buf, at + 12, 8, at + header, captured - header, total - header, buf[at + 9]
        ):
            return _HEADER
        return _LENGTHS
    if buf[at] >> 4 == 6 and captured >= 40:
        return _ipv6_evidence(buf, at, captured, original, padded)
    return _NOTHING


def _ipv6_evidence(
    buf: cython.p_uchar,
    at: cython.Py_ssize_t,
    captured: cython.Py_ssize_t,
    original: cython.Py_ssize_t,
    padded: cython.bint,
) -> cython.int:
    header: cython.Py_ssize_t = 40
    next_header: cython.uint = buf[at + 6]
    total: cython.Py_ssize_t = 40 + (buf[at + 4] << 8 | buf[at + 5])
    found: cython.int
    if not _fits(total, original, padded):
        return _NOTHING
    while next_header in (IPPROTO_HOPOPTS, IPPROTO_ROUTING, IPPROTO_DSTOPTS) and header + 8 <= captured:
        next_header = buf[at + header]
        header += 8 + buf[at + header + 1] * 8
    if header > total:
        return _NOTHING
    found = _transport_evidence(buf, at + 8, 32, at + header, captured - header, total - header, next_header)
    if found == 2:
        return _TRANSPORT
    # No next header, fragment, ESP and AH, and the protocols that a tunnel carries: nothing more to check in them
    if found == 1 or (next_header in (4, 41, 44, 47, 50, 51, 59, 89, 103, 132) and buf[at + 7] > 0):
        return _HEADER
    return _LENGTHS


def _fits(total: cython.Py_ssize_t, original: cython.Py_ssize_t, padded: cython.bint) -> cython.bint:
    return total == original or (padded and total < original <= 50)


def _transport_evidence(
    buf: cython.p_uchar,
    addresses_at: cython.Py_ssize_t,
    addresses_length: cython.Py_ssize_t,
    at: cython.Py_ssize_t,
    captured: cython.Py_ssize_t,
    length: cython.Py_ssize_t,
    ip_protocol: cython.uint,
) -> cython.int:
    """Return 2 for a transport header with the right checksum, 1 for one whose lengths agree, 0 for none."""
    pseudo_header: cython.ulonglong = 0
    if ip_protocol == IPPROTO_TCP:
        if length < 20 or captured < 13 or buf[at + 12] >> 4 < 5 or (buf[at + 12] >> 4) * 4 > length:
            return 0
    elif ip_protocol == IPPROTO_UDP:
        if length < 8 or captured < 6 or (buf[at + 4] << 8 | buf[at + 5]) != length:
            return 0
        if captured >= 8 and buf[at + 6] == 0 and buf[at + 7] == 0:
            return 1
    elif ip_protocol == _IPPROTO_ICMPV6 and addresses_length == 32:
        if length < 4 or captured < 2:
            return 0
    elif ip_protocol != _IPPROTO_ICMP or length < 8:
        return 0
    if captured < length:
        return 1
    if ip_protocol != _IPPROTO_ICMP:
        pseudo_header = _sum(buf, addresses_at, addresses_length) + length + ip_protocol
    return 2 if _fold(pseudo_header + _sum(buf, at, length)) == 0xFFFF else 1


def _sum(buf: cython.p_uchar, at: cython.Py_ssize_t, length: cython.Py_ssize_t) -> cython.ulonglong:
    """Return the sum of the big-endian 16-bit words, an odd byte at the end being a high one."""
    i: cython.Py_ssize_t
    total: cython.ulonglong = 0
    for i in range(0, length - 1, 2):
        total += buf[at + i] << 8 | buf[at + i + 1]
    if length & 1:
        total += buf[at + length - 1] << 8
    return total


def _fold(total: cython.ulonglong) -> cython.uint:
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total
