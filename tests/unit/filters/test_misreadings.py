"""Sound expressions that seem to mean something else are told apart from those that do not."""

import pytest

from capfix.filters.misreadings import vlan_warning


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("vlan 5 or vlan 7", "use --vlan 5,7"),
        ("(vlan 5 and udp) or (vlan 7 and udp)", "use --vlan 5,7"),
        ("vlan 5 or udp", "write `udp or vlan 5`"),
        ("inbound and (vlan or arp)", "write `arp or vlan`"),
        ("not vlan 5 and udp", "write `udp and not vlan 5`"),
    ],
)
def test_warns_with_the_form_that_works(text, advice):
    """What is lost or asked of a second tag is said, with what to write instead."""
    assert advice in vlan_warning(text)


@pytest.mark.parametrize(
    "text", ["udp", "vlan 5", "vlan 5 and udp", "udp or vlan 5", "vlan 64 and vlan 5", "udp and not vlan"]
)
def test_is_silent_on_what_means_what_it_seems_to(text):
    """Forms that work are left alone."""
    assert vlan_warning(text) is None
