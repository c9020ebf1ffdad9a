from capfix.wire.facts cimport Facts
from capfix.wire.tpacket cimport next_packet, read_packet

cdef unsigned int ETH_P_IP, ETH_P_IPV6, PACKET_OUTGOING
cdef unsigned long long _MULTIPLIER, _ALL_BITS, _WINDOW_NS
cdef int _TCP, _UDP, _ICMP, _ICMPV6, _WAYS, _COUNTS, _HOOKS

cdef class SeenPackets:
    cdef unsigned long long _seed
    cdef Py_ssize_t _mask
    cdef Py_ssize_t _compared_bytes
    cdef unsigned long long[::1] _identities
    cdef unsigned long long[::1] _times
    cdef unsigned int[::1] _counts
    cdef Facts _facts

    cdef void add(self, unsigned char* buf, Facts facts) noexcept nogil
    cdef bint take(self, unsigned char* buf, Facts facts, int hook) noexcept nogil
    cdef void _add_all(self, unsigned char* buf, Py_ssize_t at, Py_ssize_t end, Py_ssize_t count) noexcept nogil
    cdef Py_ssize_t _find(self, unsigned long long identity, unsigned long long time_ns) noexcept nogil
    cdef Py_ssize_t _replace(self, unsigned long long identity, unsigned long long time_ns) noexcept nogil

cdef unsigned long long identify(
    unsigned char* buf, Facts facts, unsigned long long seed, Py_ssize_t compared
) noexcept nogil
cdef unsigned long long _identify_ipv4(
    unsigned char* buf, Py_ssize_t at, Py_ssize_t captured, unsigned long long state
) noexcept nogil
cdef unsigned long long _identify_ipv6(
    unsigned char* buf, Py_ssize_t at, Py_ssize_t captured, unsigned long long state
) noexcept nogil
cdef unsigned long long _mix_transport(
    unsigned char* buf, Py_ssize_t at, Py_ssize_t transport_at, Py_ssize_t end, int protocol, unsigned long long state
) noexcept nogil
cdef Py_ssize_t _checksum_offset(int protocol) noexcept nogil
cdef unsigned long long _mix_bytes(
    unsigned char* buf, Py_ssize_t at, Py_ssize_t end, unsigned long long state
) noexcept nogil
cdef unsigned long long _mix(unsigned long long state, unsigned long long value) noexcept nogil
