"""What a capture says of each packet and each interface, beside the packet's own bytes, judged by other readers."""

import fcntl
import os
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from pcapng import FileScanner
from pcapng.blocks import EnhancedPacket, InterfaceDescription, InterfaceStatistics
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet

from capfix.lab import HeaderlessVpn, NetworkNamespace
from capfix.wire.link_types import LINK_TYPES, Carries
from tests.end_to_end.test_run import exchange, settle
from tests.support.capturing import capture, packets, statistics, tshark

pytestmark = pytest.mark.root

LINKS = tuple(LINK_TYPES)
each_link = pytest.mark.parametrize("link", LINKS)

NEAR_MAC, FAR_MAC = "02:00:00:00:00:0a", "02:00:00:00:00:0b"
OTHER_FAKE = "02:63:61:70:00:03"
OUT, IN = "0x00000002", "0x00000001"
HARDWARE_TYPES = {1: "ether", 512: "ppp", 519: "rawip", 768: "tunnel", 776: "sit", 778: "gre", 65534: "none"}
FILE_RETIRE_S = 0.1
VETH_SPEED = 10_000_000_000  # what the driver says

# `python -m capfix` that takes two interfaces for many
FEW_ARE_MANY = (
    "-c",
    "import sys; from capfix.cli import main; from capfix.session.output import crowding; "
    "crowding.MANY_INTERFACES = 2; sys.exit(main())",
)
# `python -m capfix` with statistics every 0.4 seconds
QUICK_STATISTICS = (
    "-c",
    "import sys; from capfix.cli import main; from capfix.session.output import output; "
    "output.STATISTICS_INTERVAL_S = 0.4; sys.exit(main())",
)

# linux/if_tun.h, linux/virtio_net.h
TUNSETIFF, TUNSETLINK = 0x400454CA, 0x400454CD
IFF_TUN, IFF_NAPI, IFF_NO_PI, IFF_VNET_HDR = 0x0001, 0x0010, 0x1000, 0x4000
VIRTIO_NET_HDR = struct.Struct("<BBHHHH")
NEEDS_CSUM, GSO_NONE, GSO_TCPV4 = 1, 0, 1

# epb_flags, draft-ietf-opsawg-pcapng
CHECKSUM_NOT_READY, CHECKSUM_VALID, SEGMENTATION_OFFLOADED = 1 << 9, 1 << 10, 1 << 11


@contextmanager
def tun(
    namespace: NetworkNamespace, name: str, flags: int = 0, hardware_type: int | None = None
) -> Iterator[int]:
    """Yield the descriptor of a tun device of that hardware type, up: what is written to it arrives."""

    def make() -> int:
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI | flags))
        if hardware_type is not None:
            fcntl.ioctl(fd, TUNSETLINK, hardware_type)
        return fd

    fd = namespace.run(make)
    try:
        namespace.set_up(name)
        yield fd
    finally:
        os.close(fd)


class Cable:
    """A veth pair whose near end, `name`, is in `near`: frames are sent from either end."""

    def __init__(self, near: NetworkNamespace, far: NetworkNamespace, name: str) -> None:
        self.name = name
        self.far = far
        near.add_veth_pair(name, f"{name}far", far, address=NEAR_MAC, peer={"address": FAR_MAC})
        self._sockets = [self._socket(near, name), self._socket(far, f"{name}far")]

    def _socket(self, namespace: NetworkNamespace, name: str) -> socket.socket:
        with namespace.entered():
            sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        sender.bind((name, 0))
        return sender

    def out(self, packet: Packet, destination: str = FAR_MAC) -> None:
        """Send a packet out of the near end."""
        self._sockets[0].send(bytes(Ether(src=NEAR_MAC, dst=destination) / packet))

    def arrive(self, packet: Packet, destination: str = NEAR_MAC) -> None:
        """Have a packet arrive at the near end."""
        self._sockets[1].send(bytes(Ether(src=FAR_MAC, dst=destination) / packet))

    def close(self) -> None:
        for sender in self._sockets:
            sender.close()


@pytest.fixture
def cables(namespace: NetworkNamespace) -> Iterator[list[Cable]]:
    """Two cables from `namespace` to another one."""
    with NetworkNamespace() as far:
        cables = [Cable(namespace, far, name) for name in ("va", "wa")]
        yield cables
        for cable in cables:
            cable.close()


def datagram(payload: str, destination: str = "10.1.1.1") -> Packet:
    return IP(src="10.1.1.2", dst=destination) / UDP(sport=1000, dport=2000) / payload.encode()


