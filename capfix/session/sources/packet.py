"""A packet socket as a source of the capture: its ring, its transcoder, and the interfaces it is attached to."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

from capfix.kernel.links import Link
from capfix.options.run import ANY_NAME
from capfix.runtime.events import Event
from capfix.session.counts import Counts
from capfix.session.section import Section
from capfix.session.sources.attachment import Attachment, Scope, Socket
from capfix.session.sources.known_links import KnownLinks
from capfix.session.sources.ledger import InterfaceLedger
from capfix.session.sources.source import Converted
from capfix.transcode.ring import RingTranscoder
from capfix.transcode.stop import Stop
from capfix.wire.tpacket import decode_ring_block

if TYPE_CHECKING:
    from capfix.transcode.duplicates import SeenPackets


class Ring(Socket, Protocol):
    """What a packet source reads from, as PacketRing has it."""

    block_count: int
    received: int
    dropped: int

    def description(self) -> str:
        """Return what it is, in words."""

    def fileno(self) -> int:
        """Return the descriptor that is readable when a ring block is ready."""

    def take_error(self) -> int:
        """Return the pending error number and clear it."""

    def ready(self, ahead: int = 0) -> memoryview | None:
        """Return the ring block that is `ahead` of the next one, None while it is the kernel's."""

    def drops_before(self) -> int:
        """Return how many packets were lost before the next one."""

    def release(self) -> None:
        """Give the next one back."""

    def refresh_statistics(self) -> None:
        """Bring `received` and `dropped` up to date."""

    def reject_all(self) -> None:
        """Let no further packet in."""


class RingCounts:
    """What the kernel counted for a ring, and how much of it stands with packets."""

    def __init__(self, ring: Ring, transcoder: RingTranscoder) -> None:
        self._ring = ring
        self._transcoder = transcoder
        self._drops_begun = 0  # given to the transcoder

    @property
    def received(self) -> int:
        """Packets, dropped ones too."""
        return self._ring.received

    @property
    def dropped(self) -> int:
        """Packets the ring had no room for."""
        return self._ring.dropped

    @property
    def dropped_and_noted(self) -> int:
        """Of those, how many stand with a packet that was written."""
        return self._drops_begun - self._transcoder.pending_drops

    def refresh(self) -> None:
        """Ask the kernel."""
        self._ring.refresh_statistics()

    def begin_block(self) -> int:
        """Return the drops before the ring block that is begun, which are the transcoder's now."""
        drops = self._ring.drops_before()
        self._drops_begun += drops
        return drops


