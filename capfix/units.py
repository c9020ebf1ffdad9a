"""Sizes, durations and shares as people write them. Pure.

Units are matched without regard to case. A bare `M` or `G` is refused, because half of the tools read it as a
power of 1000 and the other half as a power of 1024.
"""

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from capfix.errors import UsageError

if TYPE_CHECKING:
    from fractions import Fraction

_SIZE_UNITS: Final = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
    "tib": 2**40,
}
_DURATION_UNITS_NS: Final = {
    "us": 10**3,
    "ms": 10**6,
    "": 10**9,
    "s": 10**9,
    "min": 60 * 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
    "d": 86400 * 10**9,
    "w": 7 * 86400 * 10**9,
}
_QUANTITY: Final = (
    r"([0-9]+(?:\.[0-9]+)?)\s*([a-zA-Z%]*)"  # compiled when it is used: that takes most of a millisecond
)


class SizeOrPercent(NamedTuple):
    """An amount of space: so many bytes, or a share of a filesystem, of which one is None."""

    size_bytes: int | None = None
    percent: "Fraction | None" = None

    def of(self, total_bytes: int) -> int:
        """Return the amount in bytes on a filesystem of `total_bytes`."""
        if self.percent is not None:
            return int(total_bytes * self.percent / 100)
        return self.size_bytes or 0

    def __str__(self) -> str:
        return f"{float(self.percent):g}%" if self.percent is not None else format_size(self.size_bytes or 0)


def parse_size(text: str) -> int:
    """Return the bytes that `text` names: `4096`, `1.5GB` (of 10^9 bytes), `64MiB` (of 2^20 bytes).

    Raises:
        UsageError: no such unit, or less than one byte.
    """
    number, unit = _split(text, "size", "100MB, 1.5GiB or 4096 for bytes")
    if unit in ("k", "m", "g", "t"):
        letter = unit.upper()
        raise UsageError(
            f"size {text}: {letter} alone is ambiguous, write {letter}B (of 1000s) or {letter}iB (of 1024s)"
        )
    return _whole(text, "size", number, unit, _SIZE_UNITS, "B, kB, MB, GB, TB, KiB, MiB, GiB or TiB")


def parse_duration(text: str) -> int:
    """Return the nanoseconds that `text` names: `100ms`, `90s`, `5min`, `1h`, `1d`; a bare number is seconds.

    Raises:
        UsageError: no such unit, or nothing above zero.
    """
    number, unit = _split(text, "duration", "100ms, 90s, 5min, 1h or 7d")
    return _whole(text, "duration", number, unit, _DURATION_UNITS_NS, "us, ms, s, min, h, d or w")


def parse_size_or_percent(text: str) -> SizeOrPercent:
    """Return what `text` names: a size as for `parse_size`, or a share such as `10%`.

    Raises:
        UsageError: neither of the two, or a share that is not between 0 and 100 per cent.
    """
    number, unit = _split(text, "amount of space", "10%, 5GB or 500MiB")
    if unit != "%":
        return SizeOrPercent(size_bytes=parse_size(text))
    from fractions import Fraction  # it takes long to import, with decimal, and few give a share

    percent = Fraction(number)
    if not 0 < percent < 100:
        raise UsageError(f"amount of space {text}: a share lies between 0% and 100%")
    return SizeOrPercent(percent=percent)


def parse_count(text: str, what: str) -> int:
    """Return the whole number above zero in `text`; `what` names it in the error.

    Raises:
        UsageError: anything else.
    """
    if not re.fullmatch("[0-9]+", text, re.ASCII) or int(text) == 0:
        raise UsageError(f"{what} {text or 'without a value'}: give a whole number above zero")
    return int(text)


def format_size(size_bytes: int) -> str:
    """Return `size_bytes` for a sentence: `1.5 GB`, `820 bytes`."""
    for unit, factor in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size_bytes >= factor:
            return f"{size_bytes / factor:.4g} {unit}"
    return "1 byte" if size_bytes == 1 else f"{size_bytes} bytes"


def format_duration(duration_ns: int) -> str:
    """Return `duration_ns` for a sentence, in the largest unit that divides it: `7 d`, `90 s`, `100 ms`."""
    for unit in ("d", "h", "min", "s", "ms", "us"):
        if duration_ns % _DURATION_UNITS_NS[unit] == 0:
            return f"{duration_ns // _DURATION_UNITS_NS[unit]} {unit}"
    return f"{duration_ns} ns"


def _split(text: str, what: str, examples: str) -> tuple[str, str]:
    match = re.fullmatch(_QUANTITY, text.strip(), re.ASCII)
    if match is None:
        raise UsageError(f"{what} {text!r} is not a number with a unit; write for example {examples}")
    return match[1], match[2].lower()


def _whole(text: str, what: str, number: str, unit: str, units: dict[str, int], known: str) -> int:
    if unit not in units:
        raise UsageError(f"{what} {text}: no unit {unit}; units are {known}")
    whole, _, decimals = number.partition(".")
    value = int(whole + decimals) * units[unit] // int("1" + "0" * len(decimals))
    if value < 1:
        raise UsageError(f"{what} {text} is nothing; give more than zero")
    return value
