"""The hot path of the other source: NFLOG messages as one read returned them in, enhanced packet blocks out.

Compiled. Headers and blocks are made as for the packets of a ring. What netfilter says otherwise is told here:

- The interface and the direction come from the hook: in at prerouting and input, out at output and postrouting. A
  forwarded packet is inbound where it came in by a wanted interface, else outbound where it leaves by one.
- Only packets from outside carry a time. One without gets that of the next packet in the same read that has one,
  since it was logged before, else that of the read: the latest it can have been, and answers stay behind questions.
- Where packets are merged with a tap's, none goes back in time by the little that the time of a read may be late.
- The original length is the IP header's where that is more than was copied.
- A filter that the kernel would run for a packet socket is run here, on the same view of a packet.
- A gap in the sequence numbers is packets lost, to be told on the next packet written.
"""

from array import array
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
from capfix.transcode.ring import Stop
from capfix.wire.netlink import MESSAGE_HEADER
from capfix.wire.nflog import MESSAGE_PACKET
from capfix.wire.numbers import (
    ARPHRD_ETHER,
    ETH_P_IP,
    ETH_P_IPV6,
    HOOK_FORWARD,
    HOOK_OUTPUT,
    HOOK_POSTROUTING,
    PACKET_BROADCAST,
    PACKET_HOST,
    PACKET_MULTICAST,
    PACKET_OUTGOING,
)
from capfix.wire.pcapng import SNAPLEN

if not cython.compiled:  # the .pxd file has them otherwise
    from capfix.filters.machine import Machine
    from capfix.framing import Framer
    from capfix.transcode.duplicates import SeenPackets
    from capfix.transcode.ring import Transcoder
    from capfix.wire.ip import is_ipv4_group, is_ipv6_group
    from capfix.wire.nflog import PacketFields, has_trusted_header
    from capfix.wire.nflog import read_packet as read_packet_message

_DONE: Final = int(Stop.DONE)
_UNKNOWN_INTERFACE: Final = int(Stop.UNKNOWN_INTERFACE)
_LIMIT_REACHED: Final = int(Stop.LIMIT_REACHED)
_LATER: Final = int(Stop.LATER)

_MESSAGE_HEADER_LENGTH: Final = MESSAGE_HEADER.size
_IGNORED: Final = 0xFFFFFFFF  # an interface id that stands for: leave its packets out
_DISORDER_NS: Final = 100_000_000  # more than a read is late
_SEQUENCE_MASK: Final = 0xFFFFFFFF  # sequence numbers have 32 bits


