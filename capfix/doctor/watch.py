"""Watching an interface: a tap beside what netfilter sees, until enough is known or the time is up.

The tap is open before netfilter's rule is there and read for a moment after it is gone, so that what netfilter saw the
tap was offered too, if it was offered at all. Nothing is left behind: the rule goes with its socket.
"""

import select
import time
from types import TracebackType
from typing import Final

from capfix.doctor.judgement import Header
from capfix.doctor.observation import Netfilter, Observation
from capfix.errors import CaptureError, PrivilegeError
from capfix.kernel.nflog import READ_SIZE, NflogSocket
from capfix.kernel.nftables import NflogRules
from capfix.kernel.sampling import SamplingTap
from capfix.wire import nflog
from capfix.wire.netlink import decode_messages
from capfix.wire.numbers import HOOK_PREROUTING

ENOUGH: Final = 32  # packets; a fault of the kind shows in every packet of a direction
QUOTA: Final = 512  # packets of one direction: what a busy interface costs, whatever its rate
_FAULTY: Final = 3
_SURE_OF_BOTH_S: Final = (
    0.3  # after the first packet: time for the slower of two directions, and for netfilter
)
_SURE_OF_ONE_S: Final = 0.8
_GRACE_S: Final = 0.05
_LOG_BUFFER: Final = 1 << 20
_HEADERS: Final = 64  # bytes of a packet that netfilter copies


class _NetfilterWatch:
    """A temporary rule that logs what comes in by an interface, until it is closed."""

    def __init__(self, interface: str) -> None:
        self._socket = NflogSocket(copy_range=_HEADERS, receive_buffer_size=_LOG_BUFFER)
        try:
            self._rules = NflogRules(self._socket.group, [HOOK_PREROUTING], [interface])
        except BaseException:
            self._socket.close()
            raise
        self._buffer = memoryview(bytearray(READ_SIZE))

    def fileno(self) -> int:
        return self._socket.fileno()

    def read(self, into: Netfilter) -> None:
        """Count the packets of one datagram."""
        length = self._socket.receive_into(self._buffer)
        for message in decode_messages(self._buffer[:length]):
            if message.type == nflog.MESSAGE_PACKET:
                into.add(bytes(nflog.decode_packet(message.payload).payload))

    def close(self) -> None:
        self._rules.close()
        self._socket.close()


class Watch:
    """One watching of one interface; `observe` does it. The sockets are opened at once, so that refusals come early."""

    def __init__(self, observation: Observation) -> None:
        """Open the tap, and netfilter where this process may.

        Raises:
            PrivilegeError: CAP_NET_RAW is missing.
            CaptureError: the interface is gone.
        """
        self._observation = observation
        self._tap = SamplingTap(observation.link.name)
        self._netfilter: _NetfilterWatch | None = None
        try:
            self._netfilter = _NetfilterWatch(observation.link.name)
        except PrivilegeError:
            observation.netfilter.refusal = "CAP_NET_ADMIN is missing"
        except CaptureError as exc:
            observation.netfilter.refusal = str(exc)

    def observe(self, seconds: float) -> None:
        """Watch for at most `seconds`, less where enough is known."""
        begin = time.monotonic()
        first: float | None = None
        while (now := time.monotonic()) < begin + seconds and not self._is_sure(first, now):
            self._wait(min(0.1, begin + seconds - now))
            if first is None and (self._observation.packets or self._observation.netfilter.packets):
                first = time.monotonic()
        if self._netfilter is not None:
            self._close_netfilter(self._netfilter)
        self._observation.drops = self._tap.drops()
        self._observation.seconds = time.monotonic() - begin

    def _wait(self, seconds: float) -> None:
        sources: list[SamplingTap | _NetfilterWatch] = [self._tap]
        if self._netfilter is not None:
            sources.append(self._netfilter)
        ready, _, _ = select.select(sources, [], [], max(0.0, seconds))
        if self._netfilter in ready and self._netfilter is not None:
            self._netfilter.read(self._observation.netfilter)
        if self._tap in ready:
            self._read_tap()
        is_full = self._observation.netfilter.packets >= QUOTA or self._observation.inbound.packets >= QUOTA
        if self._netfilter is not None and is_full:
            # What the tap no longer takes cannot be compared
            self._close_netfilter(self._netfilter)
        self._limit()

    def _read_tap(self) -> None:
        for sample in self._tap.read():
            self._observation.add(sample)

    def _limit(self) -> None:
        """Take a direction that is known out of the tap."""
        inbound = self._observation.inbound.packets < QUOTA
        outbound = self._observation.outbound.packets < QUOTA
        if not (inbound and outbound):
            self._tap.take(inbound, outbound)

    def _close_netfilter(self, netfilter: _NetfilterWatch) -> None:
        netfilter.close()
        self._netfilter = None
        deadline = time.monotonic() + _GRACE_S
        while (left := deadline - time.monotonic()) > 0:
            if select.select([self._tap], [], [], left)[0]:
                self._read_tap()

    def _is_sure(self, first: float | None, now: float) -> bool:
        if first is None:
            return False
        seen = self._observation
        if min(seen.inbound.packets, seen.outbound.packets) >= ENOUGH:
            return now - first >= _SURE_OF_BOTH_S
        faulty = max(
            each.headers[kind]
            for each in (seen.inbound, seen.outbound)
            for kind in (Header.MISSING, Header.STALE)
        )
        return now - first >= _SURE_OF_ONE_S and (faulty >= _FAULTY or seen.packets >= ENOUGH)

    def close(self) -> None:
        """Take everything away."""
        if self._netfilter is not None:
            self._netfilter.close()
        self._tap.close()

    def __enter__(self) -> "Watch":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
