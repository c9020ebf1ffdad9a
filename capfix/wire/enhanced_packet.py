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

if cython.compiled:
    from cython.cimports.libc.string import memcpy


def _put_u32(out: cython.p_uchar, at: cython.Py_ssize_t, value: cython.uint) -> cython.void:
    # One store: written by the byte, gcc 12 gathers the bytes in a vector on the stack and waits for it to be stored
    if cython.compiled:
        memcpy(out + at, cython.address(value), 4)
    else:
        out[at : at + 4] = (value & 0xFFFFFFFF).to_bytes(4, "little")


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
    i: cython.Py_ssize_t
    while (end - at) & 3:
        out[end] = 0
        end += 1
    for i in range(options_length):
        out[end + i] = options[i]
    end += options_length
    out[end] = EPB_FLAGS
    out[end + 1] = 0
    out[end + 2] = 4
    out[end + 3] = 0
    _put_u32(out, end + 4, flags)
    end += FLAGS_OPTION_LENGTH
    if dropcount:
        out[end] = EPB_DROPCOUNT
        out[end + 1] = 0
        out[end + 2] = 8
        out[end + 3] = 0
        _put_u32(out, end + 4, dropcount)
        _put_u32(out, end + 8, dropcount >> 32)
        end += DROPCOUNT_OPTION_LENGTH
    total = end + PACKET_TRAILER_LENGTH - at
    _put_u32(out, end, OPT_ENDOFOPT)
    _put_u32(out, end + 4, total)
    _put_u32(out, at, ENHANCED_PACKET)
    _put_u32(out, at + 4, total)
    _put_u32(out, at + 8, interface_id)
    _put_u32(out, at + 12, timestamp_ns >> 32)
    _put_u32(out, at + 16, timestamp_ns)
    _put_u32(out, at + 20, captured_length)
    _put_u32(out, at + 24, original_length)
    return total