def interfaces(file: Path) -> dict[str, InterfaceDescription]:
    """Return the interface blocks of a file by name."""
    with file.open("rb") as stream:
        blocks = [block for block in FileScanner(stream) if isinstance(block, InterfaceDescription)]
    return {block.options["if_name"]: block for block in blocks}


@each_link
def test_names_and_directions_on_any(
    vpn: HeaderlessVpn, cables: list[Cable], tmp_path: Path, link: str
) -> None:
    """With traffic on five interfaces at once, each packet stands with its own interface and direction."""
    file = tmp_path / "out.pcapng"
    namespace = vpn.namespace
    expected = []
    with namespace.entered():
        loopback = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        through_vpn = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with loopback, through_vpn, capture(namespace, "-i", "any", "-o", file, "--link", link) as running:
        for n in range(10):
            for cable in cables:
                cable.out(datagram(f"{cable.name} out {n}"))
                cable.arrive(datagram(f"{cable.name} in {n}"))
                expected += [
                    (cable.name, OUT, f"{cable.name} out {n}"),
                    (cable.name, IN, f"{cable.name} in {n}"),
                ]
            vpn.deliver(bytes(datagram(f"vpn in {n}")))
            through_vpn.sendto(f"vpn out {n}".encode(), ("10.8.0.1", 2000))
            loopback.sendto(f"lo {n}".encode(), ("127.0.0.1", 2000))
            expected += [("vpnfeed", IN, f"vpn in {n}"), ("cipsec0", IN, f"vpn in {n}")]
            expected += [("cipsec0", OUT, f"vpn out {n}"), ("lo", IN, f"lo {n}")]
        settle()
        assert running.stop() == 0
    fields = ("frame.interface_name", "frame.packet_flags_direction", "udp.payload")
    rows = tshark(file, fields, "udp && !icmp")
    assert sorted(rows) == sorted([name, way, payload.encode().hex()] for name, way, payload in expected)


def test_several_interfaces_in_one_file(
    namespace: NetworkNamespace, cables: list[Cable], tmp_path: Path
) -> None:
    """Each packet has its own interface, and none comes more than a retire time before one that precedes it."""
    file = tmp_path / "out.pcapng"
    with capture(namespace, "-i", "va", "-i", "wa", "-o", file) as running:
        for n in range(60):
            for cable in cables:
                cable.arrive(datagram(f"{cable.name} {n}"))
            time.sleep(0.01)
        assert running.stop() == 0
    rows = tshark(file, ("frame.interface_name", "udp.payload", "frame.time_epoch"))
    for cable in cables:
        told = [payload for name, payload, _ in rows if name == cable.name]
        assert told == [f"{cable.name} {n}".encode().hex() for n in range(60)]
    latest = 0.0
    for _, _, moment in rows:
        assert float(moment) > latest - FILE_RETIRE_S
        latest = max(latest, float(moment))


def test_a_count_is_of_all_interfaces_together(
    namespace: NetworkNamespace, cables: list[Cable], tmp_path: Path
) -> None:
    """-c N ends a capture on several interfaces with N packets in all."""
    file = tmp_path / "out.pcapng"
    with capture(namespace, "-i", "va", "-i", "wa", "-o", file, "-c", 7) as running:
        for n in range(10):
            for cable in cables:
                cable.arrive(datagram(f"{cable.name} {n}"))
        assert running.wait() == 0
    assert len(packets(file)) == 7
    assert sum(block.options["isb_usrdeliv"] for block in statistics(file).values()) == 7


def test_loopback_packets_appear_once(namespace: NetworkNamespace, tmp_path: Path) -> None:
    """Pings on the loopback interface are there once each; the copies left out are counted, there and in the file."""
    file = tmp_path / "out.pcapng"
    with capture(namespace, "-i", "lo", "-o", file, "-v") as running:
        with (
            namespace.entered(),
            socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as sender,
        ):
            for n in range(3):
                sender.sendto(bytes(ICMP(type=8, id=7, seq=n)), ("127.0.0.1", 0))
        settle()
        assert running.stop() == 0
    rows = tshark(file, ("icmp.type", "icmp.seq", "frame.packet_flags_direction"))
    assert rows == [[kind, str(n), IN] for n in range(3) for kind in ("8", "0")]
    options = statistics(file)["lo"].options
    assert "6 outgoing copies left out on the loopback interface" in running.stderr
    assert (options["isb_ifrecv"], options["isb_usrdeliv"], options["isb_osdrop"]) == (12, 6, 0)


