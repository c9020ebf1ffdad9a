"""NFLOG packet messages, as Linux 6.18 sent them and as nobody should."""

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capfix.errors import FormatError, TruncatedError
from capfix.wire import nflog
from capfix.wire.nflog import NflogPacket
from tests.support.uncompiled import load_uncompiled

IP_PACKET = bytes.fromhex("45000020 000100004011a6a8 0a080001 0a080002 1389138a000c0000 6869686a")
ETHERNET_HEADER = bytes.fromhex("020000000002 020000000001 0800")


UNCOMPILED = load_uncompiled("capfix.wire.nflog")


def decode_packet(data: bytes) -> NflogPacket:
    """Decode by the compiled module and by its source run uncompiled, which must agree, also in what they raise."""
    outcomes = []
    for module in (nflog, UNCOMPILED):
        try:
            outcomes.append(vars(module.decode_packet(data)))
        except FormatError as error:
            outcomes.append(error)
    assert repr_of(outcomes[0]) == repr_of(outcomes[1])
    if isinstance(outcomes[0], FormatError):
        raise outcomes[0]
    return NflogPacket(**outcomes[0])


def repr_of(outcome: FormatError | dict[str, object]) -> str:
    if isinstance(outcome, FormatError):
        return f"{type(outcome).__name__}: {outcome}"
    return repr(outcome | {"payload": bytes(outcome["payload"])})


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def message(*attributes: bytes) -> bytes:
    return bytes.fromhex("020003ef") + b"".join(attributes)


PACKET_HEADER = attribute(1, bytes.fromhex("08000100"))
INBOUND = message(
    PACKET_HEADER,
    attribute(10, b"\0"),
    attribute(4, (7).to_bytes(4, "big")),
    attribute(2, (1007).to_bytes(4, "big")),
    attribute(8, bytes.fromhex("00060000 020000000001 0000")),
    attribute(15, bytes.fromhex("0001")),
    attribute(17, bytes.fromhex("000e")),
    attribute(16, ETHERNET_HEADER),
    attribute(3, struct.pack(">QQ", 1_700_000_000, 123_456)),
    attribute(12, (41).to_bytes(4, "big")),
    attribute(9, IP_PACKET),
)
OUTBOUND = message(
    attribute(1, bytes.fromhex("86dd0300")),
    attribute(10, b"mine\0"),
    attribute(5, (9).to_bytes(4, "big")),
    attribute(6, (3).to_bytes(4, "big")),
    attribute(7, (4).to_bytes(4, "big")),
    attribute(11, (1000).to_bytes(4, "big")),
    attribute(14, (0xFFFFFFFF).to_bytes(4, "big")),
    attribute(12, (0xFFFFFFFF).to_bytes(4, "big")),
    attribute(9, b"\x60"),
)


def test_an_inbound_message() -> None:
    """Whatever the kernel says of a packet that came in is read, with its units."""
    assert decode_packet(INBOUND) == NflogPacket(
        hw_protocol=0x0800,
        hook=1,
        payload=memoryview(IP_PACKET),
        mark=1007,
        timestamp_ns=1_700_000_000_123_456_000,
        in_ifindex=7,
        address=bytes.fromhex("020000000001"),
        address_length=6,
        hardware_type=1,
        hardware_length=14,
        header=ETHERNET_HEADER,
        trusted_header=True,
        sequence=41,
    )


def test_an_outbound_message() -> None:
    """What the kernel does not say of a packet that goes out is None or 0."""
    assert decode_packet(OUTBOUND) == NflogPacket(
        hw_protocol=0x86DD,
        hook=3,
        payload=memoryview(b"\x60"),
        out_ifindex=9,
        physical_in_ifindex=3,
        physical_out_ifindex=4,
        prefix=b"mine",
        uid=1000,
        gid=0xFFFFFFFF,
        sequence=0xFFFFFFFF,
    )


def hardware(kind: int, length: int, header: bytes) -> bytes:
    return (
        attribute(15, kind.to_bytes(2, "big"))
        + attribute(17, length.to_bytes(2, "big"))
        + attribute(16, header)
    )


@pytest.mark.parametrize(
    ("attributes", "trusted"),
    [
        (hardware(1, 14, ETHERNET_HEADER), True),
        (hardware(65534, 14, ETHERNET_HEADER), False),
        (hardware(1, 0, ETHERNET_HEADER), False),
        (hardware(1, 14, ETHERNET_HEADER[:13]), False),
        (hardware(1, 14, ETHERNET_HEADER[:12] + b"\x86\xdd"), False),
        (attribute(15, b"\0\1") + attribute(17, b"\0\x0e"), False),
        (attribute(16, ETHERNET_HEADER), False),
    ],
    ids=["sound", "not Ethernet", "other length", "cut", "type disagrees", "absent", "alone"],
)
def test_a_hardware_header_is_trusted_only_when_all_agrees(attributes: bytes, trusted: bool) -> None:
    """A tunnel's payload in the place of a header is never taken for one."""
    assert (
        decode_packet(message(PACKET_HEADER, attributes, attribute(9, IP_PACKET))).trusted_header is trusted
    )


