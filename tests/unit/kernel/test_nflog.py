"""The socket of a log group, against the real kernel in namespaces of its own."""

import itertools
import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from capfix.errors import CaptureError, PrivilegeError
from capfix.kernel import nflog as kernel_nflog
from capfix.kernel.nflog import DEFAULT_GROUP, READ_SIZE, NflogSocket
from capfix.kernel.nftables import NflogRules
from capfix.lab import NetworkNamespace
from capfix.wire.netlink import decode_messages
from capfix.wire.nflog import MESSAGE_PACKET, NflogPacket, decode_packet
from capfix.wire.numbers import HOOK_INPUT

pytestmark = pytest.mark.root


@pytest.fixture
def namespace() -> Iterator[NetworkNamespace]:
    """A namespace that the test's thread is in, with a loopback interface."""
    with NetworkNamespace() as made, made.entered():
        yield made


@pytest.fixture
def sender(namespace: NetworkNamespace) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        opened.connect(("127.0.0.1", 9))
        yield opened


def receive(group: NflogSocket, count: int, timeout_s: float = 2) -> list[NflogPacket]:
    """Read until `count` packets are there or time is up."""
    buffer = memoryview(bytearray(READ_SIZE))
    packets: list[NflogPacket] = []
    until = time.monotonic() + timeout_s
    while len(packets) < count and time.monotonic() < until:
        length = group.receive_into(buffer)
        if not length:
            time.sleep(0.001)
        packets += [
            decode_packet(bytes(message.payload))
            for message in decode_messages(buffer[:length])
            if message.type == MESSAGE_PACKET
        ]
    return packets


def send(sender: socket.socket, data: bytes) -> None:
    try:
        sender.send(data)
    except ConnectionRefusedError:  # nobody listens, as the answer to the packet before says
        sender.send(data)


def inbound_rules(group: NflogSocket) -> NflogRules:
    return NflogRules(group.group, [HOOK_INPUT], ["lo"])


def test_a_packet_arrives_within_50_ms(sender: socket.socket) -> None:
    """It waits in the kernel for others for 10 ms at most, give or take a tick."""
    group = NflogSocket()
    rules = inbound_rules(group)
    delays = []
    for number in range(5):
        before = time.monotonic()
        send(sender, bytes([number]))
        (packet, *_) = [p for p in receive(group, 1) if p.payload[9] == socket.IPPROTO_UDP]
        delays.append(time.monotonic() - before)
        assert packet.payload[-1] == number
        receive(group, 1, 0.05)  # the refusal of the packet, which is logged as well
    assert sorted(delays)[2] < 0.05
    rules.close()
    group.close()


def test_a_message_tells_hook_interface_time_and_sequence(sender: socket.socket) -> None:
    """What the framing relies on is there, from the first packet on."""
    group = NflogSocket()
    rules = inbound_rules(group)
    before = time.time_ns()
    send(sender, b"hello")
    packet = receive(group, 1)[0]
    assert (packet.hw_protocol, packet.hook, packet.in_ifindex) == (0x0800, HOOK_INPUT, 1)
    assert (packet.hardware_type, packet.sequence) == (772, 0)
    assert packet.timestamp_ns is not None
    assert before - 1000 <= packet.timestamp_ns <= time.time_ns()
    assert bytes(packet.payload).endswith(b"hello")
    rules.close()
    group.close()


def test_a_large_packet_is_copied_as_whole_as_it_can_be(sender: socket.socket) -> None:
    """65531 bytes are what a message can hold; the IP header knows the true length."""
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    group = NflogSocket()
    rules = inbound_rules(group)
    send(sender, bytes(65507))
    packet = receive(group, 1)[0]
    assert len(packet.payload) == 65531
    assert struct.unpack(">H", packet.payload[2:4]) == (65535,)
    rules.close()
    group.close()


def test_lost_packets_are_a_gap_in_the_sequence(sender: socket.socket) -> None:
    """When the buffer is full the kernel says so once, counts on, and goes on when there is room."""
    group = NflogSocket(receive_buffer_size=200_000)
    rules = inbound_rules(group)
    sent = 3000
    for number in range(sent):
        send(sender, number.to_bytes(4, "big") * 250)
    time.sleep(0.05)
    packets = receive(group, sent, 0.2)
    send(sender, b"after")
    packets += receive(group, 1, 0.5)
    assert group.overflows >= 1
    sequences = [packet.sequence for packet in packets]
    assert sequences == sorted(sequences)
    lost = sum(after - before - 1 for before, after in itertools.pairwise(sequences))
    assert lost > 0
    assert sequences[0] == 0
    assert sequences[-1] + 1 == len(packets) + lost
    assert b"after" in bytes(packets[-1].payload) + bytes(packets[-2].payload)
    rules.close()
    group.close()


def test_the_default_group_is_the_next_free_one(namespace: NetworkNamespace) -> None:
    """Two captures at once get different groups, and a closed one is free again."""
    first = NflogSocket()
    second = NflogSocket()
    assert (first.group, second.group) == (DEFAULT_GROUP, DEFAULT_GROUP + 1)
    first.close()
    third = NflogSocket()
    assert third.group == DEFAULT_GROUP
    second.close()
    third.close()


def test_a_given_group_that_is_held_is_refused_by_its_holder_s_name(namespace: NetworkNamespace) -> None:
    """The kernel answers EPERM, as to a missing capability; the message tells which it is."""
    held = NflogSocket(5)
    with pytest.raises(CaptureError) as caught:
        NflogSocket(5)
    assert not isinstance(caught.value, PrivilegeError)
    assert str(caught.value).startswith("log group 5 is held by another socket (netlink port ")
    assert "--nflog-group" in str(caught.value)
    held.close()


def test_a_held_group_is_told_without_the_kernel_s_table(
    namespace: NetworkNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table is root's alone; whoever has the capability and is refused, is refused by a holder."""
    monkeypatch.setattr(kernel_nflog, "holders", lambda: None)
    held = NflogSocket()
    second = NflogSocket()
    assert second.group == held.group + 1
    with pytest.raises(CaptureError, match=r"log group 1007 is held by another socket; choose"):
        NflogSocket(held.group)
    held.close()
    second.close()


@pytest.mark.parametrize("what", ["NflogSocket()", "NflogSocket(5)"])
def test_without_the_capability_it_is_named(namespace: NetworkNamespace, what: str) -> None:
    """A process without privileges learns which one it lacks."""
    assert refusal_without_privileges(what) == (
        "PrivilegeError cannot bind netfilter log group "
        f"{DEFAULT_GROUP if what == 'NflogSocket()' else 5}: operation not permitted; CAP_NET_ADMIN is missing: "
        "run it with sudo, or from a systemd service with AmbientCapabilities=CAP_NET_ADMIN"
    )


def refusal_without_privileges(what: str) -> str:
    """Return class and text of the error that `what` raises without capabilities, in the thread's namespace."""
    program = (
        "import ctypes, struct\n"
        "from capfix.kernel.nflog import NflogSocket\n"
        "from capfix.kernel.nftables import NflogRules\n"
        "header = struct.pack('Ii', 0x20080522, 0)\n"  # linux/capability.h, version 3
        "assert ctypes.CDLL(None).capset(header, bytes(24)) == 0\n"
        f"try: {what}\n"
        "except Exception as error: print(type(error).__name__, error, end='')\n"
    )
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=os.getcwd()
    ).stdout
