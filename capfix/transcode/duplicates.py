"""Which packets a tap has delivered, so that netfilter's copies of them can be left out.

Compiled. A packet is known again by a 64-bit hash: interface, direction, addresses, protocol, IP identification and
fragment or flow label, length, and all that follows the IP header. Not part of it is what changes between the two
places: the TTL, the IP checksum, the traffic class, and a transport checksum that the device may be left to fill in.

Whatever is in doubt stays in the capture twice: packets that are not IP, that differ in any other way (netfilter
reassembles fragments and translates addresses), that are a second apart, or that the table had no room for. A tap's
packet hides one copy a hook, so that of two equal packets each hides its own.

The hash is seeded: who does not know the seed cannot make packets that hide others.

Source: RFC 791, RFC 8200; RFC 768, RFC 792, RFC 4443 and RFC 9293 for where the checksums are.
"""

from array import array
from typing import Final

import cython

from capfix.wire.numbers import ETH_P_IP, ETH_P_IPV6, PACKET_OUTGOING
from capfix.wire.pcapng import SNAPLEN
from capfix.wire.tpacket import decode_ring_block

if not cython.compiled:  # the .pxd file has them otherwise
    from capfix.wire.facts import Facts
    from capfix.wire.tpacket import next_packet, read_packet

# Enough for the packets of 0.2 s at 600 thousand a second, which is how long the two wait for each other: 5 MiB
SLOTS: Final = 1 << 17

_WINDOW_NS: Final = 1_000_000_000
_WAYS: Final = 8  # slots in which a packet may be; the oldest of them gives way
_HOOKS: Final = 5
_COUNTS: Final = _HOOKS + 1  # how often the tap has delivered it, and how often each hook has shown it since

_ICMP: Final = 1
_TCP: Final = 6
_UDP: Final = 17
_ICMPV6: Final = 58

_MULTIPLIER: Final = 0x9E3779B97F4A7C15  # 2**64 divided by the golden ratio: odd, and its bits look random
_ALL_BITS: Final = 0xFFFFFFFFFFFFFFFF


class SeenPackets:
    """The packets that a tap has delivered within the last second, as many as there are slots for."""

    def __init__(self, seed: int, slots: int = SLOTS, compared_bytes: int = SNAPLEN) -> None:
        """`seed` is a random number of 64 bits, `slots` a power of 2 from 8 on.

        `compared_bytes` of each packet are looked at: as many as both sources are sure to have of it.
        """
        self._seed = seed
        self._compared_bytes = compared_bytes
        self._mask = slots - 1
        self._identities = array("Q", bytes(8 * slots))
        self._times = array("Q", bytes(8 * slots))
        self._counts = array("I", bytes(4 * _COUNTS * slots))
        self._facts = Facts()

    def add_ring_block(self, block: cython.const[cython.uchar][::1]) -> None:  # type: ignore[valid-type]
        """Remember the packets of a ring block.

        Raises:
            TruncatedError: it is shorter than a block descriptor.
        """
        descriptor = decode_ring_block(memoryview(block))
        if cython.compiled:
            buf: cython.p_uchar = cython.cast(cython.p_uchar, cython.address(block[0]))
        else:
            buf = block
        self._add_all(buf, descriptor.first_packet_at, descriptor.length, descriptor.packet_count)

    def _add_all(
        self, buf: cython.p_uchar, at: cython.Py_ssize_t, end: cython.Py_ssize_t, count: cython.Py_ssize_t
    ) -> cython.void:
        while count > 0 and read_packet(buf, at, end, self._facts):
            self.add(buf, self._facts)
            at = next_packet(buf, at)
            count -= 1

    def add(self, buf: cython.p_uchar, facts: Facts) -> cython.void:
        """Remember a packet that the tap delivered."""
        slot: cython.Py_ssize_t
        identity: cython.ulonglong = identify(buf, facts, self._seed, self._compared_bytes)
        if identity == 0:
            return
        slot = self._find(identity, facts.timestamp_ns)
        if slot < 0:
            slot = self._replace(identity, facts.timestamp_ns)
        self._times[slot] = facts.timestamp_ns
        self._counts[slot * _COUNTS] += 1

    def take(self, buf: cython.p_uchar, facts: Facts, hook: cython.int) -> cython.bint:
        """Return whether the tap has delivered this packet, which a netfilter hook shows as one more."""
        slot: cython.Py_ssize_t
        at: cython.Py_ssize_t
        identity: cython.ulonglong = identify(buf, facts, self._seed, self._compared_bytes)
        if identity == 0 or hook < 0 or hook >= _HOOKS:
            return False
        slot = self._find(identity, facts.timestamp_ns)
        if slot < 0:
            return False
        at = slot * _COUNTS
        if self._counts[at + 1 + hook] >= self._counts[at]:
            return False
        self._counts[at + 1 + hook] += 1
        return True

    def _find(self, identity: cython.ulonglong, time_ns: cython.ulonglong) -> cython.Py_ssize_t:
        """Return the slot of a packet that came within a second of `time_ns`, or -1."""
        i: cython.Py_ssize_t
        slot: cython.Py_ssize_t
        for i in range(_WAYS):
            slot = cython.cast(cython.Py_ssize_t, (identity + i) & self._mask)
            if (
                self._identities[slot] == identity
                and self._times[slot] <= time_ns + _WINDOW_NS
                and time_ns <= self._times[slot] + _WINDOW_NS
            ):
                return slot
        return -1

    def _replace(self, identity: cython.ulonglong, time_ns: cython.ulonglong) -> cython.Py_ssize_t:
        """Make room for a packet in place of the oldest that it could be in place of, and return its slot."""
        i: cython.Py_ssize_t
        slot: cython.Py_ssize_t
        oldest: cython.Py_ssize_t = cython.cast(cython.Py_ssize_t, identity & self._mask)
        for i in range(1, _WAYS):
            slot = cython.cast(cython.Py_ssize_t, (identity + i) & self._mask)
            if self._times[slot] < self._times[oldest]:
                oldest = slot
        self._identities[oldest] = identity
        for i in range(_COUNTS):
            self._counts[oldest * _COUNTS + i] = 0
        return oldest


