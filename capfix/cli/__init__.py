"""The command line: one module a command.

Each command's module has `add_parser(subparsers)`, which adds the command's parser and sets its `run`: a function
that takes the parsed namespace and returns the exit status. It does its own slow imports, so that `capfix --version`
and every `--help` are quick.

Exit status: 0 done, 1 trouble, 2 wrong usage, 130 interrupted from the keyboard.
"""

import argparse
import os
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from typing import Any, NoReturn

from capfix.errors import CapfixError, UsageError

#: What `add_parser` is given: the object that argparse returns from `add_subparsers`.
Subparsers = Any


def _command(name: str) -> Callable[[Subparsers], None]:
    """Return the `add_parser` of a command's module, which is imported when it is called."""

    def add_parser(subparsers: Subparsers) -> None:
        import_module(f"capfix.cli.{name}").add_parser(subparsers)

    return add_parser


#: In the order in which `capfix --help` lists them.
COMMANDS: dict[str, Callable[[Subparsers], None]] = {
    name: _command(name) for name in ("run", "doctor", "taps", "interfaces", "service", "demo")
}


class _HelpFormatter(argparse.HelpFormatter):
    """A formatter that finds the terminal's width without importing shutil: each option added makes a formatter."""

    def __init__(self, prog: str) -> None:
        try:
            width = os.get_terminal_size().columns
        except (OSError, ValueError):  # no terminal
            width = 80
        super().__init__(prog, width=width - 2)


class _Parser(argparse.ArgumentParser):
    """An argument parser that takes options in full only, and raises what is wrong instead of exiting."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=_HelpFormatter, **settings)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """Parse, and refuse what is unknown here: the parser of the command knows which options come near."""
        parsed, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(self._refusal(unknown))
        return parsed, unknown

    def _refusal(self, unknown: Sequence[str]) -> str:
        name = next((text for text in unknown if text.startswith("-")), None)
        if name is None:
            return f"unexpected argument {unknown[0]}"
        name = name.partition("=")[0]
        return f"unknown option {name}{_suggestion(name, re.findall(r'--[a-z][a-z-]*', self.format_help()))}"

    def error(self, message: str) -> NoReturn:
        """Raise UsageError with `message` and where the help is."""
        raise UsageError(f"{message}; see `{self.prog} --help`")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line `arguments` (default: the process's own) and return the exit status.

    A user's mistake or a failure of the system is one sentence on stderr, never a stack trace.
    """
    if sys.stderr is None:
        # Closed before we were started; print() would take stdout, which may carry a capture
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115, for as long as we run
    try:
        arguments = sys.argv[1:] if arguments is None else arguments
        if arguments[:1] == ["-D"]:  # as in tcpdump and dumpcap
            arguments = ["interfaces", *arguments[1:]]
        status = _run(arguments)
        if sys.stdout is not None:  # it may have been closed before we were started
            sys.stdout.flush()
        return status
    except CapfixError as error:
        _tell(str(error))
        return error.exit_status
    except ModuleNotFoundError as error:
        from capfix.cli.extras import advice

        sentence = advice(error)
        if sentence is None:
            raise
        _tell(sentence)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of a table has gone. Python flushes stdout once more on its way out, which must not complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:  # what no command expects: no more descriptors, no more memory
        _tell(_in_words(error))
        return 1
    except SystemExit as leaving:  # argparse leaves this way after --help and --version
        return leaving.code if isinstance(leaving.code, int) else 0


def _run(arguments: Sequence[str]) -> int:
    """Run the command that `arguments` name; without any, print the help."""
    parser = _parser(arguments)
    if not arguments:
        parser.print_help()
        return 0
    if not arguments[0].startswith("-") and arguments[0] not in COMMANDS:
        parser.error(f"unknown command {arguments[0]}{_suggestion(arguments[0], COMMANDS)}")
    parsed = parser.parse_args(arguments)
    status: int = parsed.run(parsed)
    return status


def _suggestion(word: str, known: Iterable[str]) -> str:
    """Return a question that names the nearest of the known words, nothing where none is near."""
    from difflib import get_close_matches  # for a mistake only: it takes a while to import

    near = get_close_matches(word, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _in_words(error: OSError) -> str:
    reason = (error.strerror or str(error)).lower()
    return f"{error.filename}: {reason}" if error.filename else reason


def _tell(message: str) -> None:
    from capfix.runtime.report import printable

    print(f"capfix: {printable(message)}", file=sys.stderr)


class _Version(argparse.Action):
    """Prints the version line. It is made only when asked for, as it looks at every module."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from capfix.cli.build import version_line

        print(version_line())
        parser.exit()


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    """Return the parser, with the one command that `arguments` name, or with all if they name none."""
    parser = _Parser(
        prog="capfix",
        description="Capture from Linux interfaces that misbehave, with a link-layer header Wireshark can decode.",
    )
    parser.add_argument(
        "--version", action=_Version, nargs=0, help="show the version, and whether it is compiled"
    )
    parser.add_argument("-D", action="store_true", help="list the interfaces, like `capfix interfaces`")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    named = [name for name in arguments[:1] if name in COMMANDS]
    for name in named or COMMANDS:
        COMMANDS[name](subparsers)
    return parser
