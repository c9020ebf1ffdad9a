"""Count the packets in a capture file by walking its record headers: `python -m bench.count FILE`.

Also the judge of its soundness: a file that does not end at a whole record is an error.
"""

import mmap
import struct
import sys
from pathlib import Path

_SECTION_HEADER = 0x0A0D0D0A
_SIMPLE_PACKET, _ENHANCED_PACKET = 3, 6
_PCAP_MAGICS = {0xA1B2C3D4: "<", 0xA1B23C4D: "<", 0xD4C3B2A1: ">", 0x4D3CB2A1: ">"}


def count_packets(path: Path) -> int:
    """Return the number of packets in a pcap or pcapng file (little-endian pcapng only).

    Raises:
        ValueError: it is neither, or its last record is not whole.
    """
    if path.stat().st_size == 0:
        return 0
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        magic = int.from_bytes(data[:4], "little")
        if magic == _SECTION_HEADER:
            return _count_pcapng(data)
        if magic in _PCAP_MAGICS:
            return _count_pcap(data, struct.Struct(_PCAP_MAGICS[magic] + "I"))
        raise ValueError(f"{path}: neither pcap nor pcapng, it begins with 0x{magic:08x}")


def _count_pcapng(data: mmap.mmap) -> int:
    header = struct.Struct("<II").unpack_from
    packets, at, end = 0, 0, len(data)
    while at + 12 <= end:
        block_type, length = header(data, at)
        if length < 12 or length % 4:
            raise ValueError(f"pcapng block at offset {at}: total length {length}")
        packets += block_type in (_ENHANCED_PACKET, _SIMPLE_PACKET)
        at += length
    if at != end:
        raise ValueError(f"pcapng: last block does not end with the file, at {at} of {end}")
    return packets


def _count_pcap(data: mmap.mmap, number: struct.Struct) -> int:
    captured_length = number.unpack_from
    packets, at, end = 0, 24, len(data)
    while at + 16 <= end:
        at += 16 + captured_length(data, at + 8)[0]
        packets += 1
    if at != end:
        raise ValueError(f"pcap: last record does not end with the file, at {at} of {end}")
    return packets


if __name__ == "__main__":
    print(count_packets(Path(sys.argv[1])))