class NflogTranscoder(Transcoder):
    """Turns the packets of one log group into enhanced packet blocks, but for those that a tap has delivered.

    Of the packets read, `lost` counts what the sequence numbers lack, `other_interfaces` those of interfaces nobody
    asked for, which only foreign rules log, and `duplicates` those that were `seen`. Of all of them only those are
    written that `program`, made for a SOCK_DGRAM socket, accepts. `malformed_blocks` counts
    messages that could not be read. `receipt_ns`, nanoseconds since 1970, is the caller's to set.
    """

    def __init__(
        self,
        framer: Framer,
        snaplen: int = SNAPLEN,
        merging: bool = False,
        seen: SeenPackets | None = None,
        program: Program | None = None,
        keep_loopback_copies: bool = False,
    ) -> None:
        super().__init__(framer, snaplen, keep_loopback_copies=keep_loopback_copies)
        self._machine = Machine(program) if program is not None else None
        self._merging = merging
        self._last_ns = 0
        self._seen = seen
        self.logged = 0
        self.lost = 0
        self.duplicates = 0
        self.other_interfaces = 0
        self._fields = PacketFields()
        self._ahead = PacketFields()
        self._next_sequence = 0  # the kernel counts from 0 when a group is bound
        self.receipt_ns = 0
        self._bound_ns = 0
        self._bound_at = 0
        self._is_read = False

    def forget_interfaces(self) -> None:
        """Know no interface any more: a new section begins, where each needs a block of its own."""
        super().forget_interfaces()
        self._hardware_types = array("H", [0])

    def add_interface(
        self, ifindex: int, interface_id: int, mac: bytes | None, hardware_type: int = 0
    ) -> None:
        """Write packets of `ifindex` as of interface block `interface_id`.

        `hardware_type` is an ARPHRD_ number, which the messages of outgoing packets lack. The rest is as for a ring.
        """
        super().add_interface(ifindex, interface_id, mac)
        types = array("H", list(self._hardware_types) + [0] * (len(self._rows) - len(self._hardware_types)))
        types[self._rows[ifindex]] = hardware_type
        self._hardware_types = types

    def ignore_interface(self, ifindex: int) -> None:
        """Leave packets of `ifindex` out, and count them."""
        self.add_interface(ifindex, _IGNORED, None)

    def start(self, block: memoryview, drops: int = 0) -> None:
        """Begin with what one read returned, at `receipt_ns`. `drops` is for rings: here messages are numbered."""
        self._at = 0
        self._end = len(block)
        self._bound_at = 0
        self._is_read = False

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
        before: cython.Py_ssize_t
        next_at: cython.Py_ssize_t
        self.stopped_for = _DONE
        while self._at < self._end:
            if limit == 0:
                self.stopped_for = _LIMIT_REACHED
                break
            next_at = self._read(buf)
            if self._is_read:
                if not self._choose_interface():
                    break
                if self._is_wanted(self._facts.ifindex):
                    self._set_link_facts(buf)
                    if not self._is_chosen(buf):
                        self._is_read = False
                        self._at = next_at
                        continue
                    self._facts.timestamp_ns = self._time(buf, next_at)
                    if self._merging:
                        self._keep_order()
                    if self._facts.timestamp_ns >= self.until_ns:
                        self.waiting_ns = self._facts.timestamp_ns
                        self.stopped_for = _LATER
                        break
                    self._last_ns = self._facts.timestamp_ns
                    if self._is_duplicate(buf):
                        self._is_read = False
                        self._at = next_at
                        continue
                    before = at
                    at = self.put_packet(buf, self._facts, out, at, room, options, options_length)
                    if self.stopped_for != _DONE:
                        break
                    if at != before:
                        limit -= 1
                        options_length = 0
                else:
                    self.other_interfaces += 1
            self._is_read = False
            self._at = next_at
        return at

    def _read(self, buf: cython.p_uchar) -> cython.Py_ssize_t:
        """Read the message at the current place and return where the next one is.

        A packet is then in `_fields`, and `_is_read` is set; it stays so while the packet waits to be written.
        """
        payload_at: cython.Py_ssize_t = self._at + _MESSAGE_HEADER_LENGTH
        length: cython.Py_ssize_t = _message_length(buf, self._at, self._end)
        if length == 0:
            self.malformed_blocks += 1
            return self._end
        if not self._is_read and _is_packet(buf, self._at):
            if read_packet_message(buf, payload_at, self._at + length, self._fields) == 0:
                self._count_gap()
                self.logged += 1
                self._is_read = True
            else:
                self.malformed_blocks += 1
        return self._at + _aligned(length)

    def _is_chosen(self, buf: cython.p_uchar) -> cython.bint:
        """Ask the filter, if there is one."""
        if self._machine is None:
            return True
        self._machine.set_ancillary(SKF_AD_PROTOCOL, self._facts.protocol)
        self._machine.set_ancillary(SKF_AD_PKTTYPE, self._facts.packet_type)
        self._machine.set_ancillary(SKF_AD_IFINDEX, self._facts.ifindex)
        self._machine.set_ancillary(SKF_AD_MARK, self._fields.mark)
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
        if self._seen is None or not self._seen.take(buf, self._facts, self._fields.hook):
            return False
        self.duplicates += 1
        return True

    def _count_gap(self) -> cython.void:
        sequence: cython.uint
        gap: cython.uint
        if self._fields.sequence < 0:
            return
        sequence = cython.cast(cython.uint, self._fields.sequence)
        gap = (sequence - self._next_sequence) & _SEQUENCE_MASK
        if gap >> 31 == 0:  # more is a step back
            self.pending_drops += gap
            self.lost += gap
        self._next_sequence = (sequence + 1) & _SEQUENCE_MASK

    def _choose_interface(self) -> cython.bint:
        """Set interface and packet type by the hook; False when an interface has to be made known first."""
        incoming: cython.uint = self._fields.in_ifindex
        outgoing: cython.uint = self._fields.out_ifindex
        hook: cython.int = self._fields.hook
        self._facts.packet_type = PACKET_HOST
        self._facts.ifindex = incoming
        if hook in (HOOK_OUTPUT, HOOK_POSTROUTING) or incoming == 0:
            self._facts.packet_type = PACKET_OUTGOING
            self._facts.ifindex = outgoing
        if self._find(self._facts.ifindex) < 0:
            self.unknown_ifindex = self._facts.ifindex
            self.stopped_for = _UNKNOWN_INTERFACE
            return False
        if hook == HOOK_FORWARD and outgoing and not self._is_wanted(incoming):
            if self._find(outgoing) < 0:
                self.unknown_ifindex = outgoing
                self.stopped_for = _UNKNOWN_INTERFACE
                return False
            self._facts.packet_type = PACKET_OUTGOING
            self._facts.ifindex = outgoing
        return True

    def _is_wanted(self, ifindex: cython.uint) -> cython.bint:
        row: cython.Py_ssize_t = self._find(ifindex)
        return row >= 0 and self._interface_ids[row] != _IGNORED

    def _set_link_facts(self, buf: cython.p_uchar) -> cython.void:
        trusted: cython.bint = has_trusted_header(buf, self._fields)
        length: cython.Py_ssize_t
        self._facts.protocol = self._fields.hw_protocol
        self._facts.payload_at = self._fields.payload_at if self._fields.payload_at >= 0 else self._at
        self._facts.captured_length = cython.cast(cython.uint, self._fields.payload_length)
        length = _ip_length(
            buf, self._facts.payload_at, self._fields.payload_length, self._fields.hw_protocol
        )
        if length < self._fields.payload_length:
            length = self._fields.payload_length
        self._facts.original_length = cython.cast(cython.uint, length)
        self._facts.hardware_type = self._hardware_types[self._find(self._facts.ifindex)]
        self._facts.address_at = self._at  # 8 bytes of a message header, not looked at for length 0
        self._facts.address_length = 0
        if self._facts.packet_type == PACKET_OUTGOING:
            return
        self._facts.packet_type = _reception(buf, self._fields, trusted)
        if self._fields.hardware_type >= 0:
            self._facts.hardware_type = self._fields.hardware_type
        # On Ethernet the address was read out of the same bytes as the header, and is as good.
        if self._fields.address_at >= 0 and (trusted or self._fields.hardware_type != ARPHRD_ETHER):
            self._facts.address_at = self._fields.address_at
            self._facts.address_length = self._fields.address_length

    def _time(self, buf: cython.p_uchar, next_at: cython.Py_ssize_t) -> cython.ulonglong:
        """Return the packet's time, or the latest it can have been."""
        length: cython.Py_ssize_t
        if self._fields.timestamp_ns >= 0:
            return self._fields.timestamp_ns
        if self._bound_at > self._at:  # found for a packet before, and still ahead
            return self._bound_ns
        self._bound_ns = self.receipt_ns
        self._bound_at = self._end
        while next_at < self._end:
            length = _message_length(buf, next_at, self._end)
            if length == 0:
                break
            if (
                _is_packet(buf, next_at)
                and read_packet_message(buf, next_at + _MESSAGE_HEADER_LENGTH, next_at + length, self._ahead)
                == 0
                and self._ahead.timestamp_ns >= 0
            ):
                if cython.cast(cython.ulonglong, self._ahead.timestamp_ns) < self.receipt_ns:
                    self._bound_ns = self._ahead.timestamp_ns
                self._bound_at = next_at
                break
            next_at += _aligned(length)
        return self._bound_ns


