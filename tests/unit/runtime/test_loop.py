"""The capture's event loop, with real pipes, signals and threads."""

import math
import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from capfix.runtime.loop import Loop


@pytest.fixture
def exceptions() -> list[Exception]:
    """What the loop under test was told of."""
    return []


@pytest.fixture
def loop(exceptions: list[Exception]) -> Iterator[Loop]:
    """A loop that a timer ends if nothing else does."""
    loop = Loop()
    loop.on_exception = exceptions.append
    loop.call_later(10, loop.stop)
    yield loop
    loop.close()


def run_for(loop: Loop, seconds: float) -> None:
    """Run the loop for a while."""
    loop.call_later(seconds, loop.stop)
    loop.run()


def test_a_reader_is_called_as_long_as_there_is_something_to_read(loop: Loop) -> None:
    """What a callback leaves unread has it called again."""
    read, write = os.pipe()
    os.write(write, b"abc")
    seen = []

    def take_one() -> None:
        seen.append(os.read(read, 1))
        if len(seen) == 3:
            loop.stop()

    loop.add_reader(read, take_one)
    loop.run()
    assert seen == [b"a", b"b", b"c"]


def test_a_reader_hears_of_the_end(loop: Loop) -> None:
    """A descriptor that only reports that nobody writes any more wakes the loop too."""
    read, write = os.pipe()
    os.close(write)
    loop.add_reader(read, loop.stop)
    started = time.monotonic()
    loop.run()
    assert time.monotonic() - started < 5


def test_a_reader_removed_by_another_is_not_called(loop: Loop) -> None:
    """Also where both were readable at the same time."""
    pipes = [os.pipe() for _ in range(2)]
    called = []

    def take(which: int) -> None:
        called.append(which)
        for read, _ in pipes:
            loop.remove_reader(read)

    for which, (read, write) in enumerate(pipes):
        os.write(write, b"x")
        loop.add_reader(read, lambda which=which: take(which))
    run_for(loop, 0.05)
    assert len(called) == 1


def test_a_reader_given_again_takes_the_place_of_the_first(loop: Loop) -> None:
    """One descriptor has one callback, the newest."""
    read, write = os.pipe()
    os.write(write, b"x")
    loop.add_reader(read, lambda: pytest.fail("the first was called"))
    loop.add_reader(read, loop.stop)
    loop.run()


def test_timers_come_in_the_order_of_their_times(loop: Loop) -> None:
    """And none comes early."""
    order = []
    started = time.monotonic()
    for delay, name in ((0.06, "late"), (0.03, "first"), (0.03, "second")):
        loop.call_later(
            delay, lambda name=name, delay=delay: order.append((name, time.monotonic() - started >= delay))
        )
    run_for(loop, 0.1)
    assert order == [("first", True), ("second", True), ("late", True)]


def test_timers_of_equal_times_come_in_the_order_in_which_they_were_asked_for(loop: Loop) -> None:
    """As none else would: what is called cannot be compared."""
    order: list[int] = []
    for number in range(5):
        loop.call_later(-math.inf, order.append, number)
    run_for(loop, 0.01)
    assert order == [0, 1, 2, 3, 4]


def test_what_is_due_soon_lets_readers_and_timers_in_between(loop: Loop) -> None:
    """A callback that asks for itself again and again starves nobody."""
    rounds = 0

    def again() -> None:
        nonlocal rounds
        rounds += 1
        loop.call_soon(again)

    loop.call_soon(again)
    run_for(loop, 0.05)
    assert rounds > 10


def test_another_thread_wakes_the_loop(loop: Loop) -> None:
    """Calls from another thread come in their order, while the loop waits for nothing else."""
    seen: list[int] = []

    def call() -> None:
        time.sleep(0.05)
        for number in range(1000):
            loop.call_soon_threadsafe(seen.append, number)
        loop.call_soon_threadsafe(loop.stop)

    thread = threading.Thread(target=call)
    thread.start()
    started = time.monotonic()
    loop.run()
    thread.join()
    assert seen == list(range(1000))
    assert time.monotonic() - started < 5


def test_a_closed_loop_takes_calls_and_does_nothing(exceptions: list[Exception]) -> None:
    """A thread that is late may still call; the descriptors that the loop had may be somebody else's by then."""
    loop = Loop()
    loop.on_exception = exceptions.append
    loop.close()
    read, write = os.pipe2(os.O_NONBLOCK)  # the numbers that the loop had
    loop.call_soon_threadsafe(lambda: pytest.fail("called"))
    with pytest.raises(BlockingIOError):
        os.read(read, 1)
    os.close(read)
    os.close(write)


def test_a_signal_calls_back_in_the_loop(loop: Loop) -> None:
    """Each of two different signals, and not from within another callback."""
    seen = []
    busy = False

    def note(name: str) -> None:
        assert not busy
        seen.append(name)

    def send_both() -> None:
        nonlocal busy
        busy = True
        signal.raise_signal(signal.SIGUSR1)
        signal.raise_signal(signal.SIGHUP)
        busy = False

    loop.add_signal_handler(signal.SIGUSR1, lambda: note("usr1"))
    loop.add_signal_handler(signal.SIGHUP, lambda: note("hup"))
    loop.call_soon(send_both)
    run_for(loop, 0.05)
    assert seen == ["usr1", "hup"]


def test_signals_are_as_they_were_by_default_afterwards(exceptions: list[Exception]) -> None:
    """Behind the loop SIGINT raises KeyboardInterrupt again, and nothing writes to a closed descriptor."""
    loop = Loop()
    loop.on_exception = exceptions.append
    loop.add_signal_handler(signal.SIGINT, lambda: None)
    loop.add_signal_handler(signal.SIGUSR1, lambda: None)
    loop.close()
    assert signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL
    assert signal.set_wakeup_fd(-1) == -1
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_a_mistake_in_a_callback_is_told_and_the_loop_goes_on(
    loop: Loop, exceptions: list[Exception]
) -> None:
    """Whoever made the loop decides what becomes of it."""
    mistake = ValueError("a mistake")

    def err() -> None:
        raise mistake

    loop.call_soon(err)
    run_for(loop, 0.05)
    assert exceptions == [mistake]


def test_nothing_is_called_after_the_end(loop: Loop) -> None:
    """What was due together with the callback that ends the loop is not called any more."""
    loop.call_soon(loop.stop)
    loop.call_soon(lambda: pytest.fail("called"))
    loop.run()
