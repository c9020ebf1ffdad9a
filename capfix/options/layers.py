"""Options from three places: the command line over the configuration file over the defaults."""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from capfix.errors import Contradiction, ContradictionError
from capfix.options.assembly import assemble
from capfix.options.parser import parse_value
from capfix.options.run import RunOptions
from capfix.options.table import OPTIONS

if TYPE_CHECKING:
    from capfix.options.config_file import Problem, Setting

#: Where a service's instances have their files; the service manager may say otherwise (systemd.exec(5)).
CONFIGURATION_DIRECTORY: Final = "/etc/capfix"
STATE_DIRECTORY: Final = "/var/lib/capfix"

#: The limits of an instance without settings of its own.
INSTANCE_LIMITS: Final = {"rotate-size": "100MB", "keep-size": "1GB", "keep-free": "10%"}


def configuration_path(said: Mapping[str, Any]) -> str | None:
    """Return the configuration file that the command line asks for, None without one.

    `said` has the values of the options on the command line, by long names.
    """
    if "config" in said:
        return str(said["config"])
    if "instance" not in said:
        return None
    directory = os.environ.get("CONFIGURATION_DIRECTORY", CONFIGURATION_DIRECTORY)
    path = os.path.join(directory, f"{said['instance']}.toml")
    return path if os.path.exists(path) else None


def resolve(said: Mapping[str, Any]) -> RunOptions:
    """Return the options: those on the command line, `said`, then the configuration file's, then the defaults.

    Raises:
        ConfigurationError: the options are wrong, or cannot be together. It has all problems, as a setting of the
            file that is wrong counts as absent when the others are looked at.
        CapfixError: there is no such file.
        UsageError: it is not TOML.
    """
    path = configuration_path(said)
    settings, filed, problems = _filed(path)
    instance = _instance_defaults(said["instance"], filed) if "instance" in said else {}
    values = {**instance, **filed, **said}
    contradictions = list(_missing(values, settings))
    try:
        options = assemble(values)
    except ContradictionError as exc:
        contradictions += exc.problems
    if problems or contradictions:
        from capfix.options.config_file import ConfigurationError

        located = [_located(contradiction, settings) for contradiction in contradictions]
        raise ConfigurationError(path, problems + located)
    return options


def _filed(path: str | None) -> "tuple[list[Setting], dict[str, Any], list[Problem]]":
    """Return a file's settings, what they mean, and what is wrong with them."""
    if path is None:
        return [], {}, []
    from capfix.options.config_file import read_config_file  # most captures have no file
    from capfix.options.settings import setting_values

    settings = read_config_file(path)
    return settings, *setting_values(settings)


def _missing(values: Mapping[str, Any], settings: "Sequence[Setting]") -> Iterator[Contradiction]:
    """Yield which required options are in neither place. One that is wrong is complained of elsewhere."""
    present = {*values, *(setting.key for setting in settings)}
    for name, option in OPTIONS.items():
        if option.required and name not in present:
            yield Contradiction((name,), f"{'/'.join(option.flags)} is required")


def _located(contradiction: Contradiction, settings: "Sequence[Setting]") -> "Problem":
    """Return a contradiction with the line of the last of its options that the file sets."""
    from capfix.options.config_file import Problem

    lines = [setting.line for setting in settings if setting.key in contradiction.options]
    return Problem(max(lines, default=None), contradiction.text)


def _instance_defaults(instance: str, filed: Mapping[str, Any]) -> dict[str, Any]:
    """Return the defaults of a service's instance. Its limits go with its own output, and with no other."""
    defaults: dict[str, Any] = {"interface": [instance]}
    if "output" not in filed:
        directory = os.environ.get("STATE_DIRECTORY", STATE_DIRECTORY)
        defaults["output"] = os.path.join(directory, f"{instance}.pcapng")
        defaults |= {name: parse_value(OPTIONS[name], text) for name, text in INSTANCE_LIMITS.items()}
    return defaults
