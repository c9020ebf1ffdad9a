"""What no single option can know: limits, and options that cannot be together."""

from collections.abc import Iterator
from typing import Any

from capfix.errors import Contradiction, ContradictionError
from capfix.options.interface_names import is_pattern
from capfix.options.option import Option, listed
from capfix.options.run import ANY_NAME, RunOptions
from capfix.options.table import OPTIONS
from capfix.rotation.schedule import SHORTEST_NS
from capfix.wire.pcapng import SECTION_COMMENTS_LIMIT, comments_length


def checked(options: RunOptions) -> RunOptions:
    """Return `options`, having found nothing wrong with them.

    Raises:
        ContradictionError: they contradict each other or ask for what cannot be.
    """
    problems = list(_problems(options))
    if problems:
        raise ContradictionError(problems)
    return options


def field_value(options: RunOptions, path: str) -> Any:
    """Return the value of a field; a dot in `path` leads to a field of a field."""
    value: Any = options
    for name in path.split("."):
        value = getattr(value, name)
    return value


def _problems(options: RunOptions) -> Iterator[Contradiction]:
    yield from _interface_problems(options)
    for option in OPTIONS.values():
        if option.field is not None:
            yield from _value_problems(option, field_value(options, option.field))
            yield from _missing_needs(option, options)
    yield from _header_problems(options)
    yield from _netfilter_problems(options)
    yield from _rotation_problems(options)
    yield from _comment_problems(options)


def _interface_problems(options: RunOptions) -> Iterator[Contradiction]:
    name = ("interface",)
    if not options.interfaces:
        yield Contradiction(name, "no interface to capture on; name one with -i, or `-i any` for all")
    if ANY_NAME in options.interfaces and len(options.interfaces) > 1:
        yield Contradiction(name, "`-i any` captures on every interface already; leave the other -i out")


def _value_problems(option: Option, value: Any) -> Iterator[Contradiction]:
    """Yield whether a value is none of the choices, or too small, or too large."""
    name = (option.name,)
    if value is None:
        return
    if option.kind.choices and value not in option.kind.choices:
        yield Contradiction(name, f"--{option.name}: {value!r} is none of {', '.join(option.kind.choices)}")
    least, most = option.kind.limits
    if least is not None and value < least:
        yield Contradiction(name, f"--{option.name} {value} is too small; the least is {least}")
    if most is not None and value > most:
        yield Contradiction(name, f"--{option.name} {value} is too large; the most is {most}")


def _missing_needs(option: Option, options: RunOptions) -> Iterator[Contradiction]:
    """Yield whether an option is given that does not go with the source."""
    sources = option.needs.sources
    if not sources or options.source in sources or not _is_given(option, options):
        return
    reason = f": {option.needs.reason}" if option.needs.reason else ""
    yield Contradiction((option.name, "source"), f"--{option.name} needs --source {listed(sources)}{reason}")


def _is_given(option: Option, options: RunOptions) -> bool:
    assert option.field is not None
    return bool(field_value(options, option.field) != RunOptions._field_defaults[option.field])


def _header_problems(options: RunOptions) -> Iterator[Contradiction]:
    if options.keep_headers and options.link != "ethernet":
        yield Contradiction(
            ("keep-headers", "link"),
            f"--keep-headers keeps Ethernet headers, and --link {options.link} has none; use --link ethernet",
        )


def _netfilter_problems(options: RunOptions) -> Iterator[Contradiction]:
    if options.source == "packet":
        return
    if any(map(is_pattern, options.interfaces)):
        yield Contradiction(
            ("interface", "source"),
            "a pattern with -i needs --source packet; name the interfaces, or say `-i any`",
        )
    if options.nflog_rules != "none":
        return
    if options.nflog_hooks is not None:
        yield Contradiction(
            ("nflog-hooks", "nflog-rules"),
            "--nflog-hooks says where capfix makes rules, and --nflog-rules none that it makes none",
        )
    if options.nflog_group is None:
        yield Contradiction(
            ("nflog-rules",),
            "--nflog-rules none needs --nflog-group: the group that your own rules log to",
        )


def _comment_problems(options: RunOptions) -> Iterator[Contradiction]:
    length = comments_length(options.comments)
    if length > SECTION_COMMENTS_LIMIT:
        yield Contradiction(
            ("comment",),
            f"--comment takes {length} bytes in all; shorten it to {SECTION_COMMENTS_LIMIT}, as each file repeats it",
        )


def _rotation_problems(options: RunOptions) -> Iterator[Contradiction]:
    rotation = options.rotation
    for name, words, span_ns in (
        ("rotate-every", "--rotate-every", rotation.every_ns),
        ("rotate", "--rotate duration", rotation.duration_ns),
    ):
        if span_ns is not None and span_ns < SHORTEST_NS:
            yield Contradiction((name,), f"{words} of {span_ns / 1e6:g} ms is too often; 100 ms is the least")
    if options.skip_empty and rotation.every_ns is None and rotation.duration_ns is None:
        yield Contradiction(
            ("skip-empty",),
            "--skip-empty needs files that time ends: say also --rotate-every, or -b duration:SECONDS",
        )
    if not rotation and (options.retention or options.stop_files):
        yield Contradiction(
            ("rotate", "keep-files", "keep-size", "keep-age", "keep-free", "stop"),
            "there is one file unless it is rotated: say also when the next begins, with --rotate-size, "
            "--rotate-every or --rotate-packets",
        )
