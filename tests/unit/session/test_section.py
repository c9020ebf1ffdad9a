"""The interface blocks of a section, as python-pcapng reads them."""

import io

import pytest
from pcapng import FileScanner

from capfix.kernel.links import Link
from capfix.session.section import Section, describe_fakes

LINK = Link("veth0", 7, 1, bytes.fromhex("02000000000a"), "veth", 10_000_000_000, True)


def test_blocks_and_their_ids() -> None:
    """Ids count the interface blocks from 0 in each section; one link type and one snaplen stand in all of them."""
    section = Section(276, ("made up",), snaplen=96, filter="udp")
    for _ in range(2):
        header = section.header()
        (first, real), (second, pseudo) = (
            section.interface(LINK),
            section.pseudo_interface("any", "of no device"),
        )
        _, *blocks = FileScanner(io.BytesIO(header + real + pseudo))
        assert (first, second) == (0, 1)
        assert [(block.link_type, block.snaplen) for block in blocks] == [(276, 96)] * 2
    options, others = (block.options for block in blocks)
    assert options["if_name"] == "veth0"
    assert options["if_description"] == "ifindex 7, kind veth, hardware type 1 (Ethernet), made up"
    assert (options["if_MACaddr"], options["if_speed"]) == ("02:00:00:00:00:0a", 10_000_000_000)
    assert options["if_tsresol"] == b"\x09"
    assert others["if_description"] == "of no device"
    assert "if_MACaddr" not in others
    assert "if_speed" not in others


@pytest.mark.parametrize(
    ("hardware_type", "words"), [(65534, "65534 (no link layer)"), (270, "hardware type 270")]
)
def test_hardware_types_have_names_where_they_are_known(hardware_type: int, words: str) -> None:
    """A number without a name stands by itself, and what the driver does not say is left out."""
    section = Section(113)
    _, block = section.interface(Link("x", 3, hardware_type, None, "", None, True))
    (interface,) = list(FileScanner(io.BytesIO(section.header() + block)))[1:]
    assert interface.options["if_description"].endswith(words)
    assert "kind" not in interface.options["if_description"]


def test_fakes_are_said_to_be_fakes() -> None:
    """Who reads the description knows which addresses no device has."""
    assert describe_fakes([("peer", bytes(6)), ("others", b"\1" * 6)]) == (
        "made-up addresses: peer 00:00:00:00:00:00, others 01:01:01:01:01:01"
    )


def test_comments_stand_in_each_section_header() -> None:
    """In the order they were given, whatever characters they are of."""
    section = Section(276, comments=("ticket 4711", "Büro"))
    for _ in range(2):
        (header,) = FileScanner(io.BytesIO(section.header()))
        assert header.options.get_all("opt_comment") == ["ticket 4711", "Büro"]
