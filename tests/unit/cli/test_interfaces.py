"""`capfix interfaces` lists what can be captured on."""

import json

import pytest

from capfix.cli import main
from capfix.lab import HeaderlessVpn

pytestmark = pytest.mark.root


def test_as_json(vpn: HeaderlessVpn, capsys: pytest.CaptureFixture[str]) -> None:
    """`any` comes first, then every interface with what libpcap and capfix make of it."""
    assert vpn.namespace.run(main, ["interfaces", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [each["interface"] for each in listed] == ["any", "lo", "vpnfeed", "cipsec0"]
    cipsec = listed[3]
    assert cipsec["index"] == vpn.namespace.index("cipsec0")
    assert {
        key: cipsec[key] for key in ("kind", "hardware_type", "hardware_type_name", "state", "libpcap")
    } == {
        "kind": "tun",
        "hardware_type": 1,
        "hardware_type_name": "Ethernet",
        "state": "up",
        "libpcap": "Ethernet",
    }
    assert listed[2]["libpcap"] == "raw IP"
    assert set(cipsec) == set(listed[0])


@pytest.mark.parametrize("arguments", [["interfaces"], ["-D"]])
def test_as_a_table(vpn: HeaderlessVpn, capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    """A line an interface, without colour where there is no terminal; -D is the same."""
    assert vpn.namespace.run(main, arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[2:]] == ["any", "lo", "vpnfeed", "cipsec0"]
    assert "\033" not in "".join(lines)
