"""What is known of each interface's addresses: its own, and its peer's where an outbound header has shown it.

Compiled. A row holds both as bytes, for the framer: 6 bytes of address and one that says whether it is known, twice,
at multiples of 8.
"""

from array import array
from typing import Final

import cython

OWN_KNOWN: Final = 6
PEER: Final = 8
PEER_KNOWN: Final = 14

_ROW: Final = 16


class InterfaceAddresses:
    """The addresses of some interfaces by row, from 0."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Know nothing."""
        self.rows = array("B", bytes(_ROW))

    def set(self, row: int, own_mac: bytes | None) -> None:
        """Begin with `row`, an existing one or the next: its own address, 6 bytes or None, and no peer's."""
        rows = array("B", bytes(self.rows).ljust((row + 1) * _ROW, b"\0"))
        known = own_mac + b"\x01" if own_mac is not None else b""
        rows[row * _ROW : (row + 1) * _ROW] = array("B", known.ljust(_ROW, b"\0"))
        self.rows = rows

    def row(self, row: cython.Py_ssize_t) -> cython.p_uchar:
        """Return the bytes of a row, good until the next `set`."""
        if cython.compiled:
            return cython.address(self.rows[row * _ROW])
        return memoryview(self.rows)[row * _ROW :]
