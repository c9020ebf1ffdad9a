"""From netfilter's log to enhanced packet blocks.

Compiled. Frames and blocks are made as for the packets of a ring. What netfilter says otherwise is told here:

- The interface and the direction come from the hook: in at prerouting and input, out at output and postrouting. A
  forwarded packet is inbound where it came in by a wanted interface, else outbound where it leaves by one.
- Only packets from outside carry a time. One without gets that of the next packet in the same read that has one,
  since it was logged before, else that of the read: the latest it can have been, and answers stay behind questions.
- Where packets are merged with a tap's, none goes back in time by the little that the time of a read may be late.
- The original length is the IP header's where that is more than was copied; a jumbogram's is its option's.
- Netfilter does not say which checksums were left to a device. Where they are to be completed, one that holds the sum
  of the pseudo-header is taken for unfinished: a right one that happens to hold it is computed to the same value.
- A filter that the kernel would run for a packet socket is run here, on the same view of a packet.
- A gap in the sequence numbers is packets lost, to be told on the next packet written.
"""

from typing import Final

import cython

from capfix.filters.instructions import (
    SKF_AD_HATYPE,
    SKF_AD_IFINDEX,
    SKF_AD_MARK,
    SKF_AD_PKTTYPE,
    SKF_AD_PROTOCOL,
    Program,
)
from capfix.transcode.stop import NO_LIMIT, Stop
from capfix.wire.numbers import (
    ARPHRD_ETHER,
    ETH_P_IP,
    HOOK_FORWARD,
    HOOK_OUTPUT,
    HOOK_POSTROUTING,
    PACKET_BROADCAST,
    PACKET_HOST,
    PACKET_MULTICAST,
    PACKET_OUTGOING,
)

if not cython.compiled:  # the .pxd file has them otherwise
    from capfix.filters.machine import Machine
    from capfix.framing import Framer
    from capfix.transcode.duplicates import SeenPackets
    from capfix.transcode.log_messages import LogMessages
    from capfix.transcode.packet import PacketWriter
    from capfix.wire.facts import PacketFacts
    from capfix.wire.ip import is_ipv4_group, is_ipv6_group, packet_length
    from capfix.wire.nflog import PacketFields, has_trusted_header

_DONE: Final = int(Stop.DONE)
_UNKNOWN_INTERFACE: Final = int(Stop.UNKNOWN_INTERFACE)
_LIMIT_REACHED: Final = int(Stop.LIMIT_REACHED)
_LATER: Final = int(Stop.LATER)

_DISORDER_NS: Final = 100_000_000  # more than a read is late


