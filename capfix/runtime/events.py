"""What is told, as values: an event has a name, a level and fields; its sentence is made where it is shown.

A kind of event is made once, next to what it tells of:

    INTERFACE_CAME = EventKind("interface-came", NOTICE, "{interface} is there, as ifindex {ifindex}")
    report.tell(INTERFACE_CAME(interface="cipsec0", ifindex=7))
"""

from typing import Any, Final, NamedTuple

DETAIL: Final = 0  # only -v asks for it
NOTICE: Final = 1  # everybody should know
TROUBLE: Final = 2  # something was lost, or will be


class Event(NamedTuple):
    """One thing that happened. `fields` are plain values, for programs; `sentence` is for people."""

    kind: "EventKind"
    fields: dict[str, Any]

    @property
    def sentence(self) -> str:
        """What happened, in words."""
        return self.kind.text.format(**self.fields)


class EventKind(NamedTuple):
    """A kind of event: its name, lower case with hyphens, its level, and its sentence with {fields}."""

    name: str
    level: int
    text: str

    def __call__(self, **fields: Any) -> Event:
        """Return an event of this kind."""
        return Event(self, fields)


def packets(count: int) -> str:
    """Return a number of packets in words."""
    return f"{count} packet{'' if count == 1 else 's'}"
