from capfix.wire.c_memory cimport load_be16, put_be16

cdef unsigned int ETH_P_IP, ETH_P_IPV6
cdef unsigned int IPPROTO_DSTOPTS, IPPROTO_HOPOPTS, IPPROTO_ROUTING, IPPROTO_TCP, IPPROTO_UDP

cdef bint fix_checksums(
    unsigned char* out, Py_ssize_t at, Py_ssize_t captured, unsigned int protocol
) noexcept nogil
cdef bint _fix_ipv6(unsigned char* out, Py_ssize_t at, Py_ssize_t captured) noexcept nogil
cdef bint _fix_transport(
    unsigned char* out,
    Py_ssize_t addresses_at,
    Py_ssize_t addresses_length,
    Py_ssize_t at,
    Py_ssize_t length,
    unsigned int ip_protocol,
) noexcept nogil
cdef unsigned long long _sum(unsigned char* out, Py_ssize_t at, Py_ssize_t length) noexcept nogil
cdef unsigned int _fold(unsigned long long total) noexcept nogil
cdef void _put_checksum(unsigned char* out, Py_ssize_t at, unsigned long long total) noexcept nogil
