"""From a ring block to enhanced packet blocks.

Compiled. A packet that does not lie in its ring block is left out alone where the next one can be found, else with all
that follow it: no next offset leads back or beyond the ring block, whatever number of packets it claims to have.
"""

from typing import Final

import cython

from capfix.transcode.stop import NO_LIMIT, Stop
from capfix.wire.tpacket import decode_ring_block

if not cython.compiled:  # the .pxd file has them otherwise
    from capfix.framing import Framer
    from capfix.transcode.packet import PacketWriter
    from capfix.wire.facts import PacketFacts
    from capfix.wire.tpacket import next_packet, read_packet

COMPILED: Final[bool] = cython.compiled

_DONE: Final = int(Stop.DONE)
_LIMIT_REACHED: Final = int(Stop.LIMIT_REACHED)
_LATER: Final = int(Stop.LATER)


class RingTranscoder:
    """Turns the packets of one ring into enhanced packet blocks.

    `packets` writes and counts them. Where sources are merged, `until_ns` holds back packets from that time on; it is
    the caller's to set. `malformed_blocks` counts the ring blocks of which a packet could not be read.
    """

    def __init__(self, packets: PacketWriter) -> None:
        self.packets = packets
        self.stopped_for = _DONE
        self.until_ns = NO_LIMIT
        self.waiting_ns = 0
        self.unknown_ifindex = 0
        self.malformed_blocks = 0
        self._facts = PacketFacts()
        self._at = self._end = self._left = 0
        self._is_torn = False

    @property
    def framer(self) -> Framer:
        """What decides the headers."""
        return self.packets.frames.framer

    @property
    def written(self) -> int:
        """How many packets were written."""
        return self.packets.written

    @property
    def loopback_copies(self) -> int:
        """How many outgoing copies of the loopback interface were left out."""
        return self.packets.loopback_copies

    @property
    def not_carried(self) -> int:
        """How many packets the link type has no honest header for."""
        return self.packets.not_carried

    @property
    def pending_drops(self) -> int:
        """How many lost packets wait to be told on the next one written."""
        return self.packets.pending_drops

    def add_interface(
        self, ifindex: int, interface_id: int, mac: bytes | None, hardware_type: int = 0
    ) -> None:
        """Write packets of an interface from now on; see InterfaceTable.add."""
        self.packets.interfaces.add(ifindex, interface_id, mac, hardware_type)

    def forget_interfaces(self) -> None:
        """Know no interface any more; see InterfaceTable.forget."""
        self.packets.interfaces.forget()

    def ask_again(self, ifindex: int) -> None:
        """Stop at the next packet of `ifindex` as at one of an interface that is not known."""
        self.packets.interfaces.ask_again(ifindex)

    def release_interface(self, ifindex: int) -> int:
        """Forget an interface that is gone, and return how many of its packets were written."""
        return self.packets.interfaces.release(ifindex)

    def delivered(self, ifindex: int) -> int:
        """Return how many packets of an interface were written since interfaces were last forgotten."""
        return self.packets.interfaces.delivered(ifindex)

    def start(self, ring_block: memoryview, drops: int = 0) -> None:
        """Begin with a ring block. `drops` packets were lost before it, to be told on the next packet written.

        Raises:
            TruncatedError: it is shorter than a block descriptor.
        """
        descriptor = decode_ring_block(ring_block)
        self._at = descriptor.first_packet_at
        self._end = descriptor.length
        self._left = descriptor.packet_count
        self.packets.pending_drops += drops
        self._is_torn = False

    def convert(
        self,
        ring_block: cython.const[cython.uchar][::1],  # type: ignore[valid-type]
        out: cython.uchar[::1],
        at: cython.Py_ssize_t,
        limit: cython.longlong = NO_LIMIT,
        options: cython.const[cython.uchar][::1] = b"",  # type: ignore[valid-type]
    ) -> cython.Py_ssize_t:
        """Convert packets of the ring block begun last into `out` from `at`; return where the output ends.

        At most `limit` packets are written. `options`, whole encoded options, go with the first of them. Afterwards
        `stopped_for` says why it stopped. `ring_block` is the same memory as at `start`.
        """
        room: cython.Py_ssize_t = len(out)
        options_length: cython.Py_ssize_t = len(options)
        if cython.compiled:
            buf: cython.p_uchar = cython.cast(cython.p_uchar, cython.address(ring_block[0]))
            out_buf: cython.p_uchar = cython.address(out[0])
            options_buf: cython.p_uchar = cython.NULL
            if options_length:
                options_buf = cython.cast(cython.p_uchar, cython.address(options[0]))
            with cython.nogil:
                at = self._convert(buf, out_buf, at, room, limit, options_buf, options_length)
        else:
            at = self._convert(ring_block, out, at, room, limit, options, options_length)
        return at

    def _convert(
        self,
        buf: cython.p_uchar,
        out: cython.p_uchar,
        at: cython.Py_ssize_t,
        room: cython.Py_ssize_t,
        limit: cython.longlong,
        options: cython.p_uchar,
        options_length: cython.Py_ssize_t,
    ) -> cython.Py_ssize_t:
        end: cython.Py_ssize_t
        self.stopped_for = _DONE
        while self._left > 0:
            if limit == 0:
                self.stopped_for = _LIMIT_REACHED
                break
            if not read_packet(buf, self._at, self._end, self._facts):
                self._count_torn()
                self._advance(buf)
                continue
            if self._facts.timestamp_ns >= self.until_ns:
                self.waiting_ns = self._facts.timestamp_ns
                self.stopped_for = _LATER
                break
            end = self.packets.put_packet(buf, self._facts, out, at, room, options, options_length)
            if end < 0:
                self.stopped_for = cython.cast(cython.int, -end)
                self.unknown_ifindex = self._facts.ifindex
                break
            if end != at:
                limit -= 1
                options_length = 0
            at = end
            self._advance(buf)
        return at

    def _advance(self, buf: cython.p_uchar) -> cython.void:
        """Go on to the next packet, if there is one to be found."""
        self._left -= 1
        if self._left > 0:  # the last one's next offset is 0
            self._at = next_packet(buf, self._at, self._end)
            if self._at < 0:
                self._count_torn()
                self._left = 0

    def _count_torn(self) -> cython.void:
        if not self._is_torn:
            self._is_torn = True
            self.malformed_blocks += 1
