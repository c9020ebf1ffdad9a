"""The section being written: its interface blocks, and what its statistics count from.

A section is one file, or all that goes through a pipe. Its dialect: little-endian; one link type and one snaplen in
all interface blocks, since tcpdump refuses a mix; totals in the statistics hold since the section began.
"""

import os
from collections.abc import Iterable

from capfix import __version__
from capfix.kernel.links import Link
from capfix.wire.ethernet import format_mac
from capfix.wire.numbers import HARDWARE_TYPE_NAMES
from capfix.wire.pcapng import (
    SNAPLEN,
    InterfaceDescription,
    encode_interface_description,
    encode_section_header,
)


class Section:
    """Gives out interface ids in the order in which interface blocks are written."""

    def __init__(
        self,
        link_type: int,
        remarks: Iterable[str] = (),
        snaplen: int = SNAPLEN,
        filter: str | None = None,
        comments: Iterable[str] = (),
    ) -> None:
        """`remarks` say in each interface's description what capfix made up; `filter` is the expression, if any.

        `comments` stand in the section header.
        """
        self.interface_count = 0
        self._link_type = link_type
        self._remarks = tuple(remarks)
        self._snaplen = snaplen
        self._filter = filter
        self._comments = tuple(comments)
        system = os.uname()
        self._os = f"{system.sysname} {system.release}"
        self._hardware = system.machine

    def header(self) -> bytes:
        """Return the section header block; interface ids begin anew behind it."""
        self.interface_count = 0
        return encode_section_header(f"capfix {__version__}", self._os, self._hardware, self._comments)

    def interface(self, link: Link) -> tuple[int, bytes]:
        """Return the id and the block of an interface that exists."""
        facts = [f"ifindex {link.ifindex}"]
        if link.kind:
            facts.append(f"kind {link.kind}")
        facts.append(f"hardware type {_hardware_type(link.hardware_type)}")
        return self._add(link.name, ", ".join((*facts, *self._remarks)), link.mac, link.speed)

    def pseudo_interface(self, name: str, description: str) -> tuple[int, bytes]:
        """Return the id and the block of something that is no device."""
        return self._add(name, description, None, None)

    def _add(self, name: str, description: str, mac: bytes | None, speed: int | None) -> tuple[int, bytes]:
        interface_id = self.interface_count
        self.interface_count += 1
        return interface_id, encode_interface_description(
            InterfaceDescription(
                name=name,
                link_type=self._link_type,
                description=description,
                mac=mac,
                speed=speed,
                filter=self._filter,
                os=self._os,
                snaplen=self._snaplen,
            )
        )


def describe_fakes(fakes: Iterable[tuple[str, bytes]]) -> str:
    """Return the words that say which addresses are made up, from (whose, address) pairs."""
    return "made-up addresses: " + ", ".join(f"{whose} {format_mac(mac)}" for whose, mac in fakes)


def _hardware_type(number: int) -> str:
    name = HARDWARE_TYPE_NAMES.get(number)
    return f"{number} ({name})" if name else str(number)
