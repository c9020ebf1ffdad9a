"""The phases of a capture, and what may follow what.

    STARTING --> CAPTURING --> STOPPING --> DRAINING --> FINISHING --> ENDED

A capture may go on to FINISHING from any phase before it: when the last packet asked for is there, when the output
failed, at a second signal. It may be ENDED from FINISHING only, by an output that is finished or given up.
"""

from collections.abc import Mapping
from enum import Enum, auto
from typing import Final, Generic, TypeVar

P = TypeVar("P", bound=Enum)


class Phases(Generic[P]):
    """The phase something is in. It changes only as the table of transitions allows."""

    def __init__(self, start: P, transitions: Mapping[P, frozenset[P]]) -> None:
        self.now = start
        self._transitions = transitions

    def go(self, phase: P) -> None:
        """Enter a phase.

        Raises:
            AssertionError: it cannot follow the phase that this is in: a mistake in the program.
        """
        if phase not in self._transitions[self.now]:
            raise AssertionError(f"{phase} cannot follow {self.now}")
        self.now = phase

    def may_go(self, phase: P) -> bool:
        """Return whether a phase can follow."""
        return phase in self._transitions[self.now]


class CapturePhase(Enum):
    """Where a capture stands."""

    STARTING = auto()  # nothing is captured yet
    CAPTURING = auto()
    STOPPING = auto()  # nothing more is let in; what is on its way is waited for
    DRAINING = auto()  # what is left in the rings is converted, as the writer makes room
    FINISHING = auto()  # nothing more is converted; the output is being finished
    ENDED = auto()


CAPTURE_TRANSITIONS: Final = {
    CapturePhase.STARTING: frozenset({CapturePhase.CAPTURING, CapturePhase.STOPPING, CapturePhase.FINISHING}),
    CapturePhase.CAPTURING: frozenset({CapturePhase.STOPPING, CapturePhase.FINISHING}),
    CapturePhase.STOPPING: frozenset({CapturePhase.DRAINING, CapturePhase.FINISHING}),
    CapturePhase.DRAINING: frozenset({CapturePhase.FINISHING}),
    CapturePhase.FINISHING: frozenset({CapturePhase.ENDED}),
    CapturePhase.ENDED: frozenset[CapturePhase](),
}
