"""Which numbers are taken for an output's own."""

from capfix.rotation.trust import GAP, LARGEST, numbers_in_line


def test_none() -> None:
    """Without files numbering begins at 1."""
    assert numbers_in_line([]) == (1, 0)


def test_gaps_that_removal_leaves() -> None:
    """Numbers within the gap belong together; one beyond it does not."""
    assert numbers_in_line([2, 2 + GAP]) == (2, 2 + GAP)
    assert numbers_in_line([1, 2, 3 + GAP]) == (1, 2)


def test_the_largest_group_counts() -> None:
    """Old files far below are out of line as well; of two equal groups the lower one counts."""
    assert numbers_in_line([1, 5 * GAP, 5 * GAP + 1]) == (5 * GAP, 5 * GAP + 1)
    assert numbers_in_line([7, 5 * GAP]) == (7, 7)


def test_the_longest_names() -> None:
    """A number after which no name would be short enough never counts, not even alone."""
    assert numbers_in_line([int("9" * 200)]) == (1, 0)
    assert LARGEST in numbers_in_line([LARGEST])
