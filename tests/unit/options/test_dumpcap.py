"""dumpcap's criteria."""

import pytest

from capfix.errors import UsageError
from capfix.options.dumpcap import StopRules, rotate_criterion, rotate_rules, stop_criterion, stop_rules
from capfix.rotation.retention import RetentionRules
from capfix.rotation.schedule import RotationRules


def test_every_rotation_criterion() -> None:
    """Each -b key sets its rule: kB are 1000 bytes, times are seconds, files are those of this run."""
    criteria = ["filesize:2000", "duration:0.5", "packets:7", "interval:3600", "files:5"]
    assert rotate_rules(map(rotate_criterion, criteria)) == (
        RotationRules(size_bytes=2_000_000, duration_ns=5 * 10**8, packets=7, every_ns=3600 * 10**9),
        RetentionRules(run_files=5),
    )


def test_every_stop_criterion() -> None:
    """Each -a key sets its rule."""
    assert stop_rules(
        map(stop_criterion, ["duration:1.5", "filesize:1", "files:3", "packets:9"])
    ) == StopRules(duration_ns=15 * 10**8, size_bytes=1000, files=3, packets=9)


def test_the_last_of_a_key_counts() -> None:
    """A key given twice takes its last value, as in dumpcap."""
    assert rotate_rules(map(rotate_criterion, ["packets:1", "packets:2"]))[0].packets == 2
    assert rotate_rules([]) == (RotationRules(), RetentionRules())


def test_a_stop_at_a_size_begins_a_new_file_where_files_are_rotated() -> None:
    """With -b, -a filesize ends the file and not the capture; the smaller of two sizes holds."""
    stop = StopRules(size_bytes=1000, files=2)
    assert stop.rotating(RotationRules()) == (RotationRules(), stop)
    assert stop.rotating(RotationRules(packets=5)) == (
        RotationRules(packets=5, size_bytes=1000),
        StopRules(files=2),
    )
    assert stop.rotating(RotationRules(size_bytes=500))[0].size_bytes == 500


@pytest.mark.parametrize(
    "criterion",
    [
        "",
        "duration",
        "duration:",
        "duration:x",
        "duration:0",
        "filesize:0",
        "filesize:1MB",
        "files:100000",
        "size:1",
    ],
)
def test_a_wrong_criterion_is_quoted(criterion: str) -> None:
    """A wrong criterion is a usage error that begins with the criterion as it was given."""
    for parse in (rotate_criterion, stop_criterion):
        with pytest.raises(UsageError, match=f"^'{criterion}'"):
            parse(criterion)


def test_an_unknown_key_is_answered_with_the_known() -> None:
    """An interval is nothing to stop at; the error lists what is."""
    with pytest.raises(UsageError, match="one of duration, files, filesize, packets;"):
        stop_criterion("interval:5")
