"""A capture file, walked from end to end: how many packets of each judgement, and where the container is damaged.

The file is mapped, not read into memory, and what is remembered of it is bounded.
"""

import mmap
import os
import stat
import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from capfix.errors import CapfixError, FormatError
from capfix.judging import Verdict, judge_packet
from capfix.wire.pcap import FILE_HEADER_LENGTH, decode_file_header
from capfix.wire.pcapng import SECTION_HEADER
from capfix.wire.records import Fault, RecordWalk, Step

_JUDGED_BYTES: Final = 65536 + 64  # of a packet: the checksums of the longest IP packet still tell
_DAMAGE_LIMIT: Final = 100  # places that are remembered
_INTERFACE_LIMIT: Final = 65536
_EPB_FLAGS: Final = 2
_INBOUND, _OUTBOUND = 1, 2  # the two lowest bits of epb_flags


class Damage(NamedTuple):
    """One place where the container is broken; `length` bytes belong to no record that a reader can find."""

    offset: int
    length: int
    fault: Fault


class Example(NamedTuple):
    """A packet that is judged other than sound."""

    number: int
    link_type: int
    data: bytes


@dataclass
class FileObservation:
    """What is in a file. `headers` counts by verdict and direction: "inbound", "outbound", or "" where none is told."""

    path: Path
    packets: int = 0
    headers: Counter[tuple[Verdict, str]] = field(default_factory=Counter)
    examples: dict[Verdict, Example] = field(default_factory=dict)
    damage: list[Damage] = field(default_factory=list)
    damaged_places: int = 0
    interfaces: int = 0
    sections: int = 0
    big_endian: bool = False
    link_types: set[int] = field(default_factory=set)
    snaplens: set[int] = field(default_factory=set)

    def count(self, verdict: Verdict) -> int:
        """Return how many packets of either direction have this verdict."""
        return sum(count for (each, _), count in self.headers.items() if each == verdict)

    def add(self, packet: bytes, original_length: int, link_type: int, direction: str) -> None:
        """Judge and count a packet."""
        self.packets += 1
        verdict = judge_packet(packet, link_type, original_length).verdict
        self.headers[verdict, direction] += 1
        self.examples.setdefault(verdict, Example(self.packets, link_type, packet[:64]))

    def add_damage(self, damage: Damage) -> None:
        self.damaged_places += 1
        if len(self.damage) < _DAMAGE_LIMIT:
            self.damage.append(damage)


def read_capture(path: Path) -> FileObservation:
    """Walk through a pcap or pcapng file.

    Raises:
        CapfixError: it cannot be read, or is no capture.
    """
    try:
        with path.open("rb") as opened:
            status = os.fstat(opened.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise CapfixError(f"{path} is no regular file; give a capture that lies on a disk")
            if status.st_size == 0:
                raise CapfixError(f"{path} is empty: no capture was written to it")
            with mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as mapped, memoryview(mapped) as data:
                return _Reader(path, data).read()
    except OSError as exc:
        raise CapfixError(f"cannot read {path}: {(exc.strerror or str(exc)).lower()}") from exc


class _Reader:
    """The walk through one file."""

    def __init__(self, path: Path, data: memoryview) -> None:
        self._data = data
        self._seen = FileObservation(path)
        self._walk = RecordWalk()
        self._link_types: list[int] = []
        self._steps: dict[Step, Callable[[], int]] = {
            Step.PACKET: self._packet,
            Step.OTHER: lambda: int(self._walk.end),
            Step.SECTION: self._section,
            Step.INTERFACE: self._interface,
            Step.FILE_HEADER: lambda: self._file_header(self._walk.start),
            Step.FAULT: self._fault,
        }

    def read(self) -> FileObservation:
        at, end = self._begin(), len(self._data)
        while (step := self._walk.step(self._data, at, end, True)) in self._steps:
            at = self._steps[step]()
        return self._seen

    def _begin(self) -> int:
        """Return where the first record is."""
        if len(self._data) >= 4 and struct.unpack_from("<I", self._data)[0] == SECTION_HEADER:
            self._walk.begin_pcapng()
            return 0
        try:
            return self._file_header(0)
        except FormatError as exc:
            raise CapfixError(f"{self._seen.path} is neither a pcap nor a pcapng file: {exc}") from exc

    def _file_header(self, at: int) -> int:
        header = decode_file_header(self._data, at)
        self._walk.begin_pcap(header)
        self._link_types = [header.link_type]
        self._seen.interfaces += 1
        self._seen.link_types.add(header.link_type)
        return at + FILE_HEADER_LENGTH

    def _section(self) -> int:
        self._link_types = []
        self._seen.sections += 1
        self._seen.big_endian |= self._walk.big_endian
        return self._walk.end

    def _interface(self) -> int:
        order = ">" if self._walk.big_endian else "<"
        link_type, snaplen = struct.unpack_from(order + "HxxI", self._data, self._walk.start + 8)
        if len(self._link_types) < _INTERFACE_LIMIT:
            self._link_types.append(link_type)
        self._seen.interfaces += 1
        self._seen.link_types.add(link_type)
        # libpcap takes both for its largest
        self._seen.snaplens.add(262144 if snaplen in (0, 0xFFFFFFFF) else snaplen)
        return self._walk.end

    def _packet(self) -> int:
        walk = self._walk
        number = walk.interface_id if walk.is_pcapng else 0
        if number < len(self._link_types):
            packet = bytes(self._data[walk.data_at : walk.data_at + min(walk.captured, _JUDGED_BYTES)])
            self._seen.add(packet, walk.original, self._link_types[number], self._direction())
        return walk.end

    def _direction(self) -> str:
        """What epb_flags say of the packet."""
        order = ">" if self._walk.big_endian else "<"
        at, end = self._walk.options_at, self._walk.options_end
        while self._walk.is_pcapng and at + 8 <= end:
            code, length = struct.unpack_from(order + "HH", self._data, at)
            if code == _EPB_FLAGS and length == 4:
                way = struct.unpack_from(order + "I", self._data, at + 4)[0] & 3
                return {_INBOUND: "inbound", _OUTBOUND: "outbound"}.get(way, "")
            if code == 0:
                break
            at += 4 + length + (-length & 3)
        return ""

    def _fault(self) -> int:
        """Note the damage and return where the next record is."""
        fault, start, end = Fault(self._walk.fault), self._walk.start, len(self._data)
        found: int = self._walk.find(self._data, start + 1, end, True)
        if found < 0:
            found = end
        self._seen.add_damage(Damage(start, found - start, fault))
        return found
