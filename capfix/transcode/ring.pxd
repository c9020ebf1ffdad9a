cimport cython

from capfix.framing.framer cimport Framer
from capfix.transcode.packet cimport PacketWriter
from capfix.wire.facts cimport PacketFacts
from capfix.wire.tpacket cimport next_packet, read_packet

cdef int _DONE, _LIMIT_REACHED, _LATER

@cython.final
cdef class RingTranscoder:
    cdef readonly PacketWriter packets
    cdef readonly int stopped_for
    cdef public unsigned long long until_ns
    cdef readonly unsigned long long waiting_ns
    cdef readonly unsigned int unknown_ifindex
    cdef readonly unsigned long long malformed_blocks
    cdef PacketFacts _facts
    cdef Py_ssize_t _at, _end
    cdef long long _left
    cdef bint _is_torn

    cdef Py_ssize_t _convert(
        self,
        unsigned char* buf,
        unsigned char* out,
        Py_ssize_t at,
        Py_ssize_t room,
        long long limit,
        unsigned char* options,
        Py_ssize_t options_length,
    ) noexcept nogil
    cdef inline void _advance(self, unsigned char* buf) noexcept nogil
    cdef void _count_torn(self) noexcept nogil
