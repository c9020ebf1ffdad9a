"""The event loop of a capture: descriptors, timers, signals, and calls from other threads.

It has the part of asyncio's interface that a capture needs, under the same names. asyncio itself takes 20 ms of CPU to
import, a tenth of what a capture of two million packets costs in all; it is left to those who follow interfaces.
"""

import contextlib
import heapq
import itertools
import os
import select
import signal
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final

_WAKE: Final = b"\0"  # not the number of a signal
_READ_AT_ONCE: Final = 4096

# When on the monotonic clock, a number that keeps equal times in order, and what is called
_Timer = tuple[float, int, Callable[[], None]]


class Loop:
    """Calls callbacks, one after the other, in the thread that calls `run`, which must be the main one.

    Only `call_soon_threadsafe` may be called from other threads. An exception from a callback does not end the loop:
    `on_exception`, the caller's to set, is given it.
    """

    def __init__(self) -> None:
        self.on_exception: Callable[[Exception], None] = _raise
        self._readers: dict[int, Callable[[], None]] = {}
        self._signals: dict[int, Callable[[], None]] = {}
        self._timers: list[_Timer] = []  # a heap
        self._timer_numbers = itertools.count()
        self._soon: deque[Callable[[], None]] = deque()
        self._is_stopped = False
        self._is_open = True
        self._closing = threading.Lock()  # no thread writes into a pipe that was closed
        self._epoll = select.epoll()
        self._wake_in, self._wake_out = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.add_reader(self._wake_in, self._on_wake)

    def add_reader(self, fd: int, callback: Callable[[], None]) -> None:
        """Call back as long as there is something to read from `fd`, or an error on it."""
        if fd not in self._readers:
            self._epoll.register(fd, select.EPOLLIN)
        self._readers[fd] = callback

    def remove_reader(self, fd: int) -> None:
        """Take no notice of `fd` any more; it must still be open."""
        if self._readers.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def call_later(self, delay_s: float, callback: Callable[..., None], *arguments: Any) -> None:
        """Call back once, in `delay_s` seconds at the earliest; nothing can change that."""
        due = time.monotonic() + delay_s
        timer: _Timer = (due, next(self._timer_numbers), partial(callback, *arguments))
        heapq.heappush(self._timers, timer)

    def call_soon(self, callback: Callable[..., None], *arguments: Any) -> None:
        """Call back once, after a look at descriptors and signals."""
        self._soon.append(partial(callback, *arguments))

    def call_soon_threadsafe(self, callback: Callable[..., None], *arguments: Any) -> None:
        """Call back once, soon, and wake the loop for it. Without effect when the loop is closed."""
        self._soon.append(partial(callback, *arguments))
        with self._closing, contextlib.suppress(BlockingIOError):  # a full pipe wakes the loop as well
            if self._is_open:
                os.write(self._wake_out, _WAKE)

    def add_signal_handler(self, number: int, callback: Callable[[], None]) -> None:
        """Call back when the signal `number` has come."""
        signal.set_wakeup_fd(self._wake_out, warn_on_full_buffer=False)
        self._signals[number] = callback
        signal.signal(number, lambda *_: None)  # the signal wakes the loop by its number
        signal.siginterrupt(number, False)

    def run(self) -> None:
        """Call back until `stop` was called."""
        while not self._is_stopped:
            self._run_once()

    def stop(self) -> None:
        """End `run`, after the callback that says so."""
        self._is_stopped = True

    def close(self) -> None:
        """Give up descriptors and signals, which are handled as they are by default again."""
        if self._signals:
            signal.set_wakeup_fd(-1)
        for number in self._signals:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        with self._closing:
            self._is_open = False
            os.close(self._wake_in)
            os.close(self._wake_out)
        self._epoll.close()

    def _run_once(self) -> None:
        for fd, _ in self._epoll.poll(self._longest_wait_s()):
            callback = self._readers.get(fd)  # it may have been removed by the one before
            if callback is not None:
                self._call(callback)
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            self._call(heapq.heappop(self._timers)[2])
        for _ in range(len(self._soon)):  # those that these add are for the next time
            self._call(self._soon.popleft())

    def _longest_wait_s(self) -> float | None:
        if self._soon:
            return 0
        if self._timers:
            return max(self._timers[0][0] - time.monotonic(), 0)
        return None

    def _call(self, callback: Callable[[], None]) -> None:
        if self._is_stopped:
            return
        try:
            callback()
        except Exception as exc:
            self.on_exception(exc)

    def _on_wake(self) -> None:
        for number in os.read(self._wake_in, _READ_AT_ONCE):
            callback = self._signals.get(number)
            if callback is not None:
                self._call(callback)


def _raise(exception: Exception) -> None:
    raise exception
