"""When to begin a new file: by size, packets, the wall clock or its own age, whichever comes first."""

from typing import Final, NamedTuple

SHORTEST_NS: Final = 100_000_000  # each file costs a sync of itself and of its directory
LONGEST_WAIT_NS: Final = 1_000_000_000  # timers do not see the wall clock stepped


class RotationRules(NamedTuple):
    """What ends a file; None where a rule is off.

    `every_ns` is aligned: it ends a file at each multiple of itself since the epoch. `duration_ns` counts
    from the file's opening. Both also end files that nothing was written to.
    """

    size_bytes: int | None = None
    packets: int | None = None
    every_ns: int | None = None
    duration_ns: int | None = None

    def __bool__(self) -> bool:
        rules = (self.size_bytes, self.packets, self.every_ns, self.duration_ns)
        return any(rule is not None for rule in rules)


class Room(NamedTuple):
    """What still fits into the file being written; None without a limit."""

    size_bytes: int | None
    packets: int | None


class Schedule:
    """Decides for one file after another. `begin` is called whenever a file is opened."""

    def __init__(self, rules: RotationRules) -> None:
        self.rules = rules
        self._boundary_ns = 0
        self._end_ns = 0

    def begin(self, wall_ns: int, monotonic_ns: int) -> None:
        """Note that a file was opened now."""
        if self.rules.every_ns is not None:
            self._boundary_ns = _next_multiple(wall_ns, self.rules.every_ns)
        if self.rules.duration_ns is not None:
            self._end_ns = monotonic_ns + self.rules.duration_ns

    def room(self, size_bytes: int, packets: int, closing_bytes: int) -> Room:
        """Return what may still be written to a file of `size_bytes` and `packets`.

        `closing_bytes` is kept free for what is written when the file is closed, so that the finished file is
        not larger than asked. Never negative.
        """
        limit_bytes, limit_packets = self.rules.size_bytes, self.rules.packets
        return Room(
            None if limit_bytes is None else max(0, limit_bytes - closing_bytes - size_bytes),
            None if limit_packets is None else max(0, limit_packets - packets),
        )

    def maybe_due_by_time(self, wall_ns: int, monotonic_ns: int) -> str | None:
        """Return which clock ends the file now, "interval" or "duration", or None.

        A wall clock stepped forward ends one file, however many boundaries it jumped over. Stepped back to
        before the file's own slot, the file goes on to the next boundary of the new time; but when it is back
        by less than half a slot, as after a small correction, the boundary stands, as it would otherwise come
        twice.
        """
        every_ns = self.rules.every_ns
        if every_ns is not None:
            if wall_ns >= self._boundary_ns:
                return "interval"
            if self._boundary_ns - wall_ns > every_ns + every_ns // 2:
                self._boundary_ns = _next_multiple(wall_ns, every_ns)
        if self.rules.duration_ns is not None and monotonic_ns >= self._end_ns:
            return "duration"
        return None

    def maybe_wait_ns(self, wall_ns: int, monotonic_ns: int) -> int | None:
        """Return in how many nanoseconds to ask `maybe_due_by_time` again; None when no rule looks at a
        clock.

        Never more than LONGEST_WAIT_NS, so that a stepped clock is noticed; zero when a file is due now.
        """
        waits = []
        if self.rules.every_ns is not None:
            waits.append(self._boundary_ns - wall_ns)
        if self.rules.duration_ns is not None:
            waits.append(self._end_ns - monotonic_ns)
        return max(0, min(*waits, LONGEST_WAIT_NS)) if waits else None


def _next_multiple(moment_ns: int, step_ns: int) -> int:
    """Return the first multiple of `step_ns` after `moment_ns`."""
    return (moment_ns // step_ns + 1) * step_ns
