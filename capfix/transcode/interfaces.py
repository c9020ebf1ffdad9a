"""What is known of the interfaces that packets come from.

Compiled. A row for each, found by its ifindex. Rows last until a new section of the file begins.
"""

from array import array
from typing import Final

import cython

if not cython.compiled:  # the .pxd file has it otherwise
    from capfix.framing.addresses import InterfaceAddresses

_IGNORED: Final = 0xFFFFFFFF  # an interface id that stands for: leave its packets out
_EMPTY_SLOT: Final = -1
_ROWS: Final = 4  # at first


class InterfaceTable:
    """The interfaces of one source, and how many packets of each were written."""

    def __init__(self) -> None:
        self.addresses = InterfaceAddresses()
        self.forget()

    def forget(self) -> None:
        """Know no interface any more: a new section begins, where each needs a block of its own."""
        self._rows: dict[int, int] = {}
        self._free_rows: list[int] = []
        self._last_row = 0
        self.addresses.forget()
        self._ifindexes = array("I", [0] * _ROWS)
        self.interface_ids = array("I", [0] * _ROWS)
        self.hardware_types = array("H", [0] * _ROWS)
        self.written = array("Q", [0] * _ROWS)
        self._slot_count = 2 * _ROWS
        self._slots = array("i", [_EMPTY_SLOT] * self._slot_count)

    def add(self, ifindex: int, interface_id: int, mac: bytes | None, hardware_type: int = 0) -> None:
        """Write packets of `ifindex` as of interface block `interface_id`.

        `mac` is its own address, 6 bytes or None, `hardware_type` an ARPHRD_ number, for packets that come without.
        An ifindex that is known already is changed: a device came back under another number of the file.
        """
        row = self._rows.get(ifindex)
        if row is None:
            row = self._free_rows.pop() if self._free_rows else len(self._rows)
            self._rows[ifindex] = row
            self._make_room(row)
            self.written[row] = 0
            self._fill_slot(ifindex, row)
        self._ifindexes[row] = ifindex
        self.interface_ids[row] = interface_id
        self.hardware_types[row] = hardware_type
        self.addresses.set(row, mac)

    def _make_room(self, row: int) -> None:
        """See to it that `row` is there, in twice the room if it is not: each of many costs no more than one of few."""
        room = len(self.written)
        if row < room:
            return
        self._ifindexes, self.interface_ids, self.hardware_types, self.written = (
            array(kind, list(column) + [0] * room)
            for kind, column in (
                ("I", self._ifindexes),
                ("I", self.interface_ids),
                ("H", self.hardware_types),
                ("Q", self.written),
            )
        )
        self._slot_count = 4 * room  # at most half full, so that a search ends soon
        self._fill_slots()

    def _fill_slots(self) -> None:
        """Lay out the slots anew."""
        self._slots = array("i", [_EMPTY_SLOT] * self._slot_count)
        for ifindex, row in self._rows.items():
            self._fill_slot(ifindex, row)

    def _fill_slot(self, ifindex: int, row: int) -> None:
        slot = ifindex % self._slot_count
        while self._slots[slot] not in (_EMPTY_SLOT, row):
            slot = (slot + 1) % self._slot_count
        self._slots[slot] = row

    def ask_again(self, ifindex: int) -> None:
        """Have the next packet of `ifindex` taken for an unknown interface's, until it is added again."""
        row = self._rows.get(ifindex)
        if row is not None:
            self._ifindexes[row] = 0

    def release(self, ifindex: int) -> int:
        """Forget an interface that is gone, and return how many of its packets were written."""
        row = self._rows.pop(ifindex, None)
        if row is None:
            return 0
        self._ifindexes[row] = 0
        self._free_rows.append(row)
        self._fill_slots()
        return int(self.written[row])

    def ignore(self, ifindex: int) -> None:
        """Leave packets of `ifindex` out."""
        self.add(ifindex, _IGNORED, None)

    def delivered(self, ifindex: int) -> int:
        """Return how many packets of this interface were written since interfaces were last forgotten."""
        row = self._rows.get(ifindex)
        return 0 if row is None else self.written[row]

    def find(self, ifindex: cython.uint) -> cython.Py_ssize_t:
        """Return the row of an interface, or -1. Most packets come from the same one as the packet before."""
        slot: cython.Py_ssize_t
        mask: cython.Py_ssize_t
        row: cython.Py_ssize_t
        if self._ifindexes[self._last_row] == ifindex and ifindex:
            return self._last_row
        mask = self._slot_count - 1
        slot = ifindex & mask
        while self._slots[slot] != _EMPTY_SLOT:
            row = self._slots[slot]
            if self._ifindexes[row] == ifindex:
                self._last_row = row
                return row
            slot = (slot + 1) & mask
        return -1

    def is_wanted(self, ifindex: cython.uint) -> cython.bint:
        """Return whether an interface is known, and not ignored."""
        row: cython.Py_ssize_t = self.find(ifindex)
        return row >= 0 and self.interface_ids[row] != _IGNORED
