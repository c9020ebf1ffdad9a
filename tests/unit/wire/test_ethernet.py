"""Ethernet addresses as text."""

import pytest

from capfix.errors import FormatError
from capfix.wire.ethernet import format_mac, parse_mac


@pytest.mark.parametrize("text", ["02:00:5e:10:00:01", "02-00-5E-10-00-01"])
def test_an_address_is_read(text: str) -> None:
    """Colons and hyphens, small and capital digits."""
    assert parse_mac(text) == bytes.fromhex("02005e100001")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "02:00:5e:10:00",
        "02:00:5e:10:00:01:02",
        "02:00-5e:10:00:01",
        "02005e100001",
        "0g:00:5e:10:00:01",
        "02:00:5e:10:00:01\n",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    """The error shows how an address is written."""
    with pytest.raises(FormatError, match="02:00:5e:10:00:01"):
        parse_mac(text)


def test_an_address_is_written() -> None:
    """As it is read, with colons."""
    assert format_mac(bytes.fromhex("02005e100001")) == "02:00:5e:10:00:01"
