"""The enhanced packet block, put around a frame that already lies in the output buffer.

Compiled. The rest of the format is in `capfix.wire.pcapng`.
"""

import cython

from capfix.wire.pcapng import (
    DROPCOUNT_OPTION_LENGTH,
    ENHANCED_PACKET,
    EPB_DROPCOUNT,
    EPB_FLAGS,
    FLAGS_OPTION_LENGTH,
    OPT_ENDOFOPT,
    PACKET_HEADER_LENGTH,
    PACKET_TRAILER_LENGTH,
)

if not cython.compiled:  # the .pxd file has them otherwise
    from capfix.wire.memory import copy, put_u32


def put_enhanced_packet(
    out: cython.p_uchar,
    at: cython.Py_ssize_t,
    interface_id: cython.uint,
    timestamp_ns: cython.ulonglong,
    captured_length: cython.uint,
    original_length: cython.uint,
    flags: cython.uint,
    dropcount: cython.ulonglong,
    options: cython.p_uchar,
    options_length: cython.Py_ssize_t,
) -> cython.Py_ssize_t:
    """Put an enhanced packet block around data that already lies at `at + PACKET_HEADER_LENGTH`.

    Writes the header, the padding, then `options` (whole encoded options), epb_flags, epb_dropcount unless it is 0,
    the end of options, and returns the block's total length. The caller has checked that there is room for
    PACKET_HEADER_LENGTH, the data padded to 4, the options, 20 bytes for the last two and PACKET_TRAILER_LENGTH.
    """
    end: cython.Py_ssize_t = at + PACKET_HEADER_LENGTH + captured_length
    total: cython.Py_ssize_t
    while (end - at) & 3:
        out[end] = 0
        end += 1
    if options_length:  # nearly never: no options means no pointer either
        copy(out, end, options, 0, options_length)
        end += options_length
    put_u32(out, end, EPB_FLAGS | 4 << 16)  # its code, and the length of its value
    put_u32(out, end + 4, flags)
    end += FLAGS_OPTION_LENGTH
    if dropcount:
        put_u32(out, end, EPB_DROPCOUNT | 8 << 16)
        put_u32(out, end + 4, dropcount)
        put_u32(out, end + 8, dropcount >> 32)
        end += DROPCOUNT_OPTION_LENGTH
    total = end + PACKET_TRAILER_LENGTH - at
    put_u32(out, end, OPT_ENDOFOPT)
    put_u32(out, end + 4, total)
    put_u32(out, at, ENHANCED_PACKET)
    put_u32(out, at + 4, total)
    put_u32(out, at + 8, interface_id)
    put_u32(out, at + 12, timestamp_ns >> 32)
    put_u32(out, at + 16, timestamp_ns)
    put_u32(out, at + 20, captured_length)
    put_u32(out, at + 24, original_length)
    return total
