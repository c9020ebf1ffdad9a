"""Internet checksums that the kernel left to the device: a packet tapped on its way there lacks them.

Compiled. In place of such a checksum the kernel has put the sum of the pseudo-header, for the device to go on from.
That tells which checksum is the missing one. In a tunnel it may be an inner one, and then the outer, final already,
does not hold that sum and stays.

Source: RFC 1071, RFC 768, RFC 9293, RFC 8200 section 8.1; linux/skbuff.h, CHECKSUM_PARTIAL.
"""

import cython

from capfix.wire.numbers import (
    ETH_P_IP,
    ETH_P_IPV6,
    IPPROTO_DSTOPTS,
    IPPROTO_HOPOPTS,
    IPPROTO_ROUTING,
    IPPROTO_TCP,
    IPPROTO_UDP,
)

if not cython.compiled:  # the .pxd file has them otherwise
    from capfix.wire.memory import load_be16, put_be16


def fix_checksums(
    out: cython.p_uchar, at: cython.Py_ssize_t, captured: cython.Py_ssize_t, protocol: cython.uint
) -> cython.bint:
    """Compute in place what is missing in the packet of `protocol`, an EtherType, that begins at `at`.

    To be called only where the kernel says that a checksum is not ready. Computes that of TCP or UDP, and then that of
    the IPv4 header too. Returns whether it did; cut packets, fragments and what is neither TCP nor UDP directly
    over IP, the headers of IPv6 between them read over, stay as they are.
    """
    header: cython.Py_ssize_t
    total: cython.Py_ssize_t
    if protocol == ETH_P_IP:
        if captured < 20 or out[at] >> 4 != 4:
            return False
        header = (out[at] & 0x0F) * 4
        total = load_be16(out, at + 2)
        if header < 20 or total < header or total > captured:
            return False
        if (out[at + 6] & 0x3F) or out[at + 7]:  # more fragments, or not the first
            return False
        if not _fix_transport(out, at + 12, 8, at + header, total - header, out[at + 9]):
            return False
        out[at + 10] = out[at + 11] = 0
        _put_checksum(out, at + 10, _sum(out, at, header))
        return True
    if protocol == ETH_P_IPV6:
        return _fix_ipv6(out, at, captured)
    return False


def _fix_ipv6(out: cython.p_uchar, at: cython.Py_ssize_t, captured: cython.Py_ssize_t) -> cython.bint:
    header: cython.Py_ssize_t = 40
    total: cython.Py_ssize_t
    next_header: cython.uint
    if captured < 40 or out[at] >> 4 != 6:
        return False
    total = 40 + load_be16(out, at + 4)
    if total > captured:
        return False
    next_header = out[at + 6]
    while next_header in (IPPROTO_HOPOPTS, IPPROTO_ROUTING, IPPROTO_DSTOPTS):
        if header + 8 > total:
            return False
        next_header = out[at + header]
        header += 8 + out[at + header + 1] * 8
    if header > total:
        return False
    return _fix_transport(out, at + 8, 32, at + header, total - header, next_header)


def _fix_transport(
    out: cython.p_uchar,
    addresses_at: cython.Py_ssize_t,
    addresses_length: cython.Py_ssize_t,
    at: cython.Py_ssize_t,
    length: cython.Py_ssize_t,
    ip_protocol: cython.uint,
) -> cython.bint:
    """Compute the checksum of the TCP or UDP packet at `at` if it is the one that is missing; return whether it was."""
    field: cython.Py_ssize_t
    pseudo_header: cython.ulonglong
    if ip_protocol == IPPROTO_TCP and length >= 20:
        field = at + 16
    elif ip_protocol == IPPROTO_UDP and length >= 8:
        field = at + 6
        if load_be16(out, at + 4) != length:
            return False
    else:
        return False
    pseudo_header = _sum(out, addresses_at, addresses_length) + length + ip_protocol
    # Nothing, and the sum of nothing but ones, are the same number in one's complement
    if _fold(pseudo_header) % 0xFFFF != load_be16(out, field) % 0xFFFF:
        return False
    if out[field] == 0 and out[field + 1] == 0:
        return False  # no checksum at all, which UDP allows
    out[field] = out[field + 1] = 0
    _put_checksum(out, field, pseudo_header + _sum(out, at, length))
    if ip_protocol == IPPROTO_UDP and out[field] == 0 and out[field + 1] == 0:
        out[field] = out[field + 1] = 0xFF  # zero would say that there is none
    return True


def _sum(out: cython.p_uchar, at: cython.Py_ssize_t, length: cython.Py_ssize_t) -> cython.ulonglong:
    """Return the sum of the big-endian 16-bit words, an odd byte at the end being a high one."""
    i: cython.Py_ssize_t
    total: cython.ulonglong = 0
    for i in range(0, length - 1, 2):
        total += load_be16(out, at + i)
    if length & 1:
        total += out[at + length - 1] << 8
    return total


def _fold(total: cython.ulonglong) -> cython.uint:
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def _put_checksum(out: cython.p_uchar, at: cython.Py_ssize_t, total: cython.ulonglong) -> cython.void:
    checksum: cython.uint = _fold(total) ^ 0xFFFF
    put_be16(out, at, checksum)


def with_checksums(packet: bytes, protocol: int) -> bytes:
    """Return a copy of the packet, from its network layer on, with what `fix_checksums` computes."""
    out: cython.uchar[::1] = bytearray(packet)
    if len(packet):
        fix_checksums(
            cython.address(out[0]) if cython.compiled else out,
            0,
            len(packet),
            protocol,
        )
    return bytes(out)
