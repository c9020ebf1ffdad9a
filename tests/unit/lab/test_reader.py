"""What is shown of a capture file, by either reader."""

import pytest
from scapy.layers.dns import DNS, DNSQR
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import CookedLinux, Ether
from scapy.utils import wrpcap

from capfix.errors import CapfixError
from capfix.lab import reader

QUERY = (
    IP(src="10.8.0.2", dst="10.8.0.1") / UDP(sport=4000, dport=53) / DNS(qd=DNSQR(qname="intranet.example"))
)


@pytest.fixture(params=["tshark", "scapy"])
def read(request, monkeypatch):
    """`reader.read` with one reader or the other."""
    monkeypatch.setattr(reader, "reader_name", lambda: request.param)
    return reader.read


@pytest.mark.parametrize("link", [Ether(dst="02:00:00:00:00:01"), CookedLinux()])
def test_packet_is_shown_with_its_protocol_and_addresses(read, tmp_path, link):
    """A packet that is understood is shown by its highest protocol and its IP addresses."""
    wrpcap(str(tmp_path / "file.pcap"), [link / QUERY, link / QUERY])
    readings = read(tmp_path / "file.pcap")
    assert len(readings) == 2
    assert readings[0] == readings[1]
    assert (readings[0].protocol, readings[0].source, readings[0].destination) == (
        "DNS",
        "10.8.0.2",
        "10.8.0.1",
    )
    assert "intranet.example" in readings[0].info


def test_misframed_packet_is_shown_with_the_addresses_it_seems_to_have(read, tmp_path):
    """A bare IP packet in an Ethernet file is shown by six bytes of its header each."""
    wrpcap(str(tmp_path / "file.pcap"), [Ether(bytes(QUERY))])
    (reading,) = read(tmp_path / "file.pcap")
    assert reading.destination.startswith("45:00:00:")
    assert "10.8.0" not in reading.source


def test_file_that_cannot_be_read_is_said(read, tmp_path):
    """A file that is no capture is an error that names it."""
    (tmp_path / "file.pcap").write_bytes(b"not a capture file at all, but long enough for its header")
    with pytest.raises(CapfixError, match=r"cannot read .*file\.pcap: "):
        read(tmp_path / "file.pcap")
