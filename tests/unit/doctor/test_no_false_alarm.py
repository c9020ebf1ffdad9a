"""Sound interfaces are called sound, whatever they are and whatever passes them."""

import fcntl
import os
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest
from scapy.contrib.mpls import MPLS
from scapy.layers.eap import EAPOL
from scapy.layers.inet import GRE, ICMP, IP, TCP, UDP, IPOption_RR, fragment
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop
from scapy.layers.l2 import ARP, LLC, SNAP, STP, Dot1AD, Dot1Q, Dot3, Ether
from scapy.layers.ppp import PPP, PPPoE
from scapy.layers.vxlan import VXLAN
from scapy.packet import Raw

from capfix.doctor.examination import examine_interface
from capfix.lab import NetworkNamespace
from capfix.lab.repeating import again_and_again

pytestmark = pytest.mark.root

SECONDS = 0.15  # thirty packets
US, THEM = "02:00:00:00:00:0a", "02:00:00:00:00:0b"
#: Addresses that look like the start of an IPv4 header: 45:00 is one a person may give
LIKE_IP = "45:00:00:54:00:01"

to_them = Ether(src=US, dst=THEM)
ip = IP(src="10.0.0.1", dst="10.0.0.2")
ip6 = IPv6(src="fd00::1", dst="fd00::2")
udp = UDP(sport=7, dport=7) / (b"x" * 40)

FRAMES = {
    "ipv4": to_them / ip / udp,
    "ipv4-options": to_them / IP(src="10.0.0.1", dst="10.0.0.2", options=[IPOption_RR()]) / udp,
    "ipv4-wrong-checksum": to_them / IP(src="10.0.0.1", dst="10.0.0.2", chksum=1) / udp,
    "ipv4-shorter-than-a-frame": to_them / ip / Raw(bytes(26)),
    "ipv4-fragment": to_them / fragment(ip / UDP() / (b"y" * 3000), 1400)[1],
    "ipv4-multicast": Ether(src=US, dst="01:00:5e:00:00:fb") / IP(src="10.0.0.1", dst="224.0.0.251") / udp,
    "ipv4-broadcast": Ether(src=US, dst="ff:ff:ff:ff:ff:ff")
    / IP(src="10.0.0.1", dst="255.255.255.255")
    / udp,
    "tcp-syn": to_them / ip / TCP(flags="S"),
    "ipip": to_them / ip / IP(src="10.1.0.1", dst="10.1.0.2") / udp,
    "gre": to_them / ip / GRE() / IP(src="10.1.0.1", dst="10.1.0.2") / udp,
    "vxlan": to_them / ip / UDP(dport=4789) / VXLAN(vni=5) / Ether() / ip / udp,
    "ipv6": to_them / ip6 / udp,
    "ipv6-extension": to_them / ip6 / IPv6ExtHdrHopByHop() / udp,
    "ipv6-fragment": to_them / ip6 / IPv6ExtHdrFragment(offset=10, m=1) / Raw(bytes(64)),
    "arp": Ether(src=US, dst="ff:ff:ff:ff:ff:ff") / ARP(psrc="10.0.0.1", pdst="10.0.0.3"),
    "lldp": Ether(src=US, dst="01:80:c2:00:00:0e", type=0x88CC) / Raw(bytes.fromhex("0207040200000000") * 5),
    "stp": Dot3(src=US, dst="01:80:c2:00:00:00") / LLC(dsap=0x42, ssap=0x42, ctrl=3) / STP(),
    "snap": Dot3(src=US, dst=THEM) / LLC(dsap=0xAA, ssap=0xAA, ctrl=3) / SNAP(code=0x2000) / Raw(bytes(40)),
    "novell": Dot3(src=US, dst=THEM) / Raw(b"\xff\xff" + bytes(60)),
    "length-of-zero": Ether(src=US, dst=THEM, type=0) / Raw(bytes(50)),
    "vlan": to_them / Dot1Q(vlan=5) / ip / udp,
    "vlan-priority-tag": to_them / Dot1Q(vlan=0, prio=5) / ip / udp,
    "vlan-ipv6": to_them / Dot1Q(vlan=5) / ip6 / udp,
    "vlan-stp": Ether(src=US, dst="01:80:c2:00:00:00") / Dot1Q(vlan=5, type=0x26) / LLC() / STP(),
    "qinq": to_them / Dot1AD(vlan=100) / Dot1Q(vlan=5) / ip / udp,
    "three-tags": to_them / Dot1AD(vlan=1) / Dot1Q(vlan=2) / Dot1Q(vlan=3) / ip / udp,
    "old-qinq": Ether(src=US, dst=THEM, type=0x9100) / Raw(bytes.fromhex("00050800") + bytes(ip / udp)),
    "mpls": to_them / MPLS(label=16, s=1) / ip / udp,
    "pppoe": to_them / PPPoE(sessionid=1) / PPP(proto=0x21) / ip / udp,
    "eapol": Ether(src=US, dst="01:80:c2:00:00:03") / EAPOL(version=1, type=1),
    "macsec": Ether(src=US, dst=THEM, type=0x88E5) / Raw(bytes(60)),
    "unknown-protocol": Ether(src=US, dst=THEM, type=0x1234) / ip / udp,
    "addresses-like-ipv4": Ether(src=LIKE_IP, dst=LIKE_IP) / ip / udp,
    "addresses-like-ipv6": Ether(src="60:00:00:00:00:14", dst="60:00:00:00:00:14") / ip6 / udp,
}


