"""`capfix run` on a headerless interface, judged by the programs that read its files."""

import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest
from scapy.layers.inet import IP, UDP
from scapy.utils import PcapNgReader

from capfix.lab import HeaderlessVpn
from capfix.wire.link_types import LINK_TYPES
from tests.support.capturing import capture, packets, statistics, tshark

pytestmark = pytest.mark.root

LINKS = tuple(LINK_TYPES)
EACH_WAY = 5
FIELDS = (
    "ip.src",
    "ip.dst",
    "udp.srcport",
    "udp.dstport",
    "udp.payload",
    "frame.packet_flags_direction",
    "frame.interface_name",
)


def exchange(vpn: HeaderlessVpn, count: int = EACH_WAY) -> None:
    """Send `count` datagrams out through the interface, and let as many arrive, by turns."""
    with vpn.namespace.entered():
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with sender:
        sender.bind(("10.8.0.2", 40000))
        for n in range(count):
            sender.sendto(f"out {n}".encode(), ("10.8.0.1", 53))
            vpn.deliver(bytes(IP(src="10.8.0.1", dst="10.8.0.2") / UDP(sport=53, dport=40000) / f"in {n}"))


def expected(name: str = "cipsec0", count: int = EACH_WAY) -> list[list[str]]:
    """What tshark's FIELDS say of an exchange."""
    rows = []
    for n in range(count):
        rows.append(["10.8.0.2", "10.8.0.1", "40000", "53", f"out {n}".encode().hex(), "0x00000002", name])
        rows.append(["10.8.0.1", "10.8.0.2", "53", "40000", f"in {n}".encode().hex(), "0x00000001", name])
    return rows


def settle() -> None:
    """Wait until what was sent is certainly in the ring."""
    time.sleep(0.05)


@pytest.mark.parametrize("link", LINKS)
def test_every_packet_of_a_headerless_interface_decodes(
    vpn: HeaderlessVpn, tmp_path: Path, link: str
) -> None:
    """Addresses, ports, payload, direction and interface name are right in both directions, in each framing."""
    file = tmp_path / "out.pcapng"
    with capture(vpn.namespace, "-i", "cipsec0", "-o", file, "--link", link) as running:
        exchange(vpn)
        settle()
        assert running.stop() == 0
    assert tshark(file, FIELDS) == expected()


def test_any_shows_the_real_interface(vpn: HeaderlessVpn, tmp_path: Path) -> None:
    """A capture on `any` names the interface of each packet."""
    file = tmp_path / "out.pcapng"
    with capture(vpn.namespace, "-i", "any", "-o", file) as running:
        exchange(vpn)
        settle()
        assert running.stop() == 0
    assert tshark(file, FIELDS, 'frame.interface_name == "cipsec0"') == expected()
    assert set(statistics(file)) == {"any", "cipsec0", "vpnfeed"}


@pytest.mark.parametrize("link", ["sll", "sll2"])
def test_no_part_of_the_ip_header_is_taken_for_an_address(
    vpn: HeaderlessVpn, tmp_path: Path, link: str
) -> None:
    """A headerless packet has an empty source address, and an outbound one its true address."""
    file = tmp_path / "out.pcapng"
    with capture(vpn.namespace, "-i", "cipsec0", "-o", file, "--link", link) as running:
        exchange(vpn, 1)
        settle()
        running.stop()
    (outbound_length,), (inbound_length,) = tshark(file, ["sll.halen"])
    assert (outbound_length, inbound_length) == ("6", "0")


def test_the_two_ends_of_an_ethernet_conversation(vpn: HeaderlessVpn, tmp_path: Path) -> None:
    """The addresses given by option stand at their places in both directions."""
    file = tmp_path / "out.pcapng"
    local, peer = "02:aa:aa:aa:aa:aa", "02:bb:bb:bb:bb:bb"
    arguments = ("-o", file, "--link", "ethernet", "--local-mac", local, "--peer-mac", peer)
    with capture(vpn.namespace, "-i", "cipsec0", *arguments) as running:
        exchange(vpn, 1)
        settle()
        running.stop()
    assert tshark(file, ["eth.src", "eth.dst"]) == [[local, peer], [peer, local]]


@pytest.mark.parametrize("link", LINKS)
def test_the_usual_readers_take_the_file(vpn: HeaderlessVpn, tmp_path: Path, link: str) -> None:
    """tcpdump, capinfos, scapy and python-pcapng read it without complaint and count the same packets."""
    file = tmp_path / "out.pcapng"
    with capture(vpn.namespace, "-i", "cipsec0", "-o", file, "--link", link) as running:
        exchange(vpn)
        settle()
        running.stop()
    tcpdump = subprocess.run(["tcpdump", "-n", "-r", file], capture_output=True, text=True, check=True)
    assert len(tcpdump.stdout.splitlines()) == 2 * EACH_WAY
    remarks = ("reading from", "Warning: interface names might be incorrect")  # the second on any SLL2 file
    assert [line for line in tcpdump.stderr.splitlines() if not line.startswith(remarks)] == []
    capinfos = subprocess.run(
        ["capinfos", "-T", "-r", "-c", file], capture_output=True, text=True, check=True
    )
    assert capinfos.stdout.split()[-1] == str(2 * EACH_WAY)
    assert [bool(packet.haslayer(UDP)) for packet in PcapNgReader(str(file))] == [True] * 2 * EACH_WAY
    assert len(packets(file)) == 2 * EACH_WAY


