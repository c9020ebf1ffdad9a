"""The cases: which load goes where, past which tools."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.loads import LOADS, Load
from bench.tools import CAPFIX_VARIANTS, Tool


@dataclass(frozen=True)
class Case:
    """One load into one output: "disk", "tmpfs" or "pipe". `variants` are further settings of capfix."""

    name: str
    load: Load
    output: str
    variants: tuple[str, ...] = ()
    variants_only: bool = False

    def tools(self, present: Sequence[Tool]) -> list[Tool]:
        """Return which of the tools that are here take part: all, where they can be counted."""
        variants = [tool for tool in CAPFIX_VARIANTS if tool.name in self.variants]
        if not any(tool.name == "capfix" for tool in present):
            variants = []
        peers = [] if self.variants_only else list(present)
        return [tool for tool in [*peers, *variants] if tool.counts_on_pipe or self.output != "pipe"]


CASES = (
    Case("small-disk", LOADS["small"], "disk"),
    Case("large-disk", LOADS["large"], "disk", ("capfix -B 16",)),
    Case("imix-disk", LOADS["imix"], "disk"),
    Case("mixed-disk", LOADS["mixed"], "disk"),
    Case("small-tmpfs", LOADS["small"], "tmpfs"),
    Case("large-tmpfs", LOADS["large"], "tmpfs"),
    Case("small-pipe", LOADS["small"], "pipe"),
    Case("large-pipe", LOADS["large"], "pipe"),
    Case("framings", LOADS["small"], "disk", ("capfix sll", "capfix sll2", "capfix ethernet"), True),
)
