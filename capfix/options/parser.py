"""The command line's parser, made from the table of options."""

import argparse
from collections.abc import Callable
from typing import Any

from capfix.errors import CapfixError, FormatError
from capfix.options.assembly import default
from capfix.options.option import Option, requirements
from capfix.options.table import GROUPS


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `capfix run`. A parsed namespace has those given, by long names, and no defaults.

    What is required is not demanded here: it may stand in a configuration file.
    """
    for group in GROUPS:
        arguments = parser.add_argument_group(group.title, group.description)
        for option in group.options:
            arguments.add_argument(*option.flags, **_settings(option))


def help_text(option: Option) -> str:
    """Return the help of an option, with its default value and what it needs."""
    text = option.help.replace("{default}", str(default(option)))
    needs = " and ".join(requirements(option.needs))
    return f"{text}; needs {needs}" if needs else text


def parse_value(option: Option, text: str) -> Any:
    """Return the value of an option's text.

    Raises:
        UsageError, FormatError: it is malformed.
    """
    return text if option.kind.parse is None else option.kind.parse(text)


def _settings(option: Option) -> dict[str, Any]:
    """Return the keywords of argparse's `add_argument`."""
    settings: dict[str, Any] = {
        "dest": option.name,
        "default": argparse.SUPPRESS,
        "help": help_text(option).replace("%", "%%"),
    }
    if option.kind.is_flag:
        return settings | {"action": "store_const", "const": option.kind.constant}
    if option.kind.choices:
        settings["choices"] = option.kind.choices
    else:
        settings["metavar"] = option.kind.metavar
    if option.kind.parse is not None:
        settings["type"] = _argument(option.kind.parse)
    if option.repeatable:
        settings["action"] = "append"
    return settings


def _argument(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return `parse` as an argument type: its error becomes argparse's, which names the option."""

    def parse_argument(text: str) -> Any:
        try:
            return parse(text)
        except FormatError as exc:
            raise argparse.ArgumentTypeError(f"{exc.found} is not {exc.expected}") from exc
        except CapfixError as exc:
            raise argparse.ArgumentTypeError(str(exc)) from exc

    return parse_argument
