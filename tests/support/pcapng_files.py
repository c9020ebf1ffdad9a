"""The least of a pcapng file around enhanced packet blocks, so that outside readers can judge them.

Written apart from `capfix`, as the oracle is. Source: draft-ietf-opsawg-pcapng.
"""

import struct


def section(link_type: int, blocks: bytes, interfaces: int = 1, snaplen: int = 262144) -> bytes:
    """Return a little-endian section: header, `interfaces` interface blocks in nanoseconds, then `blocks`."""
    header = struct.pack("<3I2HqI", 0x0A0D0D0A, 28, 0x1A2B3C4D, 1, 0, -1, 28)
    tsresol = struct.pack("<2HB3x2H", 9, 1, 9, 0, 0)
    total = 20 + len(tsresol)
    interface = struct.pack("<2I2HI", 1, total, link_type, 0, snaplen) + tsresol + struct.pack("<I", total)
    return header + interface * interfaces + blocks


def split_blocks(blocks: bytes) -> list[bytes]:
    """Return pcapng blocks one by one; each must repeat its length at its end."""
    parts = []
    at = 0
    while at < len(blocks):
        (total,) = struct.unpack_from("<I", blocks, at + 4)
        assert struct.unpack_from("<I", blocks, at + total - 4) == (total,)
        parts.append(blocks[at : at + total])
        at += total
    return parts


def packet_data(block: bytes) -> bytes:
    """Return the captured bytes of one enhanced packet block."""
    (captured,) = struct.unpack_from("<I", block, 20)
    return block[28 : 28 + captured]
