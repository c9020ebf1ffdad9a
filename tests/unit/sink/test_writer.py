"""The writer's thread, with targets that misbehave."""

import threading
import time
from collections.abc import Callable

import pytest

from capfix.errors import SinkError
from capfix.rotation.closed_file import Reason
from capfix.sink.buffers import Buffer
from capfix.sink.writer import PAGE, Writer
from tests.unit.wire.test_section_walk import packet

BLOCK = packet(0, 1)
TIMEOUT = 5


class Target:
    """Keeps what is written, once it is let, and fails with what `failures` holds."""

    buffer_size = 1 << 16
    buffer_count = 2
    keeps_tail = True
    lost_packets = 0

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.failures: list[Exception] = []
        self.go_on = threading.Event()
        self.go_on.set()
        self.is_closed = False
        self.tended = 0

    def write(self, buffer: Buffer) -> None:
        assert self.go_on.wait(TIMEOUT)
        if self.failures:
            raise self.failures.pop(0)
        self.written.append(bytes(buffer.view[: buffer.used]))

    def maintain(self) -> None:
        self.tended += 1

    def close(self) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.is_closed = True


@pytest.fixture
def target() -> Target:
    """A target that takes everything."""
    return Target()


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for what the thread does."""
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def submit(writer: Writer, blocks: bytes = BLOCK, begins_file: bool = False) -> None:
    """Have blocks written."""
    wait_until(lambda: writer.buffer() is not None)
    buffer = writer.buffer()
    assert buffer is not None
    if begins_file:
        buffer.opened_ns = 1
    buffer.append(blocks)
    writer.submit()


def finish(writer: Writer) -> None:
    """Close, and wait for the thread's end."""
    writer.close()
    wait_until(lambda: writer.is_finished)


def test_bytes_behind_the_last_whole_page_come_again(target: Target) -> None:
    """So a target that can only write whole pages can begin each buffer at one."""
    writer = Writer(target, lambda: None)
    blocks = BLOCK * (PAGE // len(BLOCK) + 1)
    submit(writer, blocks)
    submit(writer)
    finish(writer)
    tail = blocks[len(blocks) // PAGE * PAGE :]
    assert target.written == [blocks, tail + BLOCK]
    assert target.is_closed


def test_nothing_is_carried_into_another_file(target: Target) -> None:
    """A file begins with its own first byte."""
    writer = Writer(target, lambda: None)
    submit(writer, begins_file=True)
    wait_until(lambda: writer.buffer() is not None)
    writer.end_file(Reason.SIZE)
    submit(writer, begins_file=True)
    finish(writer)
    assert target.written == [
        BLOCK,
        BLOCK,
        BLOCK,
    ]  # the second: the end of the first file, with its tail again
    assert writer.files_begun == 2


def test_no_buffer_while_all_are_being_written(target: Target) -> None:
    """The caller is told so, and woken when there is one again."""
    woken = threading.Event()
    target.go_on.clear()
    writer = Writer(target, woken.set)
    for _ in range(target.buffer_count):
        submit(writer)
    assert writer.buffer() is None
    assert not woken.is_set()
    target.go_on.set()
    assert woken.wait(TIMEOUT)
    wait_until(lambda: writer.buffer() is not None)
    finish(writer)
    assert len(target.written) == target.buffer_count


def test_flushing_costs_no_buffer_while_another_is_being_written(target: Target) -> None:
    """What comes meanwhile gathers in one buffer, however often it is flushed; the caller is woken to do it again."""
    woken = threading.Event()
    target.go_on.clear()
    writer = Writer(target, woken.set)
    for _ in range(10 * target.buffer_count):
        buffer = writer.buffer()
        assert buffer is not None
        buffer.append(BLOCK)
        writer.flush()
    assert not woken.is_set()
    target.go_on.set()
    assert woken.wait(TIMEOUT)
    assert writer.is_flush_due
    writer.flush()
    wait_until(lambda: len(target.written) == 2)
    assert not writer.is_flush_due
    finish(writer)
    assert [len(each) // len(BLOCK) for each in target.written] == [1, 10 * target.buffer_count]


def test_after_a_failure_all_is_lost_and_counted(target: Target) -> None:
    """Nothing is written behind a failed write; a file begun later goes well again."""
    target.failures.append(SinkError("no room", written=len(BLOCK)))
    writer = Writer(target, lambda: None)
    submit(writer, BLOCK * 3)  # one arrived
    wait_until(lambda: writer.error is not None)
    submit(writer)
    wait_until(lambda: writer.lost_packets == 3)
    submit(writer, begins_file=True)
    wait_until(lambda: writer.error is None)
    finish(writer)
    assert len(target.written) == 1
    assert writer.lost_packets == 3


def test_what_hangs_can_be_given_up(target: Target) -> None:
    """What was submitted and is not written counts as lost, while the thread hangs in it."""
    target.go_on.clear()
    writer = Writer(target, lambda: None)
    submit(writer, BLOCK * 5)
    writer.abandon()
    assert writer.lost_packets == 5
    target.go_on.set()
    finish(writer)


def test_a_failure_of_closing_is_told(target: Target) -> None:
    """A disk may say only at the end that something did not arrive."""
    writer = Writer(target, lambda: None)
    submit(writer)
    wait_until(lambda: target.written != [])
    target.failures.append(SinkError("it did not arrive"))
    finish(writer)
    assert str(writer.error) == "it did not arrive"


def test_what_nobody_expected_is_told_too(target: Target) -> None:
    """A mistake ends the thread, and whoever waits for it learns of it."""
    woken = threading.Event()
    target.failures.append(ZeroDivisionError())
    writer = Writer(target, woken.set)
    submit(writer)
    assert woken.wait(TIMEOUT)
    assert writer.is_finished
    assert isinstance(writer.exception, ZeroDivisionError)


def test_the_target_is_looked_after(target: Target) -> None:
    """What is due now and then is done in the thread, in its turn."""
    writer = Writer(target, lambda: None)
    writer.maintain()
    finish(writer)
    assert target.tended == 1