class PacketSource:
    """Packets of the interfaces that `attachment` says, from a ring.

    What the ring's packets are goes to `seen`, where there is one, before anything is converted.
    """

    waits_for_others = False
    settling_s = 0.0

    def __init__(
        self,
        attachment: Attachment,
        ring: Ring,
        transcoder: RingTranscoder,
        known: KnownLinks,
        seen: "SeenPackets | None" = None,
    ) -> None:
        self.attachment = attachment
        self._known = known
        self._ring = ring
        self._transcoder = transcoder
        self._counts = RingCounts(ring, transcoder)
        self._ledger = InterfaceLedger(known, transcoder, self._counts)
        self._seen = seen
        self._looked_ahead = 0  # ring blocks that `seen` knows
        self._is_converting = False  # a ring block is begun and not finished
        self._undrained = 0

    # Packets

    @property
    def written(self) -> int:
        """How many packets were converted."""
        return int(self._transcoder.written)

    def open(self) -> None:
        """Begin to take packets, if there is something to take them from.

        Raises:
            CaptureError: an interface to attach to is gone already.
        """
        self.attachment.open()

    def fileno(self) -> int:
        """Return the socket's descriptor."""
        return self._ring.fileno()

    def has_packets(self) -> bool:
        """Return whether a ring block is ready."""
        return self._ring.ready() is not None

    def goes_on(self) -> bool:
        """Return whether a ring block is begun and not finished."""
        return self._is_converting

    def look_ahead(self) -> None:
        """Tell `seen` of all ring blocks that have become ready."""
        if self._seen is None:
            return
        while self._looked_ahead < self._ring.block_count:
            ring_block = self._ring.ready(self._looked_ahead)
            if ring_block is None:
                break
            self._seen.add_ring_block(ring_block)
            self._looked_ahead += 1

    def first_timestamp_ns(self) -> int | None:
        """Return when the next packet came; None while no ring block is ready."""
        ring_block = self._ring.ready()
        if ring_block is None:
            return None
        if self._is_converting and self._transcoder.stopped_for == Stop.LATER:
            return int(self._transcoder.waiting_ns)
        return decode_ring_block(ring_block).first_timestamp_ns

    def hold_back(self, until_ns: int) -> None:
        """Convert only packets before that time from now on."""
        self._transcoder.until_ns = until_ns

    def convert(self, view: memoryview, at: int, limit: int, options: bytes) -> Converted:
        """Convert packets of the next ring block, and give it back when it is finished."""
        ring_block = self._ring.ready()
        assert ring_block is not None
        transcoder, ledger = self._transcoder, self._ledger
        if not self._is_converting:
            transcoder.start(ring_block, self._counts.begin_block())
            self._is_converting = True
        before = transcoder.written
        end = transcoder.convert(ring_block, view, at, limit, ledger.pending_options + options)
        written = transcoder.written - before
        if written:
            ledger.pending_options = b""
        if transcoder.stopped_for == Stop.DONE:
            self._release()
        return Converted(transcoder.stopped_for, end, written)

    def _release(self) -> None:
        self._is_converting = False
        self._ring.release()
        self._looked_ahead = max(self._looked_ahead - 1, 0)

    def refuse_all(self) -> None:
        """Let no further packet in. What is in a ring block already comes out within one retire time."""
        self._ring.reject_all()

    def discard(self) -> int:
        """Give all ring blocks that are ready back unconverted; packets of one begun count again what was written."""
        packets = 0
        for _ in range(self._ring.block_count):
            ring_block = self._ring.ready()
            if ring_block is None:
                break
            packets += decode_ring_block(ring_block).packet_count
            self._release()
        self._undrained += packets
        return packets

    # Interfaces

    @property
    def names_attached(self) -> tuple[str, ...]:
        """The names and patterns that are attached to an interface."""
        return tuple(name for name in self.attachment.names if self.attachment.is_attached(name))

    @property
    def names_awaited(self) -> tuple[str, ...]:
        """Those that are not."""
        return tuple(name for name in self.attachment.names if not self.attachment.is_attached(name))

    def take_error(self) -> int:
        """Return the socket's pending error number and clear it, without which an event loop would spin."""
        return self._ring.take_error()

    def attach(self, link: Link, names: Iterable[str], now_ns: int) -> None:
        """Take packets from `link` from now on. Its interface block is due with the first of them.

        Raises:
            CaptureError: it is gone already.
        """
        self._known.remember(link)
        if self.attachment.scope is Scope.ONE:
            self._ledger.settle()
            self._ledger.count_for(None)
        self.attachment.attach(link, names)
        self.link_is_back(link.name, link.ifindex, now_ns)

    def detach(self, ifindex: int, name: str, now_ns: int) -> None:
        """Take no more packets from an interface: it has gone, or is no longer called so."""
        self.link_is_gone(name, now_ns)
        self.attachment.detach(ifindex)

    def link_is_gone(self, name: str, now_ns: int) -> None:
        """Note that an interface has gone."""
        self._ledger.gaps.begin(name, now_ns)

    def link_is_back(self, name: str, ifindex: int, now_ns: int) -> None:
        """Note that one of that name is there, for the first packet that comes by it."""
        self._ledger.come_back(name, ifindex, now_ns)

    def renew(self, link: Link) -> None:
        """Note what an attached interface is now: its address may have been set after it was made."""
        self._known.remember(link)
        self._ledger.renew(link)

    def begin_section(self, section: Section, now_ns: int) -> list[bytes]:
        """Return the interface blocks that this source has from the section's beginning."""
        self._ledger.begin_section(now_ns)
        attachment, names = self.attachment, ", ".join(self.attachment.names)
        match attachment.scope:
            case Scope.ALL:
                which = "all interfaces"
            case Scope.MATCHING:
                which = f"all interfaces called {names}"
            case Scope.ONE if attachment.ifindexes:
                return [self._show(section, ifindex) for ifindex in attachment.ifindexes]
            case Scope.ONE:
                return [self._ledger.show_pseudo_interface(section, names, "not present yet")]
        description = f"{which}: counts of the socket, and packets whose interface is gone"
        name = ANY_NAME if attachment.scope is Scope.ALL else names
        return [self._ledger.show_pseudo_interface(section, name, description)]

    def announce(self, section: Section) -> bytes:
        """Return the interface block that is due before the packet at which a conversion stopped, if one is."""
        return self._show(section, self._transcoder.unknown_ifindex)

    def _show(self, section: Section, ifindex: int) -> bytes:
        is_one = self.attachment.scope is Scope.ONE
        counts = is_one and ifindex in self.attachment.ifindexes
        return self._ledger.show(section, ifindex, ", ".join(self.attachment.names), counts)

    def statistics(self, now_ns: int, closing: bool = False) -> list[bytes]:
        """Return the statistics blocks of this source's interfaces, with totals since the section began.

        A socket of several interfaces counts for all of them together; that stands with the pseudo-interface.
        `closing` says that another section follows: what was dropped after the last packet of this one then counts
        there, with the packet that says so.
        """
        return self._ledger.statistics(now_ns, closing)

    def last_statistics_of(self, ifindex: int, now_ns: int) -> list[bytes]:
        """Return the statistics of an interface that is gone, if it has packets in this section."""
        return self._ledger.last_statistics_of(ifindex, now_ns)

    # Counts

    def refresh_counts(self) -> None:
        """Ask the kernel for what it counted."""
        self._ring.refresh_statistics()

    def counts(self) -> Counts:
        """Return what was counted since the capture began."""
        transcoder = self._transcoder
        framer = transcoder.framer
        return Counts(
            captured=self.written,
            received=self._ring.received,
            kernel_dropped=self._ring.dropped,
            loopback_copies=transcoder.loopback_copies,
            not_carried=transcoder.not_carried,
            undrained=self._undrained,
            malformed_blocks=transcoder.malformed_blocks,
            headers_kept=framer.headers_kept,
            headers_missing=framer.headers_missing,
            headers_stale=framer.headers_stale,
        )

    def description(self) -> str:
        """Return what packets are read from, in words."""
        return f"{', '.join(self.attachment.names)}: {self._ring.description()}"

    def remarks(self) -> Iterable[Event]:
        """Return what is worth knowing at the end, for people who want to know more."""
        return ()
