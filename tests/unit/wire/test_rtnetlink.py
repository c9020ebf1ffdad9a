"""Messages about links: one literal message, and what is none."""

import pytest

from capfix.errors import TruncatedError
from capfix.wire.netlink import Message
from capfix.wire.rtnetlink import RTM_DELLINK, RTM_NEWLINK, LinkEvent, maybe_link_event

# struct ifinfomsg: AF_UNSPEC, ARPHRD_ETHER, ifindex 7, IFF_UP; a name, an address, a kind, two alternative names
HEADER = bytes.fromhex("00 00 0100 07000000 01000000 00000000")
ATTRIBUTES = bytes.fromhex(
    "0c00 0300 63697073 65633000"  # IFLA_IFNAME "cipsec0"
    "0a00 0100 020000000005 0000"  # IFLA_ADDRESS
    "0c00 1280 0800 0100 74756e00"  # IFLA_LINKINFO, nested: IFLA_INFO_KIND "tun"
    "1800 3480 0700 3500 76706e00 0b00 3500 6f6666696365 0000"  # IFLA_PROP_LIST, nested: twice IFLA_ALT_IFNAME
)


def message(payload: bytes, kind: int = RTM_NEWLINK) -> Message:
    return Message(kind, 0, 0, 0, memoryview(payload))


def test_a_link_with_all_its_names() -> None:
    """Each field is where the kernel puts it."""
    mac = bytes.fromhex("020000000005")
    expected = LinkEvent(7, "cipsec0", True, True, 1, mac, "tun", ("vpn", "office"))
    assert maybe_link_event(message(HEADER + ATTRIBUTES)) == expected
    gone = maybe_link_event(message(HEADER + ATTRIBUTES, RTM_DELLINK))
    assert gone == expected._replace(present=False)


def test_an_address_of_zeros_is_none() -> None:
    """A device whose address was not set yet has none."""
    zeros = ATTRIBUTES.replace(bytes.fromhex("020000000005"), bytes(6))
    event = maybe_link_event(message(HEADER + zeros))
    assert event is not None
    assert event.mac is None


def test_a_bridges_message_about_its_port_is_none() -> None:
    """AF_BRIDGE in place of AF_UNSPEC."""
    assert maybe_link_event(message(b"\x07" + HEADER[1:] + ATTRIBUTES)) is None
    assert maybe_link_event(message(HEADER + ATTRIBUTES, kind=20)) is None


@pytest.mark.parametrize("length", range(16))
def test_a_message_that_ends_early(length: int) -> None:
    """A header that is not whole is an error, never a guess."""
    with pytest.raises(TruncatedError):
        maybe_link_event(message(HEADER[:length]))
