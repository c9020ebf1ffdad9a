"""What libpcap makes of interfaces."""

import pytest

from capfix.wire.libpcap_links import libpcap_link_type


@pytest.mark.parametrize(
    ("hardware_type", "name", "expected"),
    [
        (1, "eth0", "Ethernet"),
        (1, "isdn0", "cooked (SLL)"),
        (1, "cdma_rmnet1", "raw IP"),
        (772, "lo", "Ethernet"),
        (65534, "tun0", "raw IP"),
        (778, "gre0", "cooked (SLL)"),
        (4711, "new0", "cooked (SLL)"),
    ],
)
def test_link_types(hardware_type: int, name: str, expected: str) -> None:
    """By hardware type; some names of Ethernet interfaces are special; what libpcap does not know is cooked."""
    assert libpcap_link_type(hardware_type, name) == expected
