"""What makes a packet the same in two places: at a tap, and in netfilter's log.

Compiled. Interface, direction, addresses, protocol, IP identification and fragment or flow label, length, and all that
follows the IP header belong to it. What changes between the two places does not: the TTL, the IP checksum, the traffic
class, and a transport checksum that the device may be left to fill in.

It is known again by a hash of these under a secret key: equal hashes of different packets happen by chance alone, once
in 2**64, and nobody without the key can make such packets, nor packets that all fall on the same few slots of a table.

Source: RFC 791, RFC 8200; RFC 768, RFC 792, RFC 4443 and RFC 9293 for where the checksums are.
"""

from typing import Final

import cython

from capfix.wire.numbers import (
    ETH_P_IP,
    ETH_P_IPV6,
    IPPROTO_ICMP,
    IPPROTO_ICMPV6,
    IPPROTO_TCP,
    IPPROTO_UDP,
    PACKET_OUTGOING,
)

if not cython.compiled:  # the .pxd file has them otherwise
    from capfix.transcode.siphash import SipHash
    from capfix.wire.facts import PacketFacts
    from capfix.wire.ip import packet_length
    from capfix.wire.memory import copy, load_be16, put_be16, put_u32

_IPV4_LENGTH: Final = 20
_IPV6_LENGTH: Final = 40

# The head is hashed out of an array of its own, without what changes: ifindex and direction, then what follows them of
# the headers. At most 8 bytes, then 8, then 52 of an IPv4 header with options, then 16 of TCP's, and padding.
_HEAD_LENGTH: Final = 96
_IP_AT: Final = 16


class PacketIdentity:
    """Identifies packets under one key, by as many bytes of each as both places are sure to have."""

    def __init__(self, key: bytes, compared_bytes: int) -> None:
        """`key` is 16 random bytes; `compared_bytes` of each packet are looked at."""
        self._hash = SipHash(key)
        self._compared_bytes = compared_bytes
        if not cython.compiled:
            self._head = bytearray(_HEAD_LENGTH)

    def identify(self, buf: cython.p_uchar, facts: PacketFacts) -> cython.ulonglong:
        """Return the number that a packet is known again by, 0 when it is not IP or its header is not whole."""
        captured: cython.Py_ssize_t = min(
            self._compared_bytes, cython.cast(cython.Py_ssize_t, facts.captured_length)
        )
        if facts.protocol == ETH_P_IP:
            return self._identify_ipv4(buf, facts, captured)
        if facts.protocol == ETH_P_IPV6:
            return self._identify_ipv6(buf, facts, captured)
        return 0

    def _identify_ipv4(
        self, buf: cython.p_uchar, facts: PacketFacts, captured: cython.Py_ssize_t
    ) -> cython.ulonglong:
        at: cython.Py_ssize_t = facts.payload_at
        header: cython.Py_ssize_t
        total: cython.Py_ssize_t
        protocol: cython.int
        if captured < _IPV4_LENGTH or buf[at] >> 4 != 4:
            return 0
        header = (buf[at] & 0x0F) * 4
        total = load_be16(buf, at + 2)
        if header < _IPV4_LENGTH or header > captured or header > total:
            return 0
        protocol = buf[at + 9]
        self._begin_head(facts, total, buf[at], protocol)
        copy(self._head, _IP_AT, buf, at + 4, 4)  # identification, flags and offset
        copy(self._head, _IP_AT + 4, buf, at + 12, header - 12)  # addresses and options
        if (buf[at + 6] & 0x1F) or buf[at + 7]:
            protocol = -1  # a later fragment has no transport header
        return self._finish(buf, at + header, at + min(total, captured), _IP_AT + 4 + header - 12, protocol)

    def _identify_ipv6(
        self, buf: cython.p_uchar, facts: PacketFacts, captured: cython.Py_ssize_t
    ) -> cython.ulonglong:
        at: cython.Py_ssize_t = facts.payload_at
        total: cython.Py_ssize_t
        if captured < _IPV6_LENGTH or buf[at] >> 4 != 6:
            return 0
        total = packet_length(buf, at, captured, ETH_P_IPV6)
        if total < _IPV6_LENGTH:
            total = _IPV6_LENGTH  # no payload, or as far as can be told none
        self._begin_head(facts, total, 6 << 4, buf[at + 6])
        put_be16(self._head, _IP_AT, buf[at + 1] & 0x0F)  # the flow label
        copy(self._head, _IP_AT + 2, buf, at + 2, 2)
        copy(self._head, _IP_AT + 4, buf, at + 8, 32)  # addresses
        return self._finish(buf, at + _IPV6_LENGTH, at + min(total, captured), _IP_AT + 36, buf[at + 6])

    def _begin_head(
        self,
        facts: PacketFacts,
        total: cython.Py_ssize_t,
        version_and_length: cython.uint,
        protocol: cython.uint,
    ) -> cython.void:
        """Begin with what both versions have, and with the header's length, which says where the rest stands."""
        put_u32(self._head, 0, facts.ifindex)
        put_u32(self._head, 4, 1 if facts.packet_type == PACKET_OUTGOING else 0)
        put_u32(self._head, 8, total)
        put_be16(self._head, 12, version_and_length)
        put_be16(self._head, 14, protocol)

    def _finish(
        self,
        buf: cython.p_uchar,
        transport_at: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
        head_length: cython.Py_ssize_t,
        protocol: cython.int,
    ) -> cython.ulonglong:
        """Return the hash of the head and of what follows the IP header, without its checksum."""
        checksum_at: cython.Py_ssize_t = _checksum_offset(protocol)
        identity: cython.ulonglong
        if checksum_at >= 0 and transport_at + checksum_at + 2 <= end:
            copy(self._head, head_length, buf, transport_at, checksum_at)
            head_length += checksum_at
            transport_at += checksum_at + 2
        while head_length & 7:
            self._head[head_length] = 0
            head_length += 1
        self._hash.begin()
        self._hash.add(self._head, 0, head_length)
        identity = self._hash.finish(buf, transport_at, end - transport_at)
        return identity if identity else 1


def _checksum_offset(protocol: cython.int) -> cython.Py_ssize_t:
    if protocol == IPPROTO_TCP:
        return 16
    if protocol == IPPROTO_UDP:
        return 6
    if protocol in (IPPROTO_ICMP, IPPROTO_ICMPV6):
        return 2
    return -1
