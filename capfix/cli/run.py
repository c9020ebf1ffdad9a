"""`capfix run`: the capture."""

import argparse
import gc
import sys
from typing import Any

from capfix.options.hints import hints
from capfix.options.layers import configuration_path, resolve
from capfix.options.parser import add_options
from capfix.options.table import OPTIONS


def add_parser(subparsers: Any) -> None:
    """Add the parser of `capfix run`."""
    parser = subparsers.add_parser(
        "run",
        help="capture packets and write them as pcapng",
        description="Capture packets, rebuild their link-layer header, and write them as pcapng.",
    )
    add_options(parser)
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    said = {name: value for name, value in vars(arguments).items() if name in OPTIONS}
    options = resolve(said)
    for hint in hints(options):
        print(f"capfix: {hint}", file=sys.stderr)
    if "check-config" in said:
        print(f"{configuration_path(said) or 'the command line'} is sound")
        return 0
    gc.disable()  # modules stay: looking for garbage among them costs a capture milliseconds, now and at the end
    from capfix.session.start import run_capture

    gc.freeze()
    gc.enable()
    is_filed = "config" in said or "instance" in said
    return run_capture(options, (lambda: resolve(said)) if is_filed else None)
