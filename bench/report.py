"""Tables and ratios from the runs, in Markdown; a Markdown table is also the plain one, aligned."""

from collections.abc import Iterable, Sequence
from statistics import median

from bench.capture import Run
from bench.tools import Tool

_HEADINGS = (
    *("tool", "offered k/s", "kept", "lost %", "user s", "system s", "CPU s", "less start-up", "us/kept"),
    *("peak MiB", "less ring", "output MB", "exact"),
)

Runs = dict[str, list[Run]]  # by the tool's name


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return an aligned Markdown table: the first column to the left, numbers to the right."""
    lines = [list(headings), *map(list, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings))]

    def aligned(line: Sequence[str]) -> str:
        cells = (text.rjust(width) for text, width in zip(line[1:], widths[1:], strict=True))
        return "| " + " | ".join([line[0].ljust(widths[0]), *cells]) + " |"

    rule = "|" + "|".join(["-" * (widths[0] + 2), *("-" * (width + 1) + ":" for width in widths[1:])]) + "|"
    return "\n".join([aligned(lines[0]), rule, *map(aligned, lines[1:])])


def case_table(runs: Runs, startup: dict[str, float], tools: Sequence[Tool]) -> str:
    """Return one case: a line for each tool, medians over its rounds."""
    rings = {tool.name: tool.ring_mib for tool in tools}
    return table(
        _HEADINGS, [_line(name, taken, startup.get(name, 0), rings[name]) for name, taken in runs.items()]
    )


def _line(name: str, runs: Sequence[Run], startup: float, ring_mib: int) -> list[str]:
    cpu = median(run.cpu for run in runs)
    kept = median(run.kept for run in runs)
    peak = median(run.peak_kib for run in runs) / 1024
    exact = sum(run.exact for run in runs)
    return [
        name,
        f"{median(run.rate for run in runs) / 1000:.0f}",
        f"{kept:.0f}",
        lost_percent(runs),
        f"{median(run.user for run in runs):.2f}",
        f"{median(run.system for run in runs):.2f}",
        f"{cpu:.2f}",
        f"{cpu - startup:.2f}",
        f"{(cpu - startup) / kept * 1e6:.2f}" if kept else "-",
        f"{peak:.0f}",
        f"{peak - ring_mib:.0f}",
        f"{median(run.file_bytes for run in runs) / 1e6:.0f}",
        f"{exact} of {len(runs)}",
    ]


def lost_percent(runs: Sequence[Run]) -> str:
    """Return the median loss, and the worst where they differ."""
    shares = [100 * run.lost / run.offered for run in runs if run.offered]
    if not shares:
        return "-"
    middle, worst = f"{median(shares):.1f}", f"{max(shares):.1f}"
    return middle if middle == worst else f"{middle} (to {worst})"


def ratios(runs: Runs, startup: dict[str, float]) -> str:
    """Return capfix's CPU against each peer's, a ratio of medians; with and without what start-up costs."""
    rows = []
    for name, taken in runs.items():
        if name.startswith("capfix") or "capfix" not in runs:
            continue
        ours, theirs = (median(run.cpu for run in each) for each in (runs["capfix"], taken))
        ours_net, theirs_net = ours - startup.get("capfix", 0), theirs - startup.get(name, 0)
        rows.append([name, f"{ours / theirs:.2f}", f"{ours_net / theirs_net:.2f}" if theirs_net > 0 else "-"])
    return table(["capfix CPU against", "whole run", "less start-up"], rows) if rows else ""
