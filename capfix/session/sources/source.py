"""What a capture asks of a source of packets, whatever that is: a ring, netfilter's log."""

from collections.abc import Iterable
from typing import NamedTuple, Protocol

from capfix.runtime.events import Event
from capfix.session.counts import Counts
from capfix.session.section import Section


class Converted(NamedTuple):
    """What one conversion came to: why it stopped (a Stop), where the output ends, how many packets were written."""

    stop: int
    end: int
    written: int


class Source(Protocol):
    """Packets from one place, in their order, and the interfaces they are of.

    `written` counts the packets converted. With `waits_for_others` its packets may only go on when other sources have
    shown theirs. `settling_s` is how long after the end of the inflow something may still come, beside a ring's retire
    time.
    """

    waits_for_others: bool
    settling_s: float

    # Packets

    @property
    def written(self) -> int:
        """How many packets were converted."""

    def open(self) -> None:
        """Begin to take packets, if there is something to take them from; CaptureError when that is gone by now."""

    def fileno(self) -> int:
        """Return the descriptor that is readable when packets are there."""

    def has_packets(self) -> bool:
        """Return whether there is something to convert."""

    def goes_on(self) -> bool:
        """Return whether a conversion stopped with more there, for which nothing may wake us."""

    def look_ahead(self) -> None:
        """Take note of all packets that are there, for sources that compare theirs with them."""

    def first_timestamp_ns(self) -> int | None:
        """Return when the next packet came, nanoseconds since 1970; None while none is there."""

    def hold_back(self, until_ns: int) -> None:
        """Convert only packets before that time from now on."""

    def convert(self, view: memoryview, at: int, limit: int, options: bytes) -> Converted:
        """Convert what is there into `view` from `at`, at most `limit` packets; `options` go with the first of them."""

    def refuse_all(self) -> None:
        """Let no further packet in. What is on its way still comes out."""

    def discard(self) -> int:
        """Let go of all that is there, and return how many packets that were."""

    # Interfaces and counts

    def begin_section(self, section: Section, now_ns: int) -> list[bytes]:
        """Return the interface blocks that this source has from the section's beginning."""

    def announce(self, section: Section) -> bytes:
        """Return the interface block that is due before the packet at which a conversion stopped, if one is."""

    def statistics(self, now_ns: int, closing: bool = False) -> list[bytes]:
        """Return the statistics blocks of its interfaces. `closing` ones are a file's last, and another follows."""

    @property
    def names_attached(self) -> tuple[str, ...]:
        """Of the names asked for, those from which packets can come."""

    @property
    def names_awaited(self) -> tuple[str, ...]:
        """Of the names asked for, the others."""

    def refresh_counts(self) -> None:
        """Ask the kernel for what it counted."""

    def counts(self) -> Counts:
        """Return what was counted since the capture began."""

    def description(self) -> str:
        """Return what packets are read from, in words."""

    def remarks(self) -> Iterable[Event]:
        """Return what is worth knowing at the end, for people who want to know more."""
