"""How many interface blocks one file should have: a reader exists that stops at 255."""

from typing import Final

MANY_INTERFACES: Final = 250


class Crowding:
    """Decides whether another interface had better stand in a new file. `begin` is called for each file.

    A file may end early for that reason, but not one that such a file made way for and that is crowded again: where
    that many interfaces are active at once, files would follow each other without end, and retention would let go what
    they hold.
    """

    def __init__(self, rotates: bool) -> None:
        self._rotates = rotates
        self._may_end_early = True
        self._was_crowded = False
        self._is_told = False

    def begin(self) -> None:
        """Note that a file begins."""
        self._may_end_early = self._may_end_early or not self._was_crowded
        self._was_crowded = False

    def wants_new_file(self, interfaces: int) -> bool:
        """Return whether a file of so many interface blocks should end before it gets another one."""
        if interfaces < MANY_INTERFACES:
            return False
        self._was_crowded = True
        if not (self._rotates and self._may_end_early):
            return False
        self._may_end_early = False
        return True

    def is_news(self, interfaces: int) -> bool:
        """Return, once, whether a file is to have more interface blocks than every reader takes."""
        if interfaces < MANY_INTERFACES or self._is_told:
            return False
        self._is_told = True
        return True
