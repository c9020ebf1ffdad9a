"""A source's interfaces in the section being written: blocks, notes, statistics. No socket, no link."""

import io
from collections import Counter

import pytest
from pcapng import FileScanner
from pcapng.blocks import InterfaceStatistics

from capfix.kernel.links import Link
from capfix.session.section import Section
from capfix.session.sources.known_links import KnownLinks
from capfix.session.sources.ledger import InterfaceLedger

LINK_TYPE = 113
ETHERNET = 1
NOW_NS = 1_700_000_000_000_000_000
MAC, OTHER_MAC = bytes.fromhex("020000000005"), bytes.fromhex("020000000006")


class Rows:
    """What a transcoder was told of interfaces, and how many packets of each it wrote."""

    def __init__(self) -> None:
        self.known: dict[int, tuple[int, bytes | None]] = {}
        self.written: Counter[int] = Counter()

    def add_interface(self, ifindex: int, interface_id: int, mac: bytes | None, hardware_type: int) -> None:
        self.known[ifindex] = (interface_id, mac)

    def forget_interfaces(self) -> None:
        self.known.clear()
        self.written.clear()

    def delivered(self, ifindex: int) -> int:
        return self.written[ifindex]

    def ask_again(self, ifindex: int) -> None:
        self.known.pop(ifindex, None)

    def release_interface(self, ifindex: int) -> int:
        self.known.pop(ifindex, None)
        return self.written.pop(ifindex, 0)


class Kernel:
    """What the kernel counted."""

    received = dropped = dropped_and_noted = 0

    def refresh(self) -> None:
        pass


class Links(KnownLinks):
    """Links that need not exist."""

    def __init__(self, *links: Link) -> None:
        super().__init__()
        self.links = {link.ifindex: link for link in links}

    def find(self, ifindex: int) -> Link | None:
        return self.links.get(ifindex)


def link(ifindex: int, name: str = "cipsec0", mac: bytes = MAC) -> Link:
    return Link(name, ifindex, ETHERNET, mac, "tun", None, True)


class Book:
    """A ledger of these links in a section, and what it is made from."""

    def __init__(self, *links: Link) -> None:
        self.links = Links(*links)
        self.rows, self.kernel = Rows(), Kernel()
        self.ledger = InterfaceLedger(self.links, self.rows, self.kernel)
        self.section = Section(LINK_TYPE)
        self.blocks = [self.section.header()]
        self.ledger.begin_section(NOW_NS)

    def show(self, ifindex: int, counts: bool = False) -> None:
        self.blocks.append(self.ledger.show(self.section, ifindex, "cipsec0", counts))

    def show_pseudo_interface(self) -> None:
        self.blocks.append(self.ledger.show_pseudo_interface(self.section, "any", "all"))

    def statistics(self, closing: bool = False) -> dict[int, tuple[int | None, int | None, int]]:
        """Return received, dropped and delivered of each interface block."""
        encoded = b"".join([*self.blocks, *self.ledger.statistics(NOW_NS + 1, closing)])
        found = {}
        for block in FileScanner(io.BytesIO(encoded)):
            if isinstance(block, InterfaceStatistics):
                options = block.options
                counts = (options.get("isb_ifrecv"), options.get("isb_osdrop"), options["isb_usrdeliv"])
                found[block.interface_id] = counts
        return found


def test_an_interface_has_one_block_however_often_it_is_made() -> None:
    """The same name, address and hardware type under another index is the same one; another address is not."""
    book = Book(link(7), link(9), link(11, mac=OTHER_MAC))
    for ifindex in (7, 9, 11):
        book.show(ifindex)
    assert book.rows.known == {7: (0, MAC), 9: (0, MAC), 11: (1, OTHER_MAC)}
    assert [bool(block) for block in book.blocks] == [True, True, False, True]


def test_packets_of_all_that_it_was_count_for_a_block() -> None:
    """Delivered are those of each index."""
    book = Book(link(7), link(9))
    book.show(7)
    book.show(9)
    book.rows.written.update({7: 3, 9: 4})
    assert book.statistics() == {0: (None, None, 7)}