@each_link
def test_hardware_types(namespace: NetworkNamespace, tmp_path: Path, link: str) -> None:
    """Whatever the hardware type, IPv4 and IPv6 decode, and a cooked header tells the type."""
    file = tmp_path / "out.pcapng"
    with ExitStack() as stack:
        devices = {
            name: stack.enter_context(tun(namespace, name, hardware_type=number))
            for number, name in HARDWARE_TYPES.items()
        }
        with capture(namespace, "-i", "any", "-o", file, "--link", link) as running:
            for name, fd in devices.items():
                os.write(fd, bytes(datagram(name)))
                os.write(
                    fd, bytes(IPv6(src="fd00::1", dst="fd00::2") / UDP(sport=1, dport=2) / name.encode())
                )
            settle()
            assert running.stop() == 0
        described = {name: block.options["if_description"] for name, block in interfaces(file).items()}
    rows = tshark(file, ("frame.interface_name", "ip.src", "ipv6.src", "udp.payload", "sll.hatype"))
    assert rows == [
        [
            name,
            *addresses,
            name.encode().hex(),
            str(number) if LINK_TYPES[link].carries is Carries.EVERYTHING else "",
        ]
        for number, name in HARDWARE_TYPES.items()
        for addresses in (("10.1.1.2", ""), ("", "fd00::1"))
    ]
    for number, name in HARDWARE_TYPES.items():
        assert f"hardware type {number}" in described[name]


def test_reception_types_and_destinations(
    namespace: NetworkNamespace, cables: list[Cable], tmp_path: Path
) -> None:
    """Who a frame was for is told in its flags and by its destination; what was for others is never said to be ours."""
    file = tmp_path / "out.pcapng"
    cable = cables[0]
    with capture(namespace, "-i", "va", "-o", file, "--link", "ethernet") as running:
        cable.arrive(datagram("to us"))
        cable.arrive(datagram("to all", "255.255.255.255"), "ff:ff:ff:ff:ff:ff")
        cable.arrive(datagram("to a group", "224.1.2.3"), "01:00:5e:01:02:03")
        cable.arrive(IPv6(dst="ff02::1:2") / UDP() / b"to a group", "33:33:00:01:00:02")
        cable.arrive(datagram("to others"), "02:99:99:99:99:99")
        cable.out(datagram("from us"))
        settle()
        assert running.stop() == 0
    fields = ("frame.packet_flags_direction", "frame.packet_flags_reception_type", "eth.src", "eth.dst")
    assert tshark(file, fields) == [
        [IN, "1", FAR_MAC, NEAR_MAC],
        [IN, "3", FAR_MAC, "ff:ff:ff:ff:ff:ff"],
        [IN, "2", FAR_MAC, "01:00:5e:01:02:03"],
        [IN, "2", FAR_MAC, "33:33:00:01:00:02"],
        [IN, "4", FAR_MAC, OTHER_FAKE],
        [OUT, "0", NEAR_MAC, "02:63:61:70:00:02"],
    ]


def test_a_frame_for_others_needs_promiscuity(
    namespace: NetworkNamespace, cables: list[Cable], tmp_path: Path
) -> None:
    """The interface is promiscuous while it is captured on, unless --no-promiscuous says otherwise."""
    for arguments, promiscuous in (((), True), (("-p",), False)):
        with capture(namespace, "-i", "va", "-o", tmp_path / "out.pcapng", *arguments):
            link = namespace.netlink(lambda ipr: ipr.get_links(namespace.index("va"))[0])
            assert bool(link.get("promiscuity")) is promiscuous


@pytest.mark.parametrize(
    ("mode", "offload", "expected"),
    [
        (IFF_VNET_HDR, (0, GSO_NONE), 0),
        (IFF_VNET_HDR, (NEEDS_CSUM, GSO_NONE), CHECKSUM_NOT_READY),
        (IFF_VNET_HDR, (NEEDS_CSUM, GSO_TCPV4), CHECKSUM_NOT_READY | SEGMENTATION_OFFLOADED),
        (IFF_VNET_HDR | IFF_NAPI, (0, GSO_NONE), CHECKSUM_VALID),  # receive offload looks at checksums
    ],
)
def test_what_is_known_of_checksums(
    namespace: NetworkNamespace, tmp_path: Path, mode: int, offload: tuple[int, int], expected: int
) -> None:
    """What the device said of a packet's checksum and segmentation stands in its flags."""
    file = tmp_path / "out.pcapng"
    packet = bytes(IP(src="10.1.1.2", dst="10.1.1.1") / TCP() / bytes(3000))
    segment_size = 1000 if offload[1] else 0
    header = VIRTIO_NET_HDR.pack(*offload, 40, segment_size, 20, 16)  # TCP at 20, its checksum 16 bytes on
    with tun(namespace, "tun0", mode) as fd, capture(namespace, "-i", "tun0", "-o", file) as running:
        os.write(fd, header + packet)
        settle()
        assert running.stop() == 0
    (captured,) = packets(file)
    assert captured.packet_data[16:] == packet
    assert _flags(captured) & ~0x1F == expected