class NetfilterTranscoder:
    """Turns the packets of one log group into enhanced packet blocks, but for those that a tap has delivered.

    `packets` writes and counts them. Of the packets read, `lost` counts what the sequence numbers lack,
    `other_interfaces` those of interfaces nobody asked for, which only foreign rules log, and `duplicates` those that
    were `seen`. Of all of them only those are written that `program`, made for a SOCK_DGRAM socket, accepts.
    `malformed_blocks` counts messages that could not be read. With `merging` no packet goes back in time by the little
    that a read may be late. `receipt_ns`, nanoseconds since 1970, and `until_ns`, from which on packets are held back,
    are the caller's to set.
    """

    def __init__(
        self,
        packets: PacketWriter,
        merging: bool = False,
        seen: SeenPackets | None = None,
        program: Program | None = None,
    ) -> None:
        self.packets = packets
        self.stopped_for = _DONE
        self.until_ns = NO_LIMIT
        self.waiting_ns = 0
        self.unknown_ifindex = 0
        self.other_interfaces = 0
        self._messages = LogMessages()
        self._machine = Machine(program) if program is not None else None
        self._seen = seen
        self._facts = PacketFacts()
        self._facts.checksum_untold = True
        self._merging = merging
        self._last_ns = 0

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

    def ignore_interface(self, ifindex: int) -> None:
        """Leave packets of an interface out, and count them."""
        self.packets.interfaces.ignore(ifindex)

    @property
    def logged(self) -> int:
        """How many packets were logged and read."""
        return self._messages.sequence.logged

    @property
    def lost(self) -> int:
        """How many packets are missing between those that were read."""
        return self._messages.sequence.lost

    @property
    def duplicates(self) -> int:
        """How many packets were left out because the tap has delivered them."""
        return 0 if self._seen is None else self._seen.taken

    @property
    def malformed_blocks(self) -> int:
        """How many messages could not be read."""
        return self._messages.malformed

    @property
    def receipt_ns(self) -> int:
        """When the read begun last was made, in nanoseconds since 1970."""
        return self._messages.receipt_ns

    @receipt_ns.setter
    def receipt_ns(self, time_ns: int) -> None:
        self._messages.receipt_ns = time_ns

    def start(self, messages: memoryview, drops: int = 0) -> None:
        """Begin with what one read returned, at `receipt_ns`. `drops` is for rings: here messages are numbered."""
        self._messages.start(len(messages))

    def convert(
        self,
        messages: cython.const[cython.uchar][::1],  # type: ignore[valid-type]
        out: cython.uchar[::1],
        at: cython.Py_ssize_t,
        limit: cython.longlong = NO_LIMIT,
        options: cython.const[cython.uchar][::1] = b"",  # type: ignore[valid-type]
    ) -> cython.Py_ssize_t:
        """Convert packets of the read begun last into `out` from `at`; return where the output ends.

        The arguments, and what holds afterwards, are those of RingTranscoder.convert.
        """
        room: cython.Py_ssize_t = len(out)
        options_length: cython.Py_ssize_t = len(options)
        if cython.compiled:
            buf: cython.p_uchar = cython.cast(cython.p_uchar, cython.address(messages[0]))
            out_buf: cython.p_uchar = cython.address(out[0])
            options_buf: cython.p_uchar = cython.NULL
            if options_length:
                options_buf = cython.cast(cython.p_uchar, cython.address(options[0]))
            with cython.nogil:
                at = self._convert(buf, out_buf, at, room, limit, options_buf, options_length)
        else:
            at = self._convert(messages, out, at, room, limit, options, options_length)
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
        while True:
            # The limit goes first: a packet that is found counts as read, and may be the next call's
            if limit == 0 and self._messages.is_left():
                self.stopped_for = _LIMIT_REACHED
                break
            if not self._messages.find(buf):
                break
            self._take_gap()
            if not self._choose_interface(self._messages.fields):
                self.stopped_for = _UNKNOWN_INTERFACE
                break
            if self._is_to_be_written(buf):
                if self._facts.timestamp_ns >= self.until_ns:
                    self.waiting_ns = self._facts.timestamp_ns
                    self.stopped_for = _LATER
                    break
                self._last_ns = self._facts.timestamp_ns
                if not self._is_duplicate(buf):
                    end = self.packets.put_packet(buf, self._facts, out, at, room, options, options_length)
                    if end < 0:
                        self.stopped_for = cython.cast(cython.int, -end)
                        self.unknown_ifindex = self._facts.ifindex
                        break
                    if end != at:
                        limit -= 1
                        options_length = 0
                    at = end
            self._messages.pass_over()
        return at

    def _take_gap(self) -> cython.void:
        """Have the next packet written tell what was lost before the one found, once."""
        self.packets.pending_drops += self._messages.gap
        self._messages.gap = 0

    def _choose_interface(self, fields: PacketFields) -> cython.bint:
        """Set interface and packet type by the hook; False when `unknown_ifindex` has to be made known first."""
        incoming: cython.uint = fields.in_ifindex
        outgoing: cython.uint = fields.out_ifindex
        hook: cython.int = fields.hook
        self._facts.packet_type = PACKET_HOST
        self._facts.ifindex = incoming
        if hook in (HOOK_OUTPUT, HOOK_POSTROUTING) or incoming == 0:
            self._facts.packet_type = PACKET_OUTGOING
            self._facts.ifindex = outgoing
        if self.packets.interfaces.find(self._facts.ifindex) < 0:
            self.unknown_ifindex = self._facts.ifindex
            return False
        if hook == HOOK_FORWARD and outgoing and not self.packets.interfaces.is_wanted(incoming):
            if self.packets.interfaces.find(outgoing) < 0:
                self.unknown_ifindex = outgoing
                return False
            self._facts.packet_type = PACKET_OUTGOING
            self._facts.ifindex = outgoing
        return True

    def _is_to_be_written(self, buf: cython.p_uchar) -> cython.bint:
        """Set the other facts of a packet of a wanted interface; False where it is none, or not chosen."""
        if not self.packets.interfaces.is_wanted(self._facts.ifindex):
            self.other_interfaces += 1
            return False
        self._set_link_facts(buf, self._messages.fields)
        if not self._is_chosen(buf):
            return False
        self._facts.timestamp_ns = self._messages.time(buf)
        if self._merging:
            self._keep_order()
        return True

    def _is_chosen(self, buf: cython.p_uchar) -> cython.bint:
        """Ask the filter, if there is one."""
        if self._machine is None:
            return True
        self._machine.set_ancillary(SKF_AD_PROTOCOL, self._facts.protocol)
        self._machine.set_ancillary(SKF_AD_PKTTYPE, self._facts.packet_type)
        self._machine.set_ancillary(SKF_AD_IFINDEX, self._facts.ifindex)
        self._machine.set_ancillary(SKF_AD_MARK, self._messages.fields.mark)
        self._machine.set_ancillary(SKF_AD_HATYPE, self._facts.hardware_type)
        verdict: cython.uint = self._machine.run(
            buf, self._facts.payload_at, self._facts.captured_length, self._facts.original_length
        )
        return verdict != 0

    def _keep_order(self) -> cython.void:
        """Give the packet the time of the one before where its own is earlier; a clock may be set back, though."""
        if self._facts.timestamp_ns < self._last_ns < self._facts.timestamp_ns + _DISORDER_NS:
            self._facts.timestamp_ns = self._last_ns

    def _is_duplicate(self, buf: cython.p_uchar) -> cython.bint:
        return self._seen is not None and self._seen.take(buf, self._facts, self._messages.fields.hook)

    def _set_link_facts(self, buf: cython.p_uchar, fields: PacketFields) -> cython.void:
        trusted: cython.bint = has_trusted_header(buf, fields)
        place: cython.Py_ssize_t = self._messages.place()
        length: cython.Py_ssize_t
        row: cython.Py_ssize_t = self.packets.interfaces.find(self._facts.ifindex)
        self._facts.protocol = fields.hw_protocol
        self._facts.payload_at = fields.payload_at if fields.payload_at >= 0 else place
        self._facts.captured_length = cython.cast(cython.uint, fields.payload_length)
        length = packet_length(buf, self._facts.payload_at, fields.payload_length, fields.hw_protocol)
        if length < fields.payload_length:
            length = fields.payload_length
        self._facts.original_length = cython.cast(cython.uint, length)
        self._facts.hardware_type = self.packets.interfaces.hardware_types[row]
        self._facts.address_at = place  # 8 bytes of a message header, not looked at for length 0
        self._facts.address_length = 0
        if self._facts.packet_type == PACKET_OUTGOING:
            return
        self._facts.packet_type = _reception(buf, fields, trusted)
        if fields.hardware_type >= 0:
            self._facts.hardware_type = fields.hardware_type
        # On Ethernet the address was read out of the same bytes as the header, and is as good.
        if fields.address_at >= 0 and (trusted or fields.hardware_type != ARPHRD_ETHER):
            self._facts.address_at = fields.address_at
            self._facts.address_length = fields.address_length


def _reception(buf: cython.p_uchar, fields: PacketFields, trusted: cython.bint) -> cython.uint:
    """Return the packet type of an inbound packet, from its Ethernet header or its IP destination."""
    at: cython.Py_ssize_t = fields.payload_at
    captured: cython.Py_ssize_t = fields.payload_length
    if trusted:
        if _is_ones(buf, fields.header_at, 6):
            return PACKET_BROADCAST
        return PACKET_MULTICAST if buf[fields.header_at] & 1 else PACKET_HOST
    if fields.hw_protocol == ETH_P_IP and captured >= 20 and _is_ones(buf, at + 16, 4):
        return PACKET_BROADCAST
    if at >= 0 and (is_ipv4_group(buf, at, captured) or is_ipv6_group(buf, at, captured)):
        return PACKET_MULTICAST
    return PACKET_HOST


def _is_ones(buf: cython.p_uchar, at: cython.Py_ssize_t, length: cython.Py_ssize_t) -> cython.bint:
    i: cython.Py_ssize_t
    for i in range(length):
        if buf[at + i] != 0xFF:
            return False
    return True
