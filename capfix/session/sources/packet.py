"""A packet socket as a source of the capture: its ring, its transcoder, and the interfaces it has shown."""

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final, Protocol

from capfix.errors import CaptureError
from capfix.kernel.links import Link, interface_drops, read_link
from capfix.kernel.packet_socket import ANY
from capfix.kernel.socket_filter import ACCEPT_ALL, REFUSE_ALL
from capfix.options.interface_names import is_pattern
from capfix.options.run import ANY_NAME
from capfix.session.output.section import Section
from capfix.transcode.ring import Stop, Transcoder
from capfix.wire.numbers import ARPHRD_ETHER
from capfix.wire.pcapng import InterfaceStatistics, encode_comment, encode_interface_statistics
from capfix.wire.tpacket import decode_ring_block

if TYPE_CHECKING:
    from capfix.transcode.duplicates import SeenPackets

REMEMBERED_LINKS: Final = 16  # of those attached to in turn, as their packets may still be in the ring
REMEMBERED_GONE: Final = 1024  # whose gap is told when they come back; a pattern may match ever new names


class _Shown:
    """An interface block of the section: `link` is None for one that is no device.

    `received` and `dropped` are what the socket counted while this was its interface, None if it never was.
    """

    def __init__(self, interface_id: int, link: Link | None, dropped_by_device: int | None) -> None:
        """`dropped_by_device` is the device's own count when the section began."""
        self.interface_id = interface_id
        self.link = link
        self.dropped_by_device = dropped_by_device
        self.ifindexes: list[int] = []
        self.received: int | None = None
        self.dropped: int | None = None


class Ring(Protocol):
    """What a source reads from, as PacketRing has it."""

    block_count: int

    @property
    def received(self) -> int: ...

    @property
    def dropped(self) -> int: ...

    def description(self) -> str: ...

    def fileno(self) -> int: ...

    def bind(self, ifindex: int) -> None: ...

    def be_promiscuous(self, ifindex: int) -> None: ...

    def take_error(self) -> int: ...

    def is_bound(self) -> bool: ...

    def ready(self, ahead: int = 0) -> memoryview | None: ...

    def drops_before(self) -> int: ...

    def release(self) -> None: ...

    def refresh_statistics(self) -> None: ...

    def attach_filter(self, code: bytes) -> None: ...

    def reject_all(self) -> None: ...


