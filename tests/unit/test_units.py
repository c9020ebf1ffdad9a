"""Sizes, durations and shares as people write them."""

from fractions import Fraction

import pytest

from capfix.errors import UsageError
from capfix.units import (
    SizeOrPercent,
    format_duration,
    format_size,
    parse_count,
    parse_duration,
    parse_size,
    parse_size_or_percent,
)


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("4096", 4096),
        ("7B", 7),
        ("1kB", 1000),
        ("100MB", 100_000_000),
        ("100mb", 100_000_000),
        ("1.5GB", 1_500_000_000),
        ("0.1 GB", 100_000_000),
        ("2TB", 2 * 10**12),
        ("1KiB", 1024),
        ("64MiB", 64 << 20),
        ("3GiB", 3 << 30),
        ("1TiB", 1 << 40),
    ],
)
def test_sizes_with_decimal_and_binary_units(text: str, size_bytes: int) -> None:
    """MB is a power of 1000 and MiB a power of 1024, exactly, whatever the case."""
    assert parse_size(text) == size_bytes


@pytest.mark.parametrize(
    "text", ["", "MB", "-1MB", "1e6", "100 furlongs", "0", "0MB", "0.5", "10%", "1,5GB", "\u0663MB"]
)
def test_what_is_not_a_size_is_refused(text: str) -> None:
    """What is no size above zero is a usage error that quotes what was found."""
    with pytest.raises(UsageError, match="size"):
        parse_size(text)


@pytest.mark.parametrize("text", ["100M", "1k", "2g", "3T"])
def test_a_bare_letter_is_refused_with_both_readings(text: str) -> None:
    """A bare K, M, G or T means 1000s to some tools and 1024s to others, so both ways out are named."""
    with pytest.raises(UsageError, match=f"write {text[-1].upper()}B .* or {text[-1].upper()}iB"):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "duration_ns"),
    [
        ("60", 60 * 10**9),
        ("0.5", 5 * 10**8),
        ("250us", 250_000),
        ("100ms", 10**8),
        ("90s", 90 * 10**9),
        ("5min", 300 * 10**9),
        ("5m", 300 * 10**9),
        ("1h", 3600 * 10**9),
        ("1d", 86400 * 10**9),
        ("2w", 14 * 86400 * 10**9),
    ],
)
def test_durations(text: str, duration_ns: int) -> None:
    """Each unit of time is exact, and a bare number counts seconds."""
    assert parse_duration(text) == duration_ns


@pytest.mark.parametrize("text", ["", "h", "0s", "-1s", "5 fortnights", "1h30m"])
def test_what_is_not_a_duration_is_refused(text: str) -> None:
    """What is no duration above zero is a usage error."""
    with pytest.raises(UsageError, match="duration"):
        parse_duration(text)


def test_a_share_of_a_filesystem() -> None:
    """A share is taken of the filesystem's size, a size stands for itself."""
    assert parse_size_or_percent("10%") == SizeOrPercent(percent=Fraction(10))
    assert parse_size_or_percent("12.5%").of(1000) == 125
    assert parse_size_or_percent("5MB").of(1000) == 5_000_000
    assert (str(parse_size_or_percent("12.5%")), str(parse_size_or_percent("5MB"))) == ("12.5%", "5 MB")


@pytest.mark.parametrize("text", ["0%", "100%", "250%", "%", "ten%", "-5%"])
def test_a_share_outside_the_filesystem_is_refused(text: str) -> None:
    """Nothing, everything and more than everything are no shares to keep free."""
    with pytest.raises(UsageError):
        parse_size_or_percent(text)


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5", "ten", " 7", "\u0663"])
def test_a_count_is_a_whole_number_above_zero(text: str) -> None:
    """Anything but a whole number above zero is a usage error that names what was counted."""
    assert parse_count("10", "packets") == 10
    with pytest.raises(UsageError, match="packets"):
        parse_count(text, "packets")


def test_sentences() -> None:
    """Sizes and durations are said in the largest unit that fits."""
    assert [format_size(size) for size in (1, 999, 1000, 1_500_000, 2 * 10**9)] == [
        "1 byte",
        "999 bytes",
        "1 kB",
        "1.5 MB",
        "2 GB",
    ]
    assert [format_duration(text) for text in (10**8, 90 * 10**9, 3600 * 10**9, 1500)] == [
        "100 ms",
        "90 s",
        "1 h",
        "1500 ns",
    ]
