"""Lab B: an interface whose inner packets never meet a tap.

    far namespace, 10.9.0.1 --[ veth: far0 == near0 ]-- near namespace, 10.9.0.2

Each side routes the other's IPv4 address into an SRv6 tunnel, and takes packets out of it by the End.DX4 behaviour:
the kernel removes the outer header and hands the inner packet to the IPv4 stack behind the place where taps look.
Taps see IPv6 alone, as with a VPN module that calls the saved handler itself. Netfilter sees the inner packets.

Source: ip-route(8), encap seg6 and seg6local; RFC 8986, section 4.5.
"""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from capfix.errors import CaptureError
from capfix.lab.closing import Closing
from capfix.lab.namespace import NetworkNamespace

FAR_ADDRESS = "10.9.0.1"
NEAR_ADDRESS = "10.9.0.2"
_OUTER = {"far": "fd00::1", "near": "fd00::2"}
_SEGMENT = {"far": "fd01::1", "near": "fd01::2"}
_MAC = {"far": "02:00:00:00:0b:01", "near": "02:00:00:00:0b:02"}


class BypassingTunnel(Closing):
    """Both namespaces, up and routed, until `close`. `near` is the one to capture in, on NAME.

    Raises:
        CaptureError: the kernel lacks SRv6.
    """

    NAME = "near0"

    def __init__(self) -> None:
        self.near = NetworkNamespace(ipv6=True)
        self.far = NetworkNamespace(ipv6=True)
        try:
            self._connect()
        except OSError as error:
            self.close()
            raise CaptureError(
                f"cannot make a tunnel that bypasses taps: {(error.strerror or str(error)).lower()}; "
                "the kernel may lack SRv6 (CONFIG_IPV6_SEG6_LWTUNNEL)"
            ) from error

    def _connect(self) -> None:
        for namespace in (self.near, self.far):
            namespace.sysctl("ipv6/conf/all/seg6_enabled", "1")
            namespace.sysctl("ipv6/conf/default/seg6_enabled", "1")
            for device in ("all", "default"):
                namespace.sysctl(f"ipv4/conf/{device}/rp_filter", "0")
        self.near.add_veth_pair(
            "near0", "far0", self.far, address=_MAC["near"], peer={"address": _MAC["far"]}
        )
        self._configure(self.near, "near0", "near", "far", NEAR_ADDRESS, FAR_ADDRESS)
        self._configure(self.far, "far0", "far", "near", FAR_ADDRESS, NEAR_ADDRESS)

    def _configure(
        self, namespace: NetworkNamespace, name: str, us: str, them: str, our_address: str, their_address: str
    ) -> None:
        namespace.add_address("lo", our_address, 32)
        namespace.add_address(name, _OUTER[us], 64)
        namespace.add_neighbour(name, _OUTER[them], _MAC[them])
        index = namespace.index(name)
        into = {"type": "seg6", "mode": "encap", "segs": _SEGMENT[them]}
        out_of = {"type": "seg6local", "action": "End.DX4", "nh4": "0.0.0.0"}
        namespace.netlink(
            lambda ipr: [
                ipr.route("add", dst=f"{_SEGMENT[them]}/128", oif=index, gateway=_OUTER[them]),
                ipr.route("add", dst=f"{their_address}/32", oif=index, encap=into, prefsrc=our_address),
                ipr.route("add", dst=f"{_SEGMENT[us]}/128", oif=index, encap=out_of),
            ]
        )

    def exchange(self, count: int, size: int = 64) -> None:
        """Send `count` UDP datagrams from the far side, each answered by the near side, and wait for the answers."""
        with self._udp(self.near, NEAR_ADDRESS) as near, self._udp(self.far, FAR_ADDRESS) as far:
            for number in range(count):
                data = number.to_bytes(4, "big").ljust(size, b".")
                far.sendto(data, near.getsockname())
                received, sender = near.recvfrom(size)
                near.sendto(received, sender)
                if far.recv(size) != data:
                    raise CaptureError("the tunnel delivers what was not sent")

    @contextmanager
    def _udp(self, namespace: NetworkNamespace, address: str) -> Iterator[socket.socket]:
        with namespace.entered():
            opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with opened:
            opened.bind((address, 0))
            opened.settimeout(5)
            yield opened

    def close(self) -> None:
        """Let go of both namespaces."""
        self.near.close()
        self.far.close()
