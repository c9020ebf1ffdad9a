from capfix.wire.ip cimport is_sound_packet

cdef unsigned int ETH_P_802_3_MIN, ETH_P_8021AD, ETH_P_8021Q, ETH_P_ARP, ETH_P_IP, ETH_P_IPV6, ETH_P_PPP_SES
cdef unsigned int IPPROTO_DSTOPTS, IPPROTO_HOPOPTS, IPPROTO_ROUTING, IPPROTO_TCP, IPPROTO_UDP, _IPPROTO_ICMP, _IPPROTO_ICMPV6
cdef int LINKTYPE_ETHERNET, LINKTYPE_LINUX_SLL, LINKTYPE_LINUX_SLL2, LINKTYPE_NULL, LINKTYPE_PPP, LINKTYPE_PPP_HDLC
cdef int LINKTYPE_RAW, LINKTYPE_LOOP, LINKTYPE_IPV4, LINKTYPE_IPV6
cdef int _SOUND, _HEADERLESS, _STALE, _COOKED, _UNDECIDABLE
cdef int _NONE, _DECLARED, _ETHERNET, _TAGGED, _PPP, _PPPOE, _TUN, _FAMILY, _SLL, _SLL2, _PREFIX
cdef int _NOTHING, _LENGTHS, _HEADER, _TRANSPORT

cdef class Judgement:
    cdef readonly int verdict
    cdef readonly int form
    cdef readonly Py_ssize_t payload_at
    cdef readonly unsigned int protocol

cdef void judge(
    unsigned char* buf,
    Py_ssize_t at,
    Py_ssize_t captured,
    Py_ssize_t original,
    int link_type,
    Judgement found,
) noexcept nogil
cdef void _judge_ethernet(
    unsigned char* buf, Py_ssize_t at, Py_ssize_t captured, Py_ssize_t original, Judgement found
) noexcept nogil
cdef void _judge_cooked(
    unsigned char* buf, Py_ssize_t at, Py_ssize_t captured, Py_ssize_t original, int link_type, Judgement found
) noexcept nogil
cdef bint _is_own_address(
    unsigned char* buf, Py_ssize_t at, bint is_sll, Py_ssize_t address_at, Py_ssize_t payload
) noexcept nogil
cdef void _look_behind_headers(
    unsigned char* buf, Py_ssize_t at, Py_ssize_t captured, Py_ssize_t original, Judgement found
) noexcept nogil
cdef int _form(
    unsigned char* buf, Py_ssize_t at, Py_ssize_t length, unsigned int protocol, Py_ssize_t captured
) noexcept nogil
cdef void _settle(
    Judgement found, int verdict, int form, Py_ssize_t payload_at, unsigned int protocol
) noexcept nogil
cdef bint _is_version(unsigned int first) noexcept nogil
cdef unsigned int _version_protocol(unsigned int first) noexcept nogil
cdef unsigned int _ppp_protocol(unsigned char* buf, Py_ssize_t at) noexcept nogil
cdef bint _is_ppp(unsigned char* buf, Py_ssize_t at) noexcept nogil
cdef bint _is_family(unsigned char* buf, Py_ssize_t at) noexcept nogil
cdef bint _is_sll(unsigned char* buf, Py_ssize_t at, Py_ssize_t captured) noexcept nogil
cdef bint _is_sll2(unsigned char* buf, Py_ssize_t at, Py_ssize_t captured) noexcept nogil
cdef bint _is_802_3(
    unsigned char* buf, Py_ssize_t at, Py_ssize_t captured, Py_ssize_t original, unsigned int length
) noexcept nogil
cdef bint _is_service(unsigned int access_point) noexcept nogil
cdef bint _is_known_type(unsigned int kind) noexcept nogil
cdef bint _is_payload(
    unsigned char* buf, Py_ssize_t at, Py_ssize_t captured, Py_ssize_t original, unsigned int protocol
) noexcept nogil
cdef int _ip_evidence(
    unsigned char* buf, Py_ssize_t at, Py_ssize_t captured, Py_ssize_t original, bint padded
) noexcept nogil
cdef int _ipv6_evidence(
    unsigned char* buf, Py_ssize_t at, Py_ssize_t captured, Py_ssize_t original, bint padded
) noexcept nogil
cdef bint _fits(Py_ssize_t total, Py_ssize_t original, bint padded) noexcept nogil
cdef int _transport_evidence(
    unsigned char* buf,
    Py_ssize_t addresses_at,
    Py_ssize_t addresses_length,
    Py_ssize_t at,
    Py_ssize_t captured,
    Py_ssize_t length,
    unsigned int ip_protocol,
) noexcept nogil
cdef unsigned long long _sum(unsigned char* buf, Py_ssize_t at, Py_ssize_t length) noexcept nogil
cdef unsigned int _fold(unsigned long long total) noexcept nogil
