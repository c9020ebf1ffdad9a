"""The table of interfaces, compiled and uncompiled: what a conversion finds in it."""

from typing import Any

import pytest

from capfix.transcode import ring
from tests.support.ring_blocks import RingPacket, ring_block
from tests.support.uncompiled import load_uncompiled

BUILDS = {
    "compiled": (
        ring,
        __import__("capfix.transcode.packet", fromlist=["x"]),
        __import__("capfix.framing", fromlist=["x"]),
    ),
    "uncompiled": tuple(
        load_uncompiled(name)
        for name in ("capfix.transcode.ring", "capfix.transcode.packet", "capfix.framing")
    ),
}


@pytest.fixture(params=BUILDS)
def transcoder(request: pytest.FixtureRequest) -> Any:
    """A transcoder that knows no interface."""
    reader, writing, framers = BUILDS[request.param]
    return reader.RingTranscoder(writing.PacketWriter(framers.Framer(113)))


def convert(transcoder: Any, *ifindexes: int) -> int:
    """Convert a packet of each interface, and return how many were written."""
    block = memoryview(ring_block([RingPacket(payload=b"E" * 20, ifindex=ifindex) for ifindex in ifindexes]))
    before = transcoder.written
    transcoder.start(block)
    transcoder.convert(block, memoryview(bytearray(1 << 16)), 0)
    return int(transcoder.written - before)


def test_many_interfaces_are_each_found(transcoder: Any) -> None:
    """However their numbers fall into slots."""
    for number in range(300):
        transcoder.add_interface(number * 64 + 1, number, None)
    assert convert(transcoder, *(number * 64 + 1 for number in range(300))) == 300
    assert [transcoder.delivered(number * 64 + 1) for number in range(300)] == [1] * 300


def test_one_that_is_to_be_asked_for_again_stops_the_conversion(transcoder: Any) -> None:
    """Until it is added again; what was written of it stays counted."""
    transcoder.add_interface(7, 0, None)
    assert convert(transcoder, 7, 7) == 2
    transcoder.ask_again(7)
    assert convert(transcoder, 7) == 0
    assert transcoder.unknown_ifindex == 7
    transcoder.add_interface(7, 0, None)
    assert convert(transcoder, 7) == 1
    assert transcoder.delivered(7) == 3


def test_what_is_released_is_unknown_and_its_place_is_used_again(transcoder: Any) -> None:
    """Interfaces that come and go for months take no more room than those that are there."""
    transcoder.add_interface(1, 0, None)
    for ifindex in range(2, 2000):
        transcoder.add_interface(ifindex, 1, None)
        assert convert(transcoder, ifindex, 1) == 2
        assert transcoder.release_interface(ifindex) == 1
        assert convert(transcoder, ifindex) == 0
    assert transcoder.release_interface(5000) == 0
    assert transcoder.delivered(1) == 1998
