"""One option of `capfix run`, as a record: everything known about it, for the code that reads, writes or shows it."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple


class Kind(NamedTuple):
    """What an option's value may be, and how it is shown.

    `parse` makes the value of its text and raises UsageError or FormatError; without it the text is the value. `limits`
    are the least and the most of a value that is a number, None where there is no such limit. A flag takes no value:
    it stands for `constant`.
    """

    metavar: str
    parse: Callable[[str], Any] | None = None
    choices: tuple[str, ...] = ()
    limits: tuple[int | None, int | None] = (None, None)
    constant: bool | None = None

    @property
    def is_flag(self) -> bool:
        """Whether the option takes no value."""
        return self.constant is not None


class Needs(NamedTuple):
    """What has to be there for an option to mean anything.

    `sources` are the values of --source that it goes with, all where there is none; `reason` says why the others do
    not. `capability` is what the kernel demands, `extra` the name of the optional dependencies of capfix.
    """

    sources: tuple[str, ...] = ()
    reason: str = ""
    capability: str = ""
    extra: str = ""


class Option(NamedTuple):
    """One option.

    `name` is the long name, without dashes, and the key in a configuration file; `letters` are its short names, with
    dash. `fills` is the field of RunOptions that its value goes to, with a dot for a field of a field: several for an
    option that asks for several things, none for one that only says where the others are. `{default}` in `help` stands
    for the field's default value. `changeable` options can change while a capture runs.
    """

    name: str
    kind: Kind
    help: str
    fills: tuple[str, ...] = ()
    letters: tuple[str, ...] = ()
    repeatable: bool = False
    required: bool = False
    in_file: bool = True
    changeable: bool = False
    needs: Needs = Needs()

    @property
    def flags(self) -> tuple[str, ...]:
        """All its names as they are typed, short ones first."""
        return (*self.letters, f"--{self.name}")

    @property
    def field(self) -> str | None:
        """The field that takes its value as it is; None where several options together make what they fill."""
        return self.fills[0] if len(self.fills) == 1 and not self.repeatable else None


class Group(NamedTuple):
    """Options that are shown together, under a title."""

    title: str
    options: tuple[Option, ...]
    description: str | None = None


def listed(names: tuple[str, ...], last: str = "or") -> str:
    """Return names as a sentence lists them: `a, b or c`."""
    return f" {last} ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def requirements(needs: Needs) -> Iterator[str]:
    """Yield what an option needs, in words for its help."""
    if needs.sources:
        yield f"--source {listed(needs.sources)}"
    if needs.capability:
        yield needs.capability
    if needs.extra:
        yield f"capfix[{needs.extra}]"
