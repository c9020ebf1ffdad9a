"""SipHash-2-4 against its authors' numbers, compiled and uncompiled."""

import pytest

from capfix.transcode import siphash
from tests.support.uncompiled import load_uncompiled

COPIES = {"compiled": siphash, "uncompiled": load_uncompiled("capfix.transcode.siphash")}
KEY = bytes(range(16))


@pytest.mark.parametrize("copy", COPIES.values(), ids=list(COPIES))
@pytest.mark.parametrize(
    ("length", "hash_"),
    [(0, 0x726FDB47DD0E0E31), (1, 0x74F839C593DC67FD), (8, 0x93F5F5799A932462), (15, 0xA129CA6149BE45E5)],
)
def test_the_authors_vectors(copy, length, hash_):
    """Of the message 00 01 02 and so on, under the key 00 to 0f; the one of 15 bytes stands in the paper."""
    assert copy.siphash(KEY, bytes(range(length))) == hash_


def test_both_builds_agree_on_every_length():
    """Also on lengths around whole words, and beyond what one byte can say."""
    for length in (*range(40), 255, 256, 257, 1500):
        message = bytes(number & 0xFF for number in range(length))
        first, second = (copy.siphash(KEY, message) for copy in COPIES.values())
        assert first == second
