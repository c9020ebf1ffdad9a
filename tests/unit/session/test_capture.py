"""What begins a capture and what ends it, whatever disk and reader do: with a fake source and a fake target."""

import errno
import os
import signal
import time

import pytest

from capfix.session import capture as capture_module
from tests.unit.session.parts import Assembly, numbers, rotation


def interrupt(number: int = signal.SIGTERM) -> None:
    os.kill(os.getpid(), number)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits that are longer than a test should be are a tenth as long."""
    for name in ("STALLED_READER_S", "STALLED_DISK_S", "DRAIN_LIMIT_S"):
        monkeypatch.setattr(capture_module, name, getattr(capture_module, name) / 10)


def test_the_last_packet_asked_for_ends_it() -> None:
    """No further one is written, and what is told at the end adds up."""
    assembly = Assembly(stop_packets=3)
    assembly.at(0.01, *((1, number) for number in range(5)))
    assert assembly.run() == 0
    assert numbers(assembly.target.files[0]) == [0, 1, 2]
    assert "3 packets captured to out.pcapng" in assembly.stderr.getvalue()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_lets_nothing_more_in_and_writes_what_is_there(number: int) -> None:
    """What arrives after it is not captured."""
    assembly = Assembly()
    assembly.at(0.02, (1, 1), (1, 2))
    assembly.loop.call_later(0.05, interrupt, number)
    assembly.at(0.07, (1, 3))
    assert assembly.run() == 0
    assert numbers(assembly.target.files[0]) == [1, 2]


def test_its_time_is_over() -> None:
    """-a duration ends it as a signal does."""
    assembly = Assembly(stop_after_s=0.1)
    assembly.at(0.02, (1, 7))
    assert assembly.run() == 0
    assert numbers(assembly.target.files[0]) == [7]


def test_a_full_disk_and_many_interfaces_do_not_keep_it_from_ending() -> None:
    """In 0.1 that was an endless loop, deaf to SIGTERM; now packets are counted, and the loop hears the signal."""
    assembly = Assembly(rotation=rotation(size_bytes=1 << 20))
    assembly.at(0.02, (1, 1))
    assembly.loop.call_later(0.7, setattr, assembly.target, "errno", errno.ENOSPC)
    assembly.at(0.8, *((ifindex, ifindex) for ifindex in range(2, 2000)))
    assembly.at(1.6, *((ifindex, ifindex) for ifindex in range(2000, 4000)))
    assembly.loop.call_later(1.8, interrupt)
    begun, cpu = time.monotonic(), time.process_time()
    assert assembly.run() == 1
    assert time.monotonic() - begun < 4
    assert time.process_time() - cpu < 1
    assert numbers(assembly.target.files[0]) == [1]
    assert "3998 packets captured but lost to the output" in assembly.stderr.getvalue()


def test_it_writes_again_when_there_is_room_and_says_what_was_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a file of its own, whose first packet has the comment."""
    monkeypatch.setattr("capfix.session.output.output.REOPEN_INTERVAL_S", 0.05)
    assembly = Assembly(rotation=rotation(packets=2))
    assembly.at(0.02, (1, 1), (1, 2), (1, 3))
    assembly.loop.call_later(0.06, setattr, assembly.target, "errno", errno.ENOSPC)
    assembly.at(0.08, (1, 4), (1, 5), (1, 6))
    assembly.loop.call_later(0.7, setattr, assembly.target, "errno", None)
    assembly.at(1.0, (1, 7))
    assembly.loop.call_later(1.2, interrupt)
    assert assembly.run() == 1
    written = [numbers(file) for file in assembly.target.files]
    assert written[0] == [1, 2]
    assert written[-1] == [7]
    assert b"could not be written: the disk was full or failed" in assembly.target.files[-1]
    lost = 7 - sum(map(len, written))
    assert f"{lost} packets captured but lost to the output" in assembly.stderr.getvalue()


@pytest.mark.usefixtures("impatient")
def test_a_stalled_disk_is_given_up_at_the_second_signal() -> None:
    """The first one waits for it; what was not written is counted, and the status says so."""
    assembly = Assembly()
    assembly.target.goes_on.clear()
    assembly.at(0.02, (1, 1))
    for seconds in (0.1, 0.2):
        assembly.loop.call_later(seconds, interrupt)
    begun = time.monotonic()
    assert assembly.run() == 1
    assembly.target.goes_on.set()
    assert time.monotonic() - begun < 2
    assert "gave up what was not written yet" in assembly.stderr.getvalue()
    assert "1 packet captured but lost to the output" in assembly.stderr.getvalue()


@pytest.mark.usefixtures("impatient")
def test_a_stalled_reader_is_given_up_at_the_first() -> None:
    """A reader may have stalled for good."""
    assembly = Assembly(streaming=True)
    assembly.target.goes_on.clear()
    assembly.at(0.02, (1, 1))
    assembly.loop.call_later(0.1, interrupt)
    assert assembly.run() == 1
    assembly.target.goes_on.set()
    assert "nobody reads out.pcapng fast enough" in assembly.stderr.getvalue()


@pytest.mark.usefixtures("impatient")
def test_what_a_slow_output_leaves_in_the_ring_is_counted() -> None:
    """Draining takes no longer than it may, and what is left is a loss that is told."""
    assembly = Assembly(streaming=True)
    assembly.target.goes_on.clear()
    assembly.at(0.01, *((1, number) for number in range(5000)))
    assembly.loop.call_later(0.1, interrupt)
    assert assembly.run() == 1
    assembly.target.goes_on.set()
    left = len(assembly.source.packets)
    said = assembly.stderr.getvalue()
    assert left == 0
    undrained = 5000 - assembly.source.written
    assert undrained > 0
    assert f"{undrained} packets left in the ring" in said


def test_a_mistake_of_our_own_ends_it_with_a_whole_file() -> None:
    """It is raised when the file is finished, not before."""
    assembly = Assembly()

    def fail() -> None:
        raise ZeroDivisionError

    assembly.at(0.02, (1, 1))
    assembly.loop.call_later(0.1, fail)
    with pytest.raises(ZeroDivisionError):
        assembly.run()
    assert numbers(assembly.target.files[0]) == [1]


def test_an_output_that_fails_ends_a_capture_of_one_file() -> None:
    """With the reason, and status 1."""
    assembly = Assembly()
    assembly.at(0.02, (1, 1))
    assembly.target.errno = errno.EIO
    assert assembly.run() == 1
    assert "cannot write here: input/output error" in assembly.stderr.getvalue()
