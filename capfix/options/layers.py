"""Options from three places: the command line over the configuration file over the defaults."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from capfix.errors import Contradiction, ContradictionError, FormatError, UsageError
from capfix.options.assembly import assemble
from capfix.options.config_file import ConfigurationError, Problem, Setting, read_config_file
from capfix.options.option import Option
from capfix.options.parser import parse_value
from capfix.options.run import RunOptions
from capfix.options.table import OPTIONS

#: Where a service's instances have their files; the service manager says where else (systemd.exec(5)).
CONFIGURATION_DIRECTORY: Final = "/etc/capfix"
STATE_DIRECTORY: Final = "/var/lib/capfix"

#: The limits of an instance without settings of its own.
INSTANCE_LIMITS: Final = {"rotate-size": "100MB", "keep-size": "1GB", "keep-free": "10%"}


def configuration_path(said: Mapping[str, Any]) -> Path | None:
    """Return the configuration file that the command line asks for, None without one.

    `said` has the values of the options on the command line, by long names.
    """
    if "config" in said:
        return Path(said["config"])
    if "instance" not in said:
        return None
    directory = os.environ.get("CONFIGURATION_DIRECTORY", CONFIGURATION_DIRECTORY)
    path = Path(directory, f"{said['instance']}.toml")
    return path if path.exists() else None


def resolve(said: Mapping[str, Any]) -> RunOptions:
    """Return the options: those on the command line, `said`, then the configuration file's, then the defaults.

    Raises:
        ConfigurationError: the options are wrong, or cannot be together. It has all problems, as a setting of the
            file that is wrong counts as absent when the others are looked at.
        CapfixError: there is no such file.
        UsageError: it is not TOML.
    """
    path = configuration_path(said)
    settings = [] if path is None else read_config_file(path)
    filed, problems = _read(settings)
    instance = _instance_defaults(said["instance"], filed) if "instance" in said else {}
    values = {**instance, **filed, **said}
    problems += _missing(values, settings)
    try:
        options = assemble(values)
    except ContradictionError as exc:
        problems += [_located(contradiction, settings) for contradiction in exc.problems]
    if problems:
        raise ConfigurationError(path, problems)
    return options


def _missing(values: Mapping[str, Any], settings: Sequence[Setting]) -> list[Problem]:
    """Return which required options are in neither place. One that is wrong has been complained of already."""
    present = {*values, *(setting.key for setting in settings)}
    return [
        Problem(None, f"{'/'.join(option.flags)} is required")
        for name, option in OPTIONS.items()
        if option.required and name not in present
    ]


def _located(contradiction: Contradiction, settings: Sequence[Setting]) -> Problem:
    """Return a contradiction with the line of the last of its options that the file sets."""
    lines = [setting.line for setting in settings if setting.key in contradiction.options]
    return Problem(max(lines, default=None), contradiction.text)


def _read(settings: Sequence[Setting]) -> tuple[dict[str, Any], list[Problem]]:
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


def _instance_defaults(instance: str, filed: Mapping[str, Any]) -> dict[str, Any]:
    """Return the defaults of a service's instance. Its limits go with its own output, and with no other."""
    defaults: dict[str, Any] = {"interface": [instance]}
    if "output" not in filed:
        directory = os.environ.get("STATE_DIRECTORY", STATE_DIRECTORY)
        defaults["output"] = str(Path(directory, f"{instance}.pcapng"))
        defaults |= {name: parse_value(OPTIONS[name], text) for name, text in INSTANCE_LIMITS.items()}
    return defaults


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
