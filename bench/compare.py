"""`python -m bench run`: every case, every tool, round after round."""

import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median

from bench import machine, plot, report
from bench.capture import Run, capture, idle_cost
from bench.cases import CASES, Case
from bench.tools import CAPFIX_VARIANTS, Tool, available, install_missing

_QUICK_SHARE = 20  # a smoke test sends a twentieth
_STARTUP_ROUNDS = 3  # at least: all other CPU times are judged with it
_TMPFS = Path("/dev/shm")


def run(
    rounds: int, cases: Sequence[str], tools: Sequence[str] | None, quick: bool, disk: Path, results: Path
) -> None:
    """Take all runs; write results.md, results.json and plot.png into `results`, and the tables to stdout."""
    install_missing()
    present, missing = available(tools)
    for name in missing:
        _progress(f"{name} is not installed and is left out")
    chosen = [_smaller(case) if quick else case for case in CASES if not cases or case.name in cases]
    everyone = {tool.name: tool for tool in [*present, *(t for case in chosen for t in case.tools(present))]}
    idle: dict[str, list[float]] = {name: [] for name in everyone}
    for _ in range(max(rounds, _STARTUP_ROUNDS)):
        for name, tool in everyone.items():
            idle[name].append(idle_cost(tool, disk))
    startup = {name: median(costs) for name, costs in idle.items()}
    taken: dict[str, report.Runs] = {}
    for case in chosen:
        taken[case.name] = _take(case, case.tools(present), rounds, disk)
    text = _page(chosen, taken, startup, present, rounds, disk)
    print(text)
    results.mkdir(parents=True, exist_ok=True)
    (results / "results.md").write_text(text + "\n")
    (results / "results.json").write_text(json.dumps(_values(taken, startup, disk), indent=1) + "\n")
    try:
        plot.draw(taken, startup, results / "plot.png")
    except ImportError:
        _progress("no plot: matplotlib is not installed")


def _smaller(case: Case) -> Case:
    return replace(case, load=replace(case.load, count=case.load.count // _QUICK_SHARE))


def _take(case: Case, tools: Sequence[Tool], rounds: int, disk: Path) -> report.Runs:
    """Run one case: the tools in turn, `rounds` times."""
    runs: dict[str, list[Run]] = {tool.name: [] for tool in tools}
    for number in range(rounds):
        for tool in tools:
            result = capture(tool, case.load, case.output, _TMPFS if case.output == "tmpfs" else disk)
            runs[tool.name].append(result)
            _progress(
                f"{case.name} {number + 1}/{rounds} {tool.name}: {result.kept} of {result.offered} kept"
                f" at {result.rate / 1000:.0f} k/s, CPU {result.user:.2f} + {result.system:.2f} s"
            )
    return runs


def _page(
    cases: Sequence[Case],
    taken: dict[str, report.Runs],
    startup: dict[str, float],
    present: Sequence[Tool],
    rounds: int,
    disk: Path,
) -> str:
    """Return the whole result as Markdown."""
    here = machine.describe(disk)
    names = ", ".join(f"{tool.name} {tool.version}".strip() for tool in present)
    parts = [f"Medians of {rounds} rounds on {', '.join(here.values())}.", f"{names}."]
    for case in cases:
        if taken.get(case.name):
            parts.append(
                f"### {case.name}: {case.load.description} to {_described(case.output, here['filesystem'])}"
            )
            parts.append(report.case_table(taken[case.name], startup, [*present, *CAPFIX_VARIANTS]))
            parts.append(report.ratios(taken[case.name], startup))
    return "\n\n".join(part for part in parts if part)


def _described(output: str, filesystem: str) -> str:
    return {"disk": f"a file on {filesystem}", "tmpfs": "a file on tmpfs", "pipe": "a pipe"}[output]


def _values(taken: dict[str, report.Runs], startup: dict[str, float], disk: Path) -> dict[str, object]:
    """Return everything measured, for machines to read."""
    runs = {
        case: {tool: [asdict(result) for result in results] for tool, results in by_tool.items()}
        for case, by_tool in taken.items()
    }
    return {"machine": machine.describe(disk), "startup_cpu_seconds": startup, "runs": runs}


def default_disk() -> Path:
    """Return a directory that is on a disk by convention, unlike /tmp."""
    return Path("/var/tmp") if Path("/var/tmp").is_dir() else Path(tempfile.gettempdir())


def _progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