def _message_length(buf: cython.p_uchar, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.Py_ssize_t:
    """Return the length of the netlink message at `at`, 0 when it does not lie within `end`."""
    length: cython.Py_ssize_t
    if end - at < _MESSAGE_HEADER_LENGTH or buf[at + 3] >= 0x80:
        return 0
    length = buf[at] | buf[at + 1] << 8 | buf[at + 2] << 16 | buf[at + 3] << 24
    return length if _MESSAGE_HEADER_LENGTH <= length <= end - at else 0


def _aligned(length: cython.Py_ssize_t) -> cython.Py_ssize_t:
    return (length + 3) & ~3


def _is_packet(buf: cython.p_uchar, at: cython.Py_ssize_t) -> cython.bint:
    return cython.cast(cython.uint, buf[at + 4] | buf[at + 5] << 8) == MESSAGE_PACKET


def _ip_length(
    buf: cython.p_uchar, at: cython.Py_ssize_t, captured: cython.Py_ssize_t, protocol: cython.int
) -> cython.Py_ssize_t:
    """Return how long the IP header says that the packet is, 0 when it does not say."""
    length: cython.Py_ssize_t
    if protocol == ETH_P_IP and captured >= 4:
        return buf[at + 2] << 8 | buf[at + 3]
    if protocol == ETH_P_IPV6 and captured >= 6:
        length = buf[at + 4] << 8 | buf[at + 5]
        return length + 40 if length else 0  # 0 is a jumbogram
    return 0


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
