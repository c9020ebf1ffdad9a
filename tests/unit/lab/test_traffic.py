"""The lab's traffic: the same packets, in the same order, every time."""

import pytest
from scapy.layers.dns import DNS
from scapy.layers.inet import ICMP, IP, TCP

from capfix.errors import CaptureError
from capfix.lab import traffic
from capfix.lab.traffic import FarEnd, all_traffic

pytestmark = pytest.mark.root


def outline(passed):
    """What passed, in short: direction and what the packet is about."""

    def topic(packet):
        if DNS in packet:
            return "answer" if packet[DNS].qr else "query"
        return str(packet[TCP].flags) if TCP in packet else {8: "ping", 0: "pong"}[packet[ICMP].type]

    return [("in " if one.inbound else "out ") + topic(IP(one.packet)) for one in passed]


def test_all_traffic_is_the_same_each_time(vpn):
    """Every exchange is complete: the host's programs got what was sent, and its kernel answered."""
    expected = [
        *["out query", "in answer"],
        *["out S", "in SA", "out A", "out PA", "in A", "in PA", "out A", "out FA", "in FA", "out A"],
        *["out ping", "in pong", "in ping", "out pong"],
    ]
    assert outline(all_traffic(vpn)) == expected
    assert outline(all_traffic(vpn)) == expected
    assert vpn.read_sent() == []


def test_silent_host_is_an_error(vpn, monkeypatch):
    """A host that does not answer ends the wait with an error that says so."""
    monkeypatch.setattr(traffic, "_PATIENCE_S", 0.1)
    with pytest.raises(CaptureError, match="the host's side of the lab sent nothing"):
        FarEnd(vpn).receive()
