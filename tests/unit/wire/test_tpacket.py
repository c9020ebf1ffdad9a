"""Ring blocks: their descriptor, and packets that do not lie wholly within."""

from collections.abc import Callable
from importlib import import_module
from types import ModuleType

import pytest

from capfix.errors import TruncatedError
from capfix.wire.tpacket import RingBlock, decode_ring_block
from tests.support.ring_blocks import RingPacket, ring_block
from tests.support.uncompiled import load_uncompiled

DESCRIPTOR = bytes.fromhex(
    "01000000 30000000"  # version, offset to private data
    "01000000 02000000 30000000 80000000"  # status, number of packets, offset to the first, length
    "0700000000000000"  # sequence number
    "00f15365 15cd5b07"  # first time: seconds, nanoseconds
    "01f15365 00000000"  # last time
)
PACKETS = [RingPacket(bytes(100)), RingPacket(b"x" * 61), RingPacket(bytes(8))]


@pytest.fixture(params=["compiled", "uncompiled"])
def load(request: pytest.FixtureRequest) -> Callable[[str], ModuleType]:
    """What loads capfix's modules, both ways."""
    return import_module if request.param == "compiled" else load_uncompiled


def test_descriptor() -> None:
    """The fields stand where the kernel's header has them; the length is never more than there is."""
    assert decode_ring_block(memoryview(DESCRIPTOR + bytes(80))) == RingBlock(
        2, 48, 128, 1_700_000_000_123_456_789
    )
    assert decode_ring_block(memoryview(DESCRIPTOR)).length == 48


@pytest.mark.parametrize("length", range(len(DESCRIPTOR)))
def test_a_descriptor_cut_short(length: int) -> None:
    """Every length short of a descriptor is told as such."""
    with pytest.raises(TruncatedError) as caught:
        decode_ring_block(memoryview(DESCRIPTOR[:length]))
    assert (caught.value.found, caught.value.expected) == (length, 48)


def test_packets_that_do_not_lie_within_are_not_read(load: Callable[[str], ModuleType]) -> None:
    """Wherever a ring block is cut, the packets before the cut come out, and the torn one is counted."""
    framer = load("capfix.framing").Framer(113)
    block = ring_block(PACKETS)
    ends = [len(ring_block(PACKETS[:n])) for n in range(1, 4)]
    for length in range(48, len(block) + 1):
        packets = load("capfix.transcode.packet").PacketWriter(framer)
        transcoder = load("capfix.transcode.ring").RingTranscoder(packets)
        transcoder.add_interface(2, 0, None)
        # Behind the last byte of a packet come up to 7 of padding, which may be missing
        whole = sum(
            length >= end - (-len(packet.payload) % 8) for end, packet in zip(ends, PACKETS, strict=True)
        )
        cut = memoryview(bytearray(block[:length]))
        transcoder.start(cut)
        transcoder.convert(cut, bytearray(4096), 0)
        assert transcoder.written == whole
        assert transcoder.malformed_blocks == (whole < 3)
