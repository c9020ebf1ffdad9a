"""What the settings of a configuration file mean: for each, what its option would mean on the command line."""

from collections.abc import Sequence
from typing import Any

from capfix.errors import FormatError, UsageError
from capfix.options.config_file import Problem, Setting
from capfix.options.option import Option
from capfix.options.parser import parse_value
from capfix.options.table import OPTIONS


def setting_values(settings: Sequence[Setting]) -> tuple[dict[str, Any], list[Problem]]:
    """Return what settings mean, by names of options, and what is wrong with the others."""
    values: dict[str, Any] = {}
    problems = []
    for setting in settings:
        option = OPTIONS.get(setting.key)
        if option is None or not option.in_file:
            problems.append(Problem(setting.line, f"there is no setting {setting.key}"))
            continue
        try:
            value = _value(option, setting.value)
        except FormatError as exc:
            problems.append(Problem(setting.line, f"{setting.key}: {exc.found} is not {exc.expected}"))
        except UsageError as exc:
            problems.append(Problem(setting.line, f"{setting.key}: {exc}"))
        else:
            if value is not None:
                values[option.name] = value
    return values, problems


def _value(option: Option, value: Any) -> Any:
    """Return what the option's value would be if it stood on the command line; None for a flag that is not set."""
    if option.kind.is_flag:
        if not isinstance(value, bool):
            raise UsageError(f"takes true or false, not {_shown(value)}")
        return option.kind.constant if value else None
    if not option.repeatable:
        return _parsed(option, value)
    return [_parsed(option, item) for item in (value if isinstance(value, list) else [value])]


def _parsed(option: Option, value: Any) -> Any:
    parsed = parse_value(option, _text(option, value))
    choices = option.kind.choices
    if choices and parsed not in choices:
        raise UsageError(f"{parsed!r} is none of {', '.join(choices)}")
    return parsed


def _text(option: Option, value: Any) -> str:
    """Return a value as it would be typed. Numbers stand for themselves where the option parses its text."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool) and option.kind.parse is not None:
        return str(value)
    expected = "a text" if option.kind.parse is None else "a text or a number"
    raise UsageError(f"takes {expected}, not {_shown(value)}")


def _shown(value: Any) -> str:
    """Return a value in TOML's words, or what kind of value it is."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            return f'"{value}"'
        case int() | float():
            return str(value)
        case dict():
            return "a table"
        case list():
            return "a list"
        case _:
            return "a date or time"