def test_the_packet_itself_is_no_hardware_header() -> None:
    """A headerless packet from 8.0.0.0/16 has 0800 where a header's type would be, and is not fallen for."""
    packet = IP_PACKET[:12] + bytes.fromhex("08000001") + IP_PACKET[16:]
    data = message(PACKET_HEADER, hardware(1, 14, packet[:14]), attribute(9, packet))
    assert not decode_packet(data).trusted_header


def test_an_address_longer_than_its_room_is_cut() -> None:
    """The length field is not used as a bound."""
    data = message(PACKET_HEADER, attribute(8, bytes.fromhex("ffff0000") + bytes(range(8))))
    packet = decode_packet(data)
    assert (packet.address, packet.address_length) == (bytes(range(8)), 0xFFFF)


def test_unknown_attributes_are_passed_over() -> None:
    """Newer kernels may say more."""
    data = message(attribute(19, bytes(12)), attribute(0, b""), attribute(0x3FF0, b"abc"), INBOUND[4:])
    assert decode_packet(data) == decode_packet(INBOUND)


def test_flags_in_the_type_are_not_part_of_it() -> None:
    """The two top bits of an attribute's type say nested and network byte order."""
    assert decode_packet(message(attribute(0xC001, bytes.fromhex("08000100")))).hw_protocol == 0x0800


@pytest.mark.parametrize("data", [INBOUND, OUTBOUND], ids=["inbound", "outbound"])
def test_every_cut_is_refused_or_ends_between_attributes(data: bytes) -> None:
    """A message cut within an attribute raises TruncatedError; cut between two it is a shorter message."""
    ends = {4}
    at = 4
    while at < len(data):
        length = data[at] | data[at + 1] << 8
        ends |= set(range(at + length, at + length + -length % 4 + 1))
        at += length + -length % 4
    for length in range(len(data)):
        if length == 4:
            with pytest.raises(FormatError, match="packet header is missing"):
                decode_packet(data[:length])
        elif length in ends:
            decode_packet(data[:length])
        else:
            with pytest.raises(TruncatedError):
                decode_packet(data[:length])


@pytest.mark.parametrize(
    ("kind", "least"),
    [
        (1, 4),
        (2, 4),
        (3, 16),
        (4, 4),
        (5, 4),
        (6, 4),
        (7, 4),
        (8, 12),
        (11, 4),
        (12, 4),
        (14, 4),
        (15, 2),
        (17, 2),
    ],
)
def test_a_value_too_short_for_its_attribute_is_refused(kind: int, least: int) -> None:
    """One byte less than the value needs raises FormatError that names the attribute and where it is."""
    decode_packet(message(PACKET_HEADER, attribute(kind, bytes(least))))
    with pytest.raises(FormatError) as caught:
        decode_packet(message(PACKET_HEADER, attribute(kind, bytes(least - 1))))
    assert str(caught.value) == (
        f"NFLOG attribute {kind} at offset 12: length is {least + 3}, expected at least {least + 4}"
    )


def test_a_length_below_a_header_is_refused() -> None:
    """A length that would not lead forward raises FormatError instead of looping."""
    with pytest.raises(FormatError, match="length is 3"):
        decode_packet(message(b"\x03\0\x09\0"))


@given(st.binary(max_size=200))
def test_arbitrary_bytes_raise_format_errors_only(data: bytes) -> None:
    """Whatever a message holds, decoding it ends with a value or a FormatError."""
    with contextlib.suppress(FormatError):
        decode_packet(data)


@given(st.data())
def test_a_damaged_message_raises_format_errors_only(data: st.DataObject) -> None:
    """One changed byte gives another value, or a FormatError."""
    damaged = bytearray(INBOUND)
    damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(FormatError):
        decode_packet(bytes(damaged))


@given(
    st.lists(st.tuples(st.integers(0, 21), st.binary(max_size=24)), max_size=12).map(
        lambda pairs: message(*(attribute(kind, value) for kind, value in pairs))
    )
)
def test_any_list_of_attributes_is_read_or_refused(data: bytes) -> None:
    """Well-formed lists of attributes end with a value or a FormatError, never another error."""
    with contextlib.suppress(FormatError):
        decode_packet(data)
