"""The names of the files of one output: `out_00001_20261122130801.pcapng` for `-o out.pcapng`.

The number comes first and only rises, so that names sort as the files were written whatever the clock did;
the time is that of opening, in UTC, so that no two files share one when summer time ends. While a file is
written `.part` follows its name. The scheme is dumpcap's but for the zone, so its files are understood too.
"""

import re
from datetime import UTC, datetime
from typing import Final, NamedTuple

from capfix.errors import UsageError

PART: Final = ".part"
NUMBER_DIGITS: Final = 5  # at least so many
OPENED_DIGITS: Final = 14  # YYYYMMDDHHMMSS


class CaptureName(NamedTuple):
    """One name taken apart. `opened` is the time in the name, 14 digits; `part` says the file was never
    finished."""

    number: int
    opened: str
    part: bool


class NamePattern:
    """What all the names of one output have in common.

    `output` is the final path part given by the user; it is split at its last dot, as dumpcap does. A leading
    dot hides a file and begins no suffix.

    Raises:
        UsageError: a name that ends in `.part`, which would pass for an unfinished file.
    """

    def __init__(self, output: str) -> None:
        if output.endswith(PART):
            raise UsageError(f"{output}: a name ending in {PART} is kept for files not finished yet")
        self.output = output
        stem, dot, ending = output.rpartition(".")
        self.prefix, self.suffix = (stem, dot + ending) if stem.strip(".") else (output, "")
        number, opened, part = (
            rf"([0-9]{{{NUMBER_DIGITS},}})",
            rf"([0-9]{{{OPENED_DIGITS}}})",
            rf"({re.escape(PART)})?",
        )
        self._matches = re.compile(
            f"{re.escape(self.prefix)}_{number}_{opened}{re.escape(self.suffix)}{part}"
        )

    def name(self, number: int, opened_ns: int) -> str:
        """Return the final name of file `number`, opened at `opened_ns` on the wall clock."""
        opened = datetime.fromtimestamp(opened_ns // 10**9, UTC)
        return f"{self.prefix}_{number:0{NUMBER_DIGITS}}_{opened:%Y%m%d%H%M%S}{self.suffix}"

    def renumbered(self, name: str, number: int) -> str:
        """Return `name`, a final name of this pattern, with another number."""
        opened = name.removesuffix(self.suffix)[-OPENED_DIGITS:]
        return f"{self.prefix}_{number:0{NUMBER_DIGITS}}_{opened}{self.suffix}"

    def maybe_parse(self, name: str) -> CaptureName | None:
        """Return the parts of `name`, or None when it is not exactly a name this pattern makes."""
        match = self._matches.fullmatch(name)
        if match is None or match[1] != f"{int(match[1]):0{NUMBER_DIGITS}}":
            return None
        return CaptureName(int(match[1]), match[2], match[3] is not None)

    def __str__(self) -> str:
        return f"{self.prefix}_*{self.suffix}"
