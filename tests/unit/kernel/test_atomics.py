"""The words of the ring's status, compiled and not."""

from types import ModuleType

import pytest

from capfix.kernel import atomics
from tests.support.uncompiled import load_uncompiled


@pytest.fixture(params=["compiled", "uncompiled"])
def module(request: pytest.FixtureRequest) -> ModuleType:
    """The module, both ways."""
    return atomics if request.param == "compiled" else load_uncompiled("capfix.kernel.atomics")


def test_words_are_read_and_written_at_their_place(module: ModuleType) -> None:
    """A word is four bytes, little-endian, and its neighbours stay as they are."""
    memory = memoryview(bytearray(range(12)))
    assert module.load_acquire(memory, 4) == 0x07060504
    module.store_release(memory, 4, 0xFFFEFDFC)
    assert bytes(memory) == bytes([0, 1, 2, 3, 0xFC, 0xFD, 0xFE, 0xFF, 8, 9, 10, 11])
    assert module.load_acquire(memory, 4) == 0xFFFEFDFC
