from capfix.framing cimport Framer, inner_tags_length
from capfix.wire.checksum cimport fix_checksums
from capfix.wire.enhanced_packet cimport put_enhanced_packet
from capfix.wire.facts cimport Facts
from capfix.wire.tpacket cimport next_packet, read_packet

cdef Py_ssize_t ADDRESSES_LENGTH, HEADER_LIMIT, BLOCK_LIMIT, DROPCOUNT_OPTION_LENGTH, FLAGS_OPTION_LENGTH
cdef Py_ssize_t PACKET_HEADER_LENGTH, PACKET_TRAILER_LENGTH, PACKET_OVERHEAD
cdef unsigned int ARPHRD_LOOPBACK
cdef unsigned int PACKET_BROADCAST, PACKET_HOST, PACKET_MULTICAST, PACKET_OTHERHOST, PACKET_OUTGOING
cdef unsigned int _CHECKSUM_NOT_READY
cdef int _EMPTY_SLOT, _DONE, _UNKNOWN_INTERFACE, _OUTPUT_FULL, _LIMIT_REACHED, _LATER

cdef class Transcoder:
    cdef readonly Framer framer
    cdef readonly int stopped_for
    cdef public unsigned long long until_ns
    cdef readonly unsigned long long waiting_ns
    cdef readonly unsigned int unknown_ifindex
    cdef readonly unsigned long long written
    cdef readonly unsigned long long loopback_copies
    cdef readonly unsigned long long not_carried
    cdef readonly unsigned long long malformed_blocks
    cdef readonly unsigned long long pending_drops
    cdef Py_ssize_t _snaplen
    cdef bint _completes_checksums, _keeps_loopback_copies
    cdef Facts _facts
    cdef Py_ssize_t _at, _end
    cdef long long _left
    cdef dict _rows
    cdef Py_ssize_t _last_row
    cdef unsigned int[::1] _ifindexes
    cdef unsigned int[::1] _interface_ids
    cdef unsigned long long[::1] _delivered
    cdef unsigned char[::1] _addresses
    cdef int[::1] _slots
    cdef Py_ssize_t _slot_count

    cdef Py_ssize_t _convert(
        self,
        unsigned char* buf,
        unsigned char* out,
        Py_ssize_t at,
        Py_ssize_t room,
        long long limit,
        unsigned char* options,
        Py_ssize_t options_length,
    ) noexcept nogil
    cdef Py_ssize_t put_packet(
        self,
        unsigned char* buf,
        Facts facts,
        unsigned char* out,
        Py_ssize_t at,
        Py_ssize_t room,
        unsigned char* options,
        Py_ssize_t options_length,
    ) noexcept nogil
    cdef unsigned char* _address_table(self) noexcept nogil
    cdef Py_ssize_t _find(self, unsigned int ifindex) noexcept nogil

cdef bint _is_loopback_copy(Facts facts) noexcept nogil
cdef Py_ssize_t _frame_room(Py_ssize_t options_length, unsigned long long drops) noexcept nogil
cdef bint _put_payload(
    unsigned char* out,
    Py_ssize_t at,
    unsigned char* buf,
    Facts facts,
    Py_ssize_t length,
    Py_ssize_t network_at,
) noexcept nogil
cdef void _copy(
    unsigned char* out, Py_ssize_t at, unsigned char* buf, Py_ssize_t buf_at, Py_ssize_t length
) noexcept nogil
cdef unsigned int _flags(Facts facts) noexcept nogil