def test_offloaded_tcp(namespace: NetworkNamespace, cables: list[Cable], tmp_path: Path) -> None:
    """What the stack leaves to the device is told: no checksum yet, and packets larger than the cable takes."""
    file = tmp_path / "out.pcapng"
    cable, sent = cables[0], bytes(200_000)
    namespace.add_address(cable.name, "10.2.0.1", 24)
    cable.far.add_address(f"{cable.name}far", "10.2.0.2", 24)
    with cable.far.entered():
        listener = socket.create_server(("10.2.0.2", 0))
    with namespace.entered():
        client = socket.socket()
    with listener, client, capture(namespace, "-i", "va", "-o", file) as running:
        client.connect(listener.getsockname())
        connection, _ = listener.accept()
        with connection:
            threading.Thread(target=client.sendall, args=(sent,)).start()
            received = 0
            while received < len(sent):
                received += len(connection.recv(1 << 20))
        settle()
        assert running.stop() == 0
    outbound = [
        packet for packet in packets(file) if _flags(packet) & 3 == 2 and len(packet.packet_data) > 1000
    ]
    large = [packet for packet in outbound if packet.packet_len > 1500 + 16]
    assert large
    assert all(_flags(packet) & CHECKSUM_NOT_READY for packet in outbound)
    assert all(_flags(packet) & SEGMENTATION_OFFLOADED for packet in large)


def test_an_interface_is_described(namespace: NetworkNamespace, cables: list[Cable], tmp_path: Path) -> None:
    """Name, address, speed, system and a description stand in the interface block, as three readers find them."""
    file = tmp_path / "out.pcapng"
    with capture(namespace, "-i", "va", "-o", file, "--link", "ethernet") as running:
        cables[0].arrive(datagram("one"))
        settle()
        assert running.stop() == 0
    description = (
        f"ifindex {namespace.index('va')}, kind veth, hardware type 1 (Ethernet), made-up addresses: "
        "peer 02:63:61:70:00:02, others 02:63:61:70:00:03, local where there is none 02:63:61:70:00:01"
    )
    options = interfaces(file)["va"].options
    system = os.uname()
    assert options["if_description"] == description
    assert options["if_MACaddr"] == NEAR_MAC
    assert options["if_speed"] == VETH_SPEED
    assert options["if_os"] == f"{system.sysname} {system.release}"
    assert tshark(file, ("frame.interface_name", "frame.interface_description")) == [["va", description]]
    capinfos = subprocess.run(["capinfos", file], capture_output=True, text=True, check=True).stdout
    assert f"Description = {description}" in capinfos
    assert f"Speed = {VETH_SPEED}" in capinfos
    assert "Time precision = nanoseconds (9)" in capinfos


def test_many_interfaces_are_warned_of(vpn: HeaderlessVpn, tmp_path: Path) -> None:
    """A file with more interfaces than every reader takes is told of, once, and goes on."""
    with capture(vpn.namespace, "-i", "any", "-o", tmp_path / "out.pcapng", program=FEW_ARE_MANY) as running:
        exchange(vpn)
        settle()
        assert running.stop() == 0
    assert running.stderr.count("2 interfaces in one file: some readers stop at 255") == 1
    assert len(interfaces(tmp_path / "out.pcapng")) == 3


def test_statistics_come_now_and_then(
    namespace: NetworkNamespace, cables: list[Cable], tmp_path: Path
) -> None:
    """Statistics are written while the capture goes on, not only at its end, and their counts are totals."""
    file = tmp_path / "out.pcapng"
    with capture(namespace, "-i", "va", "-o", file, program=QUICK_STATISTICS) as running:
        for n in range(3):
            cables[0].arrive(datagram(str(n)))
            time.sleep(0.5)
        assert running.stop() == 0
    with file.open("rb") as stream:
        blocks = [block.options for block in FileScanner(stream) if isinstance(block, InterfaceStatistics)]
    delivered = [options["isb_usrdeliv"] for options in blocks]
    assert len(blocks) >= 4
    assert delivered == sorted(delivered)
    assert {1, 2, 3} <= set(delivered)
    assert len({(options["isb_starttime"]) for options in blocks}) == 1


def _flags(packet: EnhancedPacket) -> int:
    """Return epb_flags as a number."""
    return int.from_bytes(packet.options.get_raw("epb_flags"), "little")
