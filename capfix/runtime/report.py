"""What a person hears of what runs: events as sentences, and a live line on a terminal."""

import contextlib
import os
import sys
from typing import TextIO

from capfix.runtime.events import DETAIL, Event


class Report:
    """Writes to stderr, where a capture's words go; stdout may carry the capture itself."""

    def __init__(self, stream: TextIO | None = None, quiet: bool = False, verbose: bool = False) -> None:
        self._stream = stream or sys.stderr
        self.is_verbose = verbose
        self.is_live = not quiet and self._stream.isatty()
        self._has_line = False

    def tell(self, event: Event) -> None:
        """Print an event's sentence; a detail only where -v asked for details."""
        if event.kind.level > DETAIL or self.is_verbose:
            self._clear()
            self._print(f"capfix: {printable(event.sentence)}\n")

    def live(self, line: str) -> None:
        """Show `line` in place of the live line."""
        try:
            width = os.get_terminal_size(self._stream.fileno()).columns
        except OSError:  # the terminal is gone
            return
        self._clear()
        self._print(line[: max(width - 1, 0)])
        self._has_line = True

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
