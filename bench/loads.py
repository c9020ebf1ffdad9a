"""The loads: what is sent, and the small networks it is sent through.

A lab has `namespace` and `interface`, where to capture; `send(count)`, which returns the seconds it took; `offered()`,
the packets that reached the interface; and `close()`. Each run gets a lab of its own, so its counters start at 0.
"""

import fcntl
import os
import re
import socket
import struct
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bench.namespaces import Namespace

_SOURCE_MAC = "02:00:00:00:00:01"
_SINK_MAC = "02:00:00:00:00:02"
_MTU = 1500


class Lab(Protocol):
    """See the module's docstring."""

    namespace: Namespace
    interface: str

    def send(self, count: int) -> float: ...
    def offered(self) -> int: ...
    def close(self) -> None: ...


@dataclass(frozen=True)
class Load:
    """One kind of traffic: frame lengths in bytes without FCS, sent in turn; none means the VPN device's."""

    name: str
    frame_lengths: tuple[int, ...]
    count: int

    @property
    def description(self) -> str:
        """Return the load in words."""
        lengths = sorted(set(self.frame_lengths))
        if not lengths:
            return f"{self.count} packets in and out of a headerless VPN device"
        return f"{self.count} frames of {' and '.join(map(str, lengths))} bytes"

    def lab(self) -> "Lab":
        """Build the network this load runs through."""
        return VethLab(self.frame_lengths) if self.frame_lengths else VpnLab()


# IMIX after the usual 7:4:1 recipe (64, 594 and 1518 bytes with FCS).
LOADS = {
    load.name: load
    for load in (
        Load("small", (60,), 2_000_000),
        Load("large", (1442,), 1_000_000),
        Load("imix", (60, 590, 60, 60, 590, 60, 1514, 60, 590, 60, 590, 60), 1_500_000),
        Load("mixed", (), 400_000),
    )
}


class VethLab:
    """Two namespaces joined by a veth pair: trafgen on `va`, the capture on `vb`."""

    interface = "vb"

    def __init__(self, frame_lengths: tuple[int, ...]) -> None:
        self._frame_lengths = frame_lengths
        self._sender = Namespace()
        self.namespace = Namespace()
        peer = self.namespace.fd
        mtu = max(_MTU, *frame_lengths)
        self._sender.run(
            f"ip link add va mtu {mtu} address {_SOURCE_MAC} type veth"
            f" peer name vb mtu {mtu} address {_SINK_MAC} netns /proc/self/fd/{peer}",
            pass_fds=[peer],
        )
        self.namespace.run("ip link set vb up")
        self._sender.run("ip link set va up")

    def send(self, count: int) -> float:
        """Send `count` frames from one CPU as fast as trafgen can; return its own measure of seconds."""
        with tempfile.NamedTemporaryFile("w", suffix=".cfg") as config:
            config.write("\n".join(_trafgen_frame(length) for length in self._frame_lengths))
            config.flush()
            command = ["trafgen", "--dev", "va", "--conf", config.name, "--num", str(count), "--cpus", "1"]
            process = self._sender.start(
                [*command, "--no-sock-mem"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
            output = process.communicate()[0].decode()
        taken = re.search(r"(\d+) sec, (\d+) usec", output)
        if process.returncode != 0 or taken is None:
            raise RuntimeError(f"trafgen failed: {output}")
        return int(taken[1]) + int(taken[2]) / 1e6

    def raw_socket(self) -> socket.socket:
        """Return a packet socket on the sending end, for loads of single frames."""
        with self._sender.entered():
            sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
            sender.bind(("va", 0))
        return sender

    def offered(self) -> int:
        """Return tx_packets of the sending device: frames that a full backlog refused are not in it."""
        return self._sender.packets("va", "tx")

    def close(self) -> None:
        """Let both namespaces go."""
        self.namespace.close()
        self._sender.close()


class VpnLab:
    """A device that behaves like the Cisco client's: inbound packets arrive on it without Ethernet header.

    Bare IP packets written to the tun device `vpnfeed` are redirected to the ingress of the tap device `cipsec0`,
    where they have a link-layer header of zero length; what the host sends there has its 14 bytes.
    """

    interface = "cipsec0"

    def __init__(self) -> None:
        self._sent = 0
        self.namespace = Namespace()
        with self.namespace.entered():
            self._tun = _tun_device("vpnfeed", _IFF_TUN)
            self._tap = _tun_device("cipsec0", _IFF_TAP)
            for scope in ("all", "cipsec0"):
                Path(f"/proc/sys/net/ipv4/conf/{scope}/rp_filter").write_text("0")
        for command in (
            "ip link set lo up",
            "ip link set vpnfeed up",
            "ip link set cipsec0 up",
            "ip addr add 10.8.0.2/24 dev cipsec0",
            f"ip neigh replace 10.8.0.1 lladdr {_SOURCE_MAC} nud permanent dev cipsec0",
            "tc qdisc add dev vpnfeed ingress",
            "tc filter add dev vpnfeed parent ffff: protocol all prio 1"
            " u32 match u32 0 0 action mirred ingress redirect dev cipsec0",
        ):
            self.namespace.run(command)

    def send(self, count: int) -> float:
        """Let bench.vpntraffic send `count` packets, half in and half out; return the seconds."""
        command = [sys.executable, "-m", "bench.vpntraffic", str(self._tun), str(self._tap), str(count)]
        process = self.namespace.start(command, pass_fds=[self._tun, self._tap], stdout=subprocess.PIPE)
        sent, seconds = process.communicate()[0].split()
        self._sent += int(sent)
        return float(seconds)

    def offered(self) -> int:
        """Return the packets the generator handed over: no one device counter has both directions here."""
        return self._sent

    def close(self) -> None:
        """Let the devices and the namespace go."""
        os.close(self._tun)
        os.close(self._tap)
        self.namespace.close()


_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_TAP, _IFF_NO_PI = 1, 2, 0x1000


def _tun_device(name: str, mode: int) -> int:
    """Make a tun or tap device in the current namespace; it lives as long as the descriptor returned."""
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH14x", name.encode(), mode | _IFF_NO_PI))
    return fd


def _trafgen_frame(length: int) -> str:
    """Return a trafgen packet of `length` bytes: Ethernet, IPv4, UDP to the discard port, filled up."""
    macs = ", ".join(f"0x{byte}" for byte in f"{_SINK_MAC}:{_SOURCE_MAC}".split(":"))
    ip_length, udp_length = length - 14, length - 34
    return (
        f"{{ {macs}, c16(0x0800),"
        f" 0x45, 0, c16({ip_length}), c16(1), c16(0x4000), 64, 17, csumip(14, 33),"
        f" 10, 9, 0, 1, 10, 9, 0, 2,"
        f" c16(40000), c16(9), c16({udp_length}), c16(0), fill(0x61, {length - 42}) }}"
    )
