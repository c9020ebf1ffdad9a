cimport cython

from capfix.transcode.siphash cimport SipHash
from capfix.wire.c_memory cimport copy, load_be16, put_be16, put_u32
from capfix.wire.facts cimport PacketFacts
from capfix.wire.ip cimport packet_length

cdef unsigned int ETH_P_IP, ETH_P_IPV6, PACKET_OUTGOING
cdef int IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_TCP, IPPROTO_UDP
cdef Py_ssize_t _IPV4_LENGTH, _IPV6_LENGTH, _IP_AT

@cython.final
cdef class PacketIdentity:
    cdef SipHash _hash
    cdef Py_ssize_t _compared_bytes
    cdef unsigned char _head[96]

    cdef unsigned long long identify(self, unsigned char* buf, PacketFacts facts) noexcept nogil
    cdef unsigned long long _identify_ipv4(
        self, unsigned char* buf, PacketFacts facts, Py_ssize_t captured
    ) noexcept nogil
    cdef unsigned long long _identify_ipv6(
        self, unsigned char* buf, PacketFacts facts, Py_ssize_t captured
    ) noexcept nogil
    cdef void _begin_head(
        self, PacketFacts facts, Py_ssize_t total, unsigned int version_and_length, unsigned int protocol
    ) noexcept nogil
    cdef unsigned long long _finish(
        self,
        unsigned char* buf,
        Py_ssize_t transport_at,
        Py_ssize_t end,
        Py_ssize_t head_length,
        int protocol,
    ) noexcept nogil

cdef Py_ssize_t _checksum_offset(int protocol) noexcept nogil
