"""Ethernet addresses, as people write them and as 6 bytes.

Source: IEEE 802, EUI-48; the second-lowest bit of the first byte means locally administered, the lowest a group.
"""

import re

from capfix.errors import FormatError

_MAC = re.compile(r"[0-9a-fA-F]{2}(?:([:-])[0-9a-fA-F]{2})(?:\1[0-9a-fA-F]{2}){4}")


def parse_mac(text: str) -> bytes:
    """Return the 6 bytes of an address written as 02:00:5e:10:00:01, or with hyphens.

    Raises:
        FormatError: it is not written so.
    """
    if not _MAC.fullmatch(text):
        raise FormatError(
            "MAC address", "text", repr(text), "six pairs of hexadecimal digits, as 02:00:5e:10:00:01"
        )
    return bytes.fromhex(text.replace(":", "").replace("-", ""))


def format_mac(mac: bytes) -> str:
    """Return an address as 02:00:5e:10:00:01, whatever its length."""
    return mac.hex(":")
