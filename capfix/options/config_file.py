"""The configuration file: TOML, flat, one option a line, with the long options of `capfix run` as keys.

    interface = ["tun*", "cipsec0"]
    rotate-size = "100MB"
    quiet = true

This module knows what the file says, and on which line. What it means, the table of options knows.
"""

import os
import re
from typing import Any, NamedTuple

from capfix.errors import CapfixError, UsageError

_KEY_LINE = r"""\s*(["']?)([^"'=\s]+)\1\s*="""  # compiled when it is used: most captures have no file


class Setting(NamedTuple):
    """One key of the file, its value as TOML gives it, and its line, counted from 1."""

    key: str
    value: Any
    line: int


class Problem(NamedTuple):
    """What is wrong with the settings. `line` is None where it is not in the file."""

    line: int | None
    message: str


class ConfigurationError(UsageError):
    """Everything that is wrong with the options. `path` is None when there is no file."""

    def __init__(self, path: str | None, problems: list[Problem]) -> None:
        super().__init__(path, problems)
        self.path = path
        self.problems = sorted(problems, key=lambda problem: problem.line or 0)

    def __str__(self) -> str:
        sentences = [self._sentence(problem) for problem in self.problems]
        if len(sentences) == 1:
            return sentences[0]
        return "\n  ".join([f"{len(sentences)} problems:", *sentences])

    def _sentence(self, problem: Problem) -> str:
        return (
            problem.message
            if problem.line is None
            else f"{self.path}, line {problem.line}: {problem.message}"
        )


def read_config_file(path: str | os.PathLike[str]) -> list[Setting]:
    """Return the settings of a file, in the order of its lines.

    Raises:
        CapfixError: it is not there or cannot be read.
        UsageError: it is not TOML; the message has the parser's place.
    """
    import tomllib  # most captures have no file

    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
        content = tomllib.loads(text)
    except OSError as exc:
        raise CapfixError(f"cannot read the configuration {path}: {(exc.strerror or '').lower()}") from exc
    except ValueError as exc:  # UnicodeDecodeError and TOMLDecodeError are both
        raise UsageError(f"{path}: {exc}") from exc
    lines = text.splitlines()
    return sorted(
        (Setting(key, content[key], _line(key, lines)) for key in content), key=lambda found: found.line
    )


def _line(key: str, lines: list[str]) -> int:
    """Return the number of the line on which the top level's `key` is set.

    The parser keeps no places. A line that looks right may stand in a string of several lines: then what is before it
    is no TOML by itself.
    """
    for number, line in enumerate(lines, 1):
        match = re.match(_KEY_LINE, line) or re.match(r"\s*\[+\s*([\"']?)([^\"'\].]+)\1", line)
        if match and match[2].split(".")[0] == key and _is_toml("\n".join(lines[: number - 1])):
            return number
    return 1


def _is_toml(text: str) -> bool:
    import tomllib

    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    return True
