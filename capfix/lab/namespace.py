"""Network namespaces: a network stack apart from the system's, and the interfaces in it."""

import ctypes
import errno
import os
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from capfix.errors import PrivilegeError
from capfix.lab.closing import Closing

# linux/sched.h. The os module has unshare and setns only from Python 3.12 on.
CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000

_CAP_SYS_ADMIN_BIT = 21  # linux/capability.h
_IFA_F_NODAD = 0x02  # linux/if_addr.h
_NUD_PERMANENT = 0x80  # linux/neighbour.h: never asked for, never forgotten
_OPERATIONAL_S = 5
_LOCAL_TABLE = 255  # linux/rtnetlink.h, RT_TABLE_LOCAL
_ADDR_GEN_MODE_NONE = "1"  # linux/if_link.h, IN6_ADDR_GEN_MODE_NONE

_libc = ctypes.CDLL(None, use_errno=True)

T = TypeVar("T")


class NetworkNamespace(Closing):
    """A new network namespace, which lasts until `close` or until the last process and device in it are gone.

    The thread that makes it stays where it is. A child process that is started within `entered` begins in the
    namespace and stays there. Methods that name an interface mean one in this namespace and raise OSError, with the
    kernel's error number, when the kernel refuses.

    By default nothing is sent that nobody asked for: IPv6 is off. With `ipv6=True` it is on, without addresses that
    the kernel makes up and without router solicitations; joining a multicast group is still reported.

    Raises:
        PrivilegeError: making a namespace takes CAP_SYS_ADMIN; see `enter_user_namespace`.
    """

    def __init__(self, ipv6: bool = False) -> None:
        self.ipv6 = ipv6
        self.fd = _in_new_thread(_new_namespace_fd)
        try:
            self._configure()
        except PermissionError as error:
            self.close()
            raise PrivilegeError("configure a network namespace", "CAP_NET_ADMIN") from error

    def _configure(self) -> None:
        if self.ipv6:
            self.sysctl("ipv6/conf/default/addr_gen_mode", _ADDR_GEN_MODE_NONE)
            self.sysctl("ipv6/conf/default/router_solicitations", "0")
        elif Path("/proc/sys/net/ipv6").exists():
            self.sysctl("ipv6/conf/all/disable_ipv6", "1")
            self.sysctl("ipv6/conf/default/disable_ipv6", "1")
        self.set_up("lo")

    def close(self) -> None:
        """Let go of the namespace. What is still in use in it keeps it alive."""
        os.close(self.fd)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Have the calling thread in the namespace for the length of a `with` block. Other threads stay outside.

        Descriptors opened inside belong to the namespace for good. /sys/class/net does not follow.
        """
        outside = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _setns(self.fd)
            try:
                yield
            finally:
                _setns(outside)
        finally:
            os.close(outside)

    def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Return what `function(*arguments)` returns when a new thread calls it inside the namespace.

        The caller may be in an event loop, in which pyroute2's plain interface refuses to work.
        """

        def inside() -> T:
            _setns(self.fd)
            return function(*arguments)

        return _in_new_thread(inside)

    def sysctl(self, name: str, value: str) -> None:
        """Write a setting of the namespace. `name` is a path under /proc/sys/net."""
        self.run(Path("/proc/sys/net", name).write_text, value)

    def netlink(self, request: Callable[[Any], T]) -> T:
        """Return what `request` returns for a pyroute2 IPRoute of this namespace: for what has no method here."""

        def ask() -> T:
            from pyroute2 import IPRoute
            from pyroute2.netlink.exceptions import NetlinkError

            try:
                with IPRoute() as ipr:
                    return request(ipr)
            except NetlinkError as error:
                raise OSError(error.code, os.strerror(error.code)) from error

        return self.run(ask)

    def interfaces(self) -> dict[str, int]:
        """Return the interfaces of the namespace: their indexes by name."""
        return self.netlink(lambda ipr: {link.get("ifname"): link["index"] for link in ipr.get_links()})

    def index(self, name: str) -> int:
        """Return the index of an interface. OSError(ENODEV) when there is none of that name."""
        try:
            return self.run(socket.if_nametoindex, name)
        except OSError as error:  # comes without its number
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV), name) from error

    def set_up(self, name: str) -> None:
        """Switch an interface on."""
        index = self.index(name)
        self.netlink(lambda ipr: ipr.link("set", index=index, state="up"))

    def set_down(self, name: str) -> None:
        """Switch an interface off."""
        index = self.index(name)
        self.netlink(lambda ipr: ipr.link("set", index=index, state="down"))

    def rename(self, name: str, new_name: str) -> None:
        """Give an interface another name. Older kernels want it down for that."""
        index = self.index(name)
        self.netlink(lambda ipr: ipr.link("set", index=index, ifname=new_name))

    def delete(self, name: str) -> None:
        """Delete an interface, and with one end of a veth pair the other."""
        index = self.index(name)
        self.netlink(lambda ipr: ipr.link("del", index=index))

    def add_address(self, name: str, address: str, prefix_length: int) -> None:
        """Give an interface an IPv4 or IPv6 address, which can be used at once: duplicates are not looked for."""
        index = self.index(name)
        self.netlink(
            lambda ipr: ipr.addr(
                "add", index=index, address=address, prefixlen=prefix_length, flags=_IFA_F_NODAD
            )
        )
        if ":" in address:
            self._wait_until_deliverable(address)

    def _wait_until_deliverable(self, address: str) -> None:
        """Wait for the kernel's work queue: until then what comes in for a new IPv6 address is not taken as local."""
        deadline = time.monotonic() + _OPERATIONAL_S
        while time.monotonic() < deadline:
            local = self.netlink(lambda ipr: ipr.get_routes(family=socket.AF_INET6, table=_LOCAL_TABLE))
            if any(route.get("dst") == address for route in local):
                return
            time.sleep(0.001)
        raise OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT), address)

    def add_neighbour(self, name: str, address: str, mac: str) -> None:
        """Say for good which MAC address an IP address has, so that no ARP or neighbour discovery is sent for it."""
        index = self.index(name)
        self.netlink(
            lambda ipr: ipr.neigh("replace", ifindex=index, dst=address, lladdr=mac, state=_NUD_PERMANENT)
        )

    def add_veth_pair(
        self, name: str, peer_name: str, peer_namespace: "NetworkNamespace | None" = None, **settings: Any
    ) -> None:
        """Make two interfaces that are the ends of one cable, and switch both on.

        The far end goes to `peer_namespace` where one is given. `settings` are pyroute2's for the near end, for
        example `address` (the MAC) and `mtu`; `peer`, a dict, holds those of the far end.
        """
        peer = {"ifname": peer_name, **settings.pop("peer", {})}
        if peer_namespace is not None:
            peer["net_ns_fd"] = peer_namespace.fd
        self.netlink(lambda ipr: ipr.link("add", ifname=name, kind="veth", peer=peer, **settings))
        self.set_up(name)
        (peer_namespace or self).set_up(peer_name)
        self._wait_until_operational(name)
        (peer_namespace or self)._wait_until_operational(peer_name)

    def _wait_until_operational(self, name: str) -> None:
        """Wait for the kernel's link watch: until it has given the interface its queue, what is sent is dropped.

        OSError(ETIMEDOUT) when that takes longer than 5 seconds.
        """
        index = self.index(name)
        deadline = time.monotonic() + _OPERATIONAL_S
        while time.monotonic() < deadline:
            link = self.netlink(lambda ipr: ipr.get_links(index)[0])
            if link.get("operstate") == "UP" and link.get("qdisc") != "noop":
                return
            time.sleep(0.005)
        raise OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT), name)


