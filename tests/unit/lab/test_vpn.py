"""The lab's VPN interface has the fault, exactly."""

import os
import select
import signal
import socket
import struct
import subprocess

import pytest
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import raw

from capfix.errors import CaptureError
from capfix.lab import HeaderlessVpn, NetworkNamespace
from capfix.lab.vpn import LOCAL_ADDRESS, LOCAL_ADDRESS_V6, PEER_ADDRESS, PEER_ADDRESS_V6, PEER_MAC

pytestmark = pytest.mark.root

ETH_P_ALL = 3
MAC = "02:aa:00:00:00:02"


def inbound(payload=b"inbound"):
    """A packet from the VPN's far end to the discard port of the host, no link-layer header."""
    return raw(IP(src=PEER_ADDRESS, dst=LOCAL_ADDRESS, id=1) / UDP(sport=53, dport=9) / payload)


def send(namespace, payload=b"outbound", peer=PEER_ADDRESS, family=socket.AF_INET):
    """Have the host send one UDP packet to the far end."""
    with namespace.run(socket.socket, family, socket.SOCK_DGRAM) as sock:
        sock.sendto(payload, (peer, 53))


def tap(namespace, interface, kind=socket.SOCK_RAW):
    """A packet socket on an interface, as a capture program has one."""
    sock = namespace.run(socket.socket, socket.AF_PACKET, kind, 0)
    sock.bind((interface, ETH_P_ALL))
    sock.settimeout(2)
    return sock


def listener(namespace, family=socket.AF_INET):
    """A socket on port 9 of the host, so that what is delivered there is not answered by a port unreachable."""
    sock = namespace.run(socket.socket, family, socket.SOCK_DGRAM)
    sock.bind(("", 9))
    sock.settimeout(2)
    return sock


def test_inbound_packet_reaches_the_socket_and_the_tap_without_a_header(vpn):
    """What is delivered arrives at its socket, and a SOCK_RAW tap gets it from its IP header on."""
    packet = inbound()
    with listener(vpn.namespace) as application, tap(vpn.namespace, "cipsec0") as capture:
        vpn.deliver(packet)
        assert application.recv(100) == b"inbound"
        data, (_, protocol, packet_type, hardware_type, address) = capture.recvfrom(2000)
    assert data == packet
    assert (protocol, packet_type, hardware_type) == (0x0800, socket.PACKET_HOST, 1)
    assert address == packet[6:12]  # the telltale: the kernel takes the source address from where it would be


def test_outbound_frame_has_a_good_header(namespace):
    """What the host sends has its 14 bytes, for the tap and for who holds the device."""
    with HeaderlessVpn(namespace, mac=MAC) as vpn, tap(namespace, "cipsec0") as capture:
        send(namespace)
        data, (_, protocol, packet_type, *_) = capture.recvfrom(2000)
        assert vpn.read_sent() == [data]
        assert vpn.read_sent() == []
    frame = Ether(data)
    assert (frame.src, frame.dst, frame.type) == (MAC, PEER_MAC, 0x0800)
    assert frame[UDP].load == b"outbound"
    assert (protocol, packet_type) == (0x0800, socket.PACKET_OUTGOING)


def test_tcpdump_misreads_inbound_packets(vpn):
    """tcpdump shows the fault as users know it: the IP header's first bytes for a MAC address."""
    with vpn.namespace.entered():
        tcpdump = subprocess.Popen(
            [
                "tcpdump",
                "-Z",
                "root",
                "-i",
                "cipsec0",
                "-e",
                "-nn",
                "-t",
                "-l",
                "--immediate-mode",
                "-c",
                "2",
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert any("listening on" in line for line in tcpdump.stderr)
    send(vpn.namespace)
    with listener(vpn.namespace):
        vpn.deliver(inbound())
        lines = tcpdump.communicate(timeout=20)[0].splitlines()
    assert "ethertype IPv4 (0x0800)" in lines[0]
    assert "10.8.0.2" in lines[0]
    # Destination 45:00:00:23:00:01 and type 0a08 are the packet's version, length, identification and source.
    assert "> 45:00:00:23:00:01" in lines[1]
    assert "0x0a08" in lines[1]


def test_ipv6_both_ways(vpn6):
    """With IPv6 asked for, it is delivered without a header and sent with one, and nothing else is sent."""
    packet = raw(IPv6(src=PEER_ADDRESS_V6, dst=LOCAL_ADDRESS_V6) / UDP(sport=53, dport=9) / b"inbound")
    with listener(vpn6.namespace, socket.AF_INET6) as application:
        vpn6.deliver(packet)
        assert application.recv(100) == b"inbound"
    send(vpn6.namespace, peer=PEER_ADDRESS_V6, family=socket.AF_INET6)
    (frame,) = map(Ether, vpn6.read_sent())
    assert (frame.dst, frame.type, frame[UDP].load) == (PEER_MAC, 0x86DD, b"outbound")


def test_protocol_is_the_one_asked_for(vpn):
    """A packet that is neither IPv4 nor IPv6 arrives under the EtherType it is delivered with."""
    with tap(vpn.namespace, "cipsec0", socket.SOCK_DGRAM) as capture:
        vpn.deliver(struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + bytes(20), ethertype=0x0806)
        _, (_, protocol, *_) = capture.recvfrom(2000)
    assert protocol == 0x0806


def test_the_host_answers_pings(vpn):
    """The stack behind the interface is a real one: a ping that is delivered is answered."""
    request = IP(src=PEER_ADDRESS, dst=LOCAL_ADDRESS) / ICMP(id=7, seq=1) / b"are you there"
    vpn.deliver(raw(request))
    assert select.select([vpn], [], [], 2)[0]
    (frame,) = map(Ether, vpn.read_sent())
    assert (frame[ICMP].type, frame[ICMP].id, frame[ICMP].load) == (0, 7, b"are you there")


@pytest.mark.parametrize("ipv6", [False, True])
def test_nothing_is_sent_unasked(ipv6):
    """An interface that has come up is silent, so that tests can count packets."""
    with NetworkNamespace(ipv6) as namespace, HeaderlessVpn(namespace) as vpn:
        assert not select.select([vpn], [], [], 1.2)[0]  # multicast listener reports may wait for a second


def test_both_devices_go_with_close(namespace):
    """After `close` the interface is gone, and one of the same name can be made."""
    for _ in range(2):
        with HeaderlessVpn(namespace):
            assert namespace.interfaces().keys() == {"lo", "cipsec0", "vpnfeed"}
        assert namespace.interfaces().keys() == {"lo"}


def test_name_that_is_taken_is_named(vpn):
    """A second interface of the same name is refused in one sentence."""
    with pytest.raises(CaptureError, match=r"^cannot make the interface cipsec0: it exists already$"):
        HeaderlessVpn(vpn.namespace, feed="other")


def test_killed_process_leaves_nothing():
    """A process that is killed takes its devices with it, from a namespace that others keep."""
    with NetworkNamespace() as namespace:
        child = os.fork()
        if child == 0:
            HeaderlessVpn(namespace)
            os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(child, 0)
        assert namespace.interfaces().keys() == {"lo"}
