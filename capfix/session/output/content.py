"""What a section holds beside packets: its first blocks, and its statistics."""

import time
from collections.abc import Sequence

from capfix.session.section import Section
from capfix.session.sources.source import Source


class SectionContent:
    """Makes the blocks that are not packets, of all sources."""

    def __init__(self, section: Section, sources: Sequence[Source]) -> None:
        self.section = section
        self._sources = sources

    def begin(self, now_ns: int) -> list[bytes]:
        """Return the first blocks of a section that begins at `now_ns`."""
        blocks = [self.section.header()]
        for source in self._sources:
            blocks += source.begin_section(self.section, now_ns)
        return blocks

    def statistics(self, closing: bool = False) -> list[bytes]:
        """Return the statistics blocks as of now; `closing` ones are the last of a file that another follows."""
        now_ns = time.time_ns()
        return [block for source in self._sources for block in source.statistics(now_ns, closing)]
