from capfix.wire.c_memory cimport load_be16
from capfix.wire.facts cimport PacketFacts
from capfix.wire.ip cimport is_sound_packet

cdef unsigned int ETH_P_802_3_MIN, ETH_P_8021AD, ETH_P_8021Q, PACKET_OUTGOING

cdef bint has_sound_header(unsigned char* buf, PacketFacts facts) noexcept nogil
cdef Py_ssize_t inner_tags_length(unsigned char* buf, PacketFacts facts) noexcept nogil
