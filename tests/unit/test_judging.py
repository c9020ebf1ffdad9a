import pytest
from hypothesis import given
from hypothesis import strategies as st

from capfix.judging import Form, Verdict, judge_packet
from tests.support.packets import LOCAL, NETWORK_PACKETS, PEER, ethernet, ppp_number, protocol_of, sll, sll2
from tests.support.uncompiled import load_uncompiled

ETHERNET, RAW, SLL, SLL2 = 1, 101, 113, 276

every_packet = pytest.mark.parametrize("name", NETWORK_PACKETS)


@every_packet
def test_a_framed_packet_is_sound(name):
    """A packet behind the header its link type says is sound."""
    packet = NETWORK_PACKETS[name]
    assert judge_packet(ethernet(packet), ETHERNET).verdict == Verdict.SOUND
    assert judge_packet(sll(packet), SLL).verdict == Verdict.SOUND
    assert judge_packet(sll2(packet), SLL2).verdict == Verdict.SOUND
    assert judge_packet(packet, RAW).verdict == Verdict.SOUND


@every_packet
@pytest.mark.parametrize("link_type", [ETHERNET, SLL, SLL2, 0, 9])
def test_a_bare_packet_is_headerless(name, link_type):
    """An IP packet where the header should be is headerless, whatever header that should be."""
    packet = NETWORK_PACKETS[name]
    judged = judge_packet(packet, link_type)
    assert judged == (Verdict.HEADERLESS, Form.NONE, 0, int.from_bytes(protocol_of(packet)))


@every_packet
def test_a_bare_packet_that_was_cut_is_headerless(name):
    """A packet of which only the headers were captured has its length on the wire to agree with."""
    packet = NETWORK_PACKETS[name]
    assert judge_packet(packet[:60], ETHERNET, len(packet)).verdict == Verdict.HEADERLESS


@pytest.mark.parametrize("first", [0x45, 0x46, 0x60, 0x6F])
@every_packet
def test_a_mac_address_may_begin_like_an_ip_packet(name, first):
    """Frames to an address whose first byte is a version nibble are sound."""
    frame = ethernet(NETWORK_PACKETS[name], bytes([first, 0, 0, 0x54, 1, 2]))
    assert judge_packet(frame, ETHERNET).verdict == Verdict.SOUND


def ipv4_reading(length: int, last: bytes) -> bytes:
    """Return twenty bytes that read as an IPv4 header of `length`, of which the last eight are `last`."""
    head = bytearray(b"\x45\x00" + length.to_bytes(2) + b"\x00\x00\x00\x00\x40\x32\x00\x00" + last)
    total = sum(int.from_bytes(head[i : i + 2]) for i in range(0, 20, 2))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    head[10:12] = (total ^ 0xFFFF).to_bytes(2)
    return bytes(head)


@pytest.mark.parametrize("rest", ["0800", "0806", "86dd", "88cc", "8863", "8847"])
def test_an_ethernet_header_may_read_as_an_ipv4_header(rest):
    """Where both readings hold, that of the link type counts."""
    payload = {
        "0800": NETWORK_PACKETS["udp"],
        "0806": bytes.fromhex("0001080006040001") + LOCAL + b"\xc0\0\2\1" + PEER + b"\xc0\0\2\2",
        "86dd": NETWORK_PACKETS["udp6"],
    }.get(rest, bytes.fromhex("110900000010") + bytes(40))
    frame = ipv4_reading(14 + len(payload), bytes.fromhex(rest) + payload[:6]) + payload[6:]
    assert judge_packet(frame[12:32] + bytes(20), RAW).verdict != Verdict.HEADERLESS
    assert judge_packet(frame, ETHERNET).verdict == Verdict.SOUND


