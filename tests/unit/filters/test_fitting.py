"""Programs for a cooked socket: what an Ethernet program becomes, and what is asked of the kernel."""

import pytest

from capfix.errors import UsageError
from capfix.filters import composition
from capfix.filters import instructions as bpf
from capfix.filters.fitting import (
    COOKED,
    DIRECTIONS,
    HAS_SOUND_HEADER,
    HEADER_KEPT,
    HEADER_MISSING,
    NOWHERE,
    by_tag,
    counting_frames,
    fitted,
    interface_test,
    kernel_limit,
    mark_test,
    vlan_test,
)
from capfix.filters.instructions import jump, statement
from capfix.filters.machine import run_program

HALF = bpf.LD | bpf.H | bpf.ABS
ACCEPT, REFUSE = composition.ACCEPT, composition.REFUSE
IS_IP = (jump(bpf.JEQ, 0x0800, 0, 1), ACCEPT, REFUSE)
NO_TAG = {bpf.SKF_AD_PROTOCOL: 0x0800}


def only_load(program: bpf.Program) -> int:
    return program[0].k


@pytest.mark.parametrize(
    ("reading", "protocol", "payload"),
    [
        (COOKED.stripped(0), bpf.SKF_AD_PROTOCOL, 0),
        (COOKED.stripped(1), bpf.SKF_AD_PROTOCOL, 0),
        (COOKED.stripped(2), 2, 4),
        (COOKED.stripped(3), 6, 8),
        (COOKED.in_frame(0), bpf.SKF_AD_PROTOCOL, 0),
        (COOKED.in_frame(1), bpf.SKF_LL_OFF + 16, bpf.SKF_LL_OFF + 18),
        (COOKED.in_frame(2), bpf.SKF_LL_OFF + 20, bpf.SKF_LL_OFF + 22),
        (HEADER_KEPT.stripped(0), 12, 14),
        (HEADER_KEPT.stripped(1), 12, 14),
        (HEADER_KEPT.stripped(2), 16, 18),
        (HEADER_KEPT.in_frame(0), 12, 14),
        (HEADER_KEPT.in_frame(1), 16, 18),
        (HEADER_MISSING.stripped(0), bpf.SKF_AD_PROTOCOL, bpf.SKF_NET_OFF),
        (HEADER_MISSING.stripped(2), bpf.SKF_NET_OFF + 2, bpf.SKF_NET_OFF + 4),
        (HEADER_MISSING.in_frame(0), bpf.SKF_AD_PROTOCOL, bpf.SKF_NET_OFF),
    ],
)
def test_loads_move_to_where_the_kernel_has_them(reading, protocol, payload):
    """The EtherType and the network layer are found behind the tags of either reading."""
    assert only_load(fitted((statement(HALF, 12), *IS_IP), reading)) == protocol
    for mode in (
        bpf.LD | bpf.B | bpf.ABS,
        bpf.LD | bpf.W | bpf.IND,
        bpf.LDX | bpf.B | bpf.MSH,
    ):
        assert only_load(fitted((statement(mode, 14 + 9), ACCEPT), reading)) == payload + 9


def test_ancillary_loads_stay():
    """What the kernel tells by itself is not moved."""
    load = statement(bpf.LD | bpf.W | bpf.ABS, bpf.SKF_AD_IFINDEX)
    assert fitted((load, ACCEPT), COOKED.stripped(0)) == (load, ACCEPT)


@pytest.mark.parametrize(
    ("load", "reason"),
    [
        (
            statement(bpf.LD | bpf.W | bpf.ABS, 8),
            "asks for the Ethernet addresses",
        ),
        (statement(HALF, 0), "asks for the Ethernet addresses"),
        (
            statement(bpf.LD | bpf.B | bpf.ABS, 12),
            "reads the Ethernet header at offset 12",
        ),
        (
            statement(bpf.LD | bpf.W | bpf.ABS, 12),
            "reads the Ethernet header at offset 12",
        ),
        (statement(HALF, 13), "reads the Ethernet header at offset 13"),
        (
            statement(bpf.LD | bpf.H | bpf.IND, 12),
            "reads the Ethernet header at a computed offset from 12",
        ),
        (
            statement(bpf.LDX | bpf.B | bpf.MSH, 0),
            "reads the Ethernet header at a computed offset from 0",
        ),
    ],
)
def test_refuses_what_is_not_there(load, reason):
    """A look at link-layer bytes is refused with its reason, never answered from other bytes."""
    with pytest.raises(UsageError, match=reason):
        fitted((load, ACCEPT), COOKED.stripped(0))


