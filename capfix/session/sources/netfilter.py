"""Netfilter's log as a source of the capture."""

import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Final

from capfix.errors import NoSuchInterfaceError
from capfix.kernel.links import find_ifindex
from capfix.kernel.nflog import READ_SIZE, NflogSocket
from capfix.kernel.nftables import NflogRules
from capfix.options.run import ANY_NAME
from capfix.runtime.events import DETAIL, Event, EventKind
from capfix.session.counts import Counts
from capfix.session.section import Section
from capfix.session.sources.known_links import KnownLinks
from capfix.session.sources.ledger import InterfaceLedger
from capfix.session.sources.source import Converted
from capfix.transcode.netfilter import NetfilterTranscoder
from capfix.transcode.stop import Stop
from capfix.wire.netlink import decode_messages
from capfix.wire.nflog import MESSAGE_PACKET

BESIDE_TAP_SUFFIX: Final = " (netfilter)"
STOCK_LIMIT: Final = (
    64 << 20
)  # bytes of reads that wait for another source's packets, as large as a default ring
# In that time the kernel has passed on what it kept back for others to join: 10 ms, in ticks of up to 10 ms, rounded up
_PASSED_ON_NS: Final = 25_000_000

BUFFER_WAS_FULL: Final = EventKind(
    "log-buffer-full", DETAIL, "{group}: its buffer was full {times} times; -B makes it larger"
)
OTHER_INTERFACES: Final = EventKind(
    "log-of-others", DETAIL, "{group}: {packets} packets of other interfaces left out"
)
UNREADABLE: Final = EventKind("log-unreadable", DETAIL, "{group}: {messages} messages could not be read")


class LogReads:
    """A log group, one read at a time: what one read returned stays until it is released.

    Where packets wait for another source's, reads are stocked meanwhile. Were they left in the socket, they would be
    read later, get a later time for that, and have to wait again.
    """

    def __init__(self, socket: NflogSocket, hooks: Sequence[int], names: Sequence[str] | None) -> None:
        """Make the rules, unless there are no `hooks`; `names` None is any interface."""
        self.socket = socket
        self.receipt_ns = 0  # when what `ready` returns was read
        self._rules = NflogRules(socket.group, hooks, names) if hooks else None
        self._buffer = memoryview(bytearray(READ_SIZE))
        self._current: memoryview | None = None
        self._stock: deque[tuple[bytes, int]] = deque()
        self._stocked_bytes = 0
        self._refuse_from_ns: int | None = None  # by the monotonic clock

    def ready(self) -> memoryview | None:
        """Return what was read and not released, else what was stocked or can be read now, else None."""
        if self._current is None:
            if self._stock:
                messages, self.receipt_ns = self._stock.popleft()
                self._stocked_bytes -= len(messages)
                self._current = memoryview(messages)
            else:
                self._current = self._read()
                self.receipt_ns = time.time_ns()
        return self._current

    def _read(self) -> memoryview | None:
        self._refuse_when_due()
        length = self.socket.receive_into(self._buffer)
        return self._buffer[:length] if length else None

    def stock_up(self) -> None:
        """Read all that is there, up to a limit, and keep it with the time at which it was read."""
        if self._current is None:
            return  # nothing waits: the next read is the next to be converted
        if self._current.obj is self._buffer.obj:  # which the next read would write over
            self._current = memoryview(bytes(self._current))
        while self._stocked_bytes < STOCK_LIMIT and (messages := self._read()) is not None:
            self._stock.append((bytes(messages), time.time_ns()))
            self._stocked_bytes += len(messages)

    def release(self) -> None:
        """Be done with what `ready` returned."""
        self._current = None

    def refuse_all(self) -> None:
        """Take in no further packet but those that are logged already."""
        if self._rules is not None:
            self._rules.close()
        self._refuse_from_ns = time.monotonic_ns() + _PASSED_ON_NS

    def _refuse_when_due(self) -> None:
        """Stop what foreign rules go on to log, or reading to the end would have no end."""
        if self._refuse_from_ns is not None and time.monotonic_ns() >= self._refuse_from_ns:
            self._refuse_from_ns = None
            self.socket.refuse_all()


class LogCounts:
    """What sequence numbers tell of a log group."""

    def __init__(self, transcoder: NetfilterTranscoder) -> None:
        self._transcoder = transcoder

    @property
    def received(self) -> int:
        """How many packets were logged to the group, as far as the messages read tell."""
        return self._transcoder.logged + self._transcoder.lost

    @property
    def dropped(self) -> int:
        """How many of them were lost."""
        return self._transcoder.lost

    @property
    def dropped_and_noted(self) -> int:
        """Of those, how many stand with a packet that was written."""
        return self._transcoder.lost - self._transcoder.pending_drops

    def refresh(self) -> None:
        """Do nothing: counting is done where messages are read."""


