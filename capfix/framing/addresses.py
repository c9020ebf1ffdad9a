"""What is known of each interface's addresses: its own, and its peer's where an outbound header has shown it.

Compiled. A row holds both as bytes, for the framer: 6 bytes of address and one that says whether it is known, twice,
at multiples of 8.
"""

from array import array
from typing import Final

OWN_KNOWN: Final = 6
PEER: Final = 8
PEER_KNOWN: Final = 14
ROW_LENGTH: Final = 16


class InterfaceAddresses:
    """The addresses of some interfaces by row, from 0."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Know nothing."""
        self.rows = array("B", bytes(ROW_LENGTH))

    def set(self, row: int, own_mac: bytes | None) -> None:
        """Begin with `row`, an existing one or the next: its own address, 6 bytes or None, and no peer's."""
        at = row * ROW_LENGTH
        while at >= len(self.rows):
            self.rows = array("B", bytes(self.rows) + bytes(len(self.rows)))
        known = own_mac + b"\x01" if own_mac is not None else b""
        for offset, value in enumerate(known.ljust(ROW_LENGTH, b"\0")):
            self.rows[at + offset] = value
