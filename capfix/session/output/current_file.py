"""How far the file being written has come, and what ends it."""

import time
from typing import Final

from capfix.rotation.schedule import RotationRules, Schedule

CLOSING_BYTES: Final = 192  # more than one interface's statistics take at the end


class CurrentFile:
    """Counts what goes into one file after another. Its `begin` is called for each.

    Without rules there is one file and nothing ends it.
    """

    def __init__(self, rules: RotationRules) -> None:
        self.begun = 0
        self.packets = 0
        self.size_bytes = 0
        self._limit_packets = rules.packets
        self._schedule = Schedule(rules)

    def begin(self, wall_ns: int) -> None:
        """Count anew, for a file begun at `wall_ns`."""
        self.begun += 1
        self.packets = self.size_bytes = 0
        self.restart_clock(wall_ns)

    def restart_clock(self, wall_ns: int) -> None:
        """Let the file's time begin now."""
        self._schedule.begin(wall_ns, time.monotonic_ns())

    def room(self, interfaces: int) -> tuple[int | None, int | None]:
        """Return how many bytes and packets may still be written; None where nothing limits them.

        A file holds one packet at least, however large.
        """
        room = self._schedule.room(self.size_bytes, self.packets, interfaces * CLOSING_BYTES)
        if room.size_bytes is not None and not self.packets:
            return None, 1
        return room.size_bytes, room.packets

    @property
    def has_all_packets(self) -> bool:
        """Whether it holds as many packets as it may."""
        return self._limit_packets is not None and self.packets >= self._limit_packets

    def is_over(self) -> bool:
        """Whether its time is over, by the wall clock or by its own age."""
        return self._schedule.maybe_due_by_time(time.time_ns(), time.monotonic_ns()) is not None

    def maybe_wait_s(self) -> float | None:
        """Return when to ask `is_over` again; None if time never ends it."""
        wait_ns = self._schedule.maybe_wait_ns(time.time_ns(), time.monotonic_ns())
        return None if wait_ns is None else wait_ns / 1e9
