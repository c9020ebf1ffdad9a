"""Which finished files must go."""

import time
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from capfix.rotation.retention import Inventory, RetentionRules, Space, StoredFile
from capfix.units import SizeOrPercent

HOUR = 3600 * 10**9
PLENTY = Space(total_bytes=1000, free_bytes=1000)


def stored(number: int, size_bytes: int = 10, modified_ns: int = 0) -> StoredFile:
    return StoredFile(f"out_{number:05}", number, size_bytes, modified_ns)


def doomed(inventory: Inventory, rules: RetentionRules, **facts: object) -> list[int]:
    given_facts = {"writing_bytes": 0, "now_ns": 0, "space": PLENTY} | facts
    return [removal.file.number for removal in inventory.surplus(rules, **given_facts)]  # type: ignore[arg-type]


def test_without_rules_everything_stays() -> None:
    """No rule, no removal, also on a full disk."""
    inventory = Inventory([stored(n) for n in range(1, 5)], first_of_run=1)
    assert not RetentionRules()
    assert doomed(inventory, RetentionRules(), space=Space(1000, 0)) == []
    assert inventory.maybe_oldest(RetentionRules()) is None


def test_keep_files_counts_the_one_being_written() -> None:
    """Of five files and one being written, three may stay, so the three oldest go, by number."""
    inventory = Inventory([stored(n) for n in (3, 1, 5, 2, 4)], first_of_run=6)
    assert doomed(inventory, RetentionRules(keep_files=3)) == [1, 2, 3]
    assert doomed(inventory, RetentionRules(keep_files=1)) == [1, 2, 3, 4, 5]


def test_keep_size_counts_the_one_being_written() -> None:
    """Five files of ten bytes and 25 being written make 75: to come down to 50, three go."""
    inventory = Inventory([stored(n) for n in range(1, 6)], first_of_run=6)
    assert doomed(inventory, RetentionRules(keep_size_bytes=50), writing_bytes=25) == [1, 2, 3]
    assert doomed(inventory, RetentionRules(keep_size_bytes=75), writing_bytes=25) == []


def test_keep_age_goes_by_modification_time() -> None:
    """A file is too old by its modification time, whatever its number; exactly the age may stay."""
    ages = {1: 2 * HOUR, 2: HOUR, 3: 3 * HOUR, 4: 0}
    inventory = Inventory([stored(n, modified_ns=10 * HOUR - age) for n, age in ages.items()], first_of_run=5)
    rules = RetentionRules(keep_age_ns=HOUR)
    assert doomed(inventory, rules, now_ns=10 * HOUR) == [3, 1]
    assert doomed(inventory, rules, now_ns=10 * HOUR) == [3, 1], "asking changes nothing"
    inventory.forget("out_00003")
    assert doomed(inventory, rules, now_ns=10 * HOUR + 1) == [1, 2]


def test_keep_free_in_bytes_and_per_cent() -> None:
    """As many of the oldest go as would free what is missing."""
    inventory = Inventory([stored(n, size_bytes=40) for n in range(1, 6)], first_of_run=6)
    space = Space(total_bytes=1000, free_bytes=30)
    assert doomed(inventory, RetentionRules(keep_free=SizeOrPercent(size_bytes=100)), space=space) == [1, 2]
    assert doomed(inventory, RetentionRules(keep_free=SizeOrPercent(percent=Fraction(15))), space=space) == [
        1,
        2,
        3,
    ]
    assert doomed(inventory, RetentionRules(keep_free=SizeOrPercent(size_bytes=30)), space=space) == []


def test_a_ring_of_this_run_leaves_earlier_runs_alone() -> None:
    """dumpcap's files:N removes only what this run wrote, on a full disk too."""
    inventory = Inventory([stored(n) for n in range(1, 9)], first_of_run=5)
    rules = RetentionRules(run_files=3)
    assert doomed(inventory, rules) == [5, 6]
    assert inventory.maybe_oldest(rules) == stored(5)
    assert doomed(inventory, RetentionRules(run_files=3, keep_files=4)) == [1, 2, 3, 4, 5, 6]


def test_whichever_rule_demands_most_decides() -> None:
    """Rules do not add up: what goes for one counts for the others, and each removal names its rule."""
    inventory = Inventory([stored(n, modified_ns=n * HOUR) for n in range(1, 11)], first_of_run=11)
    rules = RetentionRules(keep_files=9, keep_size_bytes=60, keep_age_ns=9 * HOUR)
    removals = inventory.surplus(rules, 0, 12 * HOUR, PLENTY)
    assert [(removal.file.number, removal.rule) for removal in removals] == [
        (1, "older than 9 h"),
        (2, "older than 9 h"),
        (3, "more than 60 bytes"),
        (4, "more than 60 bytes"),
    ]


def test_what_others_removed_is_struck_out() -> None:
    """Files that somebody else removed no longer count."""
    inventory = Inventory([stored(n) for n in range(1, 11)], first_of_run=11)
    inventory.reconcile({"out_00009", "out_00010", "foreign"})
    inventory.forget("foreign")
    assert (len(inventory), inventory.total_bytes) == (2, 20)
    assert doomed(inventory, RetentionRules(keep_files=2)) == [9]


