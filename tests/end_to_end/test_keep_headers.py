"""`capfix run --keep-headers`: sound Ethernet headers go through as they are, missing ones are made up."""

import socket
import subprocess
import time
from pathlib import Path

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import ARP, LLC, SNAP, Dot1AD, Dot1Q, Dot3, Ether
from scapy.packet import Packet, Raw

from capfix.lab import HeaderlessVpn, NetworkNamespace
from tests.end_to_end.test_run import exchange, settle
from tests.support.capturing import capture, packets, tshark

pytestmark = pytest.mark.root

PAYLOAD = IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=1, dport=2) / Raw(b"x" * 60)


def sound_frames(source: str, destination: str) -> list[Packet]:
    """Frames with a sound header of every sort."""
    ether = Ether(src=source, dst=destination)
    return [
        ether / PAYLOAD,
        ether / Dot1Q(vlan=5, prio=3) / PAYLOAD,
        ether / Dot1AD(vlan=100) / Dot1Q(vlan=5) / PAYLOAD,
        Ether(src=source, dst="ff:ff:ff:ff:ff:ff") / ARP(pdst="10.0.0.2"),
        Dot3(src=source, dst="01:80:c2:00:00:00") / LLC(dsap=0x42, ssap=0x42, ctrl=3) / Raw(b"\0" * 35),
        Dot3(src=source, dst=destination) / LLC() / SNAP() / Raw(b"y" * 50),
        Ether(src=source, dst="02:99:99:99:99:99") / PAYLOAD,
        Ether(src=source, dst=destination, type=0x8847) / Raw(b"\0\x01\x01\xff" + bytes(PAYLOAD)),
    ]


@pytest.mark.parametrize("interface", ["vb", "va", "any"])
def test_sound_frames_equal_tcpdumps(namespace: NetworkNamespace, tmp_path: Path, interface: str) -> None:
    """Frames of both directions, tagged or not, are byte for byte what tcpdump captures beside it."""
    namespace.add_veth_pair("va", "vb", address="02:00:00:00:00:0a", peer={"address": "02:00:00:00:00:0b"})
    ours, theirs = tmp_path / "ours.pcapng", tmp_path / "theirs.pcap"
    frames = sound_frames("02:00:00:00:00:0a", "02:00:00:00:00:0b")
    watched = "vb" if interface == "any" else interface
    with namespace.entered():
        sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        tcpdump = subprocess.Popen(
            ["tcpdump", "-i", watched, "-U", "-w", theirs], stderr=subprocess.PIPE, text=True
        )
    with tcpdump, sender:
        assert tcpdump.stderr is not None
        while "listening on" not in tcpdump.stderr.readline():
            pass
        arguments = ("-i", interface, "-o", ours, "--link", "ethernet", "--keep-headers")
        with capture(namespace, *arguments) as running:
            for frame in frames:
                sender.sendto(bytes(frame), ("va", 0))
            settle()
            assert running.stop() == 0
        time.sleep(1)  # tcpdump's buffer
        tcpdump.terminate()
    kept = [packet.packet_data for packet in packets(ours) if packet.interface.options["if_name"] == watched]
    assert kept == _pcap_frames(theirs)
    assert len(kept) == len(frames)
    assert "0 made up where there was none, 0 made up in place" in running.stderr


def test_both_directions_have_the_same_two_addresses(vpn: HeaderlessVpn, tmp_path: Path) -> None:
    """The peer of a headerless packet is called by the address that an outbound header showed."""
    file = tmp_path / "out.pcapng"
    arguments = ("-i", "cipsec0", "-o", file, "--link", "ethernet", "--keep-headers")
    with capture(vpn.namespace, *arguments) as running:
        exchange(vpn)
        settle()
        assert running.stop() == 0
    rows = tshark(file, ["eth.src", "eth.dst", "udp.srcport"])
    out, back = rows[0], rows[1]
    assert out[1] == "02:00:00:00:00:01"
    assert back[:2] == [out[1], out[0]]
    assert [row[:2] for row in rows] == [out[:2], back[:2]] * 5
    assert "5 kept, 5 made up where there was none, 0 made up in place" in running.stderr


def test_other_hardware_is_framed_as_ever(vpn: HeaderlessVpn, tmp_path: Path) -> None:
    """On `any` an interface without Ethernet headers gets made-up ones."""
    file = tmp_path / "out.pcapng"
    arguments = ("-i", "any", "-o", file, "--link", "ethernet", "--keep-headers")
    with capture(vpn.namespace, *arguments) as running:
        exchange(vpn, 1)
        settle()
        assert running.stop() == 0
    (feed,) = tshark(file, ["eth.src", "ip.src"], 'frame.interface_name == "vpnfeed"')
    assert feed == ["02:63:61:70:00:02", "10.8.0.1"]


def _pcap_frames(file: Path) -> list[bytes]:
    """Return the frames of a pcap file, by reading its records."""
    data = file.read_bytes()
    frames, at = [], 24
    while at < len(data):
        captured = int.from_bytes(data[at + 8 : at + 12], "little")
        frames.append(data[at + 16 : at + 16 + captured])
        at += 16 + captured
    return frames
