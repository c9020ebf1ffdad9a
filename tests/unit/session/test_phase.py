"""The phases of a capture, its conversion and its output: what may follow what. No socket is needed for that."""

from collections.abc import Mapping
from enum import Enum
from typing import Any

import pytest

from capfix.session.conversion import CONVERSION_TRANSITIONS, ConversionPhase
from capfix.session.output.phase import OUTPUT_TRANSITIONS, OutputPhase
from capfix.session.phase import CAPTURE_TRANSITIONS, CapturePhase, Phases

Table = Mapping[Any, frozenset[Any]]
TABLES: list[tuple[type[Enum], Table, Enum]] = [
    (CapturePhase, CAPTURE_TRANSITIONS, CapturePhase.ENDED),
    (ConversionPhase, CONVERSION_TRANSITIONS, ConversionPhase.OVER),
    (OutputPhase, OUTPUT_TRANSITIONS, OutputPhase.CLOSED),
]
each_table = pytest.mark.parametrize(
    ("phases", "table", "end"), TABLES, ids=["capture", "conversion", "output"]
)


def reachable(table: Table, start: Enum) -> set[Enum]:
    """Return the phases that can come after `start`, however late."""
    found: set[Enum] = set()
    due = [start]
    while due:
        for phase in table[due.pop()] - found:
            found.add(phase)
            due.append(phase)
    return found


@each_table
def test_every_phase_has_its_row(phases: type[Enum], table: Table, end: Enum) -> None:
    """Nothing can be in a phase that nobody thought of."""
    assert set(table) == set(phases)


@each_table
def test_every_phase_leads_to_the_end_and_nothing_leads_out_of_it(
    phases: type[Enum], table: Table, end: Enum
) -> None:
    """Whatever happens, there is a way to the end: a loop of phases without one is how a capture hangs."""
    assert table[end] == frozenset()
    assert all(end in reachable(table, phase) for phase in phases if phase is not end)


@pytest.mark.parametrize(
    "phase", [phase for phase in OutputPhase if phase not in (OutputPhase.CLOSING, OutputPhase.CLOSED)]
)
def test_an_output_can_be_closed_from_everywhere(phase: OutputPhase) -> None:
    """Also while a disk is full, or a file is being tried."""
    assert OutputPhase.CLOSING in OUTPUT_TRANSITIONS[phase]


@pytest.mark.parametrize("phase", [CapturePhase.CAPTURING, CapturePhase.STOPPING, CapturePhase.DRAINING])
def test_a_capture_can_be_finished_from_everywhere(phase: CapturePhase) -> None:
    """By a second signal, by an output that failed."""
    assert CapturePhase.FINISHING in CAPTURE_TRANSITIONS[phase]


def test_a_transition_that_is_not_in_the_table_is_a_mistake() -> None:
    """It is noticed where it is made."""
    phases = Phases(CapturePhase.STARTING, CAPTURE_TRANSITIONS)
    phases.go(CapturePhase.CAPTURING)
    assert not phases.may_go(CapturePhase.STARTING)
    with pytest.raises(AssertionError, match=r"STARTING cannot follow .*CAPTURING"):
        phases.go(CapturePhase.STARTING)
