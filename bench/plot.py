"""The picture beside the table: CPU for each packet kept, and loss, by case and tool. Needs matplotlib."""

from collections.abc import Sequence
from pathlib import Path
from statistics import median

from bench.capture import Run
from bench.report import Runs


def draw(results: dict[str, Runs], startup: dict[str, float], path: Path) -> None:
    """Write a PNG with one group of bars for each case.

    Raises:
        ImportError: matplotlib is not installed.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    cases = [case for case, runs in results.items() if case != "framings" and runs]
    tools = list(dict.fromkeys(tool for case in cases for tool in results[case]))
    figure, (cost, loss) = pyplot.subplots(2, 1, figsize=(11, 8), sharex=True, layout="constrained")
    width = 0.8 / max(len(tools), 1)
    for number, tool in enumerate(tools):
        places = [at + number * width for at, case in enumerate(cases) if tool in results[case]]
        taken = [results[case][tool] for case in cases if tool in results[case]]
        cost.bar(places, [_cost(runs, startup.get(tool, 0)) for runs in taken], width, label=tool)
        loss.bar(places, [100 * median(run.lost / run.offered for run in runs) for runs in taken], width)
    cost.set_ylabel("CPU for each packet kept, us")
    loss.set_ylabel("packets lost, %")
    loss.set_ylim(0, max(loss.get_ylim()[1], 1))  # an axis, also where nobody lost anything
    loss.set_xticks([at + 0.4 - width / 2 for at in range(len(cases))], cases)
    cost.legend(ncols=3)
    figure.suptitle("Capture tools side by side (medians; start-up subtracted)")
    figure.savefig(path, dpi=110)


def _cost(runs: Sequence[Run], startup: float) -> float:
    """Return microseconds of CPU for each packet kept, start-up subtracted."""
    kept = median(run.kept for run in runs)
    return 1e6 * (median(run.cpu for run in runs) - startup) / kept if kept else 0.0
