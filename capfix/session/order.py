"""Whose packets come next, where several sources fill one section."""

from collections.abc import Sequence
from typing import Final

from capfix.session.sources.source import Source
from capfix.transcode.stop import NO_LIMIT

# A ring block retires within 50 ms where there is merging, a log group's messages come within 10 ms.
HOLD_NS: Final = 100_000_000


class Order:
    """Chooses the source to go on with: the one whose next packets are the oldest.

    So rings are in order within one retire time. With `merging`, as a tap and netfilter want it, it is packets that
    are in order: one goes on when every other source has shown a later one, or 100 ms after its own time.
    """

    def __init__(self, sources: Sequence[Source], merging: bool) -> None:
        self.is_holding = False
        self._sources = sources
        self._only = sources[0] if len(sources) == 1 and not merging else None  # it need not be compared
        self._merging = merging
        self._hold_ns = HOLD_NS
        self._held: tuple[int, int] | None = None
        self._held_since_ns = 0

    def stop_waiting(self) -> None:
        """Wait for nothing any more: all that will come is there."""
        self._hold_ns = -NO_LIMIT

    def next(self, now_ns: int, monotonic_ns: int) -> Source | None:
        """Return the source to convert from, told how far to go; None where no packets are due.

        `is_holding` then tells whether packets are there that wait for others. Times in nanoseconds: `now_ns` since
        1970; the monotonic one sees to it that nothing waits for a clock that was set back.
        """
        self.is_holding = False
        if self._only is not None:
            return self._only if self._only.has_packets() else None
        for source in self._sources:
            source.look_ahead()
        firsts = [source.first_timestamp_ns() for source in self._sources]
        ready = [(first, n) for n, first in enumerate(firsts) if first is not None]
        if not ready:
            return None
        first, n = min(ready)
        chosen = self._sources[n]
        if self._merging:
            latest = self._latest(chosen, firsts, now_ns)
            if first > latest and not self._is_held_too_long((n, first), monotonic_ns):
                self.is_holding = True
                return None
            chosen.hold_back(min(max(first, latest) + 1, NO_LIMIT))
        return chosen

    def _latest(self, chosen: Source, firsts: Sequence[int | None], now_ns: int) -> int:
        """Return the time up to which no other source can have a packet that comes before."""
        waited = now_ns - self._hold_ns
        others = [
            waited if first is None else first
            for source, first in zip(self._sources, firsts, strict=True)
            if source is not chosen
        ]
        if chosen.waits_for_others:
            others.append(waited)
        return min(others, default=NO_LIMIT)

    def _is_held_too_long(self, held: tuple[int, int], monotonic_ns: int) -> bool:
        if held != self._held:
            self._held, self._held_since_ns = held, monotonic_ns
        return monotonic_ns - self._held_since_ns > self._hold_ns
