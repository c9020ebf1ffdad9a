"""From options to sources, not yet open. What only some options need is imported where they are looked at."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from capfix.framing import HEADER_LIMIT, Framer
from capfix.kernel.links import Link
from capfix.kernel.packet_socket import PacketRing
from capfix.options.run import ANY_NAME, RunOptions
from capfix.session.sources.attachment import Attachment
from capfix.session.sources.known_links import KnownLinks
from capfix.session.sources.packet import PacketSource
from capfix.session.sources.source import Source
from capfix.transcode.packet import PacketWriter
from capfix.transcode.ring import RingTranscoder
from capfix.wire.link_types import LINK_TYPES

if TYPE_CHECKING:
    from capfix.filters.instructions import Program
    from capfix.session.sources.netfilter import NetfilterSource
    from capfix.transcode.duplicates import SeenPackets

LEAST_COPIED: Final = (
    64  # by netfilter: framing looks at so much of a packet, however little is to be written
)


class Demand(NamedTuple):
    """What sources are made from: the options, the links that are there by the name each is wanted for, what else is
    known of links, the filter, the size of a ring or a socket's buffer, and how long a packet may wait in a ring block.
    """

    options: RunOptions
    present: Mapping[str, list[Link]]
    known: KnownLinks
    program: "Program | None"
    buffer_size_bytes: int
    retire_timeout_ms: int


def make_sources(demand: Demand) -> tuple[PacketSource | None, list[Source]]:
    """Return the packet source, where there is one, and all sources.

    Raises:
        CaptureError: the kernel refuses one of them.
    """
    options = demand.options
    framer = Framer(
        LINK_TYPES[options.link].number, options.local_mac, options.peer_mac, options.keep_headers
    )
    seen = _seen_packets(options)
    logs: list[Source] = []
    if options.source != "packet":  # first: it takes a capability that fewer have
        logs.append(_netfilter_source(demand, framer, seen))
    if options.source == "nflog":
        return None, logs
    tap = _packet_source(demand, framer, seen)
    return tap, [tap, *logs]


def _packet_source(demand: Demand, framer: Framer, seen: "SeenPackets | None") -> PacketSource:
    options = demand.options
    ring = PacketRing(demand.buffer_size_bytes, demand.retire_timeout_ms, options.keep_headers)
    code = None if demand.program is None else _encoded(demand.program)
    return PacketSource(
        Attachment(options.interfaces, ring, demand.present, code, options.promiscuous),
        ring,
        RingTranscoder(_packet_writer(options, framer)),
        demand.known,
        seen,
    )


def _packet_writer(options: RunOptions, framer: Framer) -> PacketWriter:
    return PacketWriter(framer, options.snaplen, options.fix_checksums, options.direction == "out")


def _encoded(program: "Program") -> bytes:
    from capfix.filters.instructions import encode_program

    return encode_program(program)


def _seen_packets(options: RunOptions) -> "SeenPackets | None":
    """Return the memory that --source auto needs. What a snapshot length cut off cannot be compared."""
    if options.source != "auto":
        return None
    from capfix.transcode.duplicates import SeenPackets
    from capfix.transcode.siphash import KEY_LENGTH
    from capfix.wire.nflog import MAX_COPY_RANGE

    compared = min(max(options.snaplen - HEADER_LIMIT, 0), MAX_COPY_RANGE)
    return SeenPackets(os.urandom(KEY_LENGTH), compared_bytes=compared)


def _netfilter_source(demand: Demand, framer: Framer, seen: "SeenPackets | None") -> "NetfilterSource":
    from capfix.kernel.nflog import NflogSocket
    from capfix.session.sources.netfilter import LogReads, NetfilterSource
    from capfix.transcode.netfilter import NetfilterTranscoder
    from capfix.wire.nflog import MAX_COPY_RANGE

    options = demand.options
    names = None if options.interfaces == (ANY_NAME,) else options.interfaces
    transcoder = NetfilterTranscoder(
        _packet_writer(options, framer), options.source != "nflog", seen, demand.program
    )
    # An expression may ask for any byte; else a little more than the file holds, which counts headers too
    copy_range = MAX_COPY_RANGE
    if options.filter is None:
        copy_range = min(max(options.snaplen, LEAST_COPIED), MAX_COPY_RANGE)
    group = NflogSocket(options.nflog_group, copy_range, demand.buffer_size_bytes)
    return NetfilterSource(
        names,
        LogReads(group, options.hooks, names),
        transcoder,
        demand.known,
        beside_tap=options.source != "nflog",
        waits_for_others=seen is not None,
    )
