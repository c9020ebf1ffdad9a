"""Frames to choose among, and expressions to choose them by: each frame ends in a mark of its own.

Nothing is within 20 bytes of a length that an expression names, since a tcpdump on an Ethernet interface and capfix
count different link-layer headers.
"""

from functools import cache

from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_Router_Alert
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
)
from scapy.layers.l2 import ARP, GRE, LLC, SNAP, STP, Dot1Q, Dot3, Ether
from scapy.packet import Packet, Raw

SENDER = "02:00:00:00:00:0a"
RECEIVER = "02:00:00:00:00:0b"
STRANGER = "02:00:00:00:00:99"
MARK_SIZE = 6


def _ethernet(destination: str = RECEIVER) -> Packet:
    return Ether(src=SENDER, dst=destination)


def _ipv4(**fields: object) -> Packet:
    return IP(src="10.1.0.1", dst="10.1.0.2", **fields)


def _ipv6(**fields: object) -> Packet:
    return IPv6(src="fd00::1", dst="fd00::2", **fields)


def _network_layers() -> list[Packet]:
    """Return packets from the network layer on, with room for a mark at the end of each."""
    padding = Raw(b"." * 40)
    return [
        _ipv4() / UDP(sport=4000, dport=53) / padding,
        _ipv4() / UDP(sport=53, dport=4000) / Raw(b"." * 300),
        _ipv4(tos=0xB8, ttl=3) / UDP(sport=5004, dport=5006) / Raw(b"." * 900),
        _ipv4() / TCP(sport=4001, dport=80, flags="S") / padding,
        _ipv4() / TCP(sport=80, dport=4001, flags="SA") / padding,
        _ipv4() / TCP(sport=4001, dport=443, flags="PA", seq=77) / Raw(b"GET / HTTP/1.1" + b"." * 700),
        _ipv4() / TCP(sport=4001, dport=443, flags="FA", options=[("MSS", 1460)]) / padding,
        _ipv4(options=[IPOption_Router_Alert()]) / UDP(sport=4000, dport=53) / padding,
        _ipv4() / ICMP(type=8) / padding,
        _ipv4() / ICMP(type=3, code=4) / padding,
        _ipv4(proto=47) / GRE() / _ipv4() / UDP(sport=9, dport=9) / padding,
        _ipv4(proto=89) / padding,
        _ipv4(proto=50) / padding,
        _ipv4(flags="MF", id=9, proto=17) / Raw(b"\x0f\xa0\x00\x35" + b"." * 60),
        _ipv4(frag=8, id=9, proto=17) / Raw(b"\x0f\xa0\x00\x35" + b"." * 60),
        _ipv4(frag=8, id=10, proto=6) / Raw(b"\x00\x50\x00\x35" + b"." * 60),
        IP(src="192.168.7.7", dst="10.1.0.2") / UDP(sport=1, dport=2) / padding,
        IP(src="10.1.0.1", dst="224.0.0.5") / UDP(sport=1, dport=5353) / padding,
        _ipv6() / UDP(sport=4000, dport=53) / padding,
        _ipv6(hlim=1) / TCP(sport=4001, dport=80, flags="S") / Raw(b"." * 500),
        _ipv6() / ICMPv6EchoRequest(data=b"." * 40),
        _ipv6() / IPv6ExtHdrHopByHop() / UDP(sport=4000, dport=53) / padding,
        _ipv6() / IPv6ExtHdrDestOpt() / IPv6ExtHdrRouting(addresses=["fd00::3"]) / TCP(dport=80) / padding,
        _ipv6() / IPv6ExtHdrFragment(offset=0, m=1, id=3, nh=17) / Raw(b"\x0f\xa0\x00\x35" + b"." * 60),
        _ipv6() / IPv6ExtHdrFragment(offset=9, m=0, id=3, nh=17) / Raw(b"." * 60),
        IPv6(src="fe80::1", dst="ff02::fb") / UDP(sport=5353, dport=5353) / padding,
    ]


def _link_layer_frames() -> list[Packet]:
    """Return frames whose type says what is in them, where the link layer is more than a type."""
    arp = ARP(psrc="10.1.0.1", pdst="10.1.0.2", hwsrc=SENDER)
    udp = _ipv4() / UDP(sport=4000, dport=53) / Raw(b"." * 40)
    udp6 = _ipv6() / UDP(sport=4000, dport=53) / Raw(b"." * 40)
    tcp = _ipv4() / TCP(sport=4001, dport=443, flags="PA") / Raw(b"." * 700)
    arp_reply = ARP(op=2, psrc="10.1.0.2", pdst="10.1.0.1", hwsrc=RECEIVER)
    tail = Raw(b"." * 30)
    return [
        _ethernet("ff:ff:ff:ff:ff:ff") / arp / tail,
        _ethernet() / arp_reply / tail,
        _ethernet(STRANGER) / udp,
        _ethernet("01:00:5e:00:00:05") / IP(src="10.1.0.1", dst="224.0.0.5", proto=89) / tail,
        _ethernet() / Dot1Q(vlan=5) / udp,
        _ethernet() / Dot1Q(vlan=5, prio=3) / tcp,
        _ethernet() / Dot1Q(vlan=6) / udp6,
        _ethernet() / Dot1Q(vlan=0, prio=5) / udp,
        _ethernet() / Dot1Q(vlan=5) / arp / tail,
        _ethernet() / Dot1Q(vlan=100, type=0x8100) / Dot1Q(vlan=5) / udp,
        Ether(src=SENDER, dst=RECEIVER, type=0x88A8) / Dot1Q(vlan=64, type=0x8100) / Dot1Q(vlan=7) / tcp,
        Ether(src=SENDER, dst=RECEIVER, type=0x88A8) / Dot1Q(vlan=65) / udp6,
        Ether(src=SENDER, dst=RECEIVER, type=0x9100) / Dot1Q(vlan=66) / udp,
        Ether(src=SENDER, dst="01:80:c2:00:00:0e", type=0x88CC) / tail,
        Ether(src=SENDER, dst=RECEIVER, type=0x8847) / Raw(b"\x00\x06\x41\x40") / udp,
        Ether(src=SENDER, dst=RECEIVER, type=0x8864) / Raw(b"\x11\x00\x00\x07\x00\x46\x00\x21") / udp,
        Dot3(src=SENDER, dst="01:80:c2:00:00:00") / LLC(dsap=0x42, ssap=0x42, ctrl=3) / STP() / tail,
        Dot3(src=SENDER, dst=RECEIVER) / LLC(dsap=0xAA, ssap=0xAA, ctrl=3) / SNAP(OUI=0, code=0x809B) / tail,
    ]


