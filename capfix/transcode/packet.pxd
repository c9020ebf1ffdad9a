cimport cython

from capfix.framing.addresses cimport InterfaceAddresses
from capfix.framing.framer cimport Framer, PutHeader
from capfix.framing.tags cimport inner_tags_length
from capfix.transcode.interfaces cimport InterfaceTable
from capfix.wire.c_memory cimport copy
from capfix.wire.checksum cimport fix_checksums
from capfix.wire.enhanced_packet cimport put_enhanced_packet
from capfix.wire.facts cimport PacketFacts

cdef Py_ssize_t HEADER_LIMIT, BLOCK_LIMIT, DROPCOUNT_OPTION_LENGTH, FLAGS_OPTION_LENGTH
cdef Py_ssize_t PACKET_HEADER_LENGTH, PACKET_TRAILER_LENGTH, PACKET_OVERHEAD
cdef unsigned int ARPHRD_LOOPBACK
cdef unsigned int PACKET_BROADCAST, PACKET_HOST, PACKET_MULTICAST, PACKET_OTHERHOST, PACKET_OUTGOING
cdef unsigned int _CHECKSUM_NOT_READY
cdef int _UNKNOWN_INTERFACE, _OUTPUT_FULL

# A frame as it was made: its length, -1 where the link type cannot carry it, the length it had before it was cut, and
# whether a checksum in it was computed
cdef struct Frame:
    Py_ssize_t length
    Py_ssize_t original_length
    bint is_completed

@cython.final
cdef class FrameMaker:
    cdef readonly Framer framer
    cdef InterfaceAddresses addresses
    cdef bint _completes_checksums

    cdef inline Frame put_frame(
        self,
        unsigned char* out,
        Py_ssize_t at,
        Py_ssize_t limit,
        unsigned char* buf,
        PacketFacts facts,
        Py_ssize_t row,
    ) noexcept nogil

@cython.final
cdef class PacketWriter:
    cdef readonly InterfaceTable interfaces
    cdef readonly FrameMaker frames
    cdef readonly unsigned long long written
    cdef readonly unsigned long long loopback_copies
    cdef readonly unsigned long long not_carried
    cdef public unsigned long long pending_drops
    cdef Py_ssize_t _snaplen
    cdef bint _keeps_loopback_copies

    cdef Py_ssize_t put_packet(
        self,
        unsigned char* buf,
        PacketFacts facts,
        unsigned char* out,
        Py_ssize_t at,
        Py_ssize_t room,
        unsigned char* options,
        Py_ssize_t options_length,
    ) noexcept nogil

cdef bint _is_loopback_copy(PacketFacts facts) noexcept nogil
cdef Py_ssize_t _frame_room(Py_ssize_t options_length, unsigned long long drops) noexcept nogil
cdef bint _complete(
    unsigned char* out, Py_ssize_t payload_at, Py_ssize_t end, unsigned char* buf, PacketFacts facts
) noexcept nogil
cdef unsigned int packet_flags(PacketFacts facts) noexcept nogil
