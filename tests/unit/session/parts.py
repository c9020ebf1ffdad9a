"""A capture put together from a fake source and a fake target, with a real loop, writer and output."""

import io
import struct
from collections.abc import Iterator
from typing import Any

from capfix.options.run import RunOptions
from capfix.rotation.schedule import RotationRules
from capfix.runtime.loop import Loop
from capfix.runtime.notify import ServiceManager
from capfix.runtime.report import Report
from capfix.session.capture import Capture, Parts
from capfix.session.conversion import Conversion
from capfix.session.order import Order
from capfix.session.output.content import SectionContent
from capfix.session.output.output import Output, OutputRules
from capfix.session.section import Section
from capfix.session.status import Status
from tests.support.fake_source import FakeSource, FakeTarget

LINK_TYPE = 113


class Assembly:
    """What a capture of these options is made of; `run` runs it, with things that happen meanwhile."""

    def __init__(self, streaming: bool = False, **options: Any) -> None:
        self.options = RunOptions(("fake0",), "out.pcapng", **options)
        self.loop = Loop()
        self.source = FakeSource()
        self.target = FakeTarget()
        self.stderr = io.StringIO()
        report = Report(self.stderr)
        rotation = self.options.rotation
        rules = OutputRules(
            self.options.file_limits,
            bool(rotation),
            self.options.stop_files,
            streaming,
            self.options.skip_empty,
        )
        content = SectionContent(Section(LINK_TYPE), [self.source])
        self.output = Output(self.loop, self.target, content, rules, report)
        self.conversion = Conversion(
            self.loop, [self.source], Order([self.source], merging=False), self.output, streaming
        )
        service = ServiceManager({})
        status = Status(self.loop, [self.source], self.output, report, service)
        parts = Parts(self.loop, [self.source], self.conversion, self.output, None, status)
        self.capture = Capture(self.options, parts, report, service, None, retiring_s=0.05)

    def at(self, seconds: float, *packets: tuple[int, int]) -> None:
        """Have packets arrive after a while."""
        self.loop.call_later(seconds, self.source.arrive, *packets)

    def run(self) -> int:
        """Capture until something ends it."""
        return self.capture.run()


def numbers(file: bytes) -> list[int]:
    """Return the numbers of the packets in a file."""
    return [number for block_type, number in blocks(file) if block_type == 6]


def blocks(file: bytes) -> Iterator[tuple[int, int]]:
    """Yield the type of each block, and the number that a packet's data is; each must be whole."""
    at = 0
    while at < len(file):
        block_type, total = struct.unpack_from("<II", file, at)
        assert struct.unpack_from("<I", file, at + total - 4) == (total,)
        yield block_type, struct.unpack_from("<I", file, at + 28)[0] if block_type == 6 else 0
        at += total


def rotation(**rules: int) -> RotationRules:
    """Return rules of rotation."""
    return RotationRules(**rules)
