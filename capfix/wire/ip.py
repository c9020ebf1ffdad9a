"""IP headers, as far as a link-layer header depends on them.

Compiled. Every function looks only at bytes within the captured length it is given.

Source: RFC 791, RFC 8200, RFC 826; RFC 2675 for jumbograms.
"""

from typing import Final

import cython

from capfix.wire.numbers import ETH_P_ARP, ETH_P_IP, ETH_P_IPV6, IPPROTO_HOPOPTS

if not cython.compiled:  # the .pxd file has them otherwise
    from capfix.wire.memory import load_be16, load_be32

_IPV6_LENGTH: Final = 40
_PAD1: Final = 0
_JUMBO_PAYLOAD: Final = 0xC2
# No jumbogram is shorter, and with a header before it a longer one would not fit the 32 bits that say how long it is
_LEAST_JUMBO: Final = 0x10000
_LARGEST_JUMBO: Final = 0x7FFFFFFF


def protocol_by_version(
    buf: cython.p_uchar, at: cython.Py_ssize_t, captured: cython.Py_ssize_t
) -> cython.uint:
    """Return the EtherType that the version nibble at `at` stands for, 0 when it is none of IP's."""
    if captured > 0:
        if buf[at] >> 4 == 4:
            return ETH_P_IP
        if buf[at] >> 4 == 6:
            return ETH_P_IPV6
    return 0


def packet_length(
    buf: cython.p_uchar, at: cython.Py_ssize_t, captured: cython.Py_ssize_t, protocol: cython.uint
) -> cython.Py_ssize_t:
    """Return how long the IP header at `at` says that the packet is, 0 when it does not say.

    `protocol` is its EtherType. That of a jumbogram stands in its hop-by-hop options.
    """
    length: cython.Py_ssize_t
    if protocol == ETH_P_IP and captured >= 4:
        return load_be16(buf, at + 2)
    if protocol == ETH_P_IPV6 and captured >= 6:
        length = load_be16(buf, at + 4)
        return _IPV6_LENGTH + length if length else _jumbogram_length(buf, at, captured)
    return 0


def _jumbogram_length(
    buf: cython.p_uchar, at: cython.Py_ssize_t, captured: cython.Py_ssize_t
) -> cython.Py_ssize_t:
    end: cython.Py_ssize_t
    length: cython.Py_ssize_t
    if captured < _IPV6_LENGTH + 8 or buf[at + 6] != IPPROTO_HOPOPTS:
        return 0
    at += _IPV6_LENGTH
    end = at + min(8 + buf[at + 1] * 8, captured - _IPV6_LENGTH)
    at += 2
    while end - at >= 2:
        if buf[at] == _PAD1:
            at += 1
        elif buf[at] != _JUMBO_PAYLOAD:
            at += 2 + buf[at + 1]
        elif buf[at + 1] != 4 or end - at < 6:
            return 0
        else:
            length = load_be32(buf, at + 2)
            return _IPV6_LENGTH + length if _LEAST_JUMBO <= length <= _LARGEST_JUMBO else 0
    return 0


def is_sound_packet(
    buf: cython.p_uchar,
    at: cython.Py_ssize_t,
    captured: cython.Py_ssize_t,
    original: cython.Py_ssize_t,
    protocol: cython.uint,
) -> cython.bint:
    """Return whether a whole header of `protocol` at `at` agrees with itself and with the packet's length.

    For IPv4, IPv6 and ARP; any other protocol is never sound, since nothing in it could be checked.
    """
    if protocol == ETH_P_IP:
        return _is_sound_ipv4(buf, at, captured, original)
    if protocol == ETH_P_IPV6:
        return _is_sound_ipv6(buf, at, captured, original)
    if protocol == ETH_P_ARP:
        # hardware type 1, protocol type 0x0800, address lengths 6 and 4
        return (
            captured >= 8
            and load_be16(buf, at) == 1
            and load_be16(buf, at + 2) == ETH_P_IP
            and buf[at + 4] == 6
            and buf[at + 5] == 4
        )
    return False


def _is_sound_ipv4(
    buf: cython.p_uchar, at: cython.Py_ssize_t, captured: cython.Py_ssize_t, original: cython.Py_ssize_t
) -> cython.bint:
    header: cython.Py_ssize_t
    total: cython.Py_ssize_t
    i: cython.Py_ssize_t
    checksum: cython.uint = 0
    if captured < 20 or buf[at] >> 4 != 4:
        return False
    header = (buf[at] & 0x0F) * 4
    total = load_be16(buf, at + 2)
    if header < 20 or header > captured or total < header or total > original:
        return False
    for i in range(0, header, 2):
        checksum += load_be16(buf, at + i)
    checksum = (checksum & 0xFFFF) + (checksum >> 16)
    checksum = (checksum & 0xFFFF) + (checksum >> 16)
    return checksum == 0xFFFF


def _is_sound_ipv6(
    buf: cython.p_uchar, at: cython.Py_ssize_t, captured: cython.Py_ssize_t, original: cython.Py_ssize_t
) -> cython.bint:
    total: cython.Py_ssize_t
    if captured < 40 or buf[at] >> 4 != 6:
        return False
    total = _IPV6_LENGTH + load_be16(buf, at + 4)
    return total <= original <= total + 46  # a short frame is padded to 46 bytes of payload


def is_ipv4_group(buf: cython.p_uchar, at: cython.Py_ssize_t, captured: cython.Py_ssize_t) -> cython.bint:
    """Return whether an IPv4 header at `at` names a group (224.0.0.0/4) as destination."""
    return captured >= 20 and buf[at] >> 4 == 4 and buf[at + 16] >> 4 == 14


def is_ipv6_group(buf: cython.p_uchar, at: cython.Py_ssize_t, captured: cython.Py_ssize_t) -> cython.bint:
    """Return whether an IPv6 header at `at` names a group (ff00::/8) as destination."""
    return captured >= 40 and buf[at] >> 4 == 6 and buf[at + 24] == 0xFF
