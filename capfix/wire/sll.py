"""LINKTYPE_LINUX_SLL: the Linux cooked header, 16 bytes, big-endian.

Compiled. Packet type, hardware type and address length, 2 bytes each, then 8 bytes of address and the protocol.

Source: tcpdump.org, LINKTYPE_LINUX_SLL.
"""

import cython


def put_sll(
    out: cython.p_uchar,
    at: cython.Py_ssize_t,
    packet_type: cython.uint,
    hardware_type: cython.uint,
    address_length: cython.uint,
    buf: cython.p_uchar,
    address_at: cython.Py_ssize_t,
    protocol: cython.uint,
) -> cython.Py_ssize_t:
    """Put the header at `at` and return its length.

    The address field holds 8 bytes of `buf` from `address_at`. A longer address is cut and a shorter one padded with
    zeros, while the length field keeps the true length, so readers must not use it as a bound.
    """
    i: cython.Py_ssize_t
    out[at] = 0
    out[at + 1] = packet_type & 0xFF
    out[at + 2] = (hardware_type >> 8) & 0xFF
    out[at + 3] = hardware_type & 0xFF
    out[at + 4] = (address_length >> 8) & 0xFF
    out[at + 5] = address_length & 0xFF
    for i in range(8):
        out[at + 6 + i] = buf[address_at + i] if i < address_length else 0
    out[at + 14] = (protocol >> 8) & 0xFF
    out[at + 15] = protocol & 0xFF
    return 16
