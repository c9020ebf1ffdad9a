"""Netfilter's log as a source of the capture: what a ring and its interfaces are to a packet socket."""

import time
from collections.abc import Iterator, Sequence

from capfix.errors import CaptureError, NoSuchInterfaceError
from capfix.kernel.links import Link, find_ifindex, read_link
from capfix.kernel.nflog import READ_SIZE, NflogSocket
from capfix.kernel.nftables import NflogRules
from capfix.session.output.section import Section
from capfix.session.sources.packet import PacketSource
from capfix.transcode.netfilter import NflogTranscoder

BESIDE_TAP_SUFFIX = " (netfilter)"
# In that time the kernel has passed on what it kept back for others to join: 10 ms, in ticks of up to 10 ms, rounded up
_PASSED_ON_NS = 25_000_000


class LogReads:
    """A log group, one read at a time, in the words of a ring: what one read returned is a ring block."""

    block_count = 1

    def __init__(
        self,
        socket: NflogSocket,
        hooks: Sequence[int],
        names: Sequence[str] | None,
        transcoder: NflogTranscoder,
    ) -> None:
        """Make the rules, unless there are no `hooks`; `names` None is any interface. `transcoder` counts."""
        self.socket = socket
        self._rules = NflogRules(socket.group, hooks, names) if hooks else None
        self._transcoder = transcoder
        self._buffer = memoryview(bytearray(READ_SIZE))
        self._length = 0
        self._refuse_from_ns: int | None = None  # by the monotonic clock

    @property
    def received(self) -> int:
        """How many packets were logged to the group, as far as the messages read tell."""
        return self._transcoder.logged + self._transcoder.lost

    @property
    def dropped(self) -> int:
        """How many of them were lost."""
        return self._transcoder.lost

    def description(self) -> str:
        """Return what it is, in words."""
        return f"socket buffer of {self.socket.receive_buffer_size >> 10} KiB"

    def fileno(self) -> int:
        """Return the socket's descriptor: readable when messages wait."""
        return self.socket.fileno()

    def bind(self, ifindex: int) -> None:
        """Do nothing: the rules choose."""

    def be_promiscuous(self, ifindex: int) -> None:
        """Do nothing: netfilter shows what the host itself takes in."""

    def attach_filter(self, code: bytes) -> None:
        """Do nothing: the rules choose, and stay as they are until the end."""

    def take_error(self) -> int:
        """Return 0: what this socket has to say, reading says."""
        return 0

    def is_bound(self) -> bool:
        """Return True: rules go by the name, and wait for an interface of that name."""
        return True

    def ready(self, ahead: int = 0) -> memoryview | None:
        """Return what was read and not released, else what can be read now, else None."""
        if not self._length:
            self._refuse_when_due()
            self._length = self.socket.receive_into(self._buffer)
            self._transcoder.receipt_ns = time.time_ns()
        return self._buffer[: self._length] if self._length else None

    def drops_before(self) -> int:
        """Return 0: the messages' sequence numbers tell."""
        return 0

    def release(self) -> None:
        """Be done with what `ready` returned."""
        self._length = 0

    def refresh_statistics(self) -> None:
        """Do nothing: counting is done where the messages are read."""

    def reject_all(self) -> None:
        """Take in no further packet but those that are logged already."""
        if self._rules is not None:
            self._rules.close()
        self._refuse_from_ns = time.monotonic_ns() + _PASSED_ON_NS

    def _refuse_when_due(self) -> None:
        """Stop what foreign rules go on to log, or reading to the end would have no end."""
        if self._refuse_from_ns is not None and time.monotonic_ns() >= self._refuse_from_ns:
            self._refuse_from_ns = None
            self.socket.refuse_all()


class NflogSource(PacketSource):
    """Packets of one interface, of several, or of all, from a log group.

    Rules go by the name, so interfaces may come and go: this source stays as it is.
    """

    settling_s = 1.2 * _PASSED_ON_NS / 1e9

    def __init__(
        self,
        names: Sequence[str] | None,
        reads: LogReads,
        transcoder: NflogTranscoder,
        beside_tap: bool = False,
        waits_for_others: bool = False,
    ) -> None:
        """`names` None is any interface. `beside_tap` makes the interface blocks' names differ from a tap's."""
        super().__init__(f"log group {reads.socket.group}", reads, transcoder)
        self._is_any = self._is_unbound = True  # whatever comes is the rules' choice
        self.ring: LogReads = reads
        self.transcoder: NflogTranscoder = transcoder
        self.suffix = BESIDE_TAP_SUFFIX if beside_tap else ""
        self.waits_for_others = waits_for_others
        self._names = names

    def remarks(self) -> Iterator[str]:
        """Yield what is worth knowing at the end, for those who want to know more."""
        if self.ring.socket.overflows:
            yield f"{self.name}: its buffer was full {self.ring.socket.overflows} times; -B makes it larger"
        if self.transcoder.other_interfaces:
            yield f"{self.name}: {self.transcoder.other_interfaces} packets of other interfaces left out"
        if self.transcoder.malformed_blocks:
            yield f"{self.name}: {self.transcoder.malformed_blocks} messages could not be read"

    @property
    def duplicates(self) -> int:
        """How many packets were left out because the tap has delivered them."""
        return self.transcoder.duplicates

    @property
    def _drops_told(self) -> int:
        return self.transcoder.lost - self.transcoder.pending_drops

    def first_timestamp_ns(self) -> int | None:
        """Return when the next packet came; None while none is there. A read just begun has not been looked at: 0."""
        if self.ring.ready() is None:
            return None
        return self.transcoder.waiting_ns if self.is_converting else 0

    def begin_section(self, section: Section, now_ns: int) -> bytes:
        """Return the interface blocks that this source has from the section's beginning.

        What the group counts stands with the first of them.
        """
        if self._names is None:
            return super().begin_section(section, now_ns)
        self._forget_section(now_ns)
        blocks = b"".join(self._begin_with(name, section) for name in self._names)
        self._counting = self._shown[0]
        self._counting.received = self._counting.dropped = 0
        return blocks

    def _begin_with(self, name: str, section: Section) -> bytes:
        try:
            return self.announce(section, find_ifindex(name))
        except NoSuchInterfaceError:
            return self._show_pseudo_interface(section, name, "not present yet")

    def announce(self, section: Section, ifindex: int) -> bytes:
        """Return the interface block that is due before the first packet of `ifindex`, if it is a wanted one."""
        if self._names is not None and not self._is_wanted(ifindex):
            self.transcoder.ignore_interface(ifindex)
            return b""
        return super().announce(section, ifindex)

    def _is_wanted(self, ifindex: int) -> bool:
        try:
            return read_link(ifindex).name in (self._names or ())
        except CaptureError:
            return False

    def _add_interface(self, interface_id: int, link: Link) -> None:
        self.transcoder.add_interface(link.ifindex, interface_id, link.mac, link.hardware_type)
