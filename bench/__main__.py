"""The command line of the benchmark."""

import argparse
import compileall
import os
import sys
from pathlib import Path

import capfix
from bench import compare, single
from bench.cases import CASES
from bench.tools import available

_RESULTS = Path(__file__).with_name("results")
_QUICK_RESULTS = Path("build/bench")


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


def _cases(text: str) -> list[str]:
    """Return the names of the cases that each word of a comma list begins."""
    chosen = [[case.name for case in CASES if case.name.startswith(name)] for name in _names(text)]
    if not all(chosen):
        raise argparse.ArgumentTypeError(f"{text!r} begins no case's name")
    return [name for names in chosen for name in names]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="Compare capfix with its peers; needs root."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="loss, CPU and memory under load, all tools in turn")
    run.add_argument(
        "--rounds", type=int, default=5, help="times that every tool takes every load (default 5)"
    )
    run.add_argument(
        "--cases",
        type=_cases,
        nargs="+",
        action="extend",
        default=[],
        help=f"of {', '.join(case.name for case in CASES)}, or how their names begin (default all)",
    )
    run.add_argument(
        "--tools", type=_names, help="of capfix,tcpdump,dumpcap,netsniff-ng,C floor (default all present)"
    )
    run.add_argument(
        "--quick", action="store_true", help="a twentieth of the packets: shows that it works, no more"
    )
    run.add_argument("--disk", type=Path, default=compare.default_disk(), help="directory to capture to")
    run.add_argument(
        "--results", type=Path, help="where results go (default bench/results; --quick: build/bench)"
    )
    delay = commands.add_parser("delay", help="from sending to the pipe's reader, at 20 packets a second")
    delay.add_argument("--packets", type=int, default=200)
    startup = commands.add_parser("startup", help="from exec until packets are captured")
    startup.add_argument("--rounds", type=int, default=9)
    idle = commands.add_parser("idle", help="CPU while nothing arrives")
    idle.add_argument("--seconds", type=float, default=60)
    for command in (startup, idle):
        command.add_argument("--tools", type=_names)
    return parser


def main() -> None:
    """Run one of the commands."""
    options = _parser().parse_args()
    if os.geteuid() != 0:
        sys.exit("the benchmark makes network namespaces and captures in them: run it as root")
    compileall.compile_dir(Path(capfix.__file__).parent, quiet=1)  # as pip does when it installs
    if options.command == "run":
        results = options.results or (_QUICK_RESULTS if options.quick else _RESULTS)
        cases = [name for names in options.cases for name in names]
        compare.run(options.rounds, cases, options.tools, options.quick, options.disk, results)
    elif options.command == "delay":
        print(single.delay(options.packets))
    elif options.command == "startup":
        print(single.startup(single.startup_tools(available(options.tools)[0]), options.rounds))
    else:
        print(single.idle(available(options.tools)[0], options.seconds))


if __name__ == "__main__":
    main()
