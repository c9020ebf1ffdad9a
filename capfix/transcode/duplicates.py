"""Which packets a tap has delivered, so that netfilter's copies of them can be left out.

Compiled. A packet is known again by its PacketIdentity.

Whatever is in doubt stays in the capture twice: packets that are not IP, that differ in any other way (netfilter
reassembles fragments and translates addresses), that are a second apart, or that the table had no room for. A tap's
packet hides one copy a hook, so that of two equal packets each hides its own.
"""

from array import array
from typing import Final

import cython

from capfix.wire.nflog import MAX_COPY_RANGE
from capfix.wire.tpacket import decode_ring_block

if not cython.compiled:  # the .pxd file has them otherwise
    from capfix.transcode.identity import PacketIdentity
    from capfix.wire.facts import PacketFacts
    from capfix.wire.tpacket import next_packet, read_packet

# Enough for the packets of 0.2 s at 600 thousand a second, which is how long the two wait for each other: 5 MiB
SLOTS: Final = 1 << 17

_WINDOW_NS: Final = 1_000_000_000
_WAYS: Final = 8  # slots in which a packet may be; the oldest of them gives way
_HOOKS: Final = 5
_COUNTS: Final = _HOOKS + 1  # how often the tap has delivered it, and how often each hook has shown it since


class SeenPackets:
    """The packets that a tap has delivered within the last second, as many as there are slots for.

    `taken` counts the copies that were known again.
    """

    def __init__(self, key: bytes, slots: int = SLOTS, compared_bytes: int = MAX_COPY_RANGE) -> None:
        """`key` is 16 random bytes, `slots` a power of 2 from 8 on.

        `compared_bytes` of each packet are looked at: as many as both sources are sure to have of it.
        """
        self.taken = 0
        self._identity = PacketIdentity(key, compared_bytes)
        self._mask = slots - 1
        self._identities = array("Q", bytes(8 * slots))
        self._times = array("Q", bytes(8 * slots))
        self._counts = array("I", bytes(4 * _COUNTS * slots))
        self._facts = PacketFacts()

    def add_ring_block(self, ring_block: cython.const[cython.uchar][::1]) -> None:  # type: ignore[valid-type]
        """Remember the packets of a ring block.

        Raises:
            TruncatedError: it is shorter than a block descriptor.
        """
        descriptor = decode_ring_block(memoryview(ring_block))
        if cython.compiled:
            buf: cython.p_uchar = cython.cast(cython.p_uchar, cython.address(ring_block[0]))
        else:
            buf = ring_block
        self._add_all(buf, descriptor.first_packet_at, descriptor.length, descriptor.packet_count)

    def _add_all(
        self, buf: cython.p_uchar, at: cython.Py_ssize_t, end: cython.Py_ssize_t, count: cython.Py_ssize_t
    ) -> cython.void:
        """Add the packets that the ring's transcoder reads, and no others."""
        while count > 0 and at >= 0:
            if read_packet(buf, at, end, self._facts):
                self.add(buf, self._facts)
            at = next_packet(buf, at, end)
            count -= 1

    def add(self, buf: cython.p_uchar, facts: PacketFacts) -> cython.void:
        """Remember a packet that the tap delivered."""
        slot: cython.Py_ssize_t
        identity: cython.ulonglong = self._identity.identify(buf, facts)
        if identity == 0:
            return
        slot = self._find(identity, facts.timestamp_ns)
        if slot < 0:
            slot = self._replace(identity, facts.timestamp_ns)
        self._times[slot] = facts.timestamp_ns
        self._counts[slot * _COUNTS] += 1

    def take(self, buf: cython.p_uchar, facts: PacketFacts, hook: cython.int) -> cython.bint:
        """Return whether the tap has delivered this packet, which a netfilter hook shows as one more."""
        slot: cython.Py_ssize_t
        at: cython.Py_ssize_t
        identity: cython.ulonglong = self._identity.identify(buf, facts)
        if identity == 0 or hook < 0 or hook >= _HOOKS:
            return False
        slot = self._find(identity, facts.timestamp_ns)
        if slot < 0:
            return False
        at = slot * _COUNTS
        if self._counts[at + 1 + hook] >= self._counts[at]:
            return False
        self._counts[at + 1 + hook] += 1
        self.taken += 1
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
