"""Taking packets from the sources, in order, into the output."""

import time
from collections.abc import Callable, Sequence
from enum import Enum, auto
from typing import Final, NamedTuple

from capfix.rotation.closed_file import Reason
from capfix.runtime.loop import Loop
from capfix.session.order import Order
from capfix.session.output.output import Output
from capfix.session.phase import Phases
from capfix.session.sources.source import Converted, Source
from capfix.transcode.stop import NO_LIMIT, Stop

STEPS_AT_ONCE: Final = 64  # conversions before the loop looks at signals and timers again
HOLD_INTERVAL_S: Final = 0.01  # how often packets that wait for another source's are looked at


class ConversionPhase(Enum):
    """What a conversion waits for."""

    LISTENING = auto()  # packets
    HOLDING = auto()  # another source's packets, which are looked for now and then
    PAUSED = auto()  # a buffer
    OVER = auto()  # nothing more


_LISTENING, _HOLDING, _PAUSED, _OVER = ConversionPhase

CONVERSION_TRANSITIONS: Final = {
    _LISTENING: frozenset({_HOLDING, _PAUSED, _OVER}),
    _HOLDING: frozenset({_LISTENING, _PAUSED, _OVER}),
    _PAUSED: frozenset({_LISTENING, _OVER}),
    _OVER: frozenset[ConversionPhase](),
}


class ConversionEvents(NamedTuple):
    """Whom a Conversion tells: `idle`, a source woke us without packets; `enough`, the last packet wanted is there."""

    idle: Callable[[], None]
    enough: Callable[[], None]


class Conversion:
    """Converts what the sources have as long as the output has room.

    One step is one call of a source, whatever it stopped for. After a few of them the loop goes on: so nothing that a
    step has to wait for, or does again and again, keeps signals and timers waiting.
    """

    def __init__(
        self, loop: Loop, sources: Sequence[Source], order: Order, output: Output, streaming: bool
    ) -> None:
        """`streaming` has what was ready written at once."""
        self.count: int | None = None  # how many packets are wanted in all
        self._loop = loop
        self._sources = sources
        self._order = order
        self._output = output
        self._streaming = streaming
        self._phases = Phases(ConversionPhase.PAUSED, CONVERSION_TRANSITIONS)
        self._events: ConversionEvents | None = None
        self._is_called_soon = False

    def start(self, events: ConversionEvents) -> None:
        """Begin to listen."""
        self._events = events
        self._listen()

    @property
    def is_paused(self) -> bool:
        """Whether it waits for a buffer."""
        return self._phases.now is ConversionPhase.PAUSED

    def pause(self) -> None:
        """Leave the packets in the rings until `resume`."""
        if self._phases.may_go(ConversionPhase.PAUSED):
            self._leave_alone(ConversionPhase.PAUSED)

    def resume(self) -> None:
        """Go on after `pause`."""
        if self.is_paused:
            self._listen()
            self._on_packets()

    def end(self) -> None:
        """Convert nothing more."""
        if self._phases.may_go(ConversionPhase.OVER):
            self._leave_alone(ConversionPhase.OVER)

    def drain(self) -> bool:
        """Convert what is left, up to a measure, waiting for nothing; return whether that was all."""
        self._order.stop_waiting()
        if self._phases.now in (ConversionPhase.HOLDING, ConversionPhase.PAUSED):
            self._listen()
        self._on_packets()
        return self._phases.now is ConversionPhase.LISTENING and self._next_source() is None

    def _listen(self) -> None:
        self._phases.go(ConversionPhase.LISTENING)
        for source in self._sources:
            self._loop.add_reader(source.fileno(), self._on_packets)

    def _leave_alone(self, phase: ConversionPhase) -> None:
        if self._phases.now is ConversionPhase.LISTENING:
            for source in self._sources:
                self._loop.remove_reader(source.fileno())
        self._phases.go(phase)

    def _on_packets(self) -> None:
        """Convert what is ready, up to a measure; what is left keeps its source readable, or is asked for again."""
        steps = 0
        while steps < STEPS_AT_ONCE and self._phases.now is ConversionPhase.LISTENING:
            source = self._next_source()
            if source is None:
                break
            self._step(source)
            steps += 1
        if self._streaming and steps:
            self._output.flush()
        if steps or self._order.is_holding:
            self._output.flush_later()
        if self._phases.now is ConversionPhase.LISTENING:
            self._see_to_the_rest(steps)

    def _see_to_the_rest(self, steps: int) -> None:
        if self._order.is_holding:
            self._hold()
        elif any(source.goes_on() for source in self._sources):  # more is there than wakes us
            self._call_soon()
        elif not steps:  # readable for another reason
            assert self._events is not None
            self._events.idle()

    def _call_soon(self) -> None:
        """Go on after a look at signals and timers. Once at a time: its descriptor may call us as well."""
        if not self._is_called_soon:
            self._is_called_soon = True
            self._loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        self._is_called_soon = False
        self._on_packets()

    def _next_source(self) -> Source | None:
        return self._order.next(time.time_ns(), time.monotonic_ns())

    def _hold(self) -> None:
        """Leave the sources alone for a moment: packets that wait for another source's keep them readable."""
        self._leave_alone(ConversionPhase.HOLDING)
        self._loop.call_later(HOLD_INTERVAL_S, self._look_again)

    def _look_again(self) -> None:
        if self._phases.now is ConversionPhase.HOLDING:
            self._listen()
            self._on_packets()

    def _step(self, source: Source) -> None:
        """Convert as many packets as buffer and file have room for, and see to what it stopped for."""
        output = self._output
        buffer = output.buffer()
        if buffer is None:
            return
        room_bytes, room_packets = output.room()
        end = len(buffer.view) if room_bytes is None else min(len(buffer.view), buffer.used + room_bytes)
        limit = self._packets_left() if room_packets is None else min(self._packets_left(), room_packets)
        converted = source.convert(buffer.view[:end], buffer.used, limit, output.pending_options)
        if converted.written:
            output.pending_options = b""
            buffer.packets += converted.written
            output.file.packets += converted.written
            output.file.size_bytes += converted.end - buffer.used
        buffer.used = converted.end
        self._see_to(source, converted, is_limited_by_file=end < len(buffer.view))

    def _see_to(self, source: Source, converted: Converted, is_limited_by_file: bool) -> None:
        """Do what a source stopped for."""
        assert self._events is not None
        match converted.stop:
            case Stop.UNKNOWN_INTERFACE:
                self._output.announce(source)
            case Stop.OUTPUT_FULL if not is_limited_by_file:
                self._output.submit()
            case _ if self._packets_left() == 0:  # also where the last packet wanted ended its ring block
                self._events.enough()
            case Stop.LIMIT_REACHED if not self._output.file.has_all_packets:
                pass  # the first packet of a file was let in without regard to its size
            case Stop.OUTPUT_FULL | Stop.LIMIT_REACHED:
                is_by_packets = self._output.file.has_all_packets
                self._output.change_file(Reason.PACKETS if is_by_packets else Reason.SIZE)

    def _packets_left(self) -> int:
        if self.count is None:
            return NO_LIMIT
        written = sum(source.written for source in self._sources)
        return max(self.count - written, 0)  # it may have been lowered below what is written already
