"""From options to what a capture is made of."""

import pytest

from capfix.errors import NoMatchingInterfaceError, NoSuchInterfaceError
from capfix.options.run import RunOptions
from capfix.session import start

OPTIONS = RunOptions(("lo",), "out.pcapng")


@pytest.mark.parametrize(
    ("source", "streaming", "retire_ms"),
    [("packet", False, 100), ("packet", True, 2), ("both", False, 50), ("auto", True, 2)],
)
def test_how_long_a_packet_may_wait(source: str, streaming: bool, retire_ms: int) -> None:
    """A reader gets its packets soon; a file's wait longer, unless netfilter's wait for them."""
    assert start._retire_timeout_ms(OPTIONS._replace(source=source), streaming) == retire_ms


def test_an_interface_that_is_not_there_is_refused_or_waited_for() -> None:
    """With the names that are."""
    with pytest.raises(NoSuchInterfaceError, match="no interface named nope"):
        start._present("nope", wait=False)
    assert start._present("nope", wait=True) == []
    assert start._present("any", wait=False) == []


def test_a_pattern_without_a_match_can_be_waited_for() -> None:
    """Whoever is refused is told how."""
    with pytest.raises(
        NoMatchingInterfaceError, match=r"no interface named nope\*; there are: .*; add --wait"
    ):
        start._present("nope*", wait=False)
    assert start._present("nope*", wait=True) == []


@pytest.mark.parametrize("name", ["lo", "l*", "lo:1"])
def test_an_interface_is_found_by_name_pattern_and_label(name: str) -> None:
    """The kernel reads a label up to its colon."""
    assert [link.name for link in start._present(name, wait=False)] == ["lo"]


@pytest.mark.parametrize(("available", "ring"), [(0, 4 << 20), (1 << 30, 32 << 20), (1 << 40, 64 << 20)])
def test_a_ring_is_smaller_where_memory_is_short(
    available: int, ring: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thirty-second of what can be had, within bounds; -B says otherwise."""
    monkeypatch.setattr(start, "_available_memory", lambda: available)
    assert start.default_ring_size() == ring
    assert start._buffer_size(OPTIONS._replace(ring_size_mib=7)) == 7 << 20


def test_what_was_made_up_stands_in_the_file() -> None:
    """In the descriptions of its interfaces."""
    assert list(start._remarks(OPTIONS)) == []
    ethernet = OPTIONS._replace(link="ethernet", source="nflog", fix_checksums=True)
    remarks = ", ".join(start._remarks(ethernet))
    for words in (
        "made-up addresses: peer 02:63:61:70:00:02",
        "read from netfilter's log",
        "computed by capfix",
    ):
        assert words in remarks
