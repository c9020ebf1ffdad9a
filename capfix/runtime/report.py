"""What a person is told of a running capture: messages, a live line on a terminal, the counts at the end."""

import contextlib
import os
import sys
import time
from typing import NamedTuple, TextIO


class Counts(NamedTuple):
    """Packets, since the capture began. `received` is the kernel's count and holds the `kernel_dropped` ones too."""

    captured: int = 0
    received: int = 0
    kernel_dropped: int = 0
    output_lost: int = 0
    loopback_copies: int = 0
    not_carried: int = 0
    duplicates: int = 0
    headers_kept: int = 0
    headers_missing: int = 0
    headers_stale: int = 0


class Report:
    """Writes to stderr, where a capture's words go; stdout may carry the capture itself."""

    def __init__(self, stream: TextIO | None = None, quiet: bool = False, verbose: bool = False) -> None:
        self._stream = stream or sys.stderr
        self.is_verbose = verbose
        self.is_live = not quiet and self._stream.isatty()
        self._has_line = False
        self._last = (time.monotonic(), 0)

    def say(self, message: str) -> None:
        """Tell what everybody should know."""
        self._clear()
        self._print(f"capfix: {printable(message)}\n")

    def detail(self, message: str) -> None:
        """Tell what only -v asks for."""
        if self.is_verbose:
            self.say(message)

    def live(self, counts: Counts) -> None:
        """Renew the live line."""
        line = self._standing(counts)
        try:
            width = os.get_terminal_size(self._stream.fileno()).columns
        except OSError:  # the terminal is gone
            return
        self._clear()
        self._print(line[: max(width - 1, 0)])
        self._has_line = True

    def status(self, doing: str, counts: Counts) -> str:
        """Return how the capture stands, in one line that begins with what is `doing`."""
        lost = f", {counts.output_lost:,} lost to the output" if counts.output_lost else ""
        return f"{doing}: {self._standing(counts)}{lost}"

    def _standing(self, counts: Counts) -> str:
        """Return the rate since the last time, packets and drops."""
        then, captured = self._last
        now = time.monotonic()
        rate = (counts.captured - captured) / max(now - then, 1e-9)
        self._last = (now, counts.captured)
        return f"{rate:,.0f} packets/s, {counts.captured:,} packets, {counts.kernel_dropped:,} dropped"

    def summary(self, counts: Counts, output: str, link: str) -> None:
        """Tell the counts at the end, and whatever did not go as a reader might think."""
        self.say(f"{_packets(counts.captured)} captured to {output}")
        self.say(f"{_packets(counts.received)} received, {counts.kernel_dropped} dropped by the kernel")
        if counts.output_lost:
            self.say(f"{_packets(counts.output_lost)} captured but lost to the output")
        if counts.loopback_copies:
            self.detail(f"{counts.loopback_copies} outgoing copies left out on the loopback interface")
        if counts.duplicates:
            self.say(f"{_packets(counts.duplicates)} of netfilter left out: the tap delivered the same")
        if counts.not_carried:
            self.say(
                f"{_packets(counts.not_carried)} left out: of types that {link} headers cannot carry; "
                "try --link sll2"
            )

        if counts.headers_kept or counts.headers_missing or counts.headers_stale:
            self.say(
                f"Ethernet headers: {counts.headers_kept} kept, {counts.headers_missing} made up where there was none, "
                f"{counts.headers_stale} made up in place of one that was not the packet's"
            )

    def _clear(self) -> None:
        if self._has_line:
            self._print("\r\x1b[K")
            self._has_line = False

    def _print(self, text: str) -> None:
        """Write to the stream; that nobody listens any more is no reason to end a capture."""
        with contextlib.suppress(OSError):
            print(text, end="", file=self._stream, flush=True)


def printable(text: str) -> str:
    """Return the text with what a terminal would obey written out: an interface's name may hold escape sequences."""
    return "".join(each if each.isprintable() or each == "\n" else ascii(each)[1:-1] for each in text)


def _packets(count: int) -> str:
    return f"{count} packet{'' if count == 1 else 's'}"
