"""Following the blocks of one section as far as they are whole."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capfix.wire.pcapng import (
    BLOCK_LIMIT,
    InterfaceDescription,
    InterfaceStatistics,
    encode_block,
    encode_interface_description,
    encode_interface_statistics,
    encode_section_header,
)
from capfix.wire.section_walk import INTERFACE_LIMIT, SectionWalk
from tests.support.uncompiled import load_uncompiled

HEADER = encode_section_header("capfix", "Linux", "x86_64")
INTERFACE = encode_interface_description(InterfaceDescription("veth0", 1))
STATISTICS = encode_interface_statistics(InterfaceStatistics(0, 5, delivered=3))


def packet(interface_id: int = 0, timestamp_ns: int = 7, data: bytes = b"payload.") -> bytes:
    time = (timestamp_ns >> 32, timestamp_ns & 0xFFFFFFFF)
    return encode_block(6, struct.pack("<IIIII", interface_id, *time, len(data), len(data)) + data)


def walked(data: bytes) -> tuple[SectionWalk, int]:
    walk = SectionWalk()
    return walk, walk.walk(bytearray(data), 0, len(data))


def test_a_whole_section() -> None:
    """Everything is followed to the end, and packets are counted by interface."""
    section = HEADER + INTERFACE + packet() + INTERFACE + packet(1, 1 << 40) + packet(1, 9) + STATISTICS
    walk, end = walked(section)
    assert (end, walk.broken, walk.interfaces, walk.last_timestamp_ns) == (len(section), False, 2, 9)
    assert [walk.packets(interface_id) for interface_id in range(3)] == [1, 2, 0]


def test_bytes_that_end_early_are_not_broken() -> None:
    """For every cut the walk ends at the last whole block, and what is missing may still come."""
    section = HEADER + INTERFACE + packet() + STATISTICS
    boundaries = [0, len(HEADER), len(HEADER + INTERFACE), len(section) - len(STATISTICS), len(section)]
    for cut in range(len(section) + 1):
        walk, end = walked(section[:cut])
        assert end == max(boundary for boundary in boundaries if boundary <= cut)
        assert not walk.broken


@given(st.lists(st.integers(1, 60)))
def test_pieces_give_what_the_whole_gives(lengths: list[int]) -> None:
    """Fed in pieces the walk sees the same as all at once."""
    section = HEADER + INTERFACE + b"".join(packet(data=bytes(4 * n)) for n in range(6)) + STATISTICS
    walk, done, seen = SectionWalk(), 0, 0
    for length in [*lengths, len(section)]:
        seen = min(len(section), seen + length)
        piece = bytearray(section[done:seen])
        done += walk.walk(piece, 0, len(piece))
    assert (done, walk.packets(0), walk.broken) == (len(section), 6, False)


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(bytes(64), id="zeros"),
        pytest.param(HEADER, id="second section"),
        pytest.param(packet(1), id="packet of no interface"),
        pytest.param(encode_interface_statistics(InterfaceStatistics(1, 5)), id="statistics of no interface"),
        pytest.param(encode_block(77, bytes(20)), id="unknown type"),
        pytest.param(packet()[:-4] + bytes(4), id="repeated length"),
        pytest.param(struct.pack("<II", 6, 61) + bytes(60), id="length no multiple of 4"),
        pytest.param(struct.pack("<III", 6, 8, 8) + bytes(60), id="length below the least"),
        pytest.param(struct.pack("<II", 6, BLOCK_LIMIT + 4) + bytes(60), id="length over the limit"),
        pytest.param(encode_block(6, struct.pack("<IIIII", 0, 0, 0, 9, 9) + bytes(8)), id="captured length"),
        pytest.param(encode_block(6, bytes(16)), id="packet block too short"),
        pytest.param(encode_block(1, bytes(4)), id="interface block too short"),
        pytest.param(encode_block(5, bytes(8)), id="statistics block too short"),
    ],
)
def test_what_is_no_block_of_ours_ends_the_walk(wrong: bytes) -> None:
    """At the first thing capfix would not have written the walk is broken, whatever follows."""
    sound = HEADER + INTERFACE + packet()
    walk, end = walked(sound + wrong + packet())
    assert (end, walk.broken) == (len(sound), True)
    assert walk.walk(bytearray(packet()), 0, len(packet())) == 0, "broken for good"


@pytest.mark.parametrize(
    "start", [INTERFACE, packet(), bytes(64), b"", HEADER.replace(b"\x4d\x3c\x2b\x1a", b"\x1a\x2b\x3c\x4d")]
)
def test_without_a_section_header_nothing_is_whole(start: bytes) -> None:
    """A section begins with its header, in little-endian order."""
    walk, end = walked(start + INTERFACE)
    assert (end, walk.has_header, walk.interfaces) == (0, False, 0)


def test_many_interfaces_but_not_without_limit() -> None:
    """More interfaces than fit at first are counted rightly; a file of nothing else cannot take all memory."""
    walk, _ = walked(HEADER + INTERFACE * 100 + b"".join(packet(n) for n in range(100)) + packet(99))
    assert [walk.packets(n) for n in range(100)] == [1] * 99 + [2]
    least = encode_block(1, struct.pack("<HHI", 1, 0, 0))
    walk, _ = walked(HEADER + least * (INTERFACE_LIMIT + 1))
    assert (walk.interfaces, walk.broken) == (INTERFACE_LIMIT, True)


@given(st.data())
def test_flipped_bits_never_raise(data: st.DataObject) -> None:
    """Whatever bits are flipped, the walk ends at a block boundary it saw, without an error."""
    section = bytearray(HEADER + INTERFACE + packet() * 4 + STATISTICS)
    for position in data.draw(st.lists(st.integers(0, 8 * len(section) - 1), max_size=8)):
        section[position // 8] ^= 1 << position % 8
    _, end = walked(section)
    assert 0 <= end <= len(section)


@given(st.data())
def test_compiled_and_uncompiled_agree(data: st.DataObject) -> None:
    """Compiled and uncompiled, the walk ends at the same place with the same counts."""
    section = bytearray(HEADER + INTERFACE + packet() * 2 + INTERFACE + packet(1) + STATISTICS)
    for position in data.draw(st.lists(st.integers(0, 8 * len(section) - 1), max_size=3)):
        section[position // 8] ^= 1 << position % 8
    walks = SectionWalk(), load_uncompiled("capfix.wire.section_walk").SectionWalk()
    ends = [walk.walk(section, 0, len(section)) for walk in walks]
    seen = [
        (w.broken, w.has_header, w.interfaces, w.packets(0), w.packets(1), w.last_timestamp_ns) for w in walks
    ]
    assert (ends[0], seen[0]) == (ends[1], seen[1])
