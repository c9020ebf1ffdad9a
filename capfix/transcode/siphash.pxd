cimport cython

from capfix.wire.c_memory cimport add_u64, load_u64, rotated_u64

cdef Py_ssize_t _WORD

@cython.final
cdef class SipHash:
    cdef unsigned long long _k0, _k1, _k2, _k3
    cdef unsigned long long _v0, _v1, _v2, _v3
    cdef Py_ssize_t _length

    cdef void begin(self) noexcept nogil
    cdef void add(self, unsigned char* buf, Py_ssize_t at, Py_ssize_t length) noexcept nogil
    cdef unsigned long long finish(self, unsigned char* buf, Py_ssize_t at, Py_ssize_t length) noexcept nogil
    cdef inline void _add_word(self, unsigned long long word) noexcept nogil
    cdef inline void _mix(self, int rounds) noexcept nogil
