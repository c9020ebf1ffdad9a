"""A source's interfaces in the section being written: their blocks, what is to be noted, their statistics."""

from typing import Final, Protocol

from capfix.kernel.links import Link, interface_drops
from capfix.session.section import Section
from capfix.session.sources.gaps import Gaps
from capfix.session.sources.known_links import KnownLinks
from capfix.wire.pcapng import InterfaceStatistics, encode_comment, encode_interface_statistics

MOST_BLOCKS: Final = 4096  # in one section; further devices go with the first block, as their packets do
PSEUDO: Final = 0  # the block at which counts of the whole socket stand, and packets of links nobody heard of


class Rows(Protocol):
    """Where a transcoder looks interfaces up, as it has it."""

    def add_interface(self, ifindex: int, interface_id: int, mac: bytes | None, hardware_type: int) -> None:
        """Write packets of `ifindex` as of `interface_id` from now on."""

    def forget_interfaces(self) -> None:
        """Know no interface any more."""

    def delivered(self, ifindex: int) -> int:
        """Return how many packets of `ifindex` were written since interfaces were last forgotten."""

    def ask_again(self, ifindex: int) -> None:
        """Stop at the next packet of `ifindex` as at one of an interface that is not known."""

    def release_interface(self, ifindex: int) -> int:
        """Forget an interface that is gone, and return how many of its packets were written."""


class KernelCounts(Protocol):
    """What the kernel counted for a source since it was opened."""

    @property
    def received(self) -> int:
        """Packets, dropped ones too."""

    @property
    def dropped(self) -> int:
        """Packets it had no room for."""

    @property
    def dropped_and_noted(self) -> int:
        """Of those, how many stand with a packet that was written."""

    def refresh(self) -> None:
        """Ask the kernel."""


class InterfaceBlock:
    """An interface block of the section: `link` is None for one that is no device.

    `received` and `dropped` are what the socket counted while this was its interface, None if it never was.
    """

    def __init__(self, interface_id: int, link: Link | None, dropped_by_device: int | None) -> None:
        """`dropped_by_device` is the device's own count when the section began."""
        self.interface_id = interface_id
        self.link = link
        self.dropped_by_device = dropped_by_device
        self.ifindexes: set[int] = set()
        self.delivered_before = 0  # by those that are no longer among them
        self.received: int | None = None
        self.dropped: int | None = None

    def count_from_now(self) -> None:
        """Have the socket's counts stand here."""
        self.received, self.dropped = self.received or 0, self.dropped or 0


