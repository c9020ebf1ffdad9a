"""The names of the files of one output."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capfix.errors import UsageError
from capfix.rotation.names import CaptureName, NamePattern

OPENED_NS = 1_795_352_881_999_999_999  # 2026-11-22 13:08:01.999... UTC


def test_a_name_and_its_parts() -> None:
    """A name holds a number of at least five digits and the time of opening in UTC."""
    pattern = NamePattern("out.pcapng")
    assert pattern.name(1, OPENED_NS) == "out_00001_20261122130801.pcapng"
    assert pattern.name(123456, OPENED_NS) == "out_123456_20261122130801.pcapng"
    assert pattern.maybe_parse("out_00001_20261122130801.pcapng") == CaptureName(1, "20261122130801", False)
    assert pattern.maybe_parse("out_123456_20261122130801.pcapng.part") == CaptureName(
        123456, "20261122130801", True
    )


@pytest.mark.parametrize(
    ("output", "name"),
    [
        ("out", "out_00007_20261122130801"),
        ("my.host.pcapng", "my.host_00007_20261122130801.pcapng"),
        (".hidden", ".hidden_00007_20261122130801"),
        ("out.", "out_00007_20261122130801."),
    ],
)
def test_the_split_is_at_the_last_dot(output: str, name: str) -> None:
    """Number and time go before the last dot, as dumpcap puts them; a leading dot begins no suffix."""
    assert NamePattern(output).name(7, OPENED_NS) == name


@pytest.mark.parametrize(
    "name",
    [
        "out_x_00001_20261122130801.pcapng",
        "xout_00001_20261122130801.pcapng",
        "out_00001_20261122130801.pcap",
        "out_00001_20261122130801.pcapng.gz",
        "out_00001_20261122130801.pcapng.part.part",
        "out_00001_20261122130801.pcapng\n",
        "out_0001_20261122130801.pcapng",
        "out_000001_20261122130801.pcapng",
        "out_00001_2026112213080.pcapng",
        "out_00001_20261122130801xpcapng",
        "out_\u0660\u0660\u0660\u0660\u0661_20261122130801.pcapng",
        "out.pcapng",
        ".out.pcapng.lock",
    ],
)
def test_names_of_others_are_not_ours(name: str) -> None:
    """Only exactly the names this output makes are recognised, so files of others are never touched."""
    assert NamePattern("out.pcapng").maybe_parse(name) is None


def test_a_name_ending_in_part_is_refused() -> None:
    """An output that ends in .part would pass for an unfinished file of another."""
    with pytest.raises(UsageError, match=r"\.part"):
        NamePattern("out.part")


@given(
    st.text(min_size=1).filter(lambda text: not text.endswith(".part")),
    st.integers(1, 10**9),
    st.integers(0, 10**19),
)
def test_every_name_reads_back(output: str, number: int, opened_ns: int) -> None:
    """What is named is recognised, finished or not, whatever the output is called."""
    pattern = NamePattern(output)
    name = pattern.name(number, opened_ns)
    finished, part = pattern.maybe_parse(name), pattern.maybe_parse(name + ".part")
    assert finished is not None
    assert part is not None
    assert (finished.number, finished.part, part.number, part.part) == (number, False, number, True)