def test_addresses_of_a_kept_header():
    """On a SOCK_RAW socket the addresses are where libpcap has them, or nowhere."""
    program = (statement(bpf.LD | bpf.W | bpf.ABS, 8), ACCEPT)
    assert fitted(program, HEADER_KEPT.stripped(1)) == program
    assert only_load(fitted(program, HEADER_MISSING.stripped(1))) == NOWHERE
    assert not run_program(fitted(program, HEADER_MISSING.stripped(0)), bytes(1500), {})


@pytest.mark.parametrize(
    ("protocol", "hardware_type", "frame", "is_sound"),
    [
        (0x0800, 1, bytes(12) + b"\x08\x00", True),
        (0x0800, 772, bytes(12) + b"\x08\x00", True),
        (0x8100, 1, bytes(12) + b"\x81\x00", True),
        (4, 1, bytes(12) + b"\x00\x26", True),
        (0x26, 1, bytes(12) + b"\x00\x26", True),
        (0x0800, 1, bytes.fromhex("4500002000000000401100000a080001"), False),
        (0x0800, 1, bytes(12) + b"\x00\x26", False),
        (4, 1, bytes(12) + b"\x08\x00", False),
        (0x0800, 0xFFFE, bytes(12) + b"\x08\x00", False),
        (0x0800, 1, bytes(13), False),
    ],
)
def test_sound_headers(protocol, hardware_type, frame, is_sound):
    """An Ethernet header is sound when its type is the packet's protocol, or both are none."""
    facts = {bpf.SKF_AD_PROTOCOL: protocol, bpf.SKF_AD_HATYPE: hardware_type}
    assert (run_program(HAS_SOUND_HEADER, frame, facts) != 0) is is_sound


@pytest.mark.parametrize(
    ("facts", "frame_length"),
    [
        ({bpf.SKF_AD_PROTOCOL: 0x0800}, 120),
        ({bpf.SKF_AD_PROTOCOL: 0x0800, bpf.SKF_AD_VLAN_TAG_PRESENT: 1}, 124),
        ({bpf.SKF_AD_PROTOCOL: 0x8100}, 124),
        ({bpf.SKF_AD_PROTOCOL: 0x88A8}, 124),
        ({bpf.SKF_AD_PROTOCOL: 0x9100}, 120),
    ],
)
def test_lengths_count_the_frame_as_written(facts, frame_length):
    """The header of the link type counts, and a VLAN tag that is put back."""
    same = (
        statement(bpf.LD | bpf.W | bpf.LEN),
        jump(bpf.JEQ, frame_length, 0, 1),
        ACCEPT,
        REFUSE,
    )
    same_by_x = (
        statement(bpf.LDX | bpf.W | bpf.LEN),
        statement(bpf.MISC | bpf.TXA),
        *same[1:],
    )
    for program in (same, same_by_x):
        assert run_program(counting_frames(program, 20), bytes(100), facts)
        assert not run_program(counting_frames(program, 16), bytes(100), facts)


def test_lengths_with_the_header_counted_already():
    """Only a tag that the kernel took out is added to a frame that has its header."""
    same = (
        statement(bpf.LD | bpf.W | bpf.LEN),
        statement(bpf.RET | bpf.A),
    )
    program = counting_frames(same, None)
    assert run_program(program, bytes(100), {bpf.SKF_AD_PROTOCOL: 0x8100}) == 100
    assert run_program(program, bytes(100), {bpf.SKF_AD_VLAN_TAG_PRESENT: 1}) == 104


def test_where_nothing_is_put_the_length_is_what_the_kernel_counts() -> None:
    """Neither a header nor a tag is added for frames that have neither."""
    program = (statement(bpf.LD | bpf.W | bpf.LEN), ACCEPT)
    assert counting_frames(program, 0) == program


