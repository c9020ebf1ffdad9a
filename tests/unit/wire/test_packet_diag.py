"""What the kernel tells of packet sockets, as bytes and as text."""

import struct

import pytest

from capfix.errors import TruncatedError
from capfix.wire.netlink import encode_attribute
from capfix.wire.packet_diag import PacketSocket, decode_packet_socket, encode_request
from capfix.wire.proc_net import Handler, decode_handlers, decode_packet_table

HEADER = struct.pack("=BBHI8x", 17, 3, 3, 4711)
INFO = encode_attribute(0, struct.pack("=6I", 2, 2, 0, 0, 0, 0))


def test_request() -> None:
    """All packet sockets, with their binding, ring, fanout and memory."""
    assert encode_request() == struct.pack("=BBHIIII", 17, 0, 0, 0, 0x1D, 0, 0)


def test_a_socket_with_a_ring() -> None:
    """The ring's size is there; its drops are its owner's to know."""
    ring = encode_attribute(2, struct.pack("=7I", 1 << 20, 64, 2048, 32768, 60, 0, 0))
    memory = encode_attribute(6, struct.pack("=9I", *range(9)))
    data = memoryview(HEADER + INFO + ring + encode_attribute(5, struct.pack("=I", 1000)) + memory)
    assert decode_packet_socket(data) == PacketSocket(4711, 3, 3, 2, 1000, 64 << 20, None, None)


def test_a_socket_without_a_ring() -> None:
    """Its drops are told; what the kernel leaves out is None."""
    memory = encode_attribute(6, struct.pack("=9I", *range(9)))
    assert decode_packet_socket(memoryview(HEADER + memory)) == PacketSocket(
        4711, 3, 3, 0, None, None, None, 8
    )


def test_short_answers() -> None:
    """Whatever is shorter than the fixed part is refused, and a short attribute is no value."""
    for length in range(len(HEADER)):
        with pytest.raises(TruncatedError):
            decode_packet_socket(memoryview(HEADER[:length]))
    assert decode_packet_socket(memoryview(HEADER + encode_attribute(2, b"abc"))).ring_size_bytes is None


def test_the_table_in_proc() -> None:
    """Protocols are hexadecimal; a line of another form is left out."""
    text = (
        "sk       RefCnt Type Proto  Iface R Rmem   User   Inode\n"
        "000004f8 3      2    88cc   4     1 0      1000   123163\n"
        "something new\n"
    )
    assert list(decode_packet_table(text)) == [PacketSocket(123163, 2, 0x88CC, 4, 1000, None, None, None)]


def test_handlers() -> None:
    """A handler is of all interfaces or of one, whose name may be longer than its column; a module is part of it."""
    text = (
        "Type Device      Function\n"
        "ALL           tpacket_rcv\n"
        "0800          ip_rcv\n"
        "0800          handle_ip [cipsec]\n"
        "ALL  a-long-name0 packet_rcv\n"
    )
    assert list(decode_handlers(text)) == [
        Handler(3, "", "tpacket_rcv"),
        Handler(0x0800, "", "ip_rcv"),
        Handler(0x0800, "", "handle_ip [cipsec]"),
        Handler(3, "a-long-name0", "packet_rcv"),
    ]
