"""A clock for the ages of files: the wall clock at the start, and from there on as time really passed."""

from typing import Final

JUMP_NS: Final = 3600 * 10**9  # further apart than clocks drift in the months of a capture


class SteadyClock:
    """Tells the time from a clock that is never set. `boot_ns` is that clock: CLOCK_BOOTTIME, which counts sleep too.

    So files do not age by a year when somebody sets the wall clock forward by one.
    """

    def __init__(self, wall_ns: int, boot_ns: int) -> None:
        self._offset_ns = wall_ns - boot_ns
        self._known_jump_ns = 0

    def now_ns(self, boot_ns: int) -> int:
        """Return the time, in nanoseconds since the epoch as the wall clock had it at the start."""
        return self._offset_ns + boot_ns

    def maybe_jump_ns(self, wall_ns: int, boot_ns: int) -> int | None:
        """Return by how much the wall clock was set, once for each time it was; None while it agrees."""
        jump_ns = wall_ns - self.now_ns(boot_ns)
        if abs(jump_ns - self._known_jump_ns) < JUMP_NS:
            return None
        self._known_jump_ns = jump_ns
        return jump_ns