def identify(
    buf: cython.p_uchar, facts: Facts, seed: cython.ulonglong, compared: cython.Py_ssize_t
) -> cython.ulonglong:
    """Return the hash that a packet is known again by, 0 when it is not IP or its header is not whole.

    Only its first `compared` bytes are looked at.
    """
    captured: cython.Py_ssize_t = min(compared, cython.cast(cython.Py_ssize_t, facts.captured_length))
    state: cython.ulonglong = _mix(
        seed, facts.ifindex * 2 + (1 if facts.packet_type == PACKET_OUTGOING else 0)
    )
    if facts.protocol == ETH_P_IP:
        return _identify_ipv4(buf, facts.payload_at, captured, state)
    if facts.protocol == ETH_P_IPV6:
        return _identify_ipv6(buf, facts.payload_at, captured, state)
    return 0


def _identify_ipv4(
    buf: cython.p_uchar, at: cython.Py_ssize_t, captured: cython.Py_ssize_t, state: cython.ulonglong
) -> cython.ulonglong:
    header: cython.Py_ssize_t
    total: cython.Py_ssize_t
    protocol: cython.int
    if captured < 20 or buf[at] >> 4 != 4:
        return 0
    header = (buf[at] & 0x0F) * 4
    total = buf[at + 2] << 8 | buf[at + 3]
    if header < 20 or header > captured or header > total:
        return 0
    protocol = buf[at + 9]
    state = _mix(state, total << 8 | protocol)
    state = _mix_bytes(buf, at + 4, at + 8, state)
    state = _mix_bytes(buf, at + 12, at + header, state)
    if (buf[at + 6] & 0x1F) or buf[at + 7]:
        protocol = -1  # a later fragment has no transport header
    return _mix_transport(buf, at, at + header, at + min(total, captured), protocol, state)


def _identify_ipv6(
    buf: cython.p_uchar, at: cython.Py_ssize_t, captured: cython.Py_ssize_t, state: cython.ulonglong
) -> cython.ulonglong:
    total: cython.Py_ssize_t
    if captured < 40 or buf[at] >> 4 != 6:
        return 0
    total = 40 + (buf[at + 4] << 8 | buf[at + 5])
    state = _mix(state, total << 8 | buf[at + 6])
    state = _mix(state, (buf[at + 1] & 0x0F) << 16 | buf[at + 2] << 8 | buf[at + 3])
    state = _mix_bytes(buf, at + 8, at + 40, state)
    return _mix_transport(buf, at, at + 40, at + min(total, captured), buf[at + 6], state)


def _mix_transport(
    buf: cython.p_uchar,
    at: cython.Py_ssize_t,
    transport_at: cython.Py_ssize_t,
    end: cython.Py_ssize_t,
    protocol: cython.int,
    state: cython.ulonglong,
) -> cython.ulonglong:
    """Add what follows the IP header, without its checksum."""
    checksum_at: cython.Py_ssize_t = _checksum_offset(protocol)
    if checksum_at >= 0 and transport_at + checksum_at + 2 <= end:
        state = _mix_bytes(buf, transport_at, transport_at + checksum_at, state)
        transport_at += checksum_at + 2
    state = _mix_bytes(buf, transport_at, end, state)
    return state if state else 1


def _checksum_offset(protocol: cython.int) -> cython.Py_ssize_t:
    if protocol == _TCP:
        return 16
    if protocol == _UDP:
        return 6
    if protocol in (_ICMP, _ICMPV6):
        return 2
    return -1


def _mix_bytes(
    buf: cython.p_uchar, at: cython.Py_ssize_t, end: cython.Py_ssize_t, state: cython.ulonglong
) -> cython.ulonglong:
    i: cython.Py_ssize_t
    word: cython.ulonglong
    while at < end:
        word = 0
        for i in range(min(8, end - at)):
            word = word << 8 | buf[at + i]
        state = _mix(state, word)
        at += 8
    return state


def _mix(state: cython.ulonglong, value: cython.ulonglong) -> cython.ulonglong:
    state = ((state ^ value) * _MULTIPLIER) & _ALL_BITS
    return state ^ state >> 29
