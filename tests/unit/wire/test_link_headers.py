"""The headers of the link types: literal values and literal bytes, both ways, compiled and uncompiled."""

from typing import Any

import pytest

from capfix.errors import TruncatedError
from capfix.wire import ethernet, link_types, sll, sll2
from tests.support.uncompiled import load_uncompiled

NAMES = ("sll", "sll2", "ethernet")
COPIES = {
    "compiled": {"sll": sll, "sll2": sll2, "ethernet": ethernet},
    "uncompiled": {name: load_uncompiled(f"capfix.wire.{name}") for name in NAMES},
}
MAC = bytes.fromhex("02000000000a")
CASES: dict[str, tuple[str, tuple[Any, ...], bytes]] = {
    "sll": ("SllHeader", (4, 1, 6, MAC, 0x0800), bytes.fromhex("0004 0001 0006 02000000000a0000 0800")),
    "sll2": (
        "Sll2Header",
        (0x86DD, 0x01020304, 0x0304, 4, 6, MAC),
        bytes.fromhex("86dd 0000 01020304 0304 04 06 02000000000a0000"),
    ),
    "ethernet": (
        "EthernetHeader",
        (b"\xff" * 6, MAC, 0x0806),
        bytes.fromhex("ffffffffffff 02000000000a 0806"),
    ),
}


@pytest.fixture(params=COPIES)
def copy(request: pytest.FixtureRequest) -> dict[str, Any]:
    return COPIES[request.param]


@pytest.mark.parametrize("name", NAMES)
def test_a_header_and_its_bytes(copy: dict[str, Any], name: str) -> None:
    """One says the other, and bytes after the header are left alone."""
    kind, values, data = CASES[name]
    header = getattr(copy[name], kind)(*values)
    assert getattr(copy[name], f"encode_{name}")(header) == data
    assert getattr(copy[name], f"decode_{name}")(data) == header
    assert getattr(copy[name], f"decode_{name}")(data + b"more") == header
    assert len(data) == link_types.LINK_TYPES[name].header_size


@pytest.mark.parametrize("name", NAMES)
def test_every_length_short_of_a_header(copy: dict[str, Any], name: str) -> None:
    """Is told as such."""
    data = CASES[name][2]
    for length in range(len(data)):
        with pytest.raises(TruncatedError) as caught:
            getattr(copy[name], f"decode_{name}")(data[:length])
        assert (caught.value.found, caught.value.expected) == (length, len(data))


@pytest.mark.parametrize("name", ["sll", "sll2"])
def test_a_longer_address_is_cut_and_keeps_its_length(copy: dict[str, Any], name: str) -> None:
    """As that of InfiniBand, 20 bytes."""
    kind, values, _ = CASES[name]
    header = getattr(copy[name], kind)(*values)._replace(address=bytes(range(20)), address_length=20)
    decoded = getattr(copy[name], f"decode_{name}")(getattr(copy[name], f"encode_{name}")(header))
    assert decoded == header._replace(address=bytes(range(8)))
