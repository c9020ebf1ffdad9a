"""Every packet is accounted for: what was sent is what is in the file and what the kernel dropped, to the packet."""

import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from capfix.lab import NetworkNamespace
from capfix.wire.link_types import LINK_TYPES, Carries
from tests.support.capturing import capture, packets, statistics

pytestmark = pytest.mark.root

FRAME = bytes.fromhex("020000000002 020000000001 9000").ljust(1442, b"x")
SMALLEST_RING = 1  # MiB
MORE_THAN_FITS = 5000  # frames: 7 MB
# What is sent is not all IP
LINKS = tuple(name for name, link_type in LINK_TYPES.items() if link_type.carries is not Carries.IP)


@pytest.fixture
def sender(namespace: NetworkNamespace) -> Iterator[socket.socket]:
    """A packet socket on one end of a cable; the other end, `far`, is in `namespace`, and nobody else sends there."""
    with NetworkNamespace() as near:
        near.add_veth_pair("near", "far", namespace)
        with near.entered():
            sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
            sender.bind(("near", 0))
        with sender:
            yield sender


def sent_packets(namespace: NetworkNamespace) -> int:
    """Return tx_packets of the sending end, which is what arrives at the other: rx_packets there."""
    with namespace.entered():
        lines = Path("/proc/thread-self/net/dev").read_text().splitlines()
    return int(next(line for line in lines if "far:" in line).split()[2])


def send(sender: socket.socket, count: int) -> None:
    """Send frames as fast as Python can."""
    for _ in range(count):
        sender.send(FRAME)


def drops_told(file: Path) -> int:
    """Return how many drops the packets of a file tell of, those before them."""
    return sum(packet.options.get("epb_dropcount", 0) for packet in packets(file))


@pytest.mark.parametrize(("interface", "link"), [("far", link) for link in LINKS] + [("any", "sll")])
def test_drops_of_a_full_ring_are_counted_to_the_packet(
    namespace: NetworkNamespace, sender: socket.socket, tmp_path: Path, interface: str, link: str
) -> None:
    """While nobody takes packets out the ring overflows; sent = written + dropped, on stderr and in the file.

    On `any` the counts are the socket's, with the pseudo-interface. The drops stand on the packets after the gap;
    those without a packet after them are in the statistics alone.
    """
    file = tmp_path / "out.pcapng"
    with capture(namespace, "-i", interface, "-o", file, "-B", SMALLEST_RING, "--link", link) as running:
        for _ in range(2):
            os.kill(running.process.pid, signal.SIGSTOP)
            send(sender, MORE_THAN_FITS)
            os.kill(running.process.pid, signal.SIGCONT)
            time.sleep(0.5)  # more than a retire time, so that the ring is empty when it goes on
        send(sender, 1)
        time.sleep(0.5)
        assert running.stop() == 0
    sent = sent_packets(namespace)
    written = len(packets(file))
    block = statistics(file)[interface]
    dropped = block.options["isb_osdrop"]
    assert sent == 2 * MORE_THAN_FITS + 1
    assert dropped > 0
    assert written + dropped == sent
    assert block.options["isb_ifrecv"] == sent
    assert drops_told(file) == dropped
    assert f"{written} packets captured" in running.stderr
    assert f"{dropped} dropped by the kernel" in running.stderr


def test_without_drops_all_that_was_sent_is_written(
    namespace: NetworkNamespace, sender: socket.socket, tmp_path: Path
) -> None:
    """What the ring could hold is in the file, all of it, and no drop is told anywhere."""
    file = tmp_path / "out.pcapng"
    with capture(namespace, "-i", "far", "-o", file, "-B", 16) as running:
        send(sender, MORE_THAN_FITS)
        assert running.stop() == 0
    block = statistics(file)["far"]
    assert sent_packets(namespace) == len(packets(file)) == MORE_THAN_FITS
    assert block.options["isb_osdrop"] == drops_told(file) == 0
    assert "0 dropped by the kernel" in running.stderr


def test_drops_after_the_last_packet_are_in_the_statistics(
    namespace: NetworkNamespace, sender: socket.socket, tmp_path: Path
) -> None:
    """Drops that no packet follows are the statistics block's count less what the packets tell."""
    file = tmp_path / "out.pcapng"
    with capture(namespace, "-i", "far", "-o", file, "-B", SMALLEST_RING) as running:
        os.kill(running.process.pid, signal.SIGSTOP)
        send(sender, MORE_THAN_FITS)
        os.kill(running.process.pid, signal.SIGCONT)
        time.sleep(0.5)
        assert running.stop() == 0
    assert drops_told(file) == 0
    assert statistics(file)["far"].options["isb_osdrop"] == MORE_THAN_FITS - len(packets(file)) > 0