def test_the_rule_applied_is_said() -> None:
    """The sentence names each rule and whether files of earlier runs are in danger."""
    assert RetentionRules().sentence() == "keeping every file"
    assert (
        RetentionRules(keep_files=1, keep_size_bytes=10**9, keep_age_ns=24 * HOUR).sentence()
        == "keeping at most 1 file, at most 1 GB, nothing older than 1 d; "
        "oldest go first, files of earlier runs count"
    )
    assert (
        RetentionRules(run_files=5).sentence()
        == "keeping at most 5 files of this run; oldest go first, files of earlier runs stay"
    )
    assert (
        "10% of the filesystem free"
        in RetentionRules(keep_free=SizeOrPercent(percent=Fraction(10))).sentence()
    )


rules_strategy = st.builds(
    RetentionRules,
    keep_files=st.none() | st.integers(1, 8),
    keep_size_bytes=st.none() | st.integers(1, 300),
    keep_age_ns=st.none() | st.integers(1, 50),
    keep_free=st.none() | st.builds(SizeOrPercent, size_bytes=st.integers(1, 300)),
    run_files=st.none() | st.integers(1, 8),
)


@given(
    earlier=st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100)), max_size=8),
    run=st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100)), max_size=8),
    rules=rules_strategy,
    writing_bytes=st.integers(0, 100),
    free_bytes=st.integers(0, 300),
)
def test_retention_removes_what_it_must_and_nothing_else(
    earlier: list[tuple[int, int]],
    run: list[tuple[int, int]],
    rules: RetentionRules,
    writing_bytes: int,
    free_bytes: int,
) -> None:
    """After removal each rule holds or nothing it may touch is left; and no file goes without need."""
    files = [stored(n + 1, size, modified) for n, (size, modified) in enumerate(earlier + run)]
    inventory = Inventory(files, first_of_run=len(earlier) + 1)
    removals = inventory.surplus(rules, writing_bytes, 100, Space(1000, free_bytes))
    gone = [removal.file for removal in removals]
    assert len({file.name for file in gone}) == len(gone)
    for file in gone:
        inventory.forget(file.name)
    left = list(inventory)
    assert sorted([*left, *gone], key=lambda file: file.number) == files
    assert inventory.total_bytes == sum(file.size_bytes for file in left)

    def unmet(left: list[StoredFile]) -> bool:
        freed = sum(file.size_bytes for file in files) - sum(file.size_bytes for file in left)
        too_many = rules.keep_files is not None and len(left) + 1 > rules.keep_files
        size_bytes = sum(file.size_bytes for file in left) + writing_bytes
        too_large = rules.keep_size_bytes is not None and size_bytes > rules.keep_size_bytes
        too_full = rules.keep_free is not None and free_bytes + freed < rules.keep_free.of(1000)
        return too_many or too_large or too_full

    assert not left or not unmet(left)
    if rules.keep_age_ns is not None:
        assert all(100 - file.modified_ns <= rules.keep_age_ns for file in left)
    if rules.run_files is not None:
        assert sum(file.number > len(earlier) for file in left) + 1 <= max(rules.run_files, 1)
    present = list(files)
    for file in gone:
        too_old = rules.keep_age_ns is not None and 100 - file.modified_ns > rules.keep_age_ns
        of_ring = rules.run_files is not None and file.number > len(earlier)
        assert too_old or of_ring or unmet(present), f"{file} went without need"
        present.remove(file)
    if not rules.reaches_earlier_runs:
        assert all(file.number > len(earlier) for file in gone)


def test_a_rotation_among_many_files_costs_no_more() -> None:
    """Asking and removing takes about as long among 50,000 files as among 50."""

    def seconds(existing: int) -> float:
        inventory = Inventory([stored(n, modified_ns=n) for n in range(1, existing + 1)], existing + 1)
        rules = RetentionRules(keep_files=existing + 1, keep_age_ns=10**15, keep_size_bytes=10**15)
        began = time.perf_counter()
        for number in range(existing + 1, existing + 2001):
            for removal in inventory.surplus(rules, 0, number, PLENTY):
                inventory.forget(removal.file.name)
            inventory.add(stored(number, modified_ns=number))
        assert len(inventory) == existing + 1
        return time.perf_counter() - began

    few, many = min(seconds(50) for _ in range(3)), min(seconds(50_000) for _ in range(3))
    assert many < few * 5


def test_the_inventory_is_bounded_by_what_is_there() -> None:
    """Files that came and went leave nothing behind, whatever stays from earlier runs."""
    inventory = Inventory([stored(1)], first_of_run=2)
    rules = RetentionRules(run_files=5)
    for n in range(2, 5000):
        inventory.add(stored(n))
        for removal in inventory.surplus(rules, 0, 0, PLENTY):
            inventory.forget(removal.file.name)
    assert len(inventory) <= 6
    assert len(inventory._by_age) < 200


def test_a_file_larger_than_all_may_be_goes_first() -> None:
    """It does not push out the older ones."""
    files = [*(stored(n, size_bytes=10) for n in range(1, 5)), stored(99999, size_bytes=10**12)]
    assert doomed(Inventory(files, first_of_run=100000), RetentionRules(keep_size_bytes=100)) == [99999]
