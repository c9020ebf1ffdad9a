"""What a source remembers of interfaces that came and went, with real links of a network namespace."""

from typing import Any

import pytest

from capfix.framing import Framer
from capfix.kernel.links import Link, find_ifindex, read_link
from capfix.lab import NetworkNamespace
from capfix.session.section import Section
from capfix.session.sources.packet import REMEMBERED_GONE, PacketSource
from capfix.transcode.ring import Transcoder
from capfix.wire.numbers import LINKTYPE_LINUX_SLL
from capfix.wire.pcapng import SNAPLEN

pytestmark = pytest.mark.root

NOW_NS = 1_700_000_000_000_000_000


class Ring:
    """A ring that nothing comes out of: the socket's part is tested elsewhere."""

    received = dropped = 0

    def attach_filter(self, code: bytes) -> None:
        pass

    def be_promiscuous(self, ifindex: int) -> None:
        pass

    def refresh_statistics(self) -> None:
        pass


def told(source: PacketSource, section: Section, link: Link) -> bytes:
    """Return what the next packet of a link tells, when the link has come again."""
    source.options = b""
    source.attach(link, NOW_NS)
    source.announce(section, link.ifindex)
    source.detach(link.ifindex, link.name, NOW_NS)
    return source.options


def test_names_that_never_come_back_are_forgotten_in_the_end(namespace: NetworkNamespace) -> None:
    """A capture of containers sees new names for months; the gaps that it can still tell of are the newest."""
    with namespace.entered():
        link = read_link(find_ifindex("lo"))
        ring: Any = Ring()
        source = PacketSource("*", ring, Transcoder(Framer(LINKTYPE_LINUX_SLL)), [link])
        section = Section(LINKTYPE_LINUX_SLL, [], SNAPLEN, None)
        source.begin_section(section, NOW_NS)
        source.detach(link.ifindex, "lo", NOW_NS)
        for number in range(REMEMBERED_GONE - 1):
            source.detach(1000 + number, f"veth{number}", NOW_NS)
        assert b"lo was gone" in told(source, section, link)
        for number in range(REMEMBERED_GONE):
            source.detach(5000 + number, f"tap{number}", NOW_NS)
        assert told(source, section, link) == b""