@pytest.mark.parametrize("name", FRAMES)
def test_frames_on_a_veth(namespace: NetworkNamespace, name: str) -> None:
    """Every kind of frame is sound where it goes out and where it comes in."""
    namespace.add_veth_pair("va", "vb", address=US, peer={"address": THEM})
    frame = bytes(FRAMES[name])
    with namespace.entered(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sender:
        sender.bind(("va", 0))
        with again_and_again(lambda: sender.send(frame)):
            verdicts = [namespace.run(examine_interface, end, SECONDS).verdict for end in ("va", "vb")]
    assert verdicts == ["sound", "sound"]


@pytest.mark.parametrize("hardware_type", [65534, 768, 769, 776, 778, 823, 519, 512, 256, 513, 280, 32])
def test_tun_devices(namespace: NetworkNamespace, hardware_type: int) -> None:
    """A tun of a type that promises no Ethernet header is sound without one."""
    fd = namespace.run(os.open, "/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    with ExitStack() as opened:
        opened.callback(os.close, fd)
        namespace.run(fcntl.ioctl, fd, 0x400454CA, struct.pack("16sH22x", b"tun0", 0x1001))
        fcntl.ioctl(fd, 0x400454CD, hardware_type)
        namespace.set_up("tun0")
        namespace.add_address("tun0", "10.0.0.2", 24)
        ping = bytes(ip / ICMP())
        with again_and_again(lambda: os.write(fd, ping)):
            assert namespace.run(examine_interface, "tun0", SECONDS).verdict == "sound"


@contextmanager
def two_hosts(kind: str) -> Iterator[tuple[NetworkNamespace, NetworkNamespace, str]]:
    """Two hosts, 10.0.0.1 and 10.0.0.2, and the interface of the first that `kind` names."""
    with NetworkNamespace(ipv6=True) as near, NetworkNamespace(ipv6=True) as far:
        near.add_veth_pair("va", "vb", far)
        commands = {
            "veth": (["addr add 10.0.0.1/24 dev va"], ["addr add 10.0.0.2/24 dev vb"]),
            "bridge": (
                [
                    "link add br0 type bridge",
                    "link set va master br0",
                    "link set br0 up",
                    "addr add 10.0.0.1/24 dev br0",
                ],
                ["addr add 10.0.0.2/24 dev vb"],
            ),
            "macvlan": (
                ["link add mv0 link va type macvlan", "link set mv0 up", "addr add 10.0.0.1/24 dev mv0"],
                ["addr add 10.0.0.2/24 dev vb"],
            ),
            "vxlan": (
                [
                    "addr add 10.9.0.1/24 dev va",
                    "link add vx0 type vxlan id 5 remote 10.9.0.2 dstport 4789 dev va",
                    "link set vx0 up",
                    "addr add 10.0.0.1/24 dev vx0",
                ],
                [
                    "addr add 10.9.0.2/24 dev vb",
                    "link add vx0 type vxlan id 5 remote 10.9.0.1 dstport 4789 dev vb",
                    "link set vx0 up",
                    "addr add 10.0.0.2/24 dev vx0",
                ],
            ),
        }
        for namespace, lines in zip((near, far), commands[kind], strict=True):
            with namespace.entered():
                for line in lines:
                    subprocess.run(["ip", *line.split()], check=True)
        yield near, far, kind


@contextmanager
def datagrams(near: NetworkNamespace, far: NetworkNamespace, size: int) -> Iterator[Callable[[], object]]:
    """UDP there and back. `size` above the MTU makes fragments."""
    with ExitStack() as opened:
        sockets = []
        for namespace, address in ((near, "10.0.0.1"), (far, "10.0.0.2")):
            with namespace.entered():
                sockets.append(opened.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)))
            sockets[-1].bind((address, 7))
        here, there = sockets

        def exchange() -> None:
            here.sendto(bytes(size), ("10.0.0.2", 7))
            there.sendto(bytes(size), ("10.0.0.1", 7))

        yield exchange


