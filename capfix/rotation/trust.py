"""Which of the files that bear an output's names are taken for its files.

Anybody who may write the directory can put a file there. One with a number far from all others would end the numbering
or, counted by retention, push out files that the rules keep.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

LARGEST: Final = 10**12  # at ten files a second after three thousand years
GAP: Final = (
    1_000_000  # at ten files a second, the shortest there are, more than a day's files, removed by hand
)


class NumbersInLine(NamedTuple):
    """The numbers from `lowest` to `highest`; those of no file are 1 to 0."""

    lowest: int = 1
    highest: int = 0

    def __contains__(self, number: object) -> bool:
        return isinstance(number, int) and self.lowest <= number <= self.highest


def numbers_in_line(numbers: Iterable[int]) -> NumbersInLine:
    """Return the numbers to trust: of the groups that lie more than GAP apart the largest, or the lower of two."""
    groups: list[list[int]] = []
    for number in sorted(number for number in numbers if number <= LARGEST):
        if not groups or number - groups[-1][-1] > GAP:
            groups.append([])
        groups[-1].append(number)
    if not groups:
        return NumbersInLine()
    largest = max(groups, key=len)
    return NumbersInLine(largest[0], largest[-1])
