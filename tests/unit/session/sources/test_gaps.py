"""What a capture notes of interfaces that were gone."""

from capfix.session.sources.gaps import REMEMBERED, Gaps, in_words

GONE_NS = 1_700_000_000_123_000_000
BACK_NS = GONE_NS + 2_000_000_000


def test_a_gap_is_noted_once_by_the_name_with_its_times() -> None:
    """Under whichever index the interface came back, the same one included."""
    gaps = Gaps()
    gaps.begin("cipsec0", GONE_NS)
    gaps.end("cipsec0", 7, BACK_NS)
    assert gaps.maybe_note(7) == (
        "cipsec0 was gone from 2023-11-14 22:13:20.123 to 2023-11-14 22:13:22.123 UTC; now it is ifindex 7"
    )
    assert gaps.maybe_note(7) is None


def test_what_comes_for_the_first_time_was_not_gone() -> None:
    """There is nothing to note then."""
    gaps = Gaps()
    gaps.end("tun0", 3, BACK_NS)
    assert gaps.maybe_note(3) is None


def test_names_that_never_come_back_are_forgotten_in_the_end() -> None:
    """A capture of containers sees new names for months; the gaps that it can still tell of are the newest."""
    gaps = Gaps()
    gaps.begin("lo", GONE_NS)
    for number in range(REMEMBERED - 1):
        gaps.begin(f"veth{number}", GONE_NS)
    gaps.end("lo", 1, BACK_NS)
    assert gaps.maybe_note(1) is not None
    gaps.begin("lo", GONE_NS)
    for number in range(REMEMBERED):
        gaps.begin(f"tap{number}", GONE_NS)
    gaps.end("lo", 1, BACK_NS)
    assert gaps.maybe_note(1) is None


def test_notes_that_are_never_fetched_are_forgotten_too() -> None:
    """Interfaces that come back and never have a packet."""
    gaps = Gaps()
    for number in range(2 * REMEMBERED):
        gaps.begin(f"veth{number}", GONE_NS)
        gaps.end(f"veth{number}", number, BACK_NS)
    kept = [number for number in range(2 * REMEMBERED) if gaps.maybe_note(number)]
    assert kept == list(range(REMEMBERED, 2 * REMEMBERED))


def test_times_are_in_utc_to_the_millisecond() -> None:
    """As in file names."""
    assert in_words(0) == "1970-01-01 00:00:00.000"
