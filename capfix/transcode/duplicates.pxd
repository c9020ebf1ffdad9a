from capfix.transcode.identity cimport PacketIdentity
from capfix.wire.facts cimport PacketFacts
from capfix.wire.tpacket cimport next_packet, read_packet

cdef unsigned long long _WINDOW_NS
cdef int _WAYS, _COUNTS, _HOOKS

cdef class SeenPackets:
    cdef readonly unsigned long long taken
    cdef PacketIdentity _identity
    cdef Py_ssize_t _mask
    cdef unsigned long long[::1] _identities
    cdef unsigned long long[::1] _times
    cdef unsigned int[::1] _counts
    cdef PacketFacts _facts

    cdef void add(self, unsigned char* buf, PacketFacts facts) noexcept nogil
    cdef bint take(self, unsigned char* buf, PacketFacts facts, int hook) noexcept nogil
    cdef void _add_all(self, unsigned char* buf, Py_ssize_t at, Py_ssize_t end, Py_ssize_t count) noexcept nogil
    cdef Py_ssize_t _find(self, unsigned long long identity, unsigned long long time_ns) noexcept nogil
    cdef Py_ssize_t _replace(self, unsigned long long identity, unsigned long long time_ns) noexcept nogil
