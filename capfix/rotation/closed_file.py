"""A file that was closed: why, and what it holds."""

from enum import Enum
from typing import NamedTuple

from capfix.units import format_size


class Reason(Enum):
    """Why a file was closed. The value is the reason in words."""

    SIZE = "it reached its size"
    PACKETS = "it reached its number of packets"
    TIME = "its time was over"
    SIGNAL = "a signal asked for the next file"
    INTERFACES = "it described as many interfaces as readers can take"
    STOP = "the capture ended"
    RECOVERED = "a crash had left it unfinished"
    FULL_DISK = "the disk was full"
    OUTPUT_FAILED = "writing failed"


class ClosedFile(NamedTuple):
    """One finished file, whole and synced under its final name.

    `first_ns` and `last_ns` are the time stamps of its first and last packet, in nanoseconds since the epoch; None
    in a file without packets.
    """

    path: str
    reason: Reason
    packets: int
    first_ns: int | None
    last_ns: int | None
    size_bytes: int

    def sentence(self) -> str:
        """Return what was closed and why, for the log."""
        packets = "1 packet" if self.packets == 1 else f"{self.packets} packets"
        return f"closed {self.path}: {packets}, {format_size(self.size_bytes)}; {self.reason.value}"