@pytest.mark.parametrize(
    ("front", "form"),
    [
        (lambda p: ppp_number(p), Form.PPP),
        (lambda p: b"\xff\x03" + ppp_number(p), Form.PPP),
        (lambda p: b"\x11\x00\x00\x07" + (len(p) + 2).to_bytes(2) + ppp_number(p), Form.PPPOE),
        (lambda p: b"\x00\x00" + protocol_of(p), Form.TUN),
        (lambda p: b"\x02\x00\x00\x00" if p[0] >> 4 == 4 else b"\x1e\x00\x00\x00", Form.FAMILY),
        (lambda p: b"\x00\x00\x00\x02" if p[0] >> 4 == 4 else b"\x00\x00\x00\x0a", Form.FAMILY),
        (lambda p: PEER + LOCAL + protocol_of(p) + b"\x00\x05" + protocol_of(p), Form.TAGGED),
        (lambda p: sll(p)[:16], Form.SLL),
        (lambda p: sll2(p)[:20], Form.SLL2),
        (lambda p: PEER + LOCAL + protocol_of(p) + sll(p)[:16], Form.SLL),
        (lambda p: PEER + LOCAL + {4: b"\x86\xdd", 6: b"\x08\x00"}[p[0] >> 4], Form.ETHERNET),
    ],
)
@every_packet
def test_a_header_of_another_form_is_stale(name, front, form):
    """A sound packet behind a header that is not the link type's is found, and what the header is."""
    packet = NETWORK_PACKETS[name]
    head = front(packet)
    judged = judge_packet(head + packet, ETHERNET)
    assert judged == (Verdict.STALE, form, len(head), int.from_bytes(protocol_of(packet)))


def test_four_bytes_of_no_meaning_need_a_transport_checksum():
    """Four unknown bytes in front are taken for a header only before a packet whose every checksum is right."""
    packet = NETWORK_PACKETS["tcp"]
    assert judge_packet(b"\xde\xad\xbe\xef" + packet, ETHERNET).form == Form.PREFIX
    spoiled = packet[:-1] + b"?"
    assert judge_packet(b"\xde\xad\xbe\xef" + spoiled, ETHERNET).verdict == Verdict.SOUND


@pytest.mark.parametrize(("link_type", "cook"), [(SLL, sll), (SLL2, sll2)])
@every_packet
def test_a_cooked_address_out_of_the_ip_header_is_told(name, link_type, cook):
    """The kernel takes a headerless packet's address from its bytes 6 to 11."""
    packet = NETWORK_PACKETS[name]
    judged = judge_packet(cook(packet, address=packet[6:12]), link_type)
    assert judged.verdict == Verdict.COOKED
    assert judge_packet(cook(packet, protocol=b"\0\0"), link_type).verdict == Verdict.COOKED


def test_what_only_looks_like_ip_cannot_be_decided():
    """Version, header length and total length agree, the checksum does not: neither reading has more."""
    packet = bytearray(NETWORK_PACKETS["udp"])
    packet[10] ^= 0xFF
    assert judge_packet(bytes(packet), ETHERNET).verdict == Verdict.UNDECIDABLE


@pytest.mark.parametrize(
    "body", [b"", bytes(60), b"\xff" * 60, b"\x45" * 60, b"\x60" * 60, bytes(range(256))]
)
@pytest.mark.parametrize("link_type", [ETHERNET, SLL, SLL2, RAW, 0, 9, 108, 127, 147])
def test_what_is_no_ip_is_sound(body, link_type):
    """Nothing speaks for anything else."""
    assert judge_packet(body, link_type).verdict == Verdict.SOUND


def test_802_3_frames_are_sound():
    """A length with an LLC header behind it is a reading that holds, though the address begins with 45."""
    frame = b"\x45\x00\x00\x34\x00\x00" + LOCAL + b"\x00\x26\x42\x42\x03" + bytes(35)
    assert judge_packet(frame.ljust(60, b"\0"), ETHERNET).verdict == Verdict.SOUND


@given(st.binary(max_size=100), st.sampled_from([0, 1, 9, 101, 113, 276]), st.integers(0, 200))
def test_compiled_and_uncompiled_agree(packet, link_type, longer):
    """Both give the same judgement of anything."""
    uncompiled = load_uncompiled("capfix.judging")
    expected = uncompiled.judge_packet(packet, link_type, len(packet) + longer)
    assert judge_packet(packet, link_type, len(packet) + longer) == expected


@every_packet
def test_no_byte_behind_what_was_captured_counts(name):
    """Cut anywhere, a packet is judged without an error, and the same by compiled and uncompiled code."""
    uncompiled = load_uncompiled("capfix.judging")
    for link_type in (ETHERNET, SLL, SLL2, RAW):
        packet = NETWORK_PACKETS[name]
        for length in range(len(packet)):
            got = judge_packet(packet[:length], link_type, len(packet))
            assert got == uncompiled.judge_packet(packet[:length], link_type, len(packet))