@cache
def frames() -> tuple[bytes, ...]:
    """Return the frames, the mark of each at its end: "#" and its number, as `marked` finds it."""
    built = [bytes(_ethernet() / packet) for packet in _network_layers()] + [
        bytes(frame) for frame in _link_layer_frames()
    ]
    return tuple(frame[:-MARK_SIZE] + b"#%05d" % number for number, frame in enumerate(built))


def unmarked(frame: bytes) -> bytes:
    """Return a frame that is chosen as this one is, and does not count."""
    return frame[:-MARK_SIZE] + b"~" + frame[1 - MARK_SIZE :]


def marked(data: bytes) -> int | None:
    """Return the number of the frame that the bytes are of, None for a frame that is not one of these."""
    mark = data[-MARK_SIZE:]
    return int(mark[1:]) if mark[:1] == b"#" and mark[1:].isdigit() else None


# Understood alike on an Ethernet interface and on a cooked capture
EXPRESSIONS = (
    "ip",
    "ip6",
    "arp",
    "rarp",
    "udp",
    "tcp",
    "not udp",
    "icmp",
    "icmp6",
    "icmp[icmptype] = icmp-echo",
    "udp port 53",
    "not port 53",
    "src port 53 or dst port 80",
    "tcp dst port 80 or 443",
    "portrange 5000-5010",
    "host 10.1.0.2",
    "src host 192.168.7.7",
    "net 192.168.0.0/16 or ip6 net fd00::/64",
    "src net 10.1.0.0 mask 255.255.0.0",
    "ip6 host fd00::1 and tcp",
    "dst host ff02::fb",
    "ip multicast or ip6 multicast",
    "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0",
    "tcp[tcpflags] = tcp-syn|tcp-ack",
    "ip[6:2] & 0x1fff != 0",
    "ip[6] & 0x20 != 0 or (ip[6:2] & 0x1fff != 0 and udp)",
    "ip6[6] = 44",
    "ip6 proto 44",
    "ip proto 47 or ip proto 89 or esp",
    "ip[8] < 5 or ip6[7] < 5",
    "(ip[0] & 0xf) * 4 > 20",
    "ip[2:2] - ((ip[0]&0xf)<<2) - ((tcp[12]&0xf0)>>2) > 200",
    "tcp[((tcp[12:1] & 0xf0) >> 2):4] = 0x47455420",
    "udp[4:2] % 7 = 6",
    "len > 200",
    "len <= 500 and udp",
    "less 200",
    "greater 600",
    "tcp and greater 600 or icmp",
    "ether proto 0x88cc",
    "ether proto 0x0806",
    "inbound",
    "outbound and udp",
    "inbound and not port 53 or arp",
    "not inbound and len > 200",
    "ifindex {receiver}",
    "not ifindex {receiver} and tcp",
)

# What tcpdump refuses on `any`; what it gets wrong there, because it looks for no LLC; and protochain, where it
# filters by itself and sees behind tags that the kernel's filter does not
ETHERNET_EXPRESSIONS = (
    "vlan",
    "not vlan",
    "vlan 5",
    "vlan 5 and udp",
    "vlan 5 and tcp port 443",
    "vlan and ip6",
    "not vlan 5 and udp",
    "udp and vlan 5",
    "udp or vlan 5",
    "vlan 5 or vlan 6",
    "vlan 0",
    "vlan 64 and vlan 7",
    "vlan 64 and vlan 7 and tcp",
    "vlan 100 and vlan 5 and udp port 53",
    "vlan and vlan",
    "vlan 66 and udp",
    "vlan 65 and ip6",
    "(vlan 5 and (udp or arp)) or vlan 6",
    "inbound and vlan and len > 200",
    "vlan and greater 600",
    "(arp and not tcp) or (vlan 5 and not arp)",
    "mpls",
    "mpls 100 and ip and udp",
    "pppoes and udp",
    "stp",
    "llc",
    "ether[12:2] = 0x800 and udp",
    "ip6 protochain 17",
    "ip6 protochain 6",
    "protochain 6",
)

# What only a frame with its header can answer
ADDRESS_EXPRESSIONS = (
    f"ether host {STRANGER}",
    f"ether src {SENDER} and udp",
    f"not ether dst {RECEIVER}",
    "ether broadcast or ether multicast",
    "ether[0] & 1 = 0 and ip6",
    f"vlan and ether dst {RECEIVER} and udp",
    f"inbound and ether host {SENDER}",
    "ether[12] = 8 and len > 200",
)
