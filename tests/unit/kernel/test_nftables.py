"""Rules that log, against the real kernel in namespaces of its own."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from capfix.errors import CaptureError
from capfix.kernel.nflog import NflogSocket
from capfix.kernel.nftables import NflogRules
from capfix.lab import NetworkNamespace
from capfix.lab.bypass import FAR_ADDRESS, NEAR_ADDRESS, BypassingTunnel
from capfix.wire.nflog import NflogPacket
from capfix.wire.numbers import HOOK_FORWARD, HOOK_INPUT, HOOK_OUTPUT, HOOK_POSTROUTING, HOOK_PREROUTING
from tests.support.tools import need
from tests.unit.kernel.test_nflog import receive, refusal_without_privileges

pytestmark = pytest.mark.root

ALL_HOOKS = [HOOK_PREROUTING, HOOK_INPUT, HOOK_FORWARD, HOOK_OUTPUT, HOOK_POSTROUTING]


@pytest.fixture
def namespace() -> Iterator[NetworkNamespace]:
    with NetworkNamespace() as made, made.entered():
        yield made


def ruleset() -> str:
    return subprocess.run([need("nft"), "list", "ruleset"], capture_output=True, text=True, check=True).stdout


def test_the_table_is_ours_and_goes_with_its_socket(namespace: NetworkNamespace) -> None:
    """Nobody else can change it, and closing removes it."""
    group = NflogSocket()
    rules = NflogRules(group.group, ALL_HOOKS, None)
    listed = ruleset()
    assert "table inet capfix_1007" in listed
    assert "flags owner" in listed
    flush = subprocess.run(["nft", "delete", "table", "inet", rules.table], capture_output=True, check=False)
    assert flush.returncode != 0
    rules.close()
    assert ruleset() == ""
    group.close()


def test_sigkill_leaves_no_rule(namespace: NetworkNamespace) -> None:
    """The kernel removes the table of an owner that was killed."""
    program = (
        "import time\n"
        "from capfix.kernel.nflog import NflogSocket\n"
        "from capfix.kernel.nftables import NflogRules\n"
        "group = NflogSocket()\n"
        "rules = NflogRules(group.group, [1, 2, 3], ['lo'])\n"
        "print('ready', flush=True)\n"
        "time.sleep(60)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=os.getcwd()
    )
    assert process.stdout is not None
    with process, process.stdout:
        assert process.stdout.readline() == "ready\n"
        assert "capfix_1007" in ruleset()
        process.send_signal(signal.SIGKILL)
        process.wait()
    until = time.monotonic() + 2
    while ruleset() and time.monotonic() < until:
        time.sleep(0.01)
    assert ruleset() == ""


def test_a_table_of_that_name_is_not_touched(namespace: NetworkNamespace) -> None:
    """Whether it has an owner or not, the message tells what to do."""
    first = NflogRules(5, [HOOK_INPUT], None)
    with pytest.raises(CaptureError, match="a table inet capfix_5 is there already and not ours"):
        NflogRules(5, [HOOK_INPUT], None)
    first.close()
    subprocess.run(["nft", "add", "table", "inet", "capfix_5"], check=True)
    with pytest.raises(CaptureError, match="a table inet capfix_5 is there already and not ours"):
        NflogRules(5, [HOOK_INPUT], None)
    assert "table inet capfix_5" in ruleset()


def test_without_the_capability_it_is_named(namespace: NetworkNamespace) -> None:
    """A process without privileges learns which one it lacks."""
    assert refusal_without_privileges("NflogRules(5, [1], None)").startswith(
        "PrivilegeError cannot make nftables rules: operation not permitted; CAP_NET_ADMIN is missing"
    )


def test_what_the_host_drops_is_logged_all_the_same(namespace: NetworkNamespace) -> None:
    """Inbound packets are logged before the host's own rules, as a tap would see them."""
    subprocess.run(
        [
            "nft",
            "add table inet host; add chain inet host in { type filter hook input priority -300; policy drop; }",
        ],
        check=True,
    )
    group = NflogSocket()
    rules = NflogRules(group.group, [HOOK_INPUT], ["lo"])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"dropped", ("127.0.0.1", 9))
    (packet,) = receive(group, 1)
    assert bytes(packet.payload).endswith(b"dropped")
    rules.close()
    group.close()


