cimport cython

from capfix.framing.addresses cimport InterfaceAddresses
from capfix.framing.tags cimport has_sound_header, inner_tags_length
from capfix.wire.c_memory cimport advanced, copy_mac, is_same_mac, is_zero_mac, put_be16
from capfix.wire.ethernet cimport put_ethernet, put_tag
from capfix.wire.facts cimport PacketFacts
from capfix.wire.ip cimport is_ipv4_group, is_ipv6_group, protocol_by_version
from capfix.wire.sll cimport put_sll
from capfix.wire.sll2 cimport put_sll2

cdef unsigned int ARPHRD_ETHER, ARPHRD_LOOPBACK, ETH_P_8021Q, ETH_P_802_2, ETH_P_802_3, ETH_P_IP, ETH_P_IPV6
cdef int ETH_P_802_3_MIN
cdef int LINKTYPE_ETHERNET, LINKTYPE_LINUX_SLL, LINKTYPE_RAW
cdef unsigned int PACKET_BROADCAST, PACKET_MULTICAST, PACKET_OTHERHOST, PACKET_OUTGOING
cdef Py_ssize_t ROW_LENGTH, OWN_KNOWN, PEER, PEER_KNOWN, MAC_LENGTH
cdef Py_ssize_t _LOCAL, _PEER, _OTHER, _ONES, _GROUP, _MACS_LENGTH
cdef Py_ssize_t NOT_CARRIED

# A header as it was put: its length, or NOT_CARRIED, and from where in its buffer the packet follows it
cdef struct PutHeader:
    Py_ssize_t length
    Py_ssize_t rest_at

@cython.final
cdef class Framer:
    cdef readonly int link_type
    cdef readonly bint keep_headers
    cdef readonly unsigned long long headers_kept
    cdef readonly unsigned long long headers_missing
    cdef readonly unsigned long long headers_stale
    cdef bint _local_given
    cdef bint _peer_given
    cdef unsigned char _macs[30]

    cdef PutHeader put_header(
        self,
        unsigned char* out,
        Py_ssize_t at,
        unsigned char* buf,
        PacketFacts facts,
        InterfaceAddresses addresses,
        Py_ssize_t row,
    ) noexcept nogil
    cdef inline Py_ssize_t _put_cooked(
        self,
        unsigned char* out,
        Py_ssize_t at,
        unsigned char* buf,
        PacketFacts facts,
        unsigned int address_length,
        unsigned int protocol,
        int type_field,
    ) noexcept nogil
    cdef unsigned char* _destination(
        self,
        unsigned char* buf,
        PacketFacts facts,
        unsigned int protocol,
        Py_ssize_t inner_tags,
        unsigned char* known,
    ) noexcept nogil
    cdef void _make_group(
        self, unsigned char* buf, unsigned int protocol, Py_ssize_t ip_at, Py_ssize_t captured
    ) noexcept nogil
    cdef unsigned char* _source(
        self, unsigned char* buf, PacketFacts facts, unsigned int address_length, unsigned char* known
    ) noexcept nogil
    cdef unsigned char* _own(self, unsigned char* known) noexcept nogil
    cdef unsigned char* _peer(self, unsigned char* known) noexcept nogil
    cdef PutHeader _keep_header(
        self,
        unsigned char* out,
        Py_ssize_t at,
        unsigned char* buf,
        PacketFacts facts,
        unsigned char* known,
    ) noexcept nogil

cdef unsigned char* _row_of(InterfaceAddresses addresses, Py_ssize_t row) noexcept nogil
cdef PutHeader _put_raw(
    unsigned char* buf, PacketFacts facts, unsigned int protocol, Py_ssize_t inner_tags
) noexcept nogil
cdef Py_ssize_t _put_ethernet(
    unsigned char* out,
    Py_ssize_t at,
    unsigned char* destination,
    unsigned char* source,
    PacketFacts facts,
    unsigned int type_field,
) noexcept nogil
cdef bint _is_headerless(unsigned char* buf, PacketFacts facts) noexcept nogil
cdef bint _is_ethernet(PacketFacts facts) noexcept nogil
cdef bint _is_802_3(PacketFacts facts) noexcept nogil
cdef int _length_field(PacketFacts facts) noexcept nogil
cdef unsigned int _cooked_802_3(unsigned char* buf, PacketFacts facts) noexcept nogil