def can_make_namespaces() -> bool:
    """Tell whether this process has CAP_SYS_ADMIN, which making a network namespace takes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> _CAP_SYS_ADMIN_BIT & 1)
    return False


def enter_user_namespace() -> None:
    """Move this process into a new user namespace, for good, in which it is root and may make network namespaces.

    It also gets a network namespace of its own, because capturing takes rights over the one it is in. Files are read
    and written with the user's own rights as before. The process must not have started a thread yet.

    Raises:
        PrivilegeError: the system does not let its users do that, or there are threads already.
    """
    uid, gid = os.geteuid(), os.getegid()
    try:
        _unshare(CLONE_NEWUSER | CLONE_NEWNET)
        # In this order: the kernel takes a gid map from the unprivileged only once setgroups is given up.
        # user_namespaces(7), "Defining user and group ID mappings".
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
        Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
    except OSError as error:
        raise PrivilegeError("make a network namespace", "CAP_SYS_ADMIN") from error
    if (
        not can_make_namespaces()
    ):  # where a security module lets the namespace be made and takes its powers away
        raise PrivilegeError("make a network namespace", "CAP_SYS_ADMIN")


def _new_namespace_fd() -> int:
    """Move the calling thread into a new network namespace and return a descriptor of it."""
    try:
        _unshare(CLONE_NEWNET)
    except PermissionError as error:
        raise PrivilegeError("make a network namespace", "CAP_SYS_ADMIN") from error
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def _in_new_thread(function: Callable[[], T]) -> T:
    """Return what `function` returns, or raise what it raises, in a thread that ends with it.

    A thread that has changed its namespace is not one to go on with.
    """
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="lab") as executor:
        return executor.submit(function).result()


def _unshare(flags: int) -> None:
    if _libc.unshare(flags) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _setns(fd: int) -> None:
    if _libc.setns(fd, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
