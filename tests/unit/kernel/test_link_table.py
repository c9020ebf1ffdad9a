"""The kernel's interfaces in one dump."""

import subprocess

import pytest

from capfix.errors import CaptureError
from capfix.kernel.dump import dump
from capfix.kernel.link_table import LinkRecord, find_link, read_link_table
from capfix.lab import HeaderlessVpn, NetworkNamespace

pytestmark = pytest.mark.root


def table(namespace: NetworkNamespace) -> dict[str, LinkRecord]:
    return {link.name: link for link in namespace.run(read_link_table)}


def test_a_bridge_port(namespace: NetworkNamespace) -> None:
    """Kind, state, MTU, address and master are told; alternative names are all there."""
    namespace.add_veth_pair("va", "vb", address="02:00:00:00:00:0a", mtu=1400)
    with namespace.entered():
        subprocess.run("ip link add br0 type bridge && ip link set va master br0", shell=True, check=True)
        for name in ("the-first-other-name", "the-second"):
            subprocess.run(["ip", "link", "property", "add", "dev", "va", "altname", name], check=True)
    links = table(namespace)
    port = links["va"]
    assert (port.kind, port.hardware_type, port.state, port.mtu) == ("veth", 1, "up", 1400)
    assert (port.address.hex(), port.master) == ("02000000000a", links["br0"].ifindex)
    assert set(port.alternative_names) == {"the-first-other-name", "the-second"}
    assert links["br0"].state == "down"
    assert find_link("the-second", list(links.values())) == port
    assert find_link("the-third", list(links.values())) is None


def test_an_interface_without_an_address(vpn: HeaderlessVpn) -> None:
    """A tun device has no address, and what came in by it is counted in packets."""
    vpn.deliver(bytes.fromhex("45000014000000004011000001020304" + "0a080002"))
    feed = table(vpn.namespace)["vpnfeed"]
    assert (feed.kind, feed.hardware_type, feed.address, feed.received_packets) == ("tun", 65534, b"", 1)


def test_many_interfaces(namespace: NetworkNamespace) -> None:
    """A dump of several datagrams is complete."""
    with namespace.entered():
        commands = "".join(f"link add v{n} type veth peer name w{n}\n" for n in range(60))
        subprocess.run(["ip", "-batch", "-"], input=commands, text=True, check=True)
    assert len(table(namespace)) == 121


def test_a_refusal_is_one_sentence() -> None:
    """What the kernel does not know is an error that names what was asked for."""
    with pytest.raises(CaptureError, match="cannot ask the kernel for nonsense: operation not supported"):
        list(dump(0, 0x7FF, bytes(16), "nonsense"))
