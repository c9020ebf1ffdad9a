cdef unsigned int ETH_P_ARP, ETH_P_IP, ETH_P_IPV6

cdef unsigned int protocol_by_version(unsigned char* buf, Py_ssize_t at, Py_ssize_t captured) noexcept nogil
cdef bint is_sound_packet(
    unsigned char* buf, Py_ssize_t at, Py_ssize_t captured, Py_ssize_t original, unsigned int protocol
) noexcept nogil
cdef bint _is_sound_ipv4(unsigned char* buf, Py_ssize_t at, Py_ssize_t captured, Py_ssize_t original) noexcept nogil
cdef bint _is_sound_ipv6(unsigned char* buf, Py_ssize_t at, Py_ssize_t captured, Py_ssize_t original) noexcept nogil
cdef bint is_ipv4_group(unsigned char* buf, Py_ssize_t at, Py_ssize_t captured) noexcept nogil
cdef bint is_ipv6_group(unsigned char* buf, Py_ssize_t at, Py_ssize_t captured) noexcept nogil
