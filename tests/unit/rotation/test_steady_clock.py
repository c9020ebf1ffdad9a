"""The clock by which files age."""

from capfix.rotation.steady_clock import JUMP_NS, SteadyClock


def test_it_goes_on_from_the_wall_clock_at_the_start() -> None:
    """It moves as the other clock does."""
    clock = SteadyClock(wall_ns=1000, boot_ns=10)
    assert clock.now_ns(10) == 1000
    assert clock.now_ns(25) == 1015


def test_a_jump_is_noticed_once() -> None:
    """Small corrections are none; each setting of the clock, back as well, is told once."""
    clock = SteadyClock(wall_ns=0, boot_ns=0)
    assert clock.maybe_jump_ns(JUMP_NS - 1, 0) is None
    assert clock.maybe_jump_ns(5 * JUMP_NS, 0) == 5 * JUMP_NS
    assert clock.maybe_jump_ns(5 * JUMP_NS + 7, 7) is None
    assert clock.maybe_jump_ns(-JUMP_NS, 0) == -JUMP_NS
