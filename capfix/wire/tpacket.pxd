from capfix.wire.facts cimport Facts

cdef Py_ssize_t _AHEAD, _CACHE_LINE
cdef unsigned int TP_STATUS_CSUMNOTREADY, TP_STATUS_VLAN_VALID, TP_STATUS_VLAN_TPID_VALID
cdef unsigned int TP_STATUS_CSUM_VALID, TP_STATUS_GSO_TCP, ETH_P_8021Q
cdef Py_ssize_t TPACKET3_HEADER_LENGTH, SOCKADDR_LL_LENGTH

cdef unsigned int _load_u16(unsigned char* buf, Py_ssize_t at) noexcept nogil
cdef unsigned int _load_u32(unsigned char* buf, Py_ssize_t at) noexcept nogil
cdef bint read_packet(unsigned char* buf, Py_ssize_t at, Py_ssize_t end, Facts facts) noexcept nogil
cdef Py_ssize_t next_packet(unsigned char* buf, Py_ssize_t at) noexcept nogil
