"""Converting what the sources have as long as the output has room."""

import pytest

from capfix.session import conversion as conversion_module
from tests.unit.session.parts import Assembly, numbers


def test_packets_wait_in_the_source_while_the_output_has_no_room() -> None:
    """They are converted when it has some again; none is lost."""
    assembly = Assembly(stop_packets=4000)
    assembly.target.goes_on.clear()
    assembly.at(0.01, *((1, number) for number in range(4000)))
    waiting = []
    assembly.loop.call_later(0.3, lambda: waiting.append(len(assembly.source.packets)))
    assembly.loop.call_later(0.4, assembly.target.goes_on.set)
    assert assembly.run() == 0
    assert waiting[0] > 0
    assert numbers(assembly.target.files[0]) == list(range(4000))


@pytest.mark.parametrize("steps", [1, 2, 64])
def test_timers_are_heard_between_steps(steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much there is to convert, the loop goes on after a few steps."""
    monkeypatch.setattr(conversion_module, "STEPS_AT_ONCE", steps)
    assembly = Assembly(stop_packets=300)
    assembly.at(
        0.01, *((number, number) for number in range(1, 301))
    )  # each needs a step for its interface block
    left: list[int] = []
    assembly.loop.call_later(0.01, lambda: assembly.loop.call_soon(look))

    def look() -> None:
        left.append(len(assembly.source.packets))
        if assembly.source.packets:
            assembly.loop.call_soon(look)

    assert assembly.run() == 0
    assert len(left) >= 300 // (2 * steps)


def test_a_count_that_is_lowered_ends_the_capture_at_once() -> None:
    """Where more is written than the new count allows, nothing more is."""
    assembly = Assembly(stop_packets=100)
    assembly.at(0.01, *((1, number) for number in range(10)))
    assembly.loop.call_later(0.1, setattr, assembly.conversion, "count", 5)
    assembly.at(0.2, (1, 99))
    assert assembly.run() == 0
    assert numbers(assembly.target.files[0]) == list(range(10))
