from capfix.wire.c_memory cimport load_u16, load_u32
from capfix.wire.facts cimport PacketFacts

cdef Py_ssize_t _AHEAD, _CACHE_LINE
cdef unsigned int TP_STATUS_CSUMNOTREADY, TP_STATUS_VLAN_VALID, TP_STATUS_VLAN_TPID_VALID
cdef unsigned int TP_STATUS_CSUM_VALID, TP_STATUS_GSO_TCP, ETH_P_8021Q
cdef Py_ssize_t TPACKET3_HEADER_LENGTH, PACKET_LEAST

cdef bint read_packet(unsigned char* buf, Py_ssize_t at, Py_ssize_t end, PacketFacts facts) noexcept nogil
cdef Py_ssize_t next_packet(unsigned char* buf, Py_ssize_t at, Py_ssize_t end) noexcept nogil
