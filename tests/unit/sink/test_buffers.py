"""A buffer of blocks: what it carries over, and where its blocks end."""

import ctypes

import pytest

from capfix.sink.buffers import Buffer
from tests.unit.wire.test_section_walk import HEADER, INTERFACE, packet

BLOCKS = [HEADER, INTERFACE, packet(0, 10), packet(0, 11, b"of another length"), packet(0, 12)]
SIZE = 1 << 16


@pytest.fixture
def buffer() -> Buffer:
    """A buffer that carries some bytes of the one before, and then blocks."""
    buffer = Buffer(SIZE)
    buffer.restart(b"carried")
    for block in BLOCKS:
        buffer.append(block)
    return buffer


def test_memory_is_as_direct_io_wants_it(buffer: Buffer) -> None:
    """It begins at a page."""
    assert ctypes.addressof(ctypes.c_char.from_buffer(buffer.view)) % 4096 == 0


def test_what_is_carried_over_is_nothing_new(buffer: Buffer) -> None:
    """A buffer with nothing but carried bytes has nothing to write."""
    assert not buffer.is_empty
    buffer.restart(b"carried")
    assert buffer.is_empty
    assert bytes(buffer.view[: buffer.used]) == b"carried"
    assert buffer.room == SIZE - len(b"carried")


def test_blocks_end_where_they_are_whole(buffer: Buffer) -> None:
    """Wherever writing broke off, the file is cut behind the last block that lies wholly before."""
    ends = [len(b"carried")]
    for block in BLOCKS:
        ends.append(ends[-1] + len(block))
    for end in range(len(b"carried"), buffer.used + 1):
        assert buffer.whole_blocks(end) == max(whole for whole in ends if whole <= end)


def test_packets_are_counted_from_a_block_on(buffer: Buffer) -> None:
    """What is lost of a buffer is its packets, not its other blocks."""
    assert buffer.packets_from(buffer.carried) == 3
    assert buffer.packets_from(buffer.used - len(BLOCKS[-1])) == 1
    assert buffer.packets_from(buffer.used) == 0
