from capfix.wire.facts cimport Facts
from capfix.wire.ip cimport is_ipv4_group, is_ipv6_group, is_sound_packet, protocol_by_version
from capfix.wire.sll cimport put_sll
from capfix.wire.sll2 cimport put_sll2

cdef unsigned int ARPHRD_ETHER, ARPHRD_LOOPBACK, ETH_P_8021AD, ETH_P_8021Q, ETH_P_802_2, ETH_P_802_3, ETH_P_IP, ETH_P_IPV6
cdef int ETH_P_802_3_MIN
cdef int LINKTYPE_ETHERNET, LINKTYPE_LINUX_SLL
cdef unsigned int PACKET_BROADCAST, PACKET_MULTICAST, PACKET_OTHERHOST, PACKET_OUTGOING

cdef Py_ssize_t _OWN_KNOWN, _PEER, _PEER_KNOWN

cdef class Framer:
    cdef readonly int link_type
    cdef readonly bint keep_headers
    cdef readonly unsigned long long headers_kept
    cdef readonly unsigned long long headers_missing
    cdef readonly unsigned long long headers_stale
    cdef bint _local_given
    cdef bint _peer_given
    cdef unsigned char _macs[18]

    cdef Py_ssize_t put_header(
        self,
        unsigned char* out,
        Py_ssize_t at,
        unsigned char* buf,
        Facts facts,
        unsigned char* addresses,
        Py_ssize_t addresses_at,
    ) noexcept nogil
    cdef Py_ssize_t _put_cooked(
        self,
        unsigned char* out,
        Py_ssize_t at,
        unsigned char* buf,
        Facts facts,
        unsigned int address_length,
        unsigned int protocol,
        int type_field,
    ) noexcept nogil
    cdef void _put_destination(
        self,
        unsigned char* out,
        Py_ssize_t at,
        unsigned char* buf,
        Facts facts,
        unsigned int protocol,
        Py_ssize_t inner_tags,
        unsigned char* addresses,
        Py_ssize_t addresses_at,
    ) noexcept nogil
    cdef void _put_group(
        self,
        unsigned char* out,
        Py_ssize_t at,
        unsigned char* buf,
        unsigned int protocol,
        Py_ssize_t ip_at,
        Py_ssize_t captured,
    ) noexcept nogil
    cdef void _put_source(
        self,
        unsigned char* out,
        Py_ssize_t at,
        unsigned char* buf,
        Facts facts,
        unsigned int address_length,
        unsigned char* addresses,
        Py_ssize_t addresses_at,
    ) noexcept nogil
    cdef void _put_own(
        self, unsigned char* out, Py_ssize_t at, unsigned char* addresses, Py_ssize_t addresses_at
    ) noexcept nogil
    cdef void _put_peer(
        self, unsigned char* out, Py_ssize_t at, unsigned char* addresses, Py_ssize_t addresses_at
    ) noexcept nogil
    cdef Py_ssize_t _keep_header(
        self,
        unsigned char* out,
        Py_ssize_t at,
        unsigned char* buf,
        Facts facts,
        unsigned char* addresses,
        Py_ssize_t addresses_at,
    ) noexcept nogil

cdef void _put_u16(unsigned char* out, Py_ssize_t at, unsigned int value) noexcept nogil
cdef void _put_mac(unsigned char* out, Py_ssize_t at, unsigned char* macs, Py_ssize_t mac_at) noexcept nogil
cdef bint _same_mac(unsigned char* buf, Py_ssize_t at, unsigned char* other, Py_ssize_t other_at) noexcept nogil
cdef bint _is_zero_mac(unsigned char* buf, Py_ssize_t at) noexcept nogil
cdef bint _is_headerless(unsigned char* buf, Facts facts) noexcept nogil
cdef bint _is_ethernet(Facts facts) noexcept nogil
cdef bint _has_sound_header(unsigned char* buf, Facts facts) noexcept nogil
cdef bint _is_802_3(Facts facts) noexcept nogil
cdef int _length_field(Facts facts) noexcept nogil
cdef unsigned int _cooked_802_3(unsigned char* buf, Facts facts) noexcept nogil
cdef Py_ssize_t inner_tags_length(unsigned char* buf, Facts facts) noexcept nogil
