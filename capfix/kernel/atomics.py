"""Words that the kernel writes while we read, with the ordering that both sides rely on.

Compiled: an acquire load and a release store, as linux/if_packet.h asks of whoever shares a ring. Uncompiled, a plain
access stands in; x86 orders those the same way, other processors need not.

Both take the memory and the offset of a 32-bit word in it, aligned to 4 bytes, in host byte order.
"""

import cython

if cython.compiled:
    from cython.cimports.capfix.kernel.c_atomics import acquire, release


def load_acquire(memory: cython.uchar[::1], at: cython.Py_ssize_t) -> cython.uint:
    """Return the word; what the other side wrote before it is visible from here on."""
    if cython.compiled:
        return acquire(cython.cast(cython.pointer(cython.uint), cython.address(memory[at])))
    else:  # noqa: RET505, the branch is taken while compiling
        return int.from_bytes(memory[at : at + 4], "little")


def store_release(memory: cython.uchar[::1], at: cython.Py_ssize_t, value: cython.uint) -> cython.void:
    """Store the word; what was read before is done with when the other side sees it."""
    if cython.compiled:
        release(cython.cast(cython.pointer(cython.uint), cython.address(memory[at])), value)
    else:
        memory[at : at + 4] = value.to_bytes(4, "little")
