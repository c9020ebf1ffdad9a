"""Netlink messages and attributes, both ways."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capfix.errors import EncodeError, FormatError, TruncatedError
from capfix.wire import netlink

MESSAGE = bytes.fromhex("18000000 0104 0500 07000000 00000000 0a00 03ef 00000000".replace(" ", ""))
ATTRIBUTES = bytes.fromhex("0600 0100 03ef 0000 0800 0380 04000200".replace(" ", ""))


def test_a_message_has_the_bytes_of_the_header_file() -> None:
    """A message is its header in host order and the payload."""
    payload = netlink.encode_netfilter_header(10, 1007) + bytes(4)
    assert netlink.encode_message(0x401, 5, 7, payload) == MESSAGE
    (message,) = netlink.decode_messages(MESSAGE)
    assert (message.type, message.flags, message.sequence, message.port) == (0x401, 5, 7, 0)
    assert bytes(message.payload) == payload


def test_attributes_have_the_bytes_of_the_header_file() -> None:
    """Numbers are big-endian, values are padded to 4, nesting sets the top bit of the type."""
    nested = netlink.encode_nested(3, netlink.encode_attribute(2, b""))
    assert netlink.encode_be16(1, 1007) + nested == ATTRIBUTES
    decoded = netlink.decode_attributes(ATTRIBUTES)
    assert bytes(decoded[1]) == b"\x03\xef"
    assert netlink.decode_attributes(decoded[3]) == {2: b""}
    assert netlink.encode_be32(1, 1) == bytes.fromhex("0800010000000001")
    assert netlink.encode_string(1, "abc") == bytes.fromhex("0800010061626300")


@pytest.mark.parametrize("length", range(1, len(MESSAGE)))
def test_a_message_cut_short_is_refused(length: int) -> None:
    """Each length short of the whole message raises TruncatedError."""
    with pytest.raises(TruncatedError):
        list(netlink.decode_messages(MESSAGE[:length]))


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 9, 11, 12, 15])
def test_attributes_cut_short_are_refused(length: int) -> None:
    """A cut within a header or a value raises TruncatedError."""
    with pytest.raises(TruncatedError):
        netlink.decode_attributes(ATTRIBUTES[:length])


def test_lengths_below_a_header_are_refused() -> None:
    """A length that would not lead forward raises FormatError instead of looping."""
    with pytest.raises(FormatError, match="length is 15, expected at least 16"):
        list(netlink.decode_messages(b"\x0f" + MESSAGE[1:]))
    with pytest.raises(FormatError, match="length is 3, expected at least 4"):
        netlink.decode_attributes(b"\x03\0\x01\0")


def test_an_error_message_gives_its_errno() -> None:
    """An acknowledgement is 0, a refusal the positive errno."""
    answers = netlink.encode_message(2, 0, 1, bytes(20)) + netlink.encode_message(2, 0, 2, b"\xff" * 4)
    assert [netlink.decode_error(message) for message in netlink.decode_messages(answers)] == [0, 1]


@pytest.mark.parametrize(("kind", "payload"), [(3, bytes(4)), (2, bytes(3)), (2, b"\1\0\0\0")])
def test_what_is_no_error_message_is_refused(kind: int, payload: bytes) -> None:
    """Another type, a short number and a positive number each raise FormatError."""
    (message,) = netlink.decode_messages(netlink.encode_message(kind, 0, 0, payload))
    with pytest.raises(FormatError):
        netlink.decode_error(message)


def test_a_value_too_long_for_an_attribute_is_refused() -> None:
    """65531 bytes are the most an attribute holds."""
    assert len(netlink.encode_attribute(1, bytes(65531))) == 65536
    with pytest.raises(EncodeError):
        netlink.encode_attribute(1, bytes(65532))


@given(st.dictionaries(st.integers(0, netlink.NLA_TYPE_MASK), st.binary(max_size=40)))
def test_attributes_come_back_as_they_went(values: dict[int, bytes]) -> None:
    """decode_attributes returns what encode_attribute was given."""
    data = b"".join(netlink.encode_attribute(kind, value) for kind, value in values.items())
    assert netlink.decode_attributes(data) == values


@given(st.binary(max_size=64))
def test_no_bytes_make_decoding_fail_otherwise(data: bytes) -> None:
    """Arbitrary bytes decode, or raise FormatError."""
    for decode in (netlink.decode_messages, netlink.decode_attributes):
        with contextlib.suppress(FormatError):
            list(decode(data))
