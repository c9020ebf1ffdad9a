"""Options from three places: the command line over the configuration file over the defaults."""

import argparse
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

from capfix.errors import ContradictionError, UsageError
from capfix.options.config_file import ConfigurationError, Problem, Setting, read_config_file

T = TypeVar("T")

#: Options that say where the configuration is, and so cannot stand in it.
NOT_IN_A_FILE: Final = frozenset({"help", "config", "instance", "check-config"})

#: Where a service's instances have their files; the service manager says where else (systemd.exec(5)).
CONFIGURATION_DIRECTORY: Final = "/etc/capfix"
STATE_DIRECTORY: Final = "/var/lib/capfix"

#: What an instance without settings of its own keeps within.
INSTANCE_LIMITS: Final = {"rotate-size": "100MB", "keep-size": "1GB", "keep-free": "10%"}


class Layers:
    """The options of a parser whose values may come from a file too.

    Made when the parser is complete. It takes the defaults out of the parser, so that what is in a parsed namespace
    was said on the command line.
    """

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._actions: dict[str, argparse.Action] = {}
        self._defaults: dict[str, Any] = {}
        self._required: list[argparse.Action] = []
        for action in parser._actions:  # argparse has no public way to list them
            self._actions |= {name[2:]: action for name in action.option_strings if name.startswith("--")}
            if action.default is argparse.SUPPRESS:
                continue
            self._defaults[action.dest] = action.default
            action.help = (action.help or "").replace("%(default)s", str(action.default))
            action.default = argparse.SUPPRESS
            if action.required:
                self._required.append(action)
                action.required = False

    def source(self, said: argparse.Namespace) -> Path | None:
        """Return the configuration file that the command line asks for, None without one."""
        config = getattr(said, "config", None)
        if config is not None:
            return Path(config)
        instance = getattr(said, "instance", None)
        if instance is None:
            return None
        path = Path(os.environ.get("CONFIGURATION_DIRECTORY", CONFIGURATION_DIRECTORY), f"{instance}.toml")
        return path if path.exists() else None

    def resolve(self, said: argparse.Namespace, build: Callable[[argparse.Namespace], T]) -> T:
        """Return what `build` makes of all options: those on the command line, then the file's, then the defaults.

        Raises:
            ConfigurationError: something is wrong with settings of the file, or `build` raised UsageError. All that
                is wrong is in it, as an option of the file that is wrong has its default when `build` sees it.
            CapfixError: there is no such file.
            UsageError: it is not TOML.
        """
        path = self.source(said)
        settings = [] if path is None else read_config_file(path)
        values, problems = self._complete(said, settings)
        try:
            built = build(values)
        except ContradictionError as exc:
            problems += [self._located(text, settings) for text in exc.problems]
        except UsageError as exc:
            problems.append(self._located(str(exc), settings))
        if problems:
            raise ConfigurationError(path, problems)
        return built

    def _complete(
        self, said: argparse.Namespace, settings: list[Setting]
    ) -> tuple[argparse.Namespace, list[Problem]]:
        filed, problems = self._read(settings)
        values = {**self._defaults, **filed}
        instance = getattr(said, "instance", None)
        if instance is not None:
            values = {**self._defaults, **self._of_instance(instance, filed), **filed}
        values |= vars(said)
        attempted = {self._actions[setting.key].dest for setting in settings if setting.key in self._actions}
        for action in self._required:
            if values[action.dest] is None and action.dest not in attempted:
                problems.append(Problem(None, f"{'/'.join(action.option_strings)} is required"))
        return argparse.Namespace(**values), problems

    def _located(self, message: str, settings: list[Setting]) -> Problem:
        """Return what is wrong with several options together, with the line of the last of them that the file sets.

        The message names the options, as it would for the command line.
        """
        words = set(re.findall(r"--?[a-zA-Z][a-z-]*", message))
        lines = [
            setting.line
            for setting in settings
            if (action := self._actions.get(setting.key)) and words.intersection(action.option_strings)
        ]
        return Problem(max(lines, default=None), message)

    def _read(self, settings: list[Setting]) -> tuple[dict[str, Any], list[Problem]]:
        values: dict[str, Any] = {}
        problems = []
        for setting in settings:
            action = self._actions.get(setting.key)
            if action is None or setting.key in NOT_IN_A_FILE:
                problems.append(Problem(setting.line, f"there is no setting {setting.key}"))
                continue
            try:
                values[action.dest] = _value(action, setting)
            except (UsageError, argparse.ArgumentTypeError) as exc:
                problems.append(Problem(setting.line, f"{setting.key}: {exc}"))
        return values, problems

    def _of_instance(self, instance: str, filed: dict[str, Any]) -> dict[str, Any]:
        """Return the defaults of a service's instance. Its limits go with its own output, and with no other."""
        defaults: dict[str, Any] = {"interface": [instance]}
        if "output" not in filed:
            directory = os.environ.get("STATE_DIRECTORY", STATE_DIRECTORY)
            defaults["output"] = str(Path(directory, f"{instance}.pcapng"))
            for key, text in INSTANCE_LIMITS.items():
                action = self._actions[key]
                defaults[action.dest] = _parsed(action, text)
        return defaults


def _value(action: argparse.Action, setting: Setting) -> Any:
    """Return what the option's value would be if it stood on the command line."""
    value = setting.value
    if action.nargs == 0:
        if not isinstance(value, bool):
            raise UsageError(f"takes true or false, not {_shown(value)}")
        return value
    if isinstance(value, list) and isinstance(action, argparse._AppendAction):
        return [_parsed(action, _text(action, item)) for item in value]
    parsed = _parsed(action, _text(action, value))
    return [parsed] if isinstance(action, argparse._AppendAction) else parsed


def _text(action: argparse.Action, value: Any) -> str:
    """Return a value as it would be typed. Numbers stand for themselves where the option parses its text."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool) and action.type is not None:
        return str(value)
    expected = "a text" if action.type is None else "a text or a number"
    raise UsageError(f"takes {expected}, not {_shown(value)}")


def _parsed(action: argparse.Action, text: str) -> Any:
    value = action.type(text) if callable(action.type) else text
    if action.choices is not None and value not in action.choices:
        raise UsageError(f"{value!r} is none of {', '.join(map(str, action.choices))}")
    return value


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