class InterfaceLedger:
    """Gives interfaces their blocks as their packets come, and keeps what is said of them.

    A link that comes again is the same block if name, address and hardware type are the same. `pending_options`,
    encoded options, are due with the next packet written.
    """

    def __init__(self, known: KnownLinks, rows: Rows, kernel: KernelCounts, suffix: str = "") -> None:
        """`suffix` ends the names of all blocks."""
        self.pending_options = b""
        self.gaps = Gaps()
        self._known = known
        self._rows = rows
        self._kernel = kernel
        self._suffix = suffix
        self._blocks: list[InterfaceBlock] = []
        self._devices: dict[tuple[str, bytes | None, int], InterfaceBlock] = {}
        self._counting: InterfaceBlock | None = None  # at which the socket's counts stand
        self._received_before = 0
        self._dropped_before = 0
        self._started_ns = 0

    # Blocks

    def begin_section(self, now_ns: int) -> None:
        """Know no block any more: a section begins."""
        self._blocks.clear()
        self._devices.clear()
        self._rows.forget_interfaces()
        self._counting = None
        self._kernel.refresh()
        self._received_before = self._kernel.received
        self._dropped_before = self._kernel.dropped_and_noted
        self._started_ns = now_ns

    def show_pseudo_interface(
        self, section: Section, name: str, description: str, counts: bool = True
    ) -> bytes:
        """Return the block of something that is no device.

        With `counts`, the socket's counts stand there until further notice.
        """
        interface_id, encoded = section.pseudo_interface(name + self._suffix, description)
        self._blocks.append(InterfaceBlock(interface_id, None, None))
        if counts:
            self.count_for(self._blocks[-1])
        return encoded

    def show(self, section: Section, ifindex: int, name: str, counts: bool = False) -> bytes:
        """Return the block that is due before the first packet of `ifindex`, if one is.

        What was never heard of goes with the first block, or with a pseudo-interface called `name`. With `counts`, the
        socket's counts stand at this interface from now on.
        """
        link = self._known.find(ifindex)
        if link is None or (len(self._blocks) >= MOST_BLOCKS and _device(link) not in self._devices):
            return self._show_unknown(section, ifindex, name)
        block = self._devices.get(_device(link))
        encoded = b""
        if block is None:
            interface_id, encoded = section.interface(link._replace(name=link.name + self._suffix))
            block = InterfaceBlock(interface_id, link, interface_drops(link))
            self._blocks.append(block)
            self._devices[_device(link)] = block
        block.link = link
        self._add(block, ifindex)
        if counts:
            self.count_for(block)
        note = self.gaps.maybe_note(ifindex)
        if note is not None:
            self.pending_options += encode_comment(note)
        return encoded

    def _show_unknown(self, section: Section, ifindex: int, name: str) -> bytes:
        encoded = b""
        if not self._blocks:
            encoded = self.show_pseudo_interface(section, name, "gone before this file began")
        self._add(self._blocks[PSEUDO], ifindex)
        return encoded

    def _add(self, block: InterfaceBlock, ifindex: int) -> None:
        block.ifindexes.add(ifindex)
        link = block.link
        mac, hardware_type = (None, 0) if link is None else (link.mac, link.hardware_type)
        self._rows.add_interface(ifindex, block.interface_id, mac, hardware_type)

    def come_back(self, name: str, ifindex: int, now_ns: int) -> None:
        """Note with the first packet of `ifindex` that one of its name was gone, if so, until now."""
        if self.gaps.end(name, ifindex, now_ns):
            self._rows.ask_again(ifindex)

    def renew(self, link: Link) -> None:
        """Note what a link is now: its address may have been set after it was made."""
        for block in self._blocks:
            if block.link and link.ifindex in block.ifindexes:
                self._rows.add_interface(link.ifindex, block.interface_id, link.mac, link.hardware_type)

    # Statistics

    def count_for(self, block: InterfaceBlock | None) -> None:
        """Have what the socket counts stand at this block from now on; None: not known yet."""
        self._counting = block
        if block is not None:
            block.count_from_now()

    def settle(self, closing: bool = False) -> None:
        """Credit what the socket counted since the last time to the interface it counted for.

        Between attaching to an interface and its first packet that is none: it is credited then. At the `closing` of a
        file only drops already noted on a packet count; the others are the next file's.
        """
        self._kernel.refresh()
        received = self._kernel.received
        dropped = self._kernel.dropped_and_noted if closing else self._kernel.dropped
        block = self._counting
        if block is None:
            return
        block.received = (block.received or 0) + received - self._received_before
        block.dropped = (block.dropped or 0) + dropped - self._dropped_before
        self._received_before, self._dropped_before = received, dropped

    def statistics(self, now_ns: int, closing: bool = False) -> list[bytes]:
        """Return the statistics block of each interface block, with totals since the section began."""
        self.settle(closing)
        return [self._statistics_of(block, now_ns) for block in self._blocks]

    def last_statistics_of(self, ifindex: int, now_ns: int) -> list[bytes]:
        """Return those of an interface that is gone, if it has a block in this section, and remember no more of it.

        Should a packet of it come all the same, it is shown again.
        """
        self.settle()
        blocks = [block for block in self._blocks if ifindex in block.ifindexes]
        statistics = [self._statistics_of(block, now_ns) for block in blocks]
        for block in blocks:
            block.ifindexes.discard(ifindex)
            block.delivered_before += self._rows.release_interface(ifindex)
        return statistics

    def _statistics_of(self, block: InterfaceBlock, now_ns: int) -> bytes:
        dropped_by_device = interface_drops(block.link) if block.link else None
        if dropped_by_device is not None:
            dropped_by_device = max(dropped_by_device - (block.dropped_by_device or 0), 0)
        return encode_interface_statistics(
            InterfaceStatistics(
                interface_id=block.interface_id,
                timestamp_ns=now_ns,
                start_ns=self._started_ns,
                end_ns=now_ns,
                received=block.received,
                interface_dropped=dropped_by_device,
                kernel_dropped=block.dropped,
                delivered=block.delivered_before + sum(map(self._rows.delivered, block.ifindexes)),
            )
        )


def _device(link: Link) -> tuple[str, bytes | None, int]:
    """Return what makes a link that comes again the same device."""
    return link.name, link.mac, link.hardware_type
