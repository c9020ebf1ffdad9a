"""The phases of a capture's output, and what may follow what.

    BEGINNING --> WRITING --> ENDING --> BEGINNING ...      one file after another
                    |
                    `--> DOWN --> REOPENING --> WRITING     a disk that failed, tried again until there is room
                           `---------'

From each of them the output may be CLOSING. BEGINNING, ENDING and CLOSING have blocks of their own to write, and wait
for buffers; in DOWN what is converted is lost, and counted; in REOPENING the rings wait for the disk's answer.
"""

from enum import Enum, auto
from typing import Final


class OutputPhase(Enum):
    """Where an output stands."""

    BEGINNING = auto()  # the first blocks of a file are due
    WRITING = auto()
    ENDING = auto()  # the last blocks of a file are due
    DOWN = auto()  # nothing can be written at present
    REOPENING = auto()  # a file is being tried, after a disk that failed
    CLOSING = auto()  # the last blocks of all are due
    CLOSED = auto()


_BEGINNING, _WRITING, _ENDING, _DOWN, _REOPENING, _CLOSING, _CLOSED = OutputPhase

OUTPUT_TRANSITIONS: Final = {
    _BEGINNING: frozenset({_WRITING, _DOWN, _CLOSING}),
    _WRITING: frozenset({_ENDING, _DOWN, _CLOSING}),
    _ENDING: frozenset({_BEGINNING, _DOWN, _CLOSING}),
    _DOWN: frozenset({_REOPENING, _WRITING, _CLOSING}),
    _REOPENING: frozenset({_WRITING, _DOWN, _CLOSING}),
    _CLOSING: frozenset({_CLOSED}),
    _CLOSED: frozenset[OutputPhase](),
}
