"""The experiment: traffic over a veth pair, captured at one end by tcpdump and by capfix in each framing at once."""

import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from capfix.lab import NetworkNamespace
from capfix.wire.link_types import LINK_TYPES, Carries
from tests.end_to_end.differential.frames import Ends, frames
from tests.support.tools import need

FAR_MAC, NEAR_MAC = "02:00:00:00:00:0a", "02:00:00:00:00:0b"
INBOUND = Ends(FAR_MAC, NEAR_MAC, "10.9.0.1", "10.9.0.2", "fd09::1", "fd09::2")
OUTBOUND = Ends(NEAR_MAC, FAR_MAC, "10.9.0.2", "10.9.0.1", "fd09::2", "fd09::1")
FRAMES_EACH_WAY = 1200
FRAMINGS = tuple(name for name, link_type in LINK_TYPES.items() if link_type.carries is not Carries.IP)

UDP_SEGMENT = 103  # linux/udp.h
SEGMENT_SIZE, SEGMENTS = 1400, 14
STREAM_BYTES = 2_000_000

MARKER_ETHERTYPE = bytes.fromhex("88b5")  # IEEE 802, local experiments
PATIENCE_SECONDS = 20


@dataclass(frozen=True)
class Captures:
    """Files with the same traffic: tcpdump's, one a direction, and capfix's, one a framing."""

    inbound: Path
    outbound: Path
    capfix: dict[str, Path]


@pytest.fixture(scope="session")
def captures(tmp_path_factory: pytest.TempPathFactory) -> Captures:
    """Send the traffic once; every test reads the same files."""
    directory = tmp_path_factory.mktemp("captures")
    files = Captures(
        directory / "in.pcap",
        directory / "out.pcap",
        {framing: directory / f"{framing}.pcapng" for framing in FRAMINGS},
    )
    with NetworkNamespace(ipv6=True) as far, NetworkNamespace(ipv6=True) as near:
        far.add_veth_pair(
            "va", "vb", near, address=FAR_MAC, mtu=9000, peer={"address": NEAR_MAC, "mtu": 9000}
        )
        for namespace, name, ends in ((far, "va", INBOUND), (near, "vb", OUTBOUND)):
            namespace.add_address(name, ends.source, 24)
            namespace.add_address(name, ends.source6, 64)
        with kernel_timestamps(), capturing(near, files):
            send(far, near)
    return files


@contextmanager
def kernel_timestamps() -> Iterator[None]:
    """Have the kernel stamp each packet once, for all who capture it: so a packet is known by its time.

    It does so while any socket asks for timestamps; otherwise each ring takes its own.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.setsockopt(socket.SOL_SOCKET, 35, 1)  # SO_TIMESTAMPNS
        yield


@contextmanager
def capturing(near: NetworkNamespace, files: Captures) -> Iterator[None]:
    """Run the captures on `vb` for the length of a `with` block, and stop them as a user does."""
    tcpdump = [need("tcpdump"), "-i", "vb", "-Z", "root", "-U", "-B", "32768", "--time-stamp-precision=nano"]
    commands = [[*tcpdump, "-Q", "in", "-w", files.inbound], [*tcpdump, "-Q", "out", "-w", files.outbound]]
    for framing, path in files.capfix.items():
        run = [sys.executable, "-m", "capfix", "run", "-q", "-B", "16", "-i", "vb"]
        commands.append([*run, "--link", framing, "-o", path])

    with ExitStack() as stack:
        with near.entered():
            processes = [stack.enter_context(child(command)) for command in commands]
        wait_for_packet_sockets(near, len(commands))
        yield
        time.sleep(1.5)  # tcpdump gives up what its ring has not retired yet: a second at most
        for process in processes:
            process.send_signal(signal.SIGINT)
        for process in processes:
            _, errors = process.communicate(timeout=PATIENCE_SECONDS)
            assert process.returncode == 0, errors


@contextmanager
def child(command: list[str | Path]) -> Iterator[subprocess.Popen[str]]:
    """A child process that does not outlive the `with` block."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for_packet_sockets(namespace: NetworkNamespace, count: int) -> None:
    """Wait until so many packet sockets are bound to an interface and running."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        rows = namespace.run(Path("/proc/thread-self/net/packet").read_text).splitlines()[1:]
        if sum(row.split()[4] != "0" and row.split()[5] == "1" for row in rows) >= count:
            return
        time.sleep(0.05)
    pytest.fail("the captures did not start")


def send(far: NetworkNamespace, near: NetworkNamespace) -> None:
    """Send the traffic, between two marker frames: what comes before and after is not everybody's."""
    with far.entered():
        inbound = packet_socket("va")
    with near.entered():
        outbound = packet_socket("vb")
    with inbound, outbound:
        inbound.send(bytes(12) + MARKER_ETHERTYPE + b"first")
        time.sleep(0.05)
        for number, pair in enumerate(
            zip(frames(INBOUND, FRAMES_EACH_WAY), frames(OUTBOUND, FRAMES_EACH_WAY), strict=True)
        ):
            inbound.send(pair[0])
            outbound.send(pair[1])
            if number % 50 == 0:
                time.sleep(0.01)
        for sender, receiver, ends in ((far, near, INBOUND), (near, far, OUTBOUND)):
            send_stream(sender, receiver, ends)
            send_segmented_datagram(sender, ends)
        time.sleep(0.1)
        inbound.send(bytes(12) + MARKER_ETHERTYPE + b"last")


def packet_socket(name: str) -> socket.socket:
    sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    sender.bind((name, 0))
    return sender


def send_stream(sender: NetworkNamespace, receiver: NetworkNamespace, ends: Ends) -> None:
    """Send a TCP stream, which leaves the stack in packets of up to 64 KiB."""
    with receiver.entered():
        listener = socket.create_server((ends.destination, 0))
    with sender.entered():
        client = socket.socket()
    with listener, client:
        client.connect(listener.getsockname())
        connection, _ = listener.accept()
        with connection:
            thread = threading.Thread(
                target=client.sendall, args=(bytes(range(250)) * (STREAM_BYTES // 250),)
            )
            thread.start()
            received = 0
            while received < STREAM_BYTES:
                received += len(connection.recv(1 << 20))
            thread.join()


def send_segmented_datagram(sender: NetworkNamespace, ends: Ends) -> None:
    """Send UDP datagrams that the stack passes on as one packet, to be cut by the device."""
    with sender.entered():
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with client:
        client.setsockopt(socket.SOL_UDP, UDP_SEGMENT, SEGMENT_SIZE)
        client.sendto(bytes(SEGMENT_SIZE * SEGMENTS), (ends.destination, 9))