class NetfilterSource:
    """Packets of some interfaces, or of all, from a log group.

    Rules go by the name, so interfaces may come and go: this source stays as it is.
    """

    settling_s = 1.2 * _PASSED_ON_NS / 1e9

    def __init__(
        self,
        names: Sequence[str] | None,
        reads: LogReads,
        transcoder: NetfilterTranscoder,
        known: KnownLinks,
        beside_tap: bool = False,
        waits_for_others: bool = False,
    ) -> None:
        """`names` None is any interface. `beside_tap` makes the interface blocks' names differ from a tap's."""
        self.waits_for_others = waits_for_others
        self._names = names
        self._reads = reads
        self._transcoder = transcoder
        self._known = known
        self._counts = LogCounts(transcoder)
        suffix = BESIDE_TAP_SUFFIX if beside_tap else ""
        self._ledger = InterfaceLedger(known, transcoder, self._counts, suffix)
        self._is_converting = False
        self._undrained = 0

    @property
    def _name(self) -> str:
        return f"log group {self._reads.socket.group}"

    # Packets

    @property
    def written(self) -> int:
        """How many packets were converted."""
        return int(self._transcoder.written)

    def open(self) -> None:
        """Do nothing: the group is bound, and the rules are made."""

    def fileno(self) -> int:
        """Return the socket's descriptor."""
        return self._reads.socket.fileno()

    def has_packets(self) -> bool:
        """Return whether messages are there."""
        return self._reads.ready() is not None

    def goes_on(self) -> bool:
        """Return whether a read is begun and not finished: what it took from the socket wakes nobody any more."""
        return self._is_converting

    def look_ahead(self) -> None:
        """Read what is there, so that it has its time while it waits."""
        self._reads.stock_up()

    def first_timestamp_ns(self) -> int | None:
        """Return when the next packet came; None while none is there. A read just begun has not been looked at: 0."""
        if self._reads.ready() is None:
            return None
        return int(self._transcoder.waiting_ns) if self._is_converting else 0

    def hold_back(self, until_ns: int) -> None:
        """Convert only packets before that time from now on."""
        self._transcoder.until_ns = until_ns

    def convert(self, view: memoryview, at: int, limit: int, options: bytes) -> Converted:
        """Convert packets of what one read returned."""
        messages = self._reads.ready()
        assert messages is not None
        transcoder, ledger = self._transcoder, self._ledger
        transcoder.receipt_ns = self._reads.receipt_ns
        if not self._is_converting:
            transcoder.start(messages)
            self._is_converting = True
        before = transcoder.written
        end = transcoder.convert(messages, view, at, limit, ledger.pending_options + options)
        written = transcoder.written - before
        if written:
            ledger.pending_options = b""
        if transcoder.stopped_for == Stop.DONE:
            self._release()
        return Converted(transcoder.stopped_for, end, written)

    def _release(self) -> None:
        self._is_converting = False
        self._reads.release()

    def refuse_all(self) -> None:
        """Take in no further packet but those that are logged already."""
        self._reads.refuse_all()

    def discard(self) -> int:
        """Let go of what is read and can be read without waiting; return how many packets are known to be in it."""
        packets = 0
        while (messages := self._reads.ready()) is not None:
            packets += sum(message.type == MESSAGE_PACKET for message in decode_messages(messages))
            self._release()
        self._undrained += packets
        return packets

    # Interfaces

    @property
    def names_attached(self) -> tuple[str, ...]:
        """The log group."""
        return (self._name,)

    @property
    def names_awaited(self) -> tuple[str, ...]:
        """None: rules wait by themselves."""
        return ()

    def begin_section(self, section: Section, now_ns: int) -> list[bytes]:
        """Return the interface blocks that this source has from the section's beginning.

        What the group counts stands with the first of them.
        """
        self._ledger.begin_section(now_ns)
        if self._names is None:
            description = "all interfaces: counts of the socket, and packets whose interface is gone"
            return [self._ledger.show_pseudo_interface(section, ANY_NAME, description)]
        first, *others = self._names
        return [
            self._begin_with(first, section, counts=True),
            *(self._begin_with(name, section) for name in others),
        ]

    def _begin_with(self, name: str, section: Section, counts: bool = False) -> bytes:
        try:
            return self._ledger.show(section, find_ifindex(name), name, counts)
        except NoSuchInterfaceError:
            return self._ledger.show_pseudo_interface(section, name, "not present yet", counts)

    def announce(self, section: Section) -> bytes:
        """Return the interface block that is due before the packet at which a conversion stopped, if it is wanted."""
        ifindex = self._transcoder.unknown_ifindex
        if self._names is not None:
            link = self._known.find(ifindex)
            if link is None or link.name not in self._names:
                self._transcoder.ignore_interface(ifindex)
                return b""
        return self._ledger.show(section, ifindex, self._name)

    def statistics(self, now_ns: int, closing: bool = False) -> list[bytes]:
        """Return the statistics blocks of this source's interfaces."""
        return self._ledger.statistics(now_ns, closing)

    # Counts

    def refresh_counts(self) -> None:
        """Do nothing: counting is done where messages are read."""

    def counts(self) -> Counts:
        """Return what was counted since the capture began."""
        return Counts(
            captured=self.written,
            received=self._counts.received,
            kernel_dropped=self._counts.dropped,
            loopback_copies=self._transcoder.loopback_copies,
            not_carried=self._transcoder.not_carried,
            duplicates=self._transcoder.duplicates,
            undrained=self._undrained,
        )

    def description(self) -> str:
        """Return what packets are read from, in words."""
        return f"{self._name}: socket buffer of {self._reads.socket.receive_buffer_size >> 10} KiB"

    def remarks(self) -> Iterator[Event]:
        """Yield what is worth knowing at the end, for people who want to know more."""
        if self._reads.socket.overflows:
            yield BUFFER_WAS_FULL(group=self._name, times=self._reads.socket.overflows)
        if self._transcoder.other_interfaces:
            yield OTHER_INTERFACES(group=self._name, packets=self._transcoder.other_interfaces)
        if self._transcoder.malformed_blocks:
            yield UNREADABLE(group=self._name, messages=self._transcoder.malformed_blocks)
