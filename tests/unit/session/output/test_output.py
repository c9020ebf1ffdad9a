"""One file after another: what ends each, and what each begins with."""

import pytest

from tests.unit.session.parts import Assembly, blocks, numbers, rotation

SECTION, INTERFACE, PACKET = 0x0A0D0D0A, 1, 6


def packets(count: int, ifindex: int = 1) -> list[tuple[int, int]]:
    return [(ifindex, number) for number in range(count)]


def test_each_file_is_a_section_with_its_own_interfaces() -> None:
    """Header, the source's first block, then a block for each interface before its first packet."""
    assembly = Assembly(rotation=rotation(packets=2), stop_packets=4)
    assembly.at(0.01, (1, 0), (2, 1), (1, 2), (2, 3))
    assert assembly.run() == 0
    kinds = [[kind for kind, _ in blocks(file)] for file in assembly.target.files]
    assert kinds == [[SECTION, INTERFACE, INTERFACE, PACKET, INTERFACE, PACKET]] * 2


def test_files_hold_as_many_packets_as_they_may() -> None:
    """And the capture ends with the last file asked for."""
    assembly = Assembly(rotation=rotation(packets=3), stop_files=2)
    assembly.at(0.01, *packets(10))
    assert assembly.run() == 0
    assert [numbers(file) for file in assembly.target.files] == [[0, 1, 2], [3, 4, 5]]


def test_files_are_no_larger_than_they_may_be() -> None:
    """A file holds at least one packet all the same."""
    assembly = Assembly(rotation=rotation(size_bytes=600), stop_packets=40)
    assembly.at(0.01, *packets(40))
    assert assembly.run() == 0
    written = [number for file in assembly.target.files for number in numbers(file)]
    assert written == list(range(40))
    assert all(len(file) <= 600 or len(numbers(file)) == 1 for file in assembly.target.files)


@pytest.mark.parametrize("files", [None, 2])
def test_many_interfaces_at_once_do_not_make_many_files(files: int | None) -> None:
    """One file ends early for that reason; the next one takes them all, and that is said once."""
    assembly = Assembly(rotation=rotation(size_bytes=1 << 30), stop_after_s=1.0, stop_files=files)
    for seconds in (0.01, 0.2, 0.4):
        assembly.at(seconds, *((ifindex, ifindex) for ifindex in range(1, 1001)))
    assembly.run()
    assert len(assembly.target.files) <= 2
    assert assembly.stderr.getvalue().count("interfaces in one file") == 1
    if files is None:
        assert sum(len(numbers(file)) for file in assembly.target.files) == 3000


def test_a_block_that_is_larger_than_what_is_left_of_a_buffer_gets_the_next_one() -> None:
    """Interface blocks of any length are whole in the file, in front of their packets."""
    assembly = Assembly(stop_packets=3000)
    assembly.at(0.01, *((ifindex % 100 + 1, ifindex) for ifindex in range(3000)))
    assert assembly.run() == 0
    assert numbers(assembly.target.files[0]) == list(range(3000))


@pytest.mark.parametrize("skips", [False, True])
def test_quiet_intervals_make_files_only_where_they_are_wanted(skips: bool) -> None:
    """Where they are not, one file waits for its first packet, and ends with the interval of that."""
    assembly = Assembly(rotation=rotation(duration_ns=100_000_000), stop_after_s=1.0, skip_empty=skips)
    assembly.at(0.35, (1, 0))
    assert assembly.run() == 0
    found = [numbers(file) for file in assembly.target.files]
    assert found == [[0], []] if skips else len(found) > 5
