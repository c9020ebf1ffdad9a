"""Words of the command line, what they mean, and what options may be together."""

import pytest

from capfix.config import parse_count, parse_mark, parse_snaplen
from capfix.errors import UsageError
from capfix.session.options import RunOptions


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "many", "", "1" * 30])
def test_a_count_is_a_whole_number_from_one(text: str) -> None:
    """Anything else is refused with the text in the message."""
    with pytest.raises(UsageError, match="whole number"):
        parse_count(text)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"interfaces": ()}, "no interface"),
        ({"interfaces": ("any", "lo")}, "every interface already"),
        ({"link": "token-ring"}, "unknown link type 'token-ring'"),
        ({"ring_size_mib": 4096}, "too large"),
        ({"keep_headers": True}, "--link ethernet"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, object], reason: str) -> None:
    """With the reason, before anything is tried."""
    with pytest.raises(UsageError, match=reason):
        RunOptions(**{"interfaces": ("lo",), "output": "x.pcapng", **options})


@pytest.mark.parametrize(
    ("text", "mark"),
    [
        ("1007", (1007, 0xFFFFFFFF)),
        ("0x3EF", (1007, 0xFFFFFFFF)),
        ("0x100/0xff00", (0x100, 0xFF00)),
        ("0/1", (0, 1)),
        ("4294967295", (0xFFFFFFFF, 0xFFFFFFFF)),
    ],
)
def test_marks(text, mark):
    """A mark is a 32-bit number, decimal or hexadecimal, with a mask of all ones where none is given."""
    assert parse_mark(text) == mark


@pytest.mark.parametrize(
    "text", ["", "/", "1/", "-1", "x", "0x", "4294967296", "0x100000000", "1/2/3", "07x"]
)
def test_wrong_marks(text):
    """What is no mark is refused with the form of one."""
    with pytest.raises(UsageError, match="say VALUE or VALUE/MASK"):
        parse_mark(text)


def test_impossible_mark():
    """A value with bits outside of its mask would never match."""
    with pytest.raises(UsageError, match="no packet has the mark 0x101/0xff00"):
        parse_mark("0x101/0xff00")


def test_snaplens():
    """A snapshot length is in bytes, and 0 is the largest."""
    assert [parse_snaplen(text) for text in ("0", "1", "96", "262144")] == [262144, 1, 96, 262144]


@pytest.mark.parametrize("text", ["", "-1", "262145", "1k", "99999999999999999999"])
def test_wrong_snaplens(text):
    """What no packet can be cut to is refused."""
    with pytest.raises(UsageError, match="is not a number of bytes from 0 to 262144"):
        parse_snaplen(text)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"direction": "up"}, "unknown direction 'up'"), ({"snaplen": 0}, "snapshot length of 0 bytes")],
)
def test_options_are_checked_together(options, message):
    """Wrong values are refused wherever they come from."""
    with pytest.raises(UsageError, match=message):
        RunOptions(interfaces=("lo",), output="x", **options)