class PacketSource:
    """Packets of one interface, or of all, from a ring.

    The interface of that name may go and another come in its place. Its packets are the same interface block's if
    name, address and hardware type are the same. A pattern's socket is bound to no interface; its filter lists those
    that match.

    What the ring's packets are is told to `seen`, where there is one, before anything is converted.
    """

    suffix = ""  # what the names in interface blocks end with
    waits_for_others = False  # its packets may only be converted when other sources have shown theirs
    settling_s = (
        0.0  # how long after the inflow's end something may still come, beside the ring's retire time
    )

    def __init__(
        self,
        name: str,
        ring: Ring,
        transcoder: Transcoder,
        links: Sequence[Link] = (),
        code: bytes | None = None,
        promiscuous: bool = False,
        seen: "SeenPackets | None" = None,
    ) -> None:
        """`links` are there already, to be attached to; `code` is the filter to let packets in by, None for all."""
        self.name = name
        self.attached = {link.ifindex for link in links}  # none of `any`, which is attached to all
        self.ring = ring
        self.transcoder = transcoder
        self._is_any = name == ANY_NAME
        self._is_unbound = self._is_any or is_pattern(name)
        self._code = ACCEPT_ALL if code is None else code
        self._promiscuous = promiscuous
        self._seen = seen
        self._looked_ahead = 0  # ring blocks that `seen` knows
        self.is_converting = False  # a ring block is begun and not finished
        self.options = b""  # encoded options for the next packet written
        self._shown: list[_Shown] = []
        self._counting: _Shown | None = None  # whose packets the socket counts
        self._left: _Shown | None = None  # the one detached from last
        self._links = {link.ifindex: link for link in links}
        self._gone_since_ns: dict[str, int] = {}  # by name
        self._notes: dict[int, str] = {}  # by ifindex: what to tell on its first packet
        self._drops_begun = 0  # given to the transcoder
        self._received_before = 0
        self._dropped_before = 0
        self._started_ns = 0

    def name_of(self, ifindex: int) -> str:
        """Return the name by which it is or was attached to an interface."""
        if is_pattern(self.name) and ifindex in self._links:
            return self._links[ifindex].name
        return self.name

    def first_timestamp_ns(self) -> int | None:
        """Return when the next packet came; None while no ring block is ready."""
        block = self.ring.ready()
        if block is None:
            return None
        if self.is_converting and self.transcoder.stopped_for == Stop.LATER:
            return self.transcoder.waiting_ns
        return decode_ring_block(block).first_timestamp_ns

    def look_ahead(self) -> None:
        """Tell `seen` of all ring blocks that have become ready."""
        if self._seen is None:
            return
        while self._looked_ahead < self.ring.block_count:
            block = self.ring.ready(self._looked_ahead)
            if block is None:
                break
            self._seen.add_ring_block(block)
            self._looked_ahead += 1

    def finish(self) -> None:
        """Give the ring block that was converted back."""
        self.is_converting = False
        self.ring.release()
        self._looked_ahead = max(self._looked_ahead - 1, 0)

    def remarks(self) -> Iterator[str]:
        """Yield what is worth knowing at the end, for those who want to know more."""
        yield from ()

    @property
    def duplicates(self) -> int:
        """How many packets were left out because another source has them."""
        return 0

    def start(self, block: memoryview) -> None:
        """Begin to convert the ring block that is ready."""
        drops = self.ring.drops_before()
        self.transcoder.start(block, drops)
        self._drops_begun += drops
        self.is_converting = True

    @property
    def _drops_told(self) -> int:
        """Of the packets the kernel dropped, how many a packet written tells of."""
        return self._drops_begun - self.transcoder.pending_drops

    # The interfaces

    @property
    def is_attached(self) -> bool:
        """Whether packets can come."""
        return self._is_any or bool(self.attached)

    @property
    def is_gone(self) -> bool:
        """Whether the interface that the socket was bound to exists no longer. Not known of patterns."""
        return not self._is_unbound and not self.ring.is_bound()

    @property
    def is_followed(self) -> bool:
        """Whether interfaces are to be attached to and detached from as they come and go: not so with `any`."""
        return not self._is_any

    def open(self) -> None:
        """Begin to take packets, if there is something to take them from.

        Raises:
            CaptureError: an interface to attach to is gone already.
        """
        self._attach_filter()
        for ifindex in self.attached:
            self._make_promiscuous(self._links[ifindex])
        if self._is_unbound:
            self.ring.bind(ANY)
        elif self.attached:
            self.ring.bind(*self.attached)

    def attach(self, link: Link, now_ns: int) -> None:
        """Take packets from `link` from now on. Its interface block is due with the first of them.

        Raises:
            CaptureError: it is gone already.
        """
        self._make_promiscuous(link)
        self._remember(link)
        self.attached.add(link.ifindex)
        if not self._is_unbound:
            self._settle()
            self._counting = None
        self._attach_filter()
        if not self._is_unbound:
            try:
                self.ring.bind(link.ifindex)
            except CaptureError:
                self.attached.clear()
                raise
        gone_since_ns = self._gone_since_ns.pop(link.name, None)
        if gone_since_ns is not None:
            gone, back = _time(gone_since_ns), _time(now_ns)
            if len(self._notes) == REMEMBERED_LINKS:  # of interfaces that never had a packet
                del self._notes[next(iter(self._notes))]
            self._notes[link.ifindex] = (
                f"{link.name} was gone from {gone} to {back} UTC; now it is ifindex {link.ifindex}"
            )

    def detach(self, ifindex: int, name: str, now_ns: int) -> None:
        """Take no more packets from an interface: it has gone, or is no longer called so."""
        self.attached.discard(ifindex)
        self._gone_since_ns.pop(name, None)  # the newest stand last
        self._gone_since_ns[name] = now_ns
        if len(self._gone_since_ns) > REMEMBERED_GONE:
            del self._gone_since_ns[next(iter(self._gone_since_ns))]
        self._left = next((shown for shown in self._shown if ifindex in shown.ifindexes), None)
        self._attach_filter()

    def _attach_filter(self) -> None:
        if not self.is_attached:
            self.ring.attach_filter(REFUSE_ALL)
        elif self._is_unbound and not self._is_any:
            self.ring.attach_filter(self._code_for_attached())
        else:
            self.ring.attach_filter(self._code)

    def _code_for_attached(self) -> bytes:
        """Return the filter that takes only what comes by the interfaces attached to."""
        from capfix.filters.composition import both
        from capfix.filters.fitting import interface_test
        from capfix.filters.instructions import decode_program, encode_program

        return encode_program(both(interface_test(self.attached), decode_program(self._code)))

    def _make_promiscuous(self, link: Link) -> None:
        if self._promiscuous and link.hardware_type == ARPHRD_ETHER:
            self.ring.be_promiscuous(link.ifindex)

    def _remember(self, link: Link) -> None:
        self._links[link.ifindex] = link
        if len(self._links) > REMEMBERED_LINKS + len(self.attached):
            del self._links[next(ifindex for ifindex in self._links if ifindex not in self.attached)]

    def renew(self, link: Link) -> None:
        """Note what the attached interface is now: its address may have been set after it was made."""
        self._remember(link)
        for shown in self._shown:
            if link.ifindex in shown.ifindexes:
                self._add_interface(shown.interface_id, link)

    # The section

    def begin_section(self, section: Section, now_ns: int) -> bytes:
        """Return the interface block that this source has from the section's beginning."""
        self._forget_section(now_ns)
        if self._is_unbound:
            name = ANY_NAME if self._is_any else self.name
            which = "all interfaces" if self._is_any else f"all interfaces called {name}"
            description = f"{which}: counts of the socket, and packets whose interface is gone"
            return self._show_pseudo_interface(section, name, description)
        if not self.attached:
            return self._show_pseudo_interface(section, self.name, "not present yet")
        return b"".join(self.announce(section, ifindex) for ifindex in self.attached)

    def _forget_section(self, now_ns: int) -> None:
        self._shown.clear()
        self.transcoder.forget_interfaces()
        self._counting = None
        self.ring.refresh_statistics()
        self._received_before = self.ring.received
        self._dropped_before = self._drops_told
        self._started_ns = now_ns

    def _show_pseudo_interface(self, section: Section, name: str, description: str) -> bytes:
        interface_id, block = section.pseudo_interface(name + self.suffix, description)
        self._counting = _Shown(interface_id, None, None)
        self._counting.received = self._counting.dropped = 0
        self._shown.append(self._counting)
        return block

    def announce(self, section: Section, ifindex: int) -> bytes:
        """Return the interface block that is due before the first packet of `ifindex`, if one is."""
        link = self._link(ifindex)
        if link is None and not self._shown:
            return self._show_pseudo_interface(section, self.name, "gone before this file began")
        if link is None:
            self.transcoder.add_interface(ifindex, self._shown[0].interface_id, None)
            return b""
        shown = next((shown for shown in self._shown if shown.link and _same_device(shown.link, link)), None)
        block = b""
        if shown is None:
            interface_id, block = section.interface(link._replace(name=link.name + self.suffix))
            shown = _Shown(interface_id, link, interface_drops(link))
            self._shown.append(shown)
        elif self._is_any:
            self._notes[ifindex] = f"{link.name} was made anew; now it is ifindex {ifindex}"
        shown.link = link
        shown.ifindexes.append(ifindex)
        self._add_interface(shown.interface_id, link)
        if not self._is_unbound and ifindex in self.attached:
            self._links[ifindex] = link
            self._counting = shown
            shown.received, shown.dropped = shown.received or 0, shown.dropped or 0
        note = self._notes.pop(ifindex, None)
        if note is not None:
            self.options = encode_comment(note)
        return block

    def _add_interface(self, interface_id: int, link: Link) -> None:
        self.transcoder.add_interface(link.ifindex, interface_id, link.mac)

    def _link(self, ifindex: int) -> Link | None:
        """Return what is known of an interface: as it is now, for its address may be younger than itself, or was."""
        try:
            link = read_link(ifindex)
        except CaptureError:
            return self._links.get(ifindex)
        known = self._links.get(ifindex, link)
        return link if link.name == known.name else known

    def _settle(self, closing: bool = False) -> None:
        """Credit what the socket counted since the last time to the interface it counted for.

        Between attaching to an interface and its first packet that is nobody: it is credited then. At the `closing` of
        a file only those drops count that a packet in it tells of; the others are the next file's.
        """
        self.ring.refresh_statistics()
        dropped = self._drops_told if closing else self.ring.dropped
        if self._counting is None:
            return
        assert self._counting.received is not None
        assert self._counting.dropped is not None
        self._counting.received += self.ring.received - self._received_before
        self._counting.dropped += dropped - self._dropped_before
        self._received_before, self._dropped_before = self.ring.received, dropped

    def statistics_of_the_left(self, now_ns: int) -> bytes:
        """Return the statistics block of the interface last detached from, if it has packets in this section."""
        self._settle()
        return (
            encode_interface_statistics(self._statistics_of(self._left, now_ns))
            if self._left in self._shown
            else b""
        )

    def statistics(self, now_ns: int, closing: bool = False) -> bytes:
        """Return the statistics blocks of this source's interfaces, with totals since the section began.

        On `any` the socket counts for all interfaces together; that stands with the pseudo-interface. `closing` says
        that another section follows: what was dropped behind the last packet of this one is then counted there, with
        the packet that tells of it.
        """
        self._settle(closing)
        return b"".join(
            encode_interface_statistics(self._statistics_of(shown, now_ns)) for shown in self._shown
        )

    def _statistics_of(self, shown: _Shown, now_ns: int) -> InterfaceStatistics:
        dropped_by_device = interface_drops(shown.link) if shown.link else None
        if dropped_by_device is not None:
            dropped_by_device = max(dropped_by_device - (shown.dropped_by_device or 0), 0)
        return InterfaceStatistics(
            interface_id=shown.interface_id,
            timestamp_ns=now_ns,
            start_ns=self._started_ns,
            end_ns=now_ns,
            received=shown.received,
            interface_dropped=dropped_by_device,
            kernel_dropped=shown.dropped,
            delivered=sum(self.transcoder.delivered(ifindex) for ifindex in shown.ifindexes),
        )


def _same_device(one: Link, other: Link) -> bool:
    return (one.name, one.mac, one.hardware_type) == (other.name, other.mac, other.hardware_type)


def _time(time_ns: int) -> str:
    """Return a time in words, UTC, to the millisecond."""
    seconds, rest_ns = divmod(time_ns, 1_000_000_000)
    return time.strftime(f"%Y-%m-%d %H:%M:%S.{rest_ns // 1_000_000:03}", time.gmtime(seconds))
