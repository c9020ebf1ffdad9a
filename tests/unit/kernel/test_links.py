"""What the kernel says of interfaces."""

import os
from pathlib import Path

import pytest

from capfix.errors import CaptureError, NoSuchInterfaceError
from capfix.kernel.links import Link, find_ifindex, interface_drops, link_names, read_link
from capfix.lab import HeaderlessVpn, NetworkNamespace

pytestmark = pytest.mark.root

MAC = bytes.fromhex("02000000000a")


def link(namespace: NetworkNamespace, name: str) -> Link:
    """Return what is known of an interface of the namespace."""
    return namespace.run(read_link, namespace.index(name))


def test_a_veth(namespace: NetworkNamespace) -> None:
    """Its driver answers everything."""
    namespace.add_veth_pair("va", "vb", address="02:00:00:00:00:0a")
    assert link(namespace, "va") == Link("va", namespace.index("va"), 1, MAC, "veth", 10_000_000_000, True)
    namespace.set_down("va")
    assert not link(namespace, "va").is_up


def test_interfaces_without_a_mac(vpn: HeaderlessVpn) -> None:
    """The loopback interface's zeros are no address, and a tun device has none."""
    loopback, feed = link(vpn.namespace, "lo"), link(vpn.namespace, "vpnfeed")
    assert (loopback.hardware_type, loopback.mac, loopback.speed) == (772, None, None)
    assert (feed.hardware_type, feed.mac, feed.kind) == (65534, None, "tun")


def test_a_name_that_is_no_text(namespace: NetworkNamespace) -> None:
    """A name is bytes to the kernel; whatever they are, the interface is found and described."""
    name = os.fsdecode(b"v\xe9th")
    namespace.add_veth_pair("va", "vb")
    namespace.run(os.system, "ip link set va name $(printf 'v\\351th')")
    ifindex = namespace.run(find_ifindex, name)
    assert namespace.run(read_link, ifindex).name == name
    assert namespace.run(read_link, ifindex).kind == "veth"


def test_an_unknown_name(vpn: HeaderlessVpn) -> None:
    """The names that exist are told, in order."""
    with pytest.raises(NoSuchInterfaceError) as caught:
        vpn.namespace.run(find_ifindex, "cipsec1")
    assert caught.value.known[0] == "cipsec0"
    assert caught.value.known == sorted(vpn.namespace.run(link_names)) == ["cipsec0", "lo", "vpnfeed"]


def test_an_interface_that_is_gone(namespace: NetworkNamespace) -> None:
    """An index without an interface is an error of the capture's kind."""
    with pytest.raises(CaptureError, match="interface 4711 is gone"):
        namespace.run(read_link, 4711)


def test_drops_are_never_another_interfaces(namespace: NetworkNamespace) -> None:
    """sysfs shows the namespace of the mount: an interface of the same name there is not ours."""
    namespace.add_veth_pair("va", "vb")
    assert interface_drops(link(namespace, "va")) is None
    stranger = Link("lo", 4711, 772, None, "", None, True)
    assert Path("/sys/class/net/lo").exists()
    assert interface_drops(stranger) is None
