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


class InterfaceTable:
    """The interfaces of one source, and how many packets of each were written."""

    def __init__(self) -> None:
        self.addresses = InterfaceAddresses()
        self.forget()

    def forget(self) -> None:
        """Know no interface any more: a new section begins, where each needs a block of its own."""
        self._rows: dict[int, int] = {}
        self._last_row = 0
        self.addresses.forget()
        self._ifindexes = array("I", [0])
        self.interface_ids = array("I", [0])
        self.hardware_types = array("H", [0])
        self.written = array("Q", [0])
        self._slots = array("i", [_EMPTY_SLOT] * 8)
        self._slot_count = 8

    def add(self, ifindex: int, interface_id: int, mac: bytes | None, hardware_type: int = 0) -> None:
        """Write packets of `ifindex` as of interface block `interface_id`.

        `mac` is its own address, 6 bytes or None, `hardware_type` an ARPHRD_ number, for packets that come without.
        An ifindex that is known already is changed: a device came back under another number of the file.
        """
        row = self._rows.setdefault(ifindex, len(self._rows))
        count = len(self._rows)
        self._ifindexes, self.interface_ids, self.hardware_types, self.written = (
            array(kind, list(column) + [0] * (count - len(column)))
            for kind, column in (
                ("I", self._ifindexes),
                ("I", self.interface_ids),
                ("H", self.hardware_types),
                ("Q", self.written),
            )
        )
        self._ifindexes[row] = ifindex
        self.interface_ids[row] = interface_id
        self.hardware_types[row] = hardware_type
        self.addresses.set(row, mac)
        self._fill_slots()

    def _fill_slots(self) -> None:
        """Lay out the slots anew, at most half full, so that a search ends soon."""
        size = 8
        while size < 2 * len(self._rows):
            size *= 2
        slots = array("i", [_EMPTY_SLOT] * size)
        for ifindex, row in self._rows.items():
            slot = ifindex % size
            while slots[slot] != _EMPTY_SLOT:
                slot = (slot + 1) % size
            slots[slot] = row
        self._slots, self._slot_count = slots, size

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
