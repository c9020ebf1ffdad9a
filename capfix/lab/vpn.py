"""A VPN interface with the fault: inbound packets have no Ethernet header, outbound ones a good one.

    far end --bare IP--> [tun: feed] --ingress redirect--> [tap: cipsec0] --> the host's stack, and every capture
    far end <--Ethernet frame----------------------------- [tap: cipsec0] <-- the host's stack

A tun device delivers packets that begin at the network header. A u32 filter that matches everything hands each of
them to the tap device's ingress side by `mirred`, unchanged. The tap says it is Ethernet, and a capture on it
believes that. The VPN modules in question do the same thing by hand.
"""

import errno
import fcntl
import os
import struct
from typing import Any

from capfix.errors import CaptureError
from capfix.lab.closing import Closing
from capfix.lab.namespace import NetworkNamespace

LOCAL_ADDRESS = "10.8.0.2"
PEER_ADDRESS = "10.8.0.1"
LOCAL_ADDRESS_V6 = "fd08::2"
PEER_ADDRESS_V6 = "fd08::1"
#: The MAC address that outbound frames are sent to. It is nobody's: the far end of a VPN has none.
PEER_MAC = "02:00:00:00:00:01"

# linux/if_tun.h
_TUNSETIFF = 0x400454CA
_IFF_TUN = 0x0001
_IFF_TAP = 0x0002
_IFF_NO_PI = 0x1000

# linux/pkt_sched.h, linux/if_ether.h
_INGRESS_HANDLE = 0xFFFF0000
_ETH_P_ALL = 3

_ETHERTYPE_BY_VERSION = {4: 0x0800, 6: 0x86DD}
_LARGEST_FRAME = 65536 + 14


class HeaderlessVpn(Closing):
    """The interface `name` (and its helper `feed`) in a namespace, up, with an address, until `close`.

    The host is 10.8.0.2/24 on it (with IPv6 also fd08::2/64), and reaches 10.8.0.1 (fd08::1) without asking for its
    MAC address. `mac` is the MAC address of the interface; without one the kernel makes it up.

    Raises:
        CaptureError: the kernel lacks a part of it, or the tun device file is not there.
    """

    def __init__(
        self,
        namespace: NetworkNamespace,
        name: str = "cipsec0",
        feed: str = "vpnfeed",
        mac: str | None = None,
    ) -> None:
        self.namespace = namespace
        self.name = name
        self.feed = feed
        self._feed_fd = namespace.run(_open_tun, feed, _IFF_TUN)
        self._tap_fd = namespace.run(_open_tun, name, _IFF_TAP | _IFF_NO_PI)
        try:
            self._configure(mac)
            self._redirect()
        except BaseException:
            self.close()
            raise

    def _configure(self, mac: str | None) -> None:
        namespace, name = self.namespace, self.name
        if mac is not None:
            index = namespace.index(name)
            namespace.netlink(lambda ipr: ipr.link("set", index=index, address=mac))
        # Answers would be thrown away as coming from the wrong interface: the redirect is not a route.
        for device in ("all", name, self.feed):
            namespace.sysctl(f"ipv4/conf/{device}/rp_filter", "0")
        namespace.set_up(self.feed)
        if namespace.ipv6:
            # Without neighbour discovery the host joins no multicast group for its address, and reports none.
            index = namespace.index(name)
            namespace.netlink(lambda ipr: ipr.link("set", index=index, arp=False))
        namespace.set_up(name)
        namespace.add_address(name, LOCAL_ADDRESS, 24)
        namespace.add_neighbour(name, PEER_ADDRESS, PEER_MAC)
        if namespace.ipv6:
            namespace.add_address(name, LOCAL_ADDRESS_V6, 64)
            namespace.add_neighbour(name, PEER_ADDRESS_V6, PEER_MAC)

    def _redirect(self) -> None:
        """Hand everything that comes in by the feed to the interface, as if it had come in there."""
        feed, target = self.namespace.index(self.feed), self.namespace.index(self.name)
        redirect = {"kind": "mirred", "direction": "ingress", "action": "redirect", "ifindex": target}

        def add_filter(ipr: Any) -> None:
            ipr.tc("add", "ingress", feed, _INGRESS_HANDLE)
            ipr.tc(
                "add-filter",
                "u32",
                feed,
                parent=_INGRESS_HANDLE,
                prio=1,
                protocol=_ETH_P_ALL,
                target=0x10000,  # pyroute2 insists on a class, which an ingress filter does not use
                keys=["0x0/0x0+0"],  # the 32 bits at offset 0, masked with 0, are 0: everything matches
                action=redirect,
            )

        try:
            self.namespace.netlink(add_filter)
        except OSError as error:
            raise CaptureError(
                f"cannot redirect {self.feed} to {self.name}: {error.strerror}; "
                "it takes the kernel modules sch_ingress, cls_u32 and act_mirred"
            ) from error

    def deliver(self, packet: bytes, ethertype: int | None = None) -> None:
        """Have a packet arrive on the interface with no link-layer header, as the VPN delivers it.

        `packet` begins at the network header. `ethertype` is what the kernel takes it for; without one it is IPv4 or
        IPv6, by the packet's version field.
        """
        if ethertype is None:
            ethertype = _ETHERTYPE_BY_VERSION[packet[0] >> 4]
        os.write(self._feed_fd, struct.pack("!HH", 0, ethertype) + packet)  # linux/if_tun.h, struct tun_pi

    def read_sent(self) -> list[bytes]:
        """Return the Ethernet frames that the host has sent on the interface since the last call, oldest first."""
        frames = []
        while True:
            try:
                frames.append(os.read(self._tap_fd, _LARGEST_FRAME))
            except BlockingIOError:
                return frames

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when the host has sent something."""
        return self._tap_fd

    def close(self) -> None:
        """Remove both devices, unless they are deleted already."""
        os.close(self._tap_fd)
        os.close(self._feed_fd)


def _open_tun(name: str, flags: int) -> int:
    """Return the descriptor of a new tun or tap device, which lasts until the descriptor is closed. Non-blocking."""
    try:
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        hint = "; the kernel module tun makes it" if error.errno in (errno.ENOENT, errno.ENODEV) else ""
        raise CaptureError(
            f"cannot open /dev/net/tun: {os.strerror(error.errno or 0).lower()}{hint}"
        ) from error
    try:
        fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH22x", name.encode(), flags))
    except OSError as error:
        os.close(fd)
        reason = "it exists already" if error.errno == errno.EBUSY else error.strerror
        raise CaptureError(f"cannot make the interface {name}: {reason}") from error
    return fd
