"""Filters for packet sockets, made from programs that libpcap compiled for Ethernet frames.

A SOCK_DGRAM socket shows a filter the packet from its network layer on. There the EtherType becomes the kernel's
ancillary value, offsets lose the 14 bytes, and a question to the MAC addresses is refused. What libpcap cannot
compile without a live Ethernet handle, or at all, is built from ancillary values: VLAN tags, the direction, the
interface, the mark.

Where VLAN tags are, a filter on Linux sees in one of two ways, and a program that asks for tags is made of two
readings, chosen by the packet:

- *stripped*: the kernel took the first tag out. Tag and TPID are ancillary values, and further tags are at the
  start of the data. So come received packets, on all but very old drivers.
- *in the frame*: a tag that a program wrote, or that is put into the frame for the driver, in a packet going out.
  The data begins behind all tags, which are reached through the link-layer header, whole there.

A SOCK_RAW socket shows the packet from its link-layer header on. Where that is a sound Ethernet header the offsets
stay; where it is missing or stale the network layer is reached from where the kernel says that it begins, and a
question to the MAC addresses refuses the packet.

All measured on Linux 6.18. Sources: linux/filter.h; net/core/filter.c, bpf_internal_load_pointer_neg_helper;
net/packet/af_packet.c, packet_parse_headers.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from typing import Final

from capfix.errors import UsageError
from capfix.filters import composition
from capfix.filters import instructions as bpf
from capfix.filters.instructions import Instruction, Program, jump, statement
from capfix.wire.numbers import (
    ARPHRD_ETHER,
    ARPHRD_LOOPBACK,
    ETH_P_802_3_MIN,
    ETH_P_8021AD,
    ETH_P_8021Q,
    PACKET_OUTGOING,
)

ETHERNET_HEADER_SIZE: Final = 14
_ETHERTYPE_OFFSET: Final = 12
TAG_SIZE: Final = 4

TPIDS: Final = (ETH_P_8021Q, ETH_P_8021AD, 0x9100)  # those that libpcap's `vlan` knows
_VLAN_ID_MASK: Final = 0x0FFF

MAX_EXTENSION_HEADERS: Final = (
    16  # of one packet, followed by `protochain`; chosen: real packets have up to 5
)

# How much of the network layer must come through, however short the packets are to be written: framing looks at the
# first 12 bytes for a missing Ethernet header, up to 40 for a multicast address, up to 64 for what follows a tag.
LEAST_KEPT: Final = 64

# No limit but what a snapshot length can say
MAX_SNAPLEN: Final = 262144


@dataclass(frozen=True)
class Reading:
    """Where a filter finds things behind some VLAN tags. All are offsets of BPF loads.

    `protocol` is the EtherType that follows the tags, `tci` the tag that may come next, `payload` where the network
    layer begins. `addresses` is where the MAC addresses are, None where asking for them is a mistake.
    """

    protocol: int
    tci: int
    payload: int
    addresses: int | None = None


@dataclass(frozen=True)
class View:
    """How one kind of packet lies before a filter: its reading for each number of tags, wherever the first one is."""

    stripped: Callable[[int], Reading]
    in_frame: Callable[[int], Reading]


def _stripped(depth: int, network: int = 0, addresses: int | None = None) -> Reading:
    if depth == 0:
        return Reading(bpf.SKF_AD_PROTOCOL, bpf.SKF_AD_VLAN_TAG, network, addresses)
    payload = network + TAG_SIZE * (depth - 1)
    protocol = payload - 2 if depth > 1 else bpf.SKF_AD_PROTOCOL
    return Reading(protocol, payload, payload, addresses)


def _in_frame(depth: int, network: int = 0, addresses: int | None = None) -> Reading:
    behind = bpf.SKF_LL_OFF + ETHERNET_HEADER_SIZE + TAG_SIZE * depth
    if depth == 0:
        return Reading(bpf.SKF_AD_PROTOCOL, behind, network, addresses)
    return Reading(behind - 2, behind, behind, addresses)


def _kept_stripped(depth: int) -> Reading:
    if depth == 0:
        return Reading(_ETHERTYPE_OFFSET, bpf.SKF_AD_VLAN_TAG, ETHERNET_HEADER_SIZE, 0)
    return _kept_in_frame(depth - 1)


def _kept_in_frame(depth: int) -> Reading:
    payload = ETHERNET_HEADER_SIZE + TAG_SIZE * depth
    return Reading(payload - 2, payload, payload, 0)


# An offset where no packet has a byte: to load from there refuses the packet, whatever is said of it besides
NOWHERE: Final = 0x7FFFFFFF

COOKED: Final = View(_stripped, _in_frame)  # any packet, on a SOCK_DGRAM socket
HEADER_KEPT: Final = View(
    _kept_stripped, _kept_in_frame
)  # on a SOCK_RAW socket, with a sound Ethernet header
HEADER_MISSING: Final = View(  # on a SOCK_RAW socket, the others
    partial(_stripped, network=bpf.SKF_NET_OFF, addresses=NOWHERE),
    partial(_in_frame, network=bpf.SKF_NET_OFF, addresses=NOWHERE),
)


def fitted(program: Program, reading: Reading) -> Program:
    """Return a program that libpcap compiled for Ethernet, made for another reading of packets.

    Raises:
        UsageError: it looks at link-layer bytes that are not there to look at.
    """
    unrolled = composition.unrolled(program, MAX_EXTENSION_HEADERS)
    return tuple(_fitted_instruction(instruction, reading) for instruction in unrolled)


def _fitted_instruction(instruction: Instruction, reading: Reading) -> Instruction:
    code, k = instruction.code, instruction.k
    if code & 0x07 not in (bpf.LD, bpf.LDX) or code & 0xE0 not in (
        bpf.ABS,
        bpf.IND,
        bpf.MSH,
    ):
        return instruction
    if k >= bpf.SKF_AD_OFF:
        return instruction
    if k >= ETHERNET_HEADER_SIZE:
        return instruction._replace(k=k - ETHERNET_HEADER_SIZE + reading.payload)
    if k == _ETHERTYPE_OFFSET and code == bpf.LD | bpf.H | bpf.ABS:
        return instruction._replace(k=reading.protocol)
    if reading.addresses is None:
        raise _not_there(instruction)
    return instruction._replace(k=min(k + reading.addresses, NOWHERE))


def _not_there(load: Instruction) -> UsageError:
    if load.k < _ETHERTYPE_OFFSET and load.code & 0xE0 == bpf.ABS:
        return UsageError(
            "it asks for the Ethernet addresses, which are not there to ask: capfix takes packets without the "
            "link-layer header, since that is missing or stale on the interfaces it is for; use --keep-headers"
        )
    return UsageError(
        f"it reads the Ethernet header at {'offset' if load.code & 0xE0 == bpf.ABS else 'a computed offset from'} "
        f"{load.k}; only its EtherType, ether[12:2], can be asked for without --keep-headers"
    )


def _load_half(offset: int) -> Instruction:
    return statement(bpf.LD | bpf.H | bpf.ABS, offset)


def _ancillary(offset: int) -> Instruction:
    return statement(bpf.LD | bpf.W | bpf.ABS, offset)


def vlan_test(reading: Reading, vlan_id: int | None, *, stripped: bool) -> Program:
    """Return the program for `vlan`, or `vlan ID`, asked of the next tag in the reading.

    `stripped` says that this tag is the one the kernel took out, which is there by the choice of the reading.
    """
    present = (composition.ACCEPT,) if stripped else composition.one_of(_load_half(reading.protocol), TPIDS)
    if vlan_id is None:
        return present
    has_id = (
        _load_half(reading.tci),
        statement(bpf.ALU | bpf.AND | bpf.K, _VLAN_ID_MASK),
        jump(bpf.JEQ, vlan_id, 0, 1),
        composition.ACCEPT,
        composition.REFUSE,
    )
    return has_id if stripped else composition.both(present, has_id)


def by_tag(stripped: Program, in_frame: Program) -> Program:
    """Return the program that reads a packet as its first tag asks for."""
    return composition.choose(composition.equals(bpf.SKF_AD_VLAN_TAG_PRESENT, 1), stripped, in_frame)


# Whether a packet of a SOCK_RAW socket begins with its Ethernet header: the type there is the packet's protocol, or
# both are no EtherTypes, as in 802.3
HAS_SOUND_HEADER: Final = composition.both(
    composition.one_of(_ancillary(bpf.SKF_AD_HATYPE), (ARPHRD_ETHER, ARPHRD_LOOPBACK)),
    (
        _ancillary(bpf.SKF_AD_PROTOCOL),
        statement(bpf.MISC | bpf.TAX),
        _load_half(_ETHERTYPE_OFFSET),
        Instruction(bpf.JMP | bpf.JEQ | bpf.X, 3, 0, 0),
        jump(bpf.JGE, ETH_P_802_3_MIN, 3, 0),
        statement(bpf.MISC | bpf.TXA),
        jump(bpf.JGE, ETH_P_802_3_MIN, 1, 0),
        composition.ACCEPT,
        composition.REFUSE,
    ),
)

OUTBOUND: Final = composition.equals(bpf.SKF_AD_PKTTYPE, PACKET_OUTGOING)
INBOUND: Final = composition.negated(OUTBOUND)
DIRECTIONS: Final = {"in": INBOUND, "out": OUTBOUND}


def interface_test(ifindexes: Collection[int]) -> Program:
    """Return the program that keeps the packets of these interfaces."""
    return composition.within((_ancillary(bpf.SKF_AD_IFINDEX),), ifindexes)


def mark_test(value: int, mask: int = 0xFFFFFFFF) -> Program:
    """Return the program that keeps the packets whose mark, under the mask, is the value."""
    return composition.equals(bpf.SKF_AD_MARK, value, mask)


def counting_frames(program: Program, header_size: int | None) -> Program:
    """Return the program with its packet length being that of the frame as it is written.

    The kernel counts what it shows the filter; this adds a header of `header_size`, None for one that is there already,
    and a VLAN tag where one is put back. A size of 0 is no header, and no tag either. Both are counted first of all and
    remembered, so that no register is disturbed.

    Raises:
        UsageError: the program leaves no word of memory free.
    """
    if header_size == 0 or not any(_loads_length(instruction) for instruction in program):
        return program
    slot = _free_slot(program)
    add_tag = (
        statement(bpf.LD | bpf.MEM, slot),
        statement(bpf.ALU | bpf.ADD | bpf.K, TAG_SIZE),
        statement(bpf.ST, slot),
    )
    tag_is_lost: Program = (  # also a tag in the frame, where the header is not taken
        _ancillary(bpf.SKF_AD_PROTOCOL),
        jump(bpf.JEQ, ETH_P_8021Q, 1, 0),
        jump(bpf.JEQ, ETH_P_8021AD, 0, len(add_tag)),
    )
    if header_size is None:
        tag_is_lost = (statement(bpf.JMP | bpf.JA, len(add_tag)),)
    counting = (
        statement(bpf.LD | bpf.W | bpf.LEN),
        statement(bpf.ALU | bpf.ADD | bpf.K, header_size or 0),
        statement(bpf.ST, slot),
        _ancillary(bpf.SKF_AD_VLAN_TAG_PRESENT),
        jump(bpf.JEQ, 1, len(tag_is_lost), 0),
        *tag_is_lost,
        *add_tag,
    )
    return counting + tuple(
        statement(instruction.code & 0x07 | bpf.MEM, slot) if _loads_length(instruction) else instruction
        for instruction in program
    )


def _loads_length(instruction: Instruction) -> bool:
    return instruction.code & 0xE7 in (
        bpf.LD | bpf.LEN,
        bpf.LDX | bpf.LEN,
    )


def _free_slot(program: Program) -> int:
    used = {instruction.k for instruction in program if instruction.code in (bpf.ST, bpf.STX)}
    free = set(range(bpf.MEMORY_WORDS)) - used
    if not free:
        raise UsageError("it is too complex to count lengths in: no word of the filter's memory is free")
    return max(free)


def kernel_limit(snaplen: int, header_size: int, *, with_headers: bool = False) -> int:
    """Return how many bytes of what a socket shows the kernel is to keep, for frames of at most `snaplen`.

    `header_size` is that of the link-layer header put before a packet; `with_headers` says that the socket shows the
    packet's own. With a size of 0 the tags that the kernel leaves in the payload are not written, and do not count.
    """
    if with_headers:
        return max(snaplen, ETHERNET_HEADER_SIZE + 2 * TAG_SIZE + LEAST_KEPT)
    if header_size == 0:
        return max(snaplen + 2 * TAG_SIZE, LEAST_KEPT)
    return max(snaplen - header_size, LEAST_KEPT)
