"""From link events to attaching and detaching."""

import pytest

from capfix.options.interface_names import is_pattern
from capfix.session.sources.wanted_links import Change, WantedLinks
from capfix.wire.rtnetlink import LinkEvent

ETHERNET, NONE = 1, 65534
VPN = LinkEvent(7, "cipsec0", present=True, up=False, hardware_type=ETHERNET)
NEXT = VPN._replace(ifindex=9)


def gone(link):
    return link._replace(present=False)


def test_first_event_attaches_and_repeats_do_nothing():
    """The first event of a link attaches; up, down and up again change nothing."""
    vpn = WantedLinks(("cipsec0",))
    assert vpn.apply(VPN) == Change(come=(VPN,))
    up = VPN._replace(up=True)
    assert [vpn.apply(link) for link in (up, VPN, up)] == [Change()] * 3
    assert vpn.present == (up,)


def test_others_are_left_alone():
    """Events of other links do nothing, also where their names begin alike."""
    vpn = WantedLinks(("cipsec0",))
    assert not vpn.apply(LinkEvent(8, "cipsec01", True, True, ETHERNET))
    assert not vpn.apply(gone(LinkEvent(8, "cipsec0", True, True, ETHERNET)))
    assert vpn.present == ()


def test_deleted_and_created_again():
    """A deleted link detaches; a new one of that name, with another index and hardware type, attaches again."""
    vpn = WantedLinks(("cipsec0",))
    vpn.apply(VPN)
    assert vpn.apply(gone(VPN)) == Change(gone=(VPN,))
    other = NEXT._replace(hardware_type=NONE)
    assert vpn.apply(other) == Change(come=(other,))


def test_renaming_away_and_back():
    """A link that is renamed has vanished; one that is given the wanted name has appeared."""
    vpn = WantedLinks(("cipsec0",))
    vpn.apply(VPN)
    assert vpn.apply(VPN._replace(name="old")) == Change(gone=(VPN,))
    assert vpn.apply(NEXT._replace(name="new")) == Change()
    assert vpn.apply(NEXT) == Change(come=(NEXT,))


def test_a_new_bearer_of_the_name_replaces_one_whose_end_was_not_told():
    """Where the event of the deletion was lost, the new link's event detaches from the old one."""
    vpn = WantedLinks(("cipsec0",))
    vpn.apply(VPN)
    assert vpn.apply(NEXT) == Change(gone=(VPN,), come=(NEXT,))
    assert vpn.apply(gone(VPN)) == Change()
    assert vpn.present == (NEXT,)


def test_same_index_with_another_hardware_type_is_another_link():
    """A hardware type that changes under the same index is a gap, as packets are framed by it."""
    vpn = WantedLinks(("cipsec0",))
    vpn.apply(VPN)
    other = VPN._replace(hardware_type=NONE)
    assert vpn.apply(other) == Change(gone=(VPN,), come=(other,))


def test_pattern_follows_every_match():
    """A pattern attaches to each matching link, and detaches from each alone."""
    tunnels = WantedLinks(("tun*",))
    first, second = LinkEvent(3, "tun0", True, True, NONE), LinkEvent(2, "tun1", True, True, NONE)
    assert tunnels.apply(first) == Change(come=(first,))
    assert tunnels.apply(second) == Change(come=(second,))
    assert not tunnels.apply(LinkEvent(4, "TUN2", True, True, NONE))
    assert tunnels.present == (second, first)
    renamed = first._replace(name="tun9")
    assert tunnels.apply(renamed) == Change(gone=(first,), come=(renamed,))
    assert tunnels.apply(renamed._replace(name="office")) == Change(gone=(renamed,))
    assert tunnels.present == (second,)


def test_a_link_may_be_called_like_a_pattern():
    """A name with a bracket, which the kernel allows, is found as itself."""
    link = LinkEvent(5, "vpn[0]", True, True, NONE)
    assert WantedLinks(("vpn[0]",)).apply(link) == Change(come=(link,))


@pytest.mark.parametrize("wanted", ["uplink", "up*", "eth0", "eth0:1"])
def test_every_name_of_a_link_finds_it(wanted):
    """Its own, an alternative one, a pattern of that, and an old-style label."""
    link = LinkEvent(5, "eth0", True, True, ETHERNET, alternative_names=("uplink",))
    links = WantedLinks((wanted, "other"))
    assert links.apply(link) == Change(come=(link,))
    assert links.wanted_for(link) == (wanted,)
    assert links.apply(gone(link)) == Change(gone=(link,))


def test_several_names_are_followed_together():
    """Each link is wanted for what matches it."""
    links = WantedLinks(("cipsec0", "tun*"))
    tunnel = LinkEvent(3, "tun0", True, True, NONE)
    assert links.apply(VPN) == Change(come=(VPN,))
    assert links.apply(tunnel) == Change(come=(tunnel,))
    assert links.present == (tunnel, VPN)


@pytest.mark.parametrize(
    ("wanted", "pattern"),
    [("eth0", False), ("tun*", True), ("tun?", True), ("tun[01]", True), ("any", False)],
)
def test_patterns_are_told_by_their_characters(wanted, pattern):
    """What a shell would expand is a pattern."""
    assert is_pattern(wanted) is pattern
