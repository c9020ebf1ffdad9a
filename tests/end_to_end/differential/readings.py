"""Captures read back: what each says of a packet from its tags and its network layer up.

Written apart from `capfix`. Sources: draft-ietf-opsawg-pcap and -pcapng; tcpdump.org, LINKTYPE_LINUX_SLL and
LINKTYPE_LINUX_SLL2.
"""

import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.support.pcapng_files import packet_data, split_blocks
from tests.support.tools import need

LENGTH_FORM = "802.3"  # in place of an EtherType: a capture may lose which length it was
FIRST_ETHERTYPE = 0x0600
TPIDS = (0x8100, 0x88A8)


@dataclass(frozen=True)
class Reading:
    """One packet. `tags` are (TPID, TCI), the outermost first; lengths are from the network layer on."""

    timestamp_ns: int
    outbound: bool
    tags: tuple[tuple[int, int], ...]
    ethertype: int | str
    original_length: int
    payload: bytes
    source: bytes = b""


def read_pcap(path: Path, outbound: bool) -> list[Reading]:
    """Return the packets of a little-endian Ethernet pcap file with nanosecond stamps."""
    data = path.read_bytes()
    magic, link_type = struct.unpack_from("<I16xI", data)
    assert (magic, link_type) == (0xA1B23C4D, 1)
    readings, at = [], 24
    while at < len(data):
        seconds, nanoseconds, captured, original = struct.unpack_from("<4I", data, at)
        frame = data[at + 16 : at + 16 + captured]
        readings.append(read_ethernet(frame, original, seconds * 10**9 + nanoseconds, outbound))
        at += 16 + captured
    return readings


def read_pcapng(path: Path) -> list[Reading]:
    """Return the packets of a capture by capfix, in the order of the file."""
    readings, link_type = [], 0
    for block in split_blocks(path.read_bytes()):
        (kind,) = struct.unpack_from("<I", block)
        if kind == 1:
            (link_type,) = struct.unpack_from("<H", block, 8)
        if kind == 6:
            high, low, _captured, original = struct.unpack_from("<4I", block, 12)
            read = {1: read_ethernet, 113: read_sll, 276: read_sll2}[link_type]
            outbound = packet_flags(block) & 3 == 2
            readings.append(read(packet_data(block), original, high << 32 | low, outbound))
    return readings


def packet_flags(block: bytes) -> int:
    """Return epb_flags of an enhanced packet block."""
    at = 28 + (len(packet_data(block)) + 3) // 4 * 4
    while True:
        code, length = struct.unpack_from("<2H", block, at)
        assert code, "no epb_flags"
        if code == 2:
            (flags,) = struct.unpack_from("<I", block, at + 4)
            return int(flags)
        at += 4 + (length + 3) // 4 * 4


def read_ethernet(frame: bytes, original: int, timestamp_ns: int, outbound: bool) -> Reading:
    tags, ethertype, payload = read_tags(frame[12:14], frame[14:])
    original -= len(frame) - len(payload)
    return Reading(timestamp_ns, outbound, tags, ethertype, original, payload, frame[6:12])


def read_sll(frame: bytes, original: int, timestamp_ns: int, outbound: bool) -> Reading:
    tags, ethertype, payload = read_tags(frame[14:16], frame[16:])
    original -= len(frame) - len(payload)
    return Reading(timestamp_ns, outbound, tags, ethertype, original, payload, frame[6:12])


def read_sll2(frame: bytes, original: int, timestamp_ns: int, outbound: bool) -> Reading:
    tags, ethertype, payload = read_tags(frame[:2], frame[20:])
    original -= len(frame) - len(payload)
    return Reading(timestamp_ns, outbound, tags, ethertype, original, payload, frame[12:18])


def read_tags(field: bytes, rest: bytes) -> tuple[tuple[tuple[int, int], ...], int | str, bytes]:
    """Return the tags, the EtherType and the payload behind the type field of a frame."""
    tags = []
    protocol = int.from_bytes(field, "big")
    while protocol in TPIDS:
        tci, behind = struct.unpack_from(">2H", rest)
        tags.append((protocol, tci))
        protocol, rest = behind, rest[4:]
    return tuple(tags), protocol if protocol >= FIRST_ETHERTYPE else LENGTH_FORM, rest


def read_with_tshark(path: Path, fields: list[str]) -> list[list[str]]:
    """Return the fields of each packet in the order of the file. Every packet stands for itself: no reassembly."""
    command = [need("tshark"), "-n", "-r", str(path), "-T", "fields"]
    for protocol in ("ip.defragment", "ipv6.defragment", "tcp.desegment_tcp_streams"):
        command += ["-o", f"{protocol}:false"]
    for field in fields:
        command += ["-e", field]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [line.split("\t") for line in output.split("\n")[:-1]]
