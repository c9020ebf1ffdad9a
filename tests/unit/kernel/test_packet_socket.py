"""The ring, against the real kernel in a namespace."""

import socket
import struct
import time

import pytest

from capfix.errors import CaptureError
from capfix.kernel.packet_socket import ANY, SMALLEST_RING_BLOCK_SIZE, PacketRing, ring_geometry
from capfix.lab import NetworkNamespace
from capfix.wire.numbers import RING_BLOCK_HEADER_LENGTH
from capfix.wire.tpacket import decode_ring_block

pytestmark = pytest.mark.root

RETIRE_MS = 10


@pytest.fixture
def ring(namespace: NetworkNamespace) -> PacketRing:
    """A ring of two small ring blocks, not bound yet, in a namespace with a loopback interface."""
    with namespace.entered():
        ring = PacketRing(2 * SMALLEST_RING_BLOCK_SIZE, RETIRE_MS)
    yield ring
    ring.close()


def send(namespace: NetworkNamespace, payloads: list[bytes], name: str = "lo") -> None:
    """Send packets on an interface. On the loopback interface each is seen twice, outbound and inbound."""
    with namespace.entered(), socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0) as sender:
        for payload in payloads:
            sender.sendto(
                payload, (name, 0x88B5, 0, 0, bytes(6))
            )  # an EtherType for experiments: nobody answers


def numbers_in(block: memoryview) -> list[int]:
    """Return the 32-bit numbers that `send` put first in the payloads of the inbound packets of a ring block."""
    found = []
    at = decode_ring_block(block).first_packet_at
    for _ in range(decode_ring_block(block).packet_count):
        next_at, net, packet_type = (
            int.from_bytes(block[at : at + 4], "little"),
            int.from_bytes(block[at + 26 : at + 28], "little"),
            block[at + 48 + 10],
        )
        if packet_type != 4:
            found.append(struct.unpack_from("!I", block, at + net)[0])
        at += next_at
    return found


def take(ring: PacketRing) -> list[tuple[int, list[int]]]:
    """Return drops and numbers of each ring block that is ready, in order, and give all of them back."""
    taken = []
    while (block := ring.ready()) is not None:
        taken.append((ring.drops_before(), numbers_in(block)))
        ring.release()
    return taken


def test_nothing_arrives_before_bind(namespace: NetworkNamespace, ring: PacketRing) -> None:
    """A socket for no protocol sees nothing, so a capture begins with its own interface."""
    send(namespace, [bytes(64)])
    time.sleep(3 * RETIRE_MS / 1000)
    assert ring.ready() is None
    ring.refresh_statistics()
    assert ring.received == 0


def test_packets_arrive_in_order(namespace: NetworkNamespace, ring: PacketRing) -> None:
    """Bound to one interface, the ring holds its packets, and `ready` gives None once they are taken."""
    ring.bind(namespace.index("lo"))
    send(namespace, [struct.pack("!I", n) for n in range(5)])
    time.sleep(3 * RETIRE_MS / 1000)
    assert [number for _, numbers in take(ring) for number in numbers] == list(range(5))
    assert ring.ready() is None
    assert (ring.received, ring.dropped) == (10, 0)


def test_bound_to_all(namespace: NetworkNamespace, ring: PacketRing) -> None:
    """ANY stands for every interface."""
    ring.bind(ANY)
    send(namespace, [struct.pack("!I", 7)])
    time.sleep(3 * RETIRE_MS / 1000)
    assert [numbers for _, numbers in take(ring)] == [[7]]


def test_losses_are_told_where_they_happened(namespace: NetworkNamespace, ring: PacketRing) -> None:
    """A count stands with the ring block whose packets came next, and is the gap in their numbers."""
    namespace.add_veth_pair("va", "vb", mtu=9000, peer={"mtu": 9000})
    ring.bind(namespace.index("vb"))
    size = 4096
    too_many = 2 * (2 * SMALLEST_RING_BLOCK_SIZE // size)
    lost = 0
    for start in (0, 1000):  # the second time behind a loss that was told already
        send(namespace, [struct.pack("!I", start + n).ljust(size, b"\0") for n in range(too_many)], "va")
        time.sleep(3 * RETIRE_MS / 1000)
        before = take(ring)
        send(namespace, [struct.pack("!I", start + too_many)], "va")
        time.sleep(3 * RETIRE_MS / 1000)
        after = take(ring)
        kept = [number for _, numbers in before for number in numbers]
        assert kept == list(range(start, start + len(kept)))
        assert [drops for drops, _ in before] == [0] * len(before)
        assert after == [(too_many - len(kept), [start + too_many])]
        lost += too_many - len(kept)
    assert lost > 0
    assert (ring.received, ring.dropped) == (2 * (too_many + 1), lost)


def test_reject_all_stops_the_inflow(namespace: NetworkNamespace, ring: PacketRing) -> None:
    """What came before is still there afterwards, what comes later is not."""
    ring.bind(namespace.index("lo"))
    send(namespace, [struct.pack("!I", 1)])
    ring.reject_all()
    send(namespace, [struct.pack("!I", 2)])
    time.sleep(3 * RETIRE_MS / 1000)
    assert [numbers for _, numbers in take(ring)] == [[1]]


def test_a_vanished_interface_shows(namespace: NetworkNamespace, ring: PacketRing) -> None:
    """is_bound tells down from gone, and the pending error is taken once."""
    namespace.add_veth_pair("va", "vb")
    ring.bind(namespace.index("va"))
    ring.take_error()
    namespace.set_down("va")
    assert ring.take_error() != 0
    assert ring.take_error() == 0
    assert ring.is_bound()
    namespace.delete("va")
    assert not ring.is_bound()


def test_an_interface_that_does_not_exist(ring: PacketRing) -> None:
    """bind says that it is not there."""
    with pytest.raises(CaptureError, match="no such device"):
        ring.bind(4711)


def test_an_impossible_ring(namespace: NetworkNamespace) -> None:
    """The kernel's refusal becomes a sentence with a way out."""
    with namespace.entered(), pytest.raises(CaptureError, match="smaller one with -B"):
        PacketRing(4 << 40, RETIRE_MS)


@pytest.mark.parametrize("retire_ms", [2, 100])
@pytest.mark.parametrize("mib", [1, 2, 3, 16, 64, 1000])
def test_geometry(mib: int, retire_ms: int) -> None:
    """At least two ring blocks, of a size the kernel takes, large enough for every packet, and as much as asked for."""
    size, count = ring_geometry(mib << 20, retire_ms)
    assert count >= 2
    assert size % 4096 == 0
    assert size >= SMALLEST_RING_BLOCK_SIZE > 65536 + RING_BLOCK_HEADER_LENGTH
    assert size * count <= mib << 20
    assert size * count > (mib << 20) - size


def test_ring_blocks_that_retire_soon_are_many() -> None:
    """Where ring blocks are given out nearly empty, a ring of 64 MiB lasts at least half a second of them."""
    retire_ms = 2
    _, count = ring_geometry(64 << 20, retire_ms)
    assert count * retire_ms >= 500
