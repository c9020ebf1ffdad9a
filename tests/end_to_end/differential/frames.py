"""Generated traffic: Ethernet frames of every kind that capfix claims to tell the truth about, built by scapy."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from scapy.all import (
    ARP,
    IP,
    LLC,
    SNAP,
    STP,
    TCP,
    UDP,
    Dot1AD,
    Dot1Q,
    Dot3,
    Ether,
    ICMPv6EchoRequest,
    IPOption_Router_Alert,
    IPv6,
    IPv6ExtHdrFragment,
    Packet,
    PPPoE,
    Raw,
    fragment,
)
from scapy.contrib.mpls import MPLS

FOREIGN_MAC = "02:99:99:99:99:99"
LLDP = bytes.fromhex("0207040200000000220405076574683006020078000000")


@dataclass(frozen=True)
class Ends:
    """The addresses of who sends and who receives."""

    source_mac: str
    destination_mac: str
    source: str
    destination: str
    source6: str
    destination6: str

    def ether(self, **fields: object) -> Packet:
        return Ether(**{"src": self.source_mac, "dst": self.destination_mac, **fields})

    def dot3(self, **fields: object) -> Packet:
        return Dot3(**{"src": self.source_mac, "dst": self.destination_mac, **fields})

    def udp4(self, n: int, size: int = 30, **fields: object) -> Packet:
        """An IPv4 packet of `20 + 8 + size` bytes, known by its identification."""
        ip = IP(**{"src": self.source, "dst": self.destination, "id": n, **fields})
        return ip / UDP(sport=40000, dport=50000 + n % 1000) / Raw(pattern(n, size))

    def udp6(self, n: int, size: int = 30, **fields: object) -> Packet:
        """An IPv6 packet, known by its flow label."""
        ip = IPv6(**{"src": self.source6, "dst": self.destination6, "fl": n, **fields})
        return ip / UDP(sport=40000, dport=50000 + n % 1000) / Raw(pattern(n, size))


def pattern(n: int, size: int) -> bytes:
    """Return `size` bytes that another `n` would not give."""
    return (n.to_bytes(4, "big") * (size // 4 + 1))[:size]


def tcp(to: Ends, n: int) -> Packet:
    ip = IP(src=to.source, dst=to.destination, id=n)
    return to.ether() / ip / TCP(sport=40000, dport=9, seq=n * 1000, flags="PA") / Raw(pattern(n, n % 1400))


def arp(to: Ends, n: int) -> Packet:
    request = ARP(hwsrc=to.source_mac, psrc=to.source, pdst=f"10.77.{n >> 8 & 255}.{n & 255}")
    return to.ether(dst="ff:ff:ff:ff:ff:ff") / request


def spanning_tree(to: Ends, n: int) -> Packet:
    return to.dot3(dst="01:80:c2:00:00:00") / LLC(dsap=0x42, ssap=0x42, ctrl=3) / STP(portid=n & 0xFFFF)


def snap(to: Ends, n: int, size: int = 30) -> Packet:
    return to.dot3() / LLC(dsap=0xAA, ssap=0xAA, ctrl=3) / SNAP(OUI=0, code=0x0800) / to.udp4(n, size)


def novell(to: Ends, n: int) -> Packet:
    ipx = b"\xff\xff\0\x1e\0\1" + bytes(4) + bytes.fromhex("ffffffffffff0451") + bytes(4) + b"\2" * 6
    return to.dot3() / Raw(ipx + pattern(n, 30))


def pppoe(to: Ends, n: int) -> Packet:
    return to.ether(type=0x8864) / PPPoE(sessionid=n & 0xFFFF) / Raw(b"\0\x21") / to.udp4(n)


def icmp6(to: Ends, n: int) -> Packet:
    ip = IPv6(src=to.source6, dst=to.destination6)
    return to.ether() / ip / ICMPv6EchoRequest(id=n & 0xFFFF, seq=n & 0xFFFF)


def fragment6(to: Ends, n: int) -> Packet:
    ip = IPv6(src=to.source6, dst=to.destination6)
    return to.ether() / ip / IPv6ExtHdrFragment(id=n, m=1, nh=17) / Raw(pattern(n, 64))


KINDS: list[Callable[[Ends, int], Packet]] = [
    lambda to, n: to.ether() / to.udp4(n),
    lambda to, n: to.ether() / to.udp4(n, n % 1440),
    lambda to, n: to.ether() / to.udp4(n, options=[IPOption_Router_Alert()]),
    lambda to, n: to.ether() / to.udp4(n, 8972),  # a jumbo frame of 9000 bytes
    lambda to, n: to.ether(dst=FOREIGN_MAC) / to.udp4(n),
    lambda to, n: to.ether(dst="01:00:5e:00:00:fb") / to.udp4(n, dst="224.0.0.251"),
    tcp,
    lambda to, n: to.ether() / to.udp6(n),
    lambda to, n: to.ether() / to.udp6(n, n % 1400),
    lambda to, n: to.ether(dst="33:33:00:00:00:fb") / to.udp6(n, dst="ff02::fb"),
    icmp6,
    fragment6,
    arp,
    spanning_tree,
    lambda to, n: spanning_tree(to, n) / Raw(bytes(8)),  # padded to the least size of a frame
    snap,
    novell,
    lambda to, n: to.ether(dst="01:80:c2:00:00:0e", type=0x88CC) / Raw(LLDP + pattern(n, 4)),
    lambda to, n: to.ether(type=0x8847) / MPLS(label=n & 0xFFFFF, s=1, ttl=9) / to.udp4(n),
    lambda to, n: to.ether(type=0x8847) / MPLS(label=16, s=0) / MPLS(label=n & 0xFFFFF) / to.udp4(n),
    pppoe,
    lambda to, n: to.ether() / Dot1Q(vlan=n & 0xFFF, prio=n % 8) / to.udp4(n),
    lambda to, n: to.ether() / Dot1Q(vlan=0, prio=5) / to.udp4(n),
    lambda to, n: (
        to.ether() / Dot1Q(vlan=n & 0xFFF) / to.udp4(n, 2020)
    ),  # total length 0x0800, as an EtherType
    lambda to, n: to.ether() / Dot1Q(vlan=n & 0xFFF) / to.udp6(n),
    lambda to, n: to.ether() / Dot1Q(vlan=5) / arp(to, n)[ARP],
    lambda to, n: to.ether() / Dot1Q(vlan=5, type=0x8847) / MPLS(label=n & 0xFFFFF, s=1) / to.udp4(n),
    lambda to, n: to.ether() / Dot1Q(vlan=n & 0xFFF, type=38) / spanning_tree(to, n)[LLC],
    # SNAP of 0x0300 bytes: its third and fourth byte are its length
    lambda to, n: to.ether() / Dot1Q(vlan=n & 0xFFF, type=0x0300) / snap(to, n, 0x0300 - 8 - 28)[LLC],
    lambda to, n: to.ether() / Dot1Q(vlan=6) / Dot1Q(vlan=n & 0xFFF, type=38) / spanning_tree(to, n)[LLC],
    lambda to, n: to.ether(type=0x88A8) / Dot1AD(vlan=64) / Dot1Q(vlan=n & 0xFFF) / to.udp4(n),
    lambda to, n: to.ether() / Dot1Q(vlan=6) / Dot1Q(vlan=n & 0xFFF) / to.udp6(n),
    lambda to, n: (
        to.ether(type=0x88A8) / Dot1AD(vlan=64) / Dot1Q(vlan=7) / Dot1Q(vlan=n & 0xFFF) / to.udp4(n)
    ),
    lambda to, n: to.ether(type=0x9100) / Raw(b"\0\5\x08\0") / to.udp4(n),  # a tag that Linux does not know
    lambda to, n: to.ether(type=0x0601) / Raw(pattern(n, 46)),  # 0x0600 is none in a cooked header to tshark
    lambda to, n: to.ether(type=0x88B6) / Raw(pattern(n, n % 3)),  # hardly any payload, or none
]


def frames(to: Ends, count: int) -> Iterator[bytes]:
    """Yield at least `count` frames: each kind in turn, and IPv4 fragments, all different."""
    n = 0
    while n < count:
        for kind in KINDS:
            n += 1
            yield bytes(kind(to, n))
        for part in fragment(to.udp4(n, 3000), fragsize=1480):
            n += 1
            yield bytes(to.ether() / part)