@contextmanager
def stream(near: NetworkNamespace, far: NetworkNamespace) -> Iterator[Callable[[], object]]:
    """TCP in one direction, in segments that the device is to cut."""
    with ExitStack() as opened:
        with far.entered():
            server = opened.enter_context(socket.create_server(("10.0.0.2", 7)))
        with near.entered():
            client = opened.enter_context(socket.create_connection(("10.0.0.2", 7), timeout=5))
        taken = opened.enter_context(server.accept()[0])
        reader = threading.Thread(target=lambda: [None for _ in iter(lambda: taken.recv(1 << 20), b"")])
        reader.start()
        yield lambda: client.sendall(bytes(200_000))
        client.shutdown(socket.SHUT_WR)
        reader.join()


@pytest.mark.parametrize("traffic", ["datagrams", "fragments", "stream"])
@pytest.mark.parametrize(
    ("kind", "interface"),
    [
        ("veth", "va"),
        ("bridge", "va"),
        ("bridge", "br0"),
        ("macvlan", "va"),
        ("macvlan", "mv0"),
        ("vxlan", "va"),
        ("vxlan", "vx0"),
    ],
)
def test_hosts_that_talk(kind: str, interface: str, traffic: str) -> None:
    """What two hosts say over every kind of device is sound on each device that it passes."""
    with two_hosts(kind) as (near, far, _), ExitStack() as stack:
        if traffic == "stream":
            step = stack.enter_context(stream(near, far))
        else:
            step = stack.enter_context(datagrams(near, far, 4000 if traffic == "fragments" else 100))
        with again_and_again(step):
            diagnosis = near.run(examine_interface, interface, SECONDS)
        assert (diagnosis.verdict, diagnosis.finding.evidence) == ("sound", {})
        if traffic == "stream" and interface == "va" and kind == "veth":
            assert any("GSO" in note for note in diagnosis.notes)


def test_loopback(namespace: NetworkNamespace) -> None:
    """The loopback interface has Ethernet headers of zeros, and every packet twice."""
    with namespace.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 7))
        with again_and_again(lambda: server.sendto(b"x", ("127.0.0.1", 7))):
            assert namespace.run(examine_interface, "lo", SECONDS).verdict == "sound"


def test_a_neighbour_that_does_not_answer(namespace: NetworkNamespace) -> None:
    """What waits for an address in vain never reaches a tap, and is no bypassing."""
    namespace.add_veth_pair("va", "vb")
    namespace.add_address("va", "10.0.0.1", 24)
    with namespace.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:

        def send() -> None:
            with suppress(OSError):  # no route to host, told of an earlier one
                sender.sendto(b"x", ("10.0.0.77", 9))

        with again_and_again(send):
            assert namespace.run(examine_interface, "va", SECONDS).verdict == "sound"


def test_multicast_that_the_sender_hears_itself(namespace: NetworkNamespace) -> None:
    """Netfilter sees the copy for the host come in, of which a tap has the outgoing one alone."""
    namespace.add_veth_pair("va", "vb")
    namespace.add_address("va", "10.0.0.1", 24)
    with namespace.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        group = socket.inet_aton("224.0.0.251") + socket.inet_aton("10.0.0.1")
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("10.0.0.1"))
        with again_and_again(lambda: sender.sendto(b"x", ("224.0.0.251", 5353))):
            assert namespace.run(examine_interface, "va", SECONDS).verdict == "sound"
