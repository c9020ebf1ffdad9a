# The compiled form of memory.py, in a file of its own so that each module that uses it has it inline: a call from one
# module into another takes longer than the load that it would do.
from libc.string cimport memcpy

cdef inline unsigned int load_u16(unsigned char* buf, Py_ssize_t at) noexcept nogil:
    cdef unsigned short value
    memcpy(&value, buf + at, 2)
    return value

cdef inline unsigned int load_u32(unsigned char* buf, Py_ssize_t at) noexcept nogil:
    cdef unsigned int value
    memcpy(&value, buf + at, 4)
    return value

cdef inline unsigned long long load_u64(unsigned char* buf, Py_ssize_t at) noexcept nogil:
    cdef unsigned long long value
    memcpy(&value, buf + at, 8)
    return value

cdef inline unsigned int load_be16(unsigned char* buf, Py_ssize_t at) noexcept nogil:
    return buf[at] << 8 | buf[at + 1]

cdef inline unsigned int load_be32(unsigned char* buf, Py_ssize_t at) noexcept nogil:
    return (<unsigned int>load_be16(buf, at)) << 16 | load_be16(buf, at + 2)

# Stores are whole: written by the byte, gcc 12 gathers the bytes in a vector on the stack and waits for it
cdef inline void put_u32(unsigned char* out, Py_ssize_t at, unsigned int value) noexcept nogil:
    memcpy(out + at, &value, 4)

cdef inline void put_be16(unsigned char* out, Py_ssize_t at, unsigned int value) noexcept nogil:
    cdef unsigned short swapped = <unsigned short>((value & 0xFF) << 8 | (value >> 8) & 0xFF)
    memcpy(out + at, &swapped, 2)

cdef inline void put_be32(unsigned char* out, Py_ssize_t at, unsigned int value) noexcept nogil:
    put_be16(out, at, value >> 16)
    put_be16(out, at + 2, value)

cdef inline void copy(
    unsigned char* out, Py_ssize_t at, unsigned char* buf, Py_ssize_t buf_at, Py_ssize_t length
) noexcept nogil:
    memcpy(out + at, buf + buf_at, length)

cdef inline void copy_mac(unsigned char* out, Py_ssize_t at, unsigned char* buf, Py_ssize_t buf_at) noexcept nogil:
    memcpy(out + at, buf + buf_at, 6)

cdef inline bint is_same_mac(
    unsigned char* one, Py_ssize_t at, unsigned char* other, Py_ssize_t other_at
) noexcept nogil:
    return load_u32(one, at) == load_u32(other, other_at) and load_u16(one, at + 4) == load_u16(other, other_at + 4)

cdef inline bint is_zero_mac(unsigned char* buf, Py_ssize_t at) noexcept nogil:
    return load_u32(buf, at) == 0 and load_u16(buf, at + 4) == 0

cdef inline unsigned char* advanced(unsigned char* buf, Py_ssize_t at) noexcept nogil:
    return buf + at

cdef inline unsigned long long add_u64(unsigned long long one, unsigned long long other) noexcept nogil:
    return one + other

cdef inline unsigned long long rotated_u64(unsigned long long value, int bits) noexcept nogil:
    return value << bits | value >> (64 - bits)
