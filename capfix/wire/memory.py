"""Loads, stores and copies in a buffer at an offset, and sums of 64 bits, once for every format.

The uncompiled form; `c_memory.pxd` has the same functions for the compiled one. Nothing here checks a bound: callers
have. `_u16`, `_u32` and `_u64` are in the byte order of the kernel and of pcapng as capfix writes it, little-endian;
`_be16` and `_be32` big-endian, as in packets.
"""

import cython


def load_u16(buf: cython.p_uchar, at: cython.Py_ssize_t) -> cython.uint:
    """Return the 16-bit number at `at`, little-endian."""
    return int.from_bytes(buf[at : at + 2], "little")


def load_u32(buf: cython.p_uchar, at: cython.Py_ssize_t) -> cython.uint:
    """Return the 32-bit number at `at`, little-endian."""
    return int.from_bytes(buf[at : at + 4], "little")


def load_u64(buf: cython.p_uchar, at: cython.Py_ssize_t) -> cython.ulonglong:
    """Return the 64-bit number at `at`, little-endian."""
    return int.from_bytes(buf[at : at + 8], "little")


def load_be16(buf: cython.p_uchar, at: cython.Py_ssize_t) -> cython.uint:
    """Return the 16-bit number at `at`, big-endian."""
    return int.from_bytes(buf[at : at + 2], "big")


def load_be32(buf: cython.p_uchar, at: cython.Py_ssize_t) -> cython.uint:
    """Return the 32-bit number at `at`, big-endian."""
    return int.from_bytes(buf[at : at + 4], "big")


def put_u32(out: cython.p_uchar, at: cython.Py_ssize_t, value: cython.ulonglong) -> cython.void:
    """Put the low 32 bits of `value` at `at`, little-endian."""
    out[at : at + 4] = (value & 0xFFFFFFFF).to_bytes(4, "little")


def put_be16(out: cython.p_uchar, at: cython.Py_ssize_t, value: cython.uint) -> cython.void:
    """Put the low 16 bits of `value` at `at`, big-endian."""
    out[at : at + 2] = (value & 0xFFFF).to_bytes(2, "big")


def put_be32(out: cython.p_uchar, at: cython.Py_ssize_t, value: cython.uint) -> cython.void:
    """Put the low 32 bits of `value` at `at`, big-endian."""
    out[at : at + 4] = (value & 0xFFFFFFFF).to_bytes(4, "big")


def copy(
    out: cython.p_uchar,
    at: cython.Py_ssize_t,
    buf: cython.p_uchar,
    buf_at: cython.Py_ssize_t,
    length: cython.Py_ssize_t,
) -> cython.void:
    """Copy `length` bytes of `buf` from `buf_at` to `at`; the two do not overlap."""
    out[at : at + length] = buf[buf_at : buf_at + length]


def copy_mac(
    out: cython.p_uchar, at: cython.Py_ssize_t, buf: cython.p_uchar, buf_at: cython.Py_ssize_t
) -> cython.void:
    """Copy the 6 bytes of an Ethernet address of `buf` from `buf_at` to `at`."""
    out[at : at + 6] = buf[buf_at : buf_at + 6]


def is_same_mac(
    one: cython.p_uchar, at: cython.Py_ssize_t, other: cython.p_uchar, other_at: cython.Py_ssize_t
) -> cython.bint:
    """Return whether the 6 bytes of an Ethernet address are the same in both."""
    return bool(one[at : at + 6] == other[other_at : other_at + 6])


def is_zero_mac(buf: cython.p_uchar, at: cython.Py_ssize_t) -> cython.bint:
    """Return whether the 6 bytes of an Ethernet address are all 0."""
    return not any(buf[at : at + 6])


def advanced(buf: cython.p_uchar, at: cython.Py_ssize_t) -> cython.p_uchar:
    """Return the same buffer from `at` on, without a copy."""
    return memoryview(buf)[at:]


def add_u64(one: cython.ulonglong, other: cython.ulonglong) -> cython.ulonglong:
    """Return the sum, modulo 2**64."""
    return (one + other) & 0xFFFFFFFFFFFFFFFF


def rotated_u64(value: cython.ulonglong, bits: cython.int) -> cython.ulonglong:
    """Return the 64 bits of `value` rotated to the left."""
    return (value << bits | value >> (64 - bits)) & 0xFFFFFFFFFFFFFFFF