def test_packets_of_a_link_that_nobody_heard_of_count_too() -> None:
    """They are in the file as the pseudo-interface's, and so in its statistics."""
    book = Book()
    book.show_pseudo_interface()
    book.show(55)
    book.rows.written[55] = 2
    book.kernel.received = 2
    assert book.rows.known == {55: (0, None)}
    assert book.statistics() == {0: (2, 0, 2)}


def test_without_any_block_it_gets_one() -> None:
    """A packet of a device that went before the file began needs an interface to stand with."""
    book = Book()
    book.show(55)
    assert b"gone before this file began" in book.blocks[-1]


def test_the_sockets_counts_go_to_the_interface_it_counted_for() -> None:
    """What it counted before is another's."""
    book = Book(link(7), link(9, mac=OTHER_MAC))
    book.show(7, counts=True)
    book.kernel.received, book.kernel.dropped = 10, 1
    book.ledger.settle()
    book.ledger.count_for(None)
    book.show(9, counts=True)
    book.kernel.received, book.kernel.dropped = 15, 3
    assert book.statistics() == {0: (10, 1, 0), 1: (5, 2, 0)}


def test_a_drop_that_no_packet_tells_of_yet_is_the_next_files() -> None:
    """Totals of all files are what the kernel counted, and each file's fit its packets."""
    book = Book()
    book.show_pseudo_interface()
    book.kernel.received, book.kernel.dropped, book.kernel.dropped_and_noted = 10, 5, 2
    assert book.statistics(closing=True) == {0: (10, 2, 0)}
    book.ledger.begin_section(NOW_NS)
    book.blocks = [book.section.header()]
    book.show_pseudo_interface()
    book.kernel.dropped_and_noted = 5
    assert book.statistics() == {0: (0, 3, 0)}


def test_a_gap_is_noted_with_the_next_packet() -> None:
    """Whichever interface block that has."""
    book = Book(link(7))
    book.ledger.gaps.begin("cipsec0", NOW_NS)
    book.ledger.gaps.end("cipsec0", 7, NOW_NS + 1)
    assert book.ledger.pending_options == b""
    book.show(7)
    assert b"cipsec0 was gone from" in book.ledger.pending_options


@pytest.mark.parametrize("suffix", ["", " (netfilter)"])
def test_names_of_blocks_end_as_asked(suffix: str) -> None:
    """So that a tap's and netfilter's view of one interface can be told apart."""
    ledger = InterfaceLedger(Links(link(7)), Rows(), Kernel(), suffix)
    assert f"cipsec0{suffix}\0".encode() in ledger.show(Section(LINK_TYPE), 7, "cipsec0") + b"\0"


def test_an_address_set_later_is_taken_over() -> None:
    """A driver may set it after it made the device."""
    book = Book(link(7, mac=OTHER_MAC))
    book.show(7)
    book.ledger.renew(link(7))
    assert book.rows.known == {7: (0, MAC)}


def test_a_gap_under_the_same_index_is_noted_too() -> None:
    """The interface is asked for again, as its next packet would not stop at a known one."""
    book = Book(link(7))
    book.show(7)
    book.ledger.gaps.begin("cipsec0", NOW_NS)
    book.ledger.come_back("cipsec0", 7, NOW_NS + 1)
    assert book.rows.known == {}
    book.show(7)
    assert b"cipsec0 was gone from" in book.ledger.pending_options
    assert len([block for block in book.blocks if block]) == 2  # header, and one interface


def test_what_is_gone_is_counted_and_forgotten() -> None:
    """Rows do not grow with all interfaces that ever were; their packets stay in the totals."""
    book = Book(link(7), link(9))
    book.show(7)
    book.rows.written[7] = 3
    assert len(book.ledger.last_statistics_of(7, NOW_NS)) == 1
    assert book.rows.known == {}
    book.show(9)
    book.rows.written[9] = 4
    assert book.statistics() == {0: (None, None, 7)}


def test_one_section_has_so_many_interfaces_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Further devices go with the first block."""
    monkeypatch.setattr("capfix.session.sources.ledger.MOST_BLOCKS", 2)
    book = Book(link(7, "a"), link(8, "b"), link(9, "c"))
    book.show_pseudo_interface()
    for ifindex in (7, 8, 9):
        book.show(ifindex)
    assert {ifindex: row[0] for ifindex, row in book.rows.known.items()} == {7: 1, 8: 0, 9: 0}