def test_statistics_at_close(vpn: HeaderlessVpn, tmp_path: Path) -> None:
    """The last block of the interface says what was received, dropped and delivered."""
    file = tmp_path / "out.pcapng"
    with capture(vpn.namespace, "-i", "cipsec0", "-o", file) as running:
        exchange(vpn)
        settle()
        running.stop()
    options = statistics(file)["cipsec0"].options
    counts = {name: options[name] for name in ("isb_ifrecv", "isb_osdrop", "isb_usrdeliv")}
    assert counts == {"isb_ifrecv": 2 * EACH_WAY, "isb_osdrop": 0, "isb_usrdeliv": 2 * EACH_WAY}


def test_counts_on_stderr(vpn: HeaderlessVpn, tmp_path: Path) -> None:
    """The counts are told at the end."""
    with capture(vpn.namespace, "-i", "cipsec0", "-o", tmp_path / "out.pcapng", "-q") as running:
        exchange(vpn)
        settle()
        running.stop(signal.SIGTERM)
    assert "10 packets captured" in running.stderr
    assert "10 packets received, 0 dropped by the kernel" in running.stderr


def test_count_ends_the_capture(vpn: HeaderlessVpn, tmp_path: Path) -> None:
    """-c N ends by itself with exactly N packets in the file."""
    file = tmp_path / "out.pcapng"
    with capture(vpn.namespace, "-i", "cipsec0", "-o", file, "-c", 3) as running:
        exchange(vpn)
        assert running.wait() == 0
    assert tshark(file, FIELDS) == expected()[:3]


def test_count_ends_the_capture_with_its_last_packet(vpn: HeaderlessVpn, tmp_path: Path) -> None:
    """-c N does not wait for one packet more, where the Nth is the last that comes."""
    file = tmp_path / "out.pcapng"
    with capture(vpn.namespace, "-i", "cipsec0", "-o", file, "-c", 2 * EACH_WAY) as running:
        exchange(vpn)
        assert running.wait() == 0
    assert tshark(file, FIELDS) == expected()


def test_duration_ends_the_capture(vpn: HeaderlessVpn, tmp_path: Path) -> None:
    """-a duration:S ends by itself, after no less than that."""
    started = time.monotonic()
    with capture(
        vpn.namespace, "-i", "cipsec0", "-o", tmp_path / "out.pcapng", "-a", "duration:0.5"
    ) as running:
        assert running.wait() == 0
    assert time.monotonic() - started >= 0.5


def test_packets_are_in_the_file_within_a_second(vpn: HeaderlessVpn, tmp_path: Path) -> None:
    """Somebody else can read what came a moment ago while the capture goes on, and finds whole blocks only."""
    file = tmp_path / "out.pcapng"
    with capture(vpn.namespace, "-i", "cipsec0", "-o", file):
        exchange(vpn)
        time.sleep(1)
        assert tshark(file, FIELDS) == expected()


def test_a_down_interface_is_waited_for(vpn: HeaderlessVpn, tmp_path: Path) -> None:
    """It is said that the interface is down, and packets are there once it is up."""
    file = tmp_path / "out.pcapng"
    vpn.namespace.set_down("cipsec0")
    with capture(vpn.namespace, "-i", "cipsec0", "-o", file) as running:
        vpn.namespace.set_up("cipsec0")
        vpn.namespace.add_neighbour("cipsec0", "10.8.0.1", "02:00:00:00:00:01")
        exchange(vpn)
        settle()
        assert running.stop() == 0
    assert running.stderr.count("cipsec0 is down; waiting for packets") == 1
    assert tshark(file, FIELDS) == expected()


def test_a_vanished_interface_ends_the_capture(vpn: HeaderlessVpn, tmp_path: Path) -> None:
    """Status 1 and a whole file."""
    file = tmp_path / "out.pcapng"
    with capture(vpn.namespace, "-i", "cipsec0", "-o", file) as running:
        exchange(vpn)
        settle()
        vpn.namespace.delete("cipsec0")
        assert running.wait() == 1
    assert "cipsec0 has gone" in running.stderr
    assert tshark(file, FIELDS) == expected()


def test_an_interface_that_goes_while_it_is_down_ends_the_capture_too(
    vpn: HeaderlessVpn, tmp_path: Path
) -> None:
    """The kernel tells only the first of the two."""
    with capture(vpn.namespace, "-i", "cipsec0", "-o", tmp_path / "out.pcapng") as running:
        vpn.namespace.set_down("cipsec0")
        time.sleep(0.2)
        vpn.namespace.delete("cipsec0")
        assert running.wait() == 1


def test_what_ethernet_cannot_carry_is_counted(vpn: HeaderlessVpn, tmp_path: Path) -> None:
    """A packet whose protocol is no EtherType, on a device that is no Ethernet, is left out, and that is said."""
    file = tmp_path / "out.pcapng"
    with capture(vpn.namespace, "-i", "vpnfeed", "-o", file, "--link", "ethernet") as running:
        vpn.deliver(bytes(IP(src="10.8.0.1", dst="10.8.0.2")), ethertype=0x00F8)
        vpn.deliver(bytes(IP(src="10.8.0.1", dst="10.8.0.2")))
        settle()
        assert running.stop() == 0
    assert "1 packet left out: of types that ethernet headers cannot carry" in running.stderr
    assert len(packets(file)) == 1
