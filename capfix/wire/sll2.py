"""LINKTYPE_LINUX_SLL2: the second Linux cooked header, 20 bytes, big-endian.

Compiled. Protocol, 2 reserved bytes, interface index (4), hardware type (2), packet type (1), address length (1) and
8 bytes of address.

Source: tcpdump.org, LINKTYPE_LINUX_SLL2.
"""

import cython


def put_sll2(
    out: cython.p_uchar,
    at: cython.Py_ssize_t,
    packet_type: cython.uint,
    hardware_type: cython.uint,
    ifindex: cython.uint,
    address_length: cython.uint,
    buf: cython.p_uchar,
    address_at: cython.Py_ssize_t,
    protocol: cython.uint,
) -> cython.Py_ssize_t:
    """Put the header at `at` and return its length. The address follows the same rule as in put_sll."""
    i: cython.Py_ssize_t
    out[at] = (protocol >> 8) & 0xFF
    out[at + 1] = protocol & 0xFF
    out[at + 2] = 0
    out[at + 3] = 0
    out[at + 4] = (ifindex >> 24) & 0xFF
    out[at + 5] = (ifindex >> 16) & 0xFF
    out[at + 6] = (ifindex >> 8) & 0xFF
    out[at + 7] = ifindex & 0xFF
    out[at + 8] = (hardware_type >> 8) & 0xFF
    out[at + 9] = hardware_type & 0xFF
    out[at + 10] = packet_type & 0xFF
    out[at + 11] = address_length & 0xFF
    for i in range(8):
        out[at + 12 + i] = buf[address_at + i] if i < address_length else 0
    return 20
