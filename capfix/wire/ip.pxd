from capfix.wire.c_memory cimport load_be16, load_be32

cdef unsigned int ETH_P_ARP, ETH_P_IP, ETH_P_IPV6, IPPROTO_HOPOPTS
cdef unsigned int _PAD1, _JUMBO_PAYLOAD
cdef Py_ssize_t _IPV6_LENGTH, _LEAST_JUMBO, _LARGEST_JUMBO

cdef unsigned int protocol_by_version(unsigned char* buf, Py_ssize_t at, Py_ssize_t captured) noexcept nogil
cdef Py_ssize_t packet_length(
    unsigned char* buf, Py_ssize_t at, Py_ssize_t captured, unsigned int protocol
) noexcept nogil
cdef Py_ssize_t _jumbogram_length(unsigned char* buf, Py_ssize_t at, Py_ssize_t captured) noexcept nogil
cdef bint is_sound_packet(
    unsigned char* buf, Py_ssize_t at, Py_ssize_t captured, Py_ssize_t original, unsigned int protocol
) noexcept nogil
cdef bint _is_sound_ipv4(unsigned char* buf, Py_ssize_t at, Py_ssize_t captured, Py_ssize_t original) noexcept nogil
cdef bint _is_sound_ipv6(unsigned char* buf, Py_ssize_t at, Py_ssize_t captured, Py_ssize_t original) noexcept nogil
cdef bint is_ipv4_group(unsigned char* buf, Py_ssize_t at, Py_ssize_t captured) noexcept nogil
cdef bint is_ipv6_group(unsigned char* buf, Py_ssize_t at, Py_ssize_t captured) noexcept nogil
