"""Taking packets from the sources, in order, into the output."""

import time
from collections.abc import Callable, Sequence
from typing import Final

from capfix.runtime.loop import Loop
from capfix.session.order import Order
from capfix.session.output.output import Output
from capfix.session.sources.packet import PacketSource
from capfix.sink.buffers import Buffer
from capfix.transcode.ring import NO_LIMIT, Stop

BLOCKS_AT_ONCE: Final = 32  # ring blocks converted before the loop looks at signals and timers again
HOLD_INTERVAL_S: Final = 0.02  # how often packets that wait for another source's are looked at


class Conversion:
    """Converts what the sources have as long as the output has room, and no longer than `is_over` is False."""

    def __init__(
        self,
        loop: Loop,
        sources: Sequence[PacketSource],
        order: Order,
        output: Output,
        streaming: bool,
        changes_crowded_file: bool,
    ) -> None:
        """`streaming` has what was ready written at once. `changes_crowded_file` begins a new file before one has
        more interfaces than every reader can take.
        """
        self.count: int | None = None  # how many packets are wanted in all
        self.is_paused = False  # the output has no buffer
        self.is_over = False
        self._loop = loop
        self._sources = sources
        self._order = order
        self._output = output
        self._streaming = streaming
        self._changes_crowded_file = changes_crowded_file
        self._is_holding = False
        self._is_listening = False
        self._on_idle: Callable[[], None] = lambda: None
        self._on_enough: Callable[[], None] = lambda: None

    def start(self, on_idle: Callable[[], None], on_enough: Callable[[], None]) -> None:
        """Begin to listen. `on_idle` is called when a source woke us without packets, `on_enough` at `count`."""
        self._on_idle = on_idle
        self._on_enough = on_enough
        self._listen()

    def pause(self) -> None:
        """Leave the packets in the rings until `resume`."""
        if not self.is_paused:
            self.is_paused = True
            self._stop_listening()

    def resume(self) -> None:
        """Go on after `pause`."""
        self.is_paused = False
        self._listen()
        self._on_packets()

    def end(self) -> None:
        """Convert nothing more."""
        self.is_over = True
        self._stop_listening()

    def drain(self) -> bool:
        """Convert what is left, up to a measure, waiting for nothing; return whether that was all."""
        self._order.stop_waiting()
        self._on_packets()
        return self._next_source() is None

    def _listen(self) -> None:
        self._is_listening = True
        for source in self._sources:
            self._loop.add_reader(source.ring.fileno(), self._on_packets)

    def _stop_listening(self) -> None:
        if self._is_listening:
            self._is_listening = False
            for source in self._sources:
                self._loop.remove_reader(source.ring.fileno())

    def _on_packets(self) -> None:
        """Convert what is ready, up to a measure; the ring stays readable while more is there."""
        converted = 0
        while converted < BLOCKS_AT_ONCE and not self.is_over:
            source = self._next_source()
            if source is None:
                break
            if not self._convert_block(source):
                return
            converted += 1
        if self._streaming and converted:
            self._output.flush()
        if self._order.is_holding:
            self._hold()
        elif any(source.is_converting for source in self._sources):  # more is there than wakes us
            self._loop.call_soon(self._on_packets)
        if converted or self._order.is_holding:
            self._output.flush_later()
        else:  # readable for another reason
            self._on_idle()

    def _next_source(self) -> PacketSource | None:
        return self._order.next(time.time_ns(), time.monotonic_ns())

    def _hold(self) -> None:
        """Leave the sources alone for a moment: packets that wait for another source's keep them readable."""
        self._stop_listening()
        if not self._is_holding:
            self._is_holding = True
            self._loop.call_later(HOLD_INTERVAL_S, self._look_again)

    def _look_again(self) -> None:
        self._is_holding = False
        if not self.is_paused and not self.is_over:
            self._listen()
            self._on_packets()

    def _convert_block(self, source: PacketSource) -> bool:
        """Convert one ring block and give it back, or what of it is due; False when that has to wait or all is over."""
        block = source.ring.ready()
        assert block is not None
        if not source.is_converting:
            source.start(block)
        while True:
            buffer = self._output.buffer()
            if buffer is None:
                return False
            is_limited_by_file = self._convert(source, block, buffer)
            match source.transcoder.stopped_for:
                case Stop.DONE | Stop.LATER as stop:
                    if stop == Stop.DONE:
                        source.finish()
                    if self._packets_left() == 0:  # known only now if the last packet ends its ring block
                        self._on_enough()
                        return False
                    return True
                case Stop.UNKNOWN_INTERFACE if self._changes_crowded_file and self._output.section.is_crowded:
                    if not self._output.change_file():
                        return False
                case Stop.UNKNOWN_INTERFACE:
                    self._output.announce(source, source.transcoder.unknown_ifindex)
                case Stop.OUTPUT_FULL if not is_limited_by_file:
                    self._output.submit()
                case Stop.LIMIT_REACHED if self._packets_left() == 0:
                    self._on_enough()
                    return False
                case Stop.LIMIT_REACHED if not self._output.file.has_all_packets:
                    pass  # the first packet of a file was let in without regard to its size
                case Stop.OUTPUT_FULL | Stop.LIMIT_REACHED:
                    if not self._output.change_file():
                        return False

    def _convert(self, source: PacketSource, block: memoryview, buffer: Buffer) -> bool:
        """Convert packets as long as buffer and file have room; return whether the file has less than the buffer."""
        output = self._output
        output.put(buffer, output.owed)
        output.owed = b""
        interfaces = output.section.interface_count
        room_bytes, room_packets = (None, None) if output.is_down else output.file.room(interfaces)
        end = len(buffer.view) if room_bytes is None else min(len(buffer.view), buffer.used + room_bytes)
        limit = self._packets_left() if room_packets is None else min(self._packets_left(), room_packets)
        transcoder = source.transcoder
        written, used = transcoder.written, buffer.used
        buffer.used = transcoder.convert(block, buffer.view[:end], used, limit, source.options + output.note)
        if transcoder.written > written:
            source.options = output.note = b""
            output.file.packets += transcoder.written - written
            output.file.size_bytes += buffer.used - used
        return end < len(buffer.view)

    def _packets_left(self) -> int:
        if self.count is None:
            return NO_LIMIT
        written = sum(source.transcoder.written for source in self._sources)
        return max(self.count - written, 0)  # it may have been lowered below what is written already
