"""SipHash-2-4: a hash of 64 bits under a key of 128, whose collisions nobody finds who does not know the key.

Compiled. The message may come in pieces, each but the last a multiple of 8 bytes long.

Source: Aumasson and Bernstein, SipHash: a fast short-input PRF, 2012.
"""

from typing import Final

import cython

if not cython.compiled:  # the .pxd file has them otherwise
    from capfix.wire.memory import add_u64, load_u64, rotated_u64

KEY_LENGTH: Final = 16

_INITIAL: Final = b"somepseudorandomlygeneratedbytes"  # as four big-endian words
_WORD: Final = 8


class SipHash:
    """A hash under one key, of one message after another."""

    def __init__(self, key: bytes) -> None:
        """`key` is KEY_LENGTH random bytes."""
        words = [int.from_bytes(key[at : at + _WORD], "little") for at in (0, _WORD)] * 2
        initial = [int.from_bytes(_INITIAL[at : at + _WORD], "big") for at in range(0, 32, _WORD)]
        self._k0, self._k1, self._k2, self._k3 = (
            word ^ start for word, start in zip(words, initial, strict=True)
        )
        self.begin()

    def begin(self) -> cython.void:
        """Begin a message."""
        self._v0 = self._k0
        self._v1 = self._k1
        self._v2 = self._k2
        self._v3 = self._k3
        self._length = 0

    def add(self, buf: cython.p_uchar, at: cython.Py_ssize_t, length: cython.Py_ssize_t) -> cython.void:
        """Add `length` bytes of `buf`, a multiple of 8, to the message."""
        end: cython.Py_ssize_t = at + length
        self._length += length
        while at < end:
            self._add_word(load_u64(buf, at))
            at += _WORD

    def finish(
        self, buf: cython.p_uchar, at: cython.Py_ssize_t, length: cython.Py_ssize_t
    ) -> cython.ulonglong:
        """Add the last `length` bytes, any number, and return the hash of the message."""
        whole: cython.Py_ssize_t = length & ~7
        word: cython.ulonglong
        i: cython.Py_ssize_t
        self.add(buf, at, whole)
        self._length += length - whole
        word = cython.cast(cython.ulonglong, self._length & 0xFF) << 56
        for i in range(whole, length):
            word |= cython.cast(cython.ulonglong, buf[at + i]) << 8 * (i - whole)
        self._add_word(word)
        self._v2 ^= 0xFF
        self._mix(4)
        return self._v0 ^ self._v1 ^ self._v2 ^ self._v3

    def _add_word(self, word: cython.ulonglong) -> cython.void:
        self._v3 ^= word
        self._mix(2)
        self._v0 ^= word

    def _mix(self, rounds: cython.int) -> cython.void:
        v0: cython.ulonglong = self._v0  # local, as they can then stay in registers
        v1: cython.ulonglong = self._v1
        v2: cython.ulonglong = self._v2
        v3: cython.ulonglong = self._v3
        i: cython.int
        for i in range(rounds):  # noqa: B007, a C integer
            v0 = add_u64(v0, v1)
            v1 = rotated_u64(v1, 13) ^ v0
            v0 = rotated_u64(v0, 32)
            v2 = add_u64(v2, v3)
            v3 = rotated_u64(v3, 16) ^ v2
            v0 = add_u64(v0, v3)
            v3 = rotated_u64(v3, 21) ^ v0
            v2 = add_u64(v2, v1)
            v1 = rotated_u64(v1, 17) ^ v2
            v2 = rotated_u64(v2, 32)
        self._v0 = v0
        self._v1 = v1
        self._v2 = v2
        self._v3 = v3


def siphash(key: bytes, message: bytes) -> int:
    """Return the hash of a message, a number of 64 bits."""
    hash_ = SipHash(key)
    view: cython.uchar[::1] = bytearray(message + b"\0")
    number: int = hash_.finish(cython.address(view[0]) if cython.compiled else view, 0, len(message))
    return number
