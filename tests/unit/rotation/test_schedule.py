"""When a new file is due."""

from hypothesis import given
from hypothesis import strategies as st

from capfix.rotation.schedule import LONGEST_WAIT_NS, Room, RotationRules, Schedule

SECOND = 10**9
HOUR = 3600 * SECOND
NOON = 1_795_348_800 * SECOND  # a multiple of an hour since the epoch


def test_no_rule_never_rotates() -> None:
    """Without rules there is no limit, no timer, nothing due."""
    schedule = Schedule(RotationRules())
    schedule.begin(NOON, 0)
    assert not RotationRules()
    assert schedule.room(10**12, 10**12, 100) == Room(None, None)
    assert schedule.maybe_due_by_time(NOON + 1000 * HOUR, 1000 * HOUR) is None
    assert schedule.maybe_wait_ns(NOON, 0) is None


def test_room_counts_down_to_zero() -> None:
    """Room shrinks with what is written, keeps the closing blocks free and never turns negative."""
    schedule = Schedule(RotationRules(size_bytes=1000, packets=10))
    assert schedule.room(0, 0, 100) == Room(900, 10)
    assert schedule.room(850, 9, 100) == Room(50, 1)
    assert schedule.room(950, 12, 100) == Room(0, 0)


def test_every_is_aligned_to_the_wall_clock() -> None:
    """The first file ends at the next whole multiple, not a whole span after its opening."""
    schedule = Schedule(RotationRules(every_ns=HOUR))
    schedule.begin(NOON + 1234 * SECOND, 0)
    assert schedule.maybe_due_by_time(NOON + HOUR - 1, 0) is None
    assert schedule.maybe_due_by_time(NOON + HOUR, 0) == "interval"


def test_duration_counts_from_the_opening_on_the_monotonic_clock() -> None:
    """dumpcap's duration is a span of the file's own, whatever the wall clock does."""
    schedule = Schedule(RotationRules(duration_ns=10 * SECOND))
    schedule.begin(NOON + 1234 * SECOND, 77 * SECOND)
    assert schedule.maybe_due_by_time(NOON + 5 * HOUR, 87 * SECOND - 1) is None
    assert schedule.maybe_wait_ns(NOON, 86 * SECOND + SECOND // 2) == SECOND // 2
    assert schedule.maybe_due_by_time(NOON - 5 * HOUR, 87 * SECOND) == "duration"


def test_the_wait_ends_at_the_boundary_and_looks_up_in_between() -> None:
    """A timer looks up each second, so that a stepped clock is noticed, and not past the boundary."""
    schedule = Schedule(RotationRules(every_ns=HOUR))
    schedule.begin(NOON, 0)
    assert schedule.maybe_wait_ns(NOON, 0) == LONGEST_WAIT_NS
    assert schedule.maybe_wait_ns(NOON + HOUR - 5, 0) == 5
    assert schedule.maybe_wait_ns(NOON + HOUR + 5, 0) == 0


def test_a_clock_stepped_forward_ends_one_file() -> None:
    """Jumping over many boundaries makes one new file, not one for each."""
    schedule = Schedule(RotationRules(every_ns=SECOND))
    schedule.begin(NOON, 0)
    assert schedule.maybe_due_by_time(NOON + HOUR, 0) == "interval"
    schedule.begin(NOON + HOUR, 0)
    assert schedule.maybe_due_by_time(NOON + HOUR + SECOND - 1, 0) is None


def test_a_clock_stepped_back_leaves_no_stuck_timer() -> None:
    """Back by an hour, a file of one second's slots still ends within a second and a half."""
    schedule = Schedule(RotationRules(every_ns=SECOND))
    schedule.begin(NOON, 0)
    back = NOON - HOUR + SECOND // 3
    assert schedule.maybe_due_by_time(back, 0) is None
    assert schedule.maybe_wait_ns(back, 0) == NOON - HOUR + SECOND - back
    assert schedule.maybe_due_by_time(NOON - HOUR + SECOND, 0) == "interval"


def test_a_small_correction_after_a_boundary_makes_no_extra_file() -> None:
    """A boundary that a clock correction makes come twice ends one file."""
    schedule = Schedule(RotationRules(every_ns=SECOND))
    schedule.begin(NOON + 1_000_000, 0)
    for offset_ns in (-4_000_000, -1, 0, 500_000_000, SECOND - 1):
        assert schedule.maybe_due_by_time(NOON + offset_ns, 0) is None
    assert schedule.maybe_due_by_time(NOON + SECOND, 0) == "interval"


@given(
    every_ns=st.integers(100_000_000, 2 * HOUR),
    steps=st.lists(
        st.tuples(st.integers(0, 30 * 60), st.sampled_from([0, 0, 0, HOUR, -HOUR, 5_000_000, -5_000_000]))
    ),
)
def test_no_file_outlives_its_slot_whatever_the_clock_does(
    every_ns: int, steps: list[tuple[int, int]]
) -> None:
    """Looked at as often as it asks, a file lasts two slots at most; steps make no burst."""
    schedule = Schedule(RotationRules(every_ns=every_ns))
    wall_ns, monotonic_ns = NOON, 0
    schedule.begin(wall_ns, monotonic_ns)
    opened_ns, files, jumps = 0, 0, 0
    for seconds, step_ns in steps:
        wall_ns += step_ns
        jumps += step_ns != 0
        until_ns = monotonic_ns + min(seconds * SECOND, 20 * every_ns)
        while monotonic_ns < until_ns:
            if schedule.maybe_due_by_time(wall_ns, monotonic_ns):
                assert monotonic_ns - opened_ns <= 2 * every_ns + LONGEST_WAIT_NS or jumps > 1
                files, opened_ns = files + 1, monotonic_ns
                schedule.begin(wall_ns, monotonic_ns)
            wait_ns = schedule.maybe_wait_ns(wall_ns, monotonic_ns)
            assert wait_ns is not None
            assert wait_ns > 0
            # A long sleep of many looks is one step here: nothing changes between them.
            look_ns = (
                min(wait_ns, until_ns - monotonic_ns)
                if wait_ns < LONGEST_WAIT_NS
                else min(LONGEST_WAIT_NS * 60, max(LONGEST_WAIT_NS, every_ns // 50), until_ns - monotonic_ns)
            )
            wall_ns, monotonic_ns = wall_ns + look_ns, monotonic_ns + look_ns
    assert files <= monotonic_ns // every_ns + 1 + 2 * jumps  # a jump ends one file and cuts the next short