class Router:
    """Namespaces left and right, and a router between them, in which the rules are made."""

    def __init__(self) -> None:
        self.left, self.router, self.right = NetworkNamespace(), NetworkNamespace(), NetworkNamespace()
        self.router.add_veth_pair("in0", "left0", self.left)
        self.router.add_veth_pair("out0", "right0", self.right)
        self.left.add_address("left0", "10.1.0.1", 24)
        self.router.add_address("in0", "10.1.0.2", 24)
        self.router.add_address("out0", "10.2.0.2", 24)
        self.right.add_address("right0", "10.2.0.1", 24)
        self.left.netlink(lambda ipr: ipr.route("add", dst="default", gateway="10.1.0.2"))
        self.right.netlink(lambda ipr: ipr.route("add", dst="default", gateway="10.2.0.2"))
        self.router.sysctl("ipv4/ip_forward", "1")
        self.indexes = {self.router.index(name): name for name in ("in0", "out0")}

    def forward(self) -> None:
        """Send one datagram from left to right."""
        with self.left.entered():
            sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with self.right.entered():
            receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with sender, receiver:
            receiver.bind(("10.2.0.1", 7))
            receiver.settimeout(5)
            sender.sendto(b"forwarded", ("10.2.0.1", 7))
            assert receiver.recv(100) == b"forwarded"

    def close(self) -> None:
        for namespace in (self.left, self.router, self.right):
            namespace.close()


@contextmanager
def logged(namespace: NetworkNamespace, hooks: list[int], names: list[str] | None) -> Iterator[NflogSocket]:
    with namespace.entered():
        group = NflogSocket()
        rules = NflogRules(group.group, hooks, names)
    yield group
    rules.close()
    group.close()


def udp(packets: list[NflogPacket]) -> list[NflogPacket]:
    return [packet for packet in packets if packet.payload[9] == socket.IPPROTO_UDP]


@pytest.fixture(scope="module")
def router() -> Iterator[Router]:
    made = Router()
    yield made
    made.close()


@pytest.mark.parametrize("names", [None, ["in0"], ["out0"], ["in0", "out0"], ["out0", "in0"]])
def test_a_forwarded_packet_is_logged_once(router: Router, names: list[str] | None) -> None:
    """Where it comes in by a wanted interface, else where it leaves by one; both interfaces are told either way."""
    with logged(router.router, [HOOK_FORWARD], names) as group:
        router.forward()
        packets = udp(receive(group, 5, 0.1))
    assert len(packets) == 1
    assert router.indexes[packets[0].in_ifindex] == "in0"
    assert router.indexes[packets[0].out_ifindex] == "out0"


def test_a_packet_of_no_wanted_interface_is_not_logged(router: Router) -> None:
    """The interface may not exist yet."""
    with logged(router.router, ALL_HOOKS, ["cipsec0"]) as group:
        router.forward()
        assert receive(group, 1, 0.1) == []


def test_each_hook_logs_its_side(router: Router) -> None:
    """Prerouting, forward and postrouting each see a forwarded packet, on the interface of their side."""
    with logged(router.router, [HOOK_PREROUTING, HOOK_POSTROUTING], ["out0"]) as group:
        router.forward()
        (packet,) = udp(receive(group, 5, 0.1))
        assert packet.hook == HOOK_POSTROUTING
    with logged(router.router, ALL_HOOKS, None) as group:
        router.forward()
        hooks = [packet.hook for packet in udp(receive(group, 5, 0.1))]
        assert hooks == [HOOK_PREROUTING, HOOK_FORWARD, HOOK_POSTROUTING]


def test_the_tunnel_s_inner_packets_meet_netfilter_and_no_tap() -> None:
    """The reason for all this: taps see the outer packets alone, the input and output hooks the inner ones."""
    with BypassingTunnel() as lab, logged(lab.near, [HOOK_INPUT, HOOK_OUTPUT], None) as group:
        with lab.near.entered():
            command = [need("tcpdump"), "-Z", "root", "-ni", "any", "-U", "--immediate-mode", "ip or ip6"]
            tcpdump = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        with tcpdump:
            assert tcpdump.stderr is not None
            for line in tcpdump.stderr:
                if "Couldn't change to" in line:
                    pytest.skip("in a user namespace tcpdump cannot change to any user")
                if "listening on any" in line:
                    break
            lab.exchange(3)
            time.sleep(0.3)
            tcpdump.terminate()
            seen, _ = tcpdump.communicate(timeout=10)
        packets = [packet for packet in receive(group, 100, 0.1) if packet.hw_protocol == 0x0800]
    outer = [line for line in seen.splitlines() if "RT6" in line]
    assert len(outer) == 6
    assert not [line for line in seen.splitlines() if " IP " in line and "RT6" not in line]
    inner = [(packet.hook, bytes(packet.payload[12:20])) for packet in packets]
    far, near = socket.inet_aton(FAR_ADDRESS), socket.inet_aton(NEAR_ADDRESS)
    assert inner == [(HOOK_INPUT, far + near), (HOOK_OUTPUT, near + far)] * 3
