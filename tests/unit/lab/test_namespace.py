"""Network namespaces of the lab, and the way to them without privileges."""

import asyncio
import contextlib
import errno
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from capfix.lab import NetworkNamespace

pytestmark = pytest.mark.root


def current():
    """What tells the namespace of the calling thread from others."""
    return os.stat("/proc/thread-self/ns/net").st_ino


def test_maker_stays_where_it_is():
    """Making a namespace moves nobody into it."""
    before = current()
    with NetworkNamespace() as namespace:
        assert current() == before
        assert os.fstat(namespace.fd).st_ino != before


def test_entered_moves_this_thread_and_back(namespace):
    """`entered` moves the calling thread alone, and back also after an error."""
    before, elsewhere = current(), []
    with contextlib.suppress(KeyError), namespace.entered():
        assert current() == os.fstat(namespace.fd).st_ino
        raise KeyError
    assert current() == before
    with namespace.entered():
        observer = threading.Thread(target=lambda: elsewhere.append(current()), daemon=True)
        observer.start()
        observer.join()
    assert elsewhere == [os.fstat(namespace.fd).st_ino]  # a thread begins where its starter is


def test_child_process_begins_where_it_is_started(namespace):
    """A program started within `entered` runs in the namespace."""
    with namespace.entered():
        shown = subprocess.check_output(["readlink", "/proc/self/ns/net"], text=True)
    assert shown == f"net:[{os.fstat(namespace.fd).st_ino}]\n"


def test_interface_is_made_renamed_switched_and_deleted(namespace):
    """The helpers do what they say, seen through the kernel's list of interfaces and their flags."""
    namespace.add_veth_pair("va", "vb", address="02:00:00:00:00:0a", mtu=9000)
    assert namespace.interfaces().keys() == {"lo", "va", "vb"}

    def is_up(name):
        index = namespace.index(name)
        return bool(namespace.netlink(lambda ipr: ipr.get_links(index)[0]["flags"]) & 1)

    assert is_up("va")
    namespace.set_down("va")
    assert not is_up("va")
    namespace.rename("va", "vc")
    namespace.set_up("vc")
    assert is_up("vc")
    namespace.delete("vc")
    assert namespace.interfaces().keys() == {"lo"}


def test_veth_pair_joins_two_namespaces(namespace):
    """A datagram goes from one namespace to the other by the cable, without ARP where a neighbour is given."""
    with NetworkNamespace() as other:
        namespace.add_veth_pair("va", "vb", other, peer={"address": "02:00:00:00:00:0b"})
        namespace.add_address("va", "10.9.0.1", 24)
        namespace.add_neighbour("va", "10.9.0.2", "02:00:00:00:00:0b")
        other.add_address("vb", "10.9.0.2", 24)
        with other.run(socket.socket, socket.AF_INET, socket.SOCK_DGRAM) as receiver:
            receiver.bind(("10.9.0.2", 9))
            receiver.settimeout(2)
            with namespace.run(socket.socket, socket.AF_INET, socket.SOCK_DGRAM) as sender:
                sender.sendto(b"hello", ("10.9.0.2", 9))
            assert receiver.recv(100) == b"hello"


def test_works_inside_an_event_loop(namespace):
    """A coroutine may change interfaces, although pyroute2 refuses to run in its event loop."""

    async def change():
        namespace.set_down("lo")

    asyncio.run(change())


def test_refusals_are_the_kernels(namespace):
    """What the kernel refuses is an OSError with its number."""
    with pytest.raises(OSError, match=r".") as refusal:
        namespace.index("nothing")
    assert refusal.value.errno == errno.ENODEV
    with pytest.raises(OSError, match=r".") as refusal:
        namespace.add_address("lo", "127.0.0.1", 8)
    assert refusal.value.errno == errno.EEXIST


#: In the user namespace that an unprivileged test run enters there is no other user to become.
as_real_root = pytest.mark.skipif(
    Path("/proc/self/uid_map").read_text().split() != ["0", "0", "4294967295"],
    reason="needs to be root outright",
)

# What the lines use is imported first: an unprivileged user may not be able to read where it stands. A process that
# has changed its user is not dumpable, by which its files in /proc belong to root; that of a user's own is (prctl(2)).
BECOME_NOBODY = """
import ctypes, os, pyroute2, pyroute2.netlink.exceptions
from capfix.lab import *
os.setgroups([]); os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)
PR_SET_DUMPABLE = 4
ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1)
"""

# /dev/net/tun as udev makes it, open to all: without udev it is root's.
WITH_TUN_FOR_ALL = """
mount -t tmpfs none /dev/net && mknod -m 666 /dev/net/tun c 10 200 && exec "$@"
"""


def as_nobody(program):
    """Run lines of Python in a process that has become the unprivileged user nobody."""
    wrapper = ["unshare", "--mount", "sh", "-c", WITH_TUN_FOR_ALL, "sh"]
    lines = [*wrapper, sys.executable, "-c", BECOME_NOBODY + program]
    return subprocess.run(lines, capture_output=True, text=True, timeout=30)


@as_real_root
def test_unprivileged_user_gets_a_lab():
    """Without any privilege the whole lab works by way of a user namespace."""
    done = as_nobody(
        "assert not can_make_namespaces()\n"
        "enter_user_namespace()\n"
        "assert can_make_namespaces() and os.geteuid() == 0\n"
        "namespace = NetworkNamespace()\n"
        "vpn = HeaderlessVpn(namespace)\n"
        "print(sorted(namespace.interfaces()))"
    )
    assert (done.stdout, done.stderr) == ("['cipsec0', 'lo', 'vpnfeed']\n", "")


@as_real_root
def test_no_privilege_is_said():
    """Where the kernel refuses a namespace, the error names the capability."""
    done = as_nobody("NetworkNamespace()")
    assert done.stderr.splitlines()[-1].startswith(
        "capfix.errors.PrivilegeError: cannot make a network namespace: operation not permitted; CAP_SYS_ADMIN"
    )


@as_real_root
def test_user_namespace_refused_is_said():
    """Where the kernel refuses a user namespace, for example because a thread is running, the error is the same."""
    done = as_nobody(
        "import threading, time\n"
        "threading.Thread(target=time.sleep, args=(1,), daemon=True).start()\n"
        "enter_user_namespace()"
    )
    assert done.stderr.splitlines()[-1].startswith(
        "capfix.errors.PrivilegeError: cannot make a network namespace:"
    )
