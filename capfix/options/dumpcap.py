"""dumpcap's `-b` and `-a` criteria, with the meanings of dumpcap(1), release 4.0.

Each option holds one `key:value`; of a key given twice the last counts. A kB there is 1000 bytes.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from capfix.errors import UsageError
from capfix.rotation.retention import RetentionRules
from capfix.rotation.schedule import RotationRules
from capfix.units import parse_count, parse_duration

_MOST_FILES: Final = 99_999  # "less than 100000", dumpcap(1)


class StopRules(NamedTuple):
    """What ends a capture; None where a rule is off.

    `files` is the number of files finished, `duration_ns` counts from the start of the capture. `size_bytes`
    is the size of the one file; where files are rotated it ends the file instead, as `rotating` says.
    """

    duration_ns: int | None = None
    size_bytes: int | None = None
    packets: int | None = None
    files: int | None = None

    def rotating(self, rules: RotationRules) -> tuple[RotationRules, "StopRules"]:
        """Return `rules` and these for a capture that rotates, where `-a filesize` begins a new file."""
        if self.size_bytes is None or not rules:
            return rules, self
        limits = [limit for limit in (self.size_bytes, rules.size_bytes) if limit is not None]
        return rules._replace(size_bytes=min(limits)), self._replace(size_bytes=None)


#: A key of a criterion, and its value in the units of RotationRules and StopRules.
Criterion = tuple[str, int]


def rotate_criterion(text: str) -> Criterion:
    """Return what one `-b` option asks for.

    Raises:
        UsageError: an unknown key or a malformed value.
    """
    return _criterion("-b", text, _ROTATE)


def stop_criterion(text: str) -> Criterion:
    """Return what one `-a` option asks for.

    Raises:
        UsageError: an unknown key or a malformed value.
    """
    return _criterion("-a", text, _STOP)


def rotate_rules(criteria: Iterable[Criterion]) -> tuple[RotationRules, RetentionRules]:
    """Return the rules of all `-b` options together."""
    values = dict(criteria)
    rules = RotationRules(
        size_bytes=values.get("filesize"),
        packets=values.get("packets"),
        every_ns=values.get("interval"),
        duration_ns=values.get("duration"),
    )
    return rules, RetentionRules(run_files=values.get("files"))


def stop_rules(criteria: Iterable[Criterion]) -> StopRules:
    """Return the rules of all `-a` options together."""
    values = dict(criteria)
    return StopRules(
        duration_ns=values.get("duration"),
        size_bytes=values.get("filesize"),
        packets=values.get("packets"),
        files=values.get("files"),
    )


def _kilobytes(text: str) -> int:
    return parse_count(text, "filesize") * 1000


def _seconds(text: str) -> int:
    return parse_duration(text)


def _packets(text: str) -> int:
    return parse_count(text, "packets")


def _files(text: str) -> int:
    count = parse_count(text, "files")
    if count > _MOST_FILES:
        raise UsageError(f"files {count}: give less than {_MOST_FILES + 1}")
    return count


_STOP: Final[Mapping[str, Callable[[str], int]]] = {
    "duration": _seconds,
    "files": _files,
    "filesize": _kilobytes,
    "packets": _packets,
}
_ROTATE: Final[Mapping[str, Callable[[str], int]]] = {**_STOP, "interval": _seconds}


def _criterion(letter: str, text: str, known: Mapping[str, Callable[[str], int]]) -> Criterion:
    key, colon, value = text.partition(":")
    if not colon or key not in known:
        raise UsageError(
            f"{text!r} is not KEY:VALUE, where KEY is one of {', '.join(sorted(known))}; "
            f"for example {letter} duration:60"
        )
    try:
        return key, known[key](value)
    except UsageError as exc:
        raise UsageError(f"{text!r}: {exc}") from exc
