"""pcapng blocks, by literal bytes and by what other readers make of them."""

import io
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pcapng import FileScanner

from capfix.errors import EncodeError, FormatError, TruncatedError
from capfix.wire import pcapng
from capfix.wire.link_types import LINKTYPE_ETHERNET, LINKTYPE_LINUX_SLL
from capfix.wire.pcapng import (
    BLOCK_LIMIT,
    INTERFACE_DESCRIPTION,
    INTERFACE_STATISTICS,
    OPT_COMMENT,
    SECTION_HEADER,
    InterfaceDescription,
    InterfaceStatistics,
    decode_block,
    decode_blocks,
    decode_options,
    encode_block,
    encode_comment,
    encode_interface_description,
    encode_interface_statistics,
    encode_option,
    encode_section_header,
)

INTERFACE = InterfaceDescription("wg0", LINKTYPE_LINUX_SLL)
INTERFACE_BYTES = bytes.fromhex(
    "01000000 28000000 7100 0000 00000400"  # type, length, link type, reserved, snaplen
    "0200 0300 77673000"  # if_name, padded
    "0900 0100 09000000"  # if_tsresol
    "00000000 28000000"  # the end of options, length
)


def test_interface_description_by_its_bytes() -> None:
    """A block without extras is exactly these bytes."""
    assert encode_interface_description(INTERFACE) == INTERFACE_BYTES


def test_another_reader_finds_every_field() -> None:
    """python-pcapng reads back all that an interface block and a statistics block can say."""
    described = InterfaceDescription(
        name="eth0",
        link_type=LINKTYPE_ETHERNET,
        description="ifindex 2",
        mac=bytes.fromhex("0200000000aa"),
        speed=10**10,
        filter="udp port 53",
        os="Linux 6",
    )
    counted = InterfaceStatistics(0, 5 << 32 | 7, 1, 2, 10, 1, 2, 8, "the end")
    data = encode_section_header("capfix 1", "Linux 6", "x86_64")
    data += encode_interface_description(described) + encode_interface_statistics(counted)
    header, interface, statistics = list(FileScanner(io.BytesIO(data)))
    assert header.options["shb_userappl"] == "capfix 1"
    assert header.options["shb_os"] == "Linux 6"
    assert header.options["shb_hardware"] == "x86_64"
    assert (interface.link_type, interface.snaplen) == (LINKTYPE_ETHERNET, 262144)
    assert interface.options["if_name"] == "eth0"
    assert interface.options["if_description"] == "ifindex 2"
    assert interface.options["if_MACaddr"] == "02:00:00:00:00:aa"
    assert interface.options["if_speed"] == 10**10
    assert interface.options["if_filter"] == (0, b"udp port 53")
    assert interface.options["if_os"] == "Linux 6"
    counts = {name: statistics.options[name] for name in statistics.options if name.startswith("isb_")}
    assert counts["isb_ifrecv"] == 10
    assert counts["isb_ifdrop"] == 1
    assert counts["isb_osdrop"] == 2
    assert counts["isb_usrdeliv"] == 8
    assert statistics.options["opt_comment"] == "the end"
    assert (statistics.timestamp_high, statistics.timestamp_low) == (5, 7)


def test_blocks_follow_each_other() -> None:
    """decode_blocks gives the blocks in order, with views of their bodies."""
    data = memoryview(encode_section_header("a", "b", "c") + INTERFACE_BYTES)
    header, interface = decode_blocks(data)
    assert (header.type, interface.type) == (SECTION_HEADER, INTERFACE_DESCRIPTION)
    assert interface.offset == header.total_length
    assert bytes(interface.body) == INTERFACE_BYTES[8:-4]


@pytest.mark.parametrize("length", range(len(INTERFACE_BYTES)))
def test_a_cut_block_is_truncated(length: int) -> None:
    """Every length short of a whole block raises TruncatedError."""
    with pytest.raises(TruncatedError):
        decode_block(memoryview(INTERFACE_BYTES[:length]), 0)


@pytest.mark.parametrize(
    ("at", "value", "field"),
    [(4, 41, "total length"), (4, 8, "total length"), (36, 44, "repeated total length")],
)
def test_a_broken_length_is_named(at: int, value: int, field: str) -> None:
    """A length that no block can have, or that differs at the end, raises FormatError naming the field."""
    data = bytearray(INTERFACE_BYTES)
    struct.pack_into("<I", data, at, value)
    with pytest.raises(FormatError) as caught:
        decode_block(memoryview(data), 0)
    assert (caught.value.field, caught.value.found) == (field, value)


@given(st.lists(st.tuples(st.integers(1, 0xFFFF), st.binary(max_size=40)), max_size=5))
def test_options_come_back(options: list[tuple[int, bytes]]) -> None:
    """What encode_block writes as options, decode_options reads."""
    block = decode_block(memoryview(encode_block(INTERFACE_STATISTICS, bytes(12), options)), 0)
    assert decode_options(block.body[12:]) == options


def test_an_option_beyond_its_block_is_truncated() -> None:
    """An option length is checked against what is there."""
    with pytest.raises(TruncatedError):
        decode_options(memoryview(b"\x01\0\x05\0abcd"))


def test_a_long_comment_is_cut_to_what_an_option_holds() -> None:
    """A comment never fails a capture, and never ends within a character."""
    option = encode_comment("é" * 40000)
    (code, value), *_ = decode_options(memoryview(option))
    assert code == OPT_COMMENT
    assert value.decode() == "é" * (0xFFFF // 2)


def test_too_long_for_the_format() -> None:
    """An option over 65535 bytes and a block over the limit are refused before a byte is made."""
    with pytest.raises(EncodeError, match="65535"):
        encode_option(OPT_COMMENT, bytes(65536))
    with pytest.raises(EncodeError, match=str(BLOCK_LIMIT)):
        encode_block(INTERFACE_STATISTICS, bytes(BLOCK_LIMIT))


def test_a_name_that_is_no_utf8_is_written_out() -> None:
    """An interface's name may hold any bytes; what is no text stands in the file as it does on stderr."""
    name = b"v\xe9th".decode(errors="surrogateescape")
    block = encode_interface_description(InterfaceDescription(name, LINKTYPE_LINUX_SLL, description=name))
    (interface,) = list(FileScanner(io.BytesIO(encode_section_header("", "", "") + block)))[1:]
    assert interface.options["if_name"] == r"v\udce9th"
    assert encode_comment(name) == encode_option(OPT_COMMENT, rb"v\udce9th")


def test_long_texts_of_an_interface_are_cut():
    """No text is too long for an interface block: the filter keeps its beginning, in whole characters."""
    block = pcapng.encode_interface_description(
        pcapng.InterfaceDescription("n" * 70000, 1, "d" * 70000, filter="\u00fc" * 70000)
    )
    assert len(block) <= pcapng.BLOCK_LIMIT
    options = dict(pcapng.decode_options(pcapng.decode_block(memoryview(block), 0).body[8:]))
    assert options[pcapng.IF_FILTER] == b"\0" + ("\u00fc" * 2046).encode() + b"..."
    assert len(options[pcapng.IF_NAME]) == len(options[pcapng.IF_DESCRIPTION]) == 65535
