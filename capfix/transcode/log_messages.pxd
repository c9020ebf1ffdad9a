cimport cython

from capfix.wire.c_memory cimport load_u16, load_u32
from capfix.wire.nflog cimport PacketFields
from capfix.wire.nflog cimport read_packet as read_packet_message

cdef unsigned int MESSAGE_PACKET
cdef Py_ssize_t _MESSAGE_HEADER_LENGTH, _TYPE_AT, _LONGEST
cdef long long _SEQUENCE_MASK

@cython.final
cdef class LogSequence:
    cdef readonly unsigned long long logged
    cdef readonly unsigned long long lost
    cdef unsigned int _next

    cdef unsigned int count(self, long long number) noexcept nogil

@cython.final
cdef class LogMessages:
    cdef PacketFields fields
    cdef readonly LogSequence sequence
    cdef unsigned int gap
    cdef public unsigned long long receipt_ns
    cdef readonly unsigned long long malformed
    cdef PacketFields _ahead
    cdef unsigned long long _bound_ns
    cdef Py_ssize_t _bound_at
    cdef Py_ssize_t _at, _next_at, _end

    cdef bint find(self, unsigned char* buf) noexcept nogil
    cdef bint is_left(self) noexcept nogil
    cdef void pass_over(self) noexcept nogil
    cdef Py_ssize_t place(self) noexcept nogil
    cdef unsigned long long time(self, unsigned char* buf) noexcept nogil

cdef Py_ssize_t _message_length(unsigned char* buf, Py_ssize_t at, Py_ssize_t end) noexcept nogil
cdef Py_ssize_t _aligned(Py_ssize_t length) noexcept nogil
cdef bint _is_packet(unsigned char* buf, Py_ssize_t at) noexcept nogil
cdef bint _read(unsigned char* buf, Py_ssize_t at, Py_ssize_t length, PacketFields fields) noexcept nogil
