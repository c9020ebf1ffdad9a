"""Options: what single ones may be, and what they may be together."""

import pytest

from capfix.config import parse_count
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
