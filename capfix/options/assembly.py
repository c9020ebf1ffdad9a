"""From the values of single options to RunOptions."""

from collections.abc import Mapping
from typing import Any

from capfix.errors import Contradiction, ContradictionError
from capfix.options.checks import checked
from capfix.options.dumpcap import stop_rules
from capfix.options.option import Option
from capfix.options.run import RunOptions
from capfix.options.table import OPTIONS
from capfix.options.values import file_rules, least
from capfix.rotation.retention import RetentionRules
from capfix.rotation.schedule import RotationRules


def default(option: Option) -> Any:
    """Return an option's default value: that of the field it fills, None where there is none."""
    return None if option.field is None else RunOptions._field_defaults.get(option.field)


def assemble(values: Mapping[str, Any]) -> RunOptions:
    """Return what options ask for all together. `values` are by long names; one that is absent has its default.

    A repeatable option has a list of values, and a flag its constant.

    Raises:
        ContradictionError: they cannot be together.
    """
    if "filter" in values and "filter-file" in values:
        both = Contradiction(
            ("filter", "filter-file"), "--filter and --filter-file both give the expression; leave one out"
        )
        raise ContradictionError([both])
    fields: dict[str, Any] = {}
    parts: dict[str, dict[str, Any]] = {"rotation": {}, "retention": {}}
    for name, option in OPTIONS.items():
        if option.field is None or name not in values:
            continue
        field, _, part = option.field.partition(".")
        if part:
            parts[field][part] = values[name]
        else:
            fields[field] = values[name]
    stop = stop_rules(values.get("stop", ()))
    rotation, retention, stop = file_rules(
        values.get("rotate", ()),
        RotationRules(**parts["rotation"]),
        RetentionRules(**parts["retention"]),
        stop,
    )
    fields |= {
        "interfaces": tuple(dict.fromkeys(values.get("interface", ()))),
        "comments": tuple(values.get("comment", ())),
        "output": values.get("output"),
        "rotation": rotation,
        "retention": retention,
        "stop_packets": least(values.get("count"), stop.packets),
        "stop_files": stop.files,
        "stop_size_bytes": stop.size_bytes,
        "stop_after_s": None if stop.duration_ns is None else stop.duration_ns / 1e9,
    }
    return checked(RunOptions(**fields))