def test_lengths_spare_the_memory_in_use():
    """The length is kept where the program keeps nothing, and refused where there is no such place."""
    length = statement(bpf.LD | bpf.W | bpf.LEN)
    stores = tuple(statement(bpf.ST, word) for word in range(16))
    assert statement(bpf.ST, 14) in counting_frames((length, stores[15], ACCEPT), 20)[:4]
    with pytest.raises(UsageError, match="too complex"):
        counting_frames((length, *stores, ACCEPT), 20)


def test_program_without_lengths_stays():
    """Only lengths are counted."""
    assert counting_frames((ACCEPT,), 20) == (ACCEPT,)


def vlan(vlan_id: int | None, depth: int) -> bpf.Program:
    return by_tag(
        vlan_test(COOKED.stripped(depth), vlan_id, stripped=depth == 0),
        vlan_test(COOKED.in_frame(depth), vlan_id, stripped=False),
    )


@pytest.mark.parametrize(
    ("packet", "facts", "link", "ids"),
    [
        (b"E", {bpf.SKF_AD_PROTOCOL: 0x0800}, b"", []),
        (
            b"E",
            {**NO_TAG, bpf.SKF_AD_VLAN_TAG_PRESENT: 1, bpf.SKF_AD_VLAN_TAG: 0x6005},
            b"",
            [5],
        ),
        (
            bytes.fromhex("0007 0800 45"),
            {
                bpf.SKF_AD_PROTOCOL: 0x8100,
                bpf.SKF_AD_VLAN_TAG_PRESENT: 1,
                bpf.SKF_AD_VLAN_TAG: 64,
            },
            b"",
            [64, 7],
        ),
        (b"E", {bpf.SKF_AD_PROTOCOL: 0x8100}, bytes(12) + bytes.fromhex("8100 0005 0800"), [5]),
        (
            b"E",
            {bpf.SKF_AD_PROTOCOL: 0x88A8},
            bytes(12) + bytes.fromhex("88a8 0040 8100 e007 0800"),
            [64, 7],
        ),
    ],
    ids=["untagged", "stripped", "stripped-twice-tagged", "in-frame", "in-frame-twice-tagged"],
)
def test_tags_are_found_in_either_place(packet, facts, link, ids):
    """A tag is found by presence and by number, wherever the kernel has it, and priority bits don't count."""

    def has(vlan_id: int | None, depth: int) -> bool:
        return run_program(vlan(vlan_id, depth), packet, facts, link_header=link) != 0

    for depth in range(2):
        assert has(None, depth) is (depth < len(ids))
        assert [n for n in (5, 7, 64) if has(n, depth)] == ids[depth : depth + 1]


def test_directions():
    """What goes out is told by its packet type from what comes in, for us or for others."""
    for name, kept in (("in", [0, 1, 2, 3]), ("out", [4])):
        assert [n for n in range(5) if run_program(DIRECTIONS[name], b"", {bpf.SKF_AD_PKTTYPE: n})] == kept


def test_interfaces():
    """Only packets of the listed interfaces pass."""
    program = interface_test({7, 3})
    assert [n for n in range(10) if run_program(program, b"", {bpf.SKF_AD_IFINDEX: n})] == [3, 7]


def test_marks():
    """A mark is compared whole, or under its mask."""
    assert [n for n in (0, 1006, 1007) if run_program(mark_test(1007), b"", {bpf.SKF_AD_MARK: n})] == [1007]
    masked = mark_test(0x100, 0xF00)
    assert [n for n in (0x1FF, 0x2FF) if run_program(masked, b"", {bpf.SKF_AD_MARK: n})] == [0x1FF]


@pytest.mark.parametrize(("snaplen", "limit"), [(1, 64), (64, 64), (84, 64), (85, 65), (1000, 980)])
def test_kernel_keeps_what_framing_looks_at(snaplen, limit):
    """However short packets are to be written, the kernel hands out the 64 bytes that framing may look at."""
    assert kernel_limit(snaplen, 20) == limit


def test_kernel_keeps_headers_too():
    """Where the socket shows headers and tags, they are kept beside what framing looks at."""
    assert [kernel_limit(n, 14, with_headers=True) for n in (1, 86, 100)] == [86, 86, 100]
