"""A source of packets without a socket, and an output without a disk: for tests of what stands between the two.

Packets are real enhanced packet blocks; the source stops for the reasons for which real ones stop.
"""

import contextlib
import os
import struct
import threading
from collections import deque
from collections.abc import Iterable

from capfix.errors import SinkError
from capfix.runtime.events import Event
from capfix.session.counts import Counts
from capfix.session.section import Section
from capfix.session.sources.source import Converted
from capfix.sink.buffers import Buffer
from capfix.transcode.stop import Stop

TIMEOUT = 5


def packet_block(interface_id: int, number: int, options: bytes = b"") -> bytes:
    """Return an enhanced packet block whose data is a number of four bytes."""
    end = struct.pack("<HH", 0, 0) if options else b""
    body = struct.pack("<5I", interface_id, 0, 0, 4, 4) + struct.pack("<I", number) + options + end
    return struct.pack("<II", 6, len(body) + 12) + body + struct.pack("<I", len(body) + 12)


class FakeSource:
    """Has the packets that are put into `packets`: pairs of ifindex and number. Their arrival wakes the loop."""

    waits_for_others = False
    settling_s = 0.0
    names_attached: tuple[str, ...] = ("fake0",)
    names_awaited: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.packets: deque[tuple[int, int]] = deque()
        self.written = 0
        self.refuses = False
        self._ids: dict[int, int] = {}
        self._unknown = 0
        self._undrained = 0
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_SEMAPHORE)

    def arrive(self, *packets: tuple[int, int]) -> None:
        """Have packets come in, unless none are let in any more."""
        if not self.refuses:
            self.packets.extend(packets)
            os.eventfd_write(self._wake, 1)

    def open(self) -> None:
        pass

    def fileno(self) -> int:
        return self._wake

    def has_packets(self) -> bool:
        if not self.packets:  # only now has the descriptor nothing to tell
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(self._wake)
        return bool(self.packets)

    def goes_on(self) -> bool:
        return bool(self.packets)

    def look_ahead(self) -> None:
        pass

    def first_timestamp_ns(self) -> int | None:
        return 0 if self.packets else None

    def hold_back(self, until_ns: int) -> None:
        pass

    def convert(self, view: memoryview, at: int, limit: int, options: bytes) -> Converted:
        written = 0
        while self.packets:
            ifindex, number = self.packets[0]
            if written >= limit:
                return self._converted(Stop.LIMIT_REACHED, at, written)
            if ifindex not in self._ids:
                self._unknown = ifindex
                return self._converted(Stop.UNKNOWN_INTERFACE, at, written)
            block = packet_block(self._ids[ifindex], number, options if not written else b"")
            if len(block) > len(view) - at:
                return self._converted(Stop.OUTPUT_FULL, at, written)
            view[at : at + len(block)] = block
            at += len(block)
            written += 1
            self.packets.popleft()
        return self._converted(Stop.DONE, at, written)

    def _converted(self, stop: Stop, at: int, written: int) -> Converted:
        self.written += written
        return Converted(stop, at, written)

    def refuse_all(self) -> None:
        self.refuses = True

    def discard(self) -> int:
        packets = len(self.packets)
        self.packets.clear()
        self._undrained += packets
        return packets

    def begin_section(self, section: Section, now_ns: int) -> list[bytes]:
        self._ids.clear()
        return [section.pseudo_interface("fake", "all")[1]]

    def announce(self, section: Section) -> bytes:
        self._ids[self._unknown], block = section.pseudo_interface(f"fake{self._unknown}", "")
        return block

    def statistics(self, now_ns: int, closing: bool = False) -> list[bytes]:
        return []

    def refresh_counts(self) -> None:
        pass

    def counts(self) -> Counts:
        return Counts(captured=self.written, received=self.written, undrained=self._undrained)

    def description(self) -> str:
        return "fake"

    def remarks(self) -> Iterable[Event]:
        return ()


class FakeTarget:
    """Keeps what is written, file by file. It fails while `errno` is set, and stalls while `goes_on` is not."""

    buffer_size = 1 << 16
    buffer_count = 2
    keeps_tail = False
    lost_packets = 0

    def __init__(self) -> None:
        self.files: list[bytes] = []
        self.errno: int | None = None
        self.goes_on = threading.Event()
        self.goes_on.set()

    def write(self, buffer: Buffer) -> None:
        self.goes_on.wait(4 * TIMEOUT)
        if self.errno is not None:
            raise SinkError.from_os("cannot write here", OSError(self.errno, os.strerror(self.errno)), 0)
        if buffer.opened_ns is not None:
            self.files.append(b"")
        self.files[-1] += bytes(buffer.view[: buffer.used])

    def maintain(self) -> None:
        pass

    def close(self) -> None:
        pass
