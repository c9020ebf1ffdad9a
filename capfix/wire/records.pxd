cdef Py_ssize_t BLOCK_OVERHEAD, FILE_HEADER_LENGTH, LOOKAHEAD, PACKET_HEADER_LENGTH
cdef unsigned int BYTE_ORDER_MAGIC, MAGIC, MODIFIED_MAGIC, NANOSECOND_MAGIC
cdef unsigned int ENHANCED_PACKET, INTERFACE_DESCRIPTION, INTERFACE_STATISTICS, OBSOLETE_PACKET, SECTION_HEADER, SIMPLE_PACKET
cdef unsigned int RECORD_LIMIT
cdef int LENGTHS_IN_ORDER, LENGTHS_SWAPPED
cdef int _PACKET, _OTHER, _SECTION, _INTERFACE, _FILE_HEADER, _MORE, _END, _FAULT
cdef int _NO_FAULT, _NOTHING_BEHIND, _CUT, _BAD_LENGTH, _BAD_TRAILER, _BAD_CAPTURED, _BAD_INTERFACE, _ZEROS
cdef int _CHAIN, _CHAIN_CUT, _NO, _YES, _MAYBE
cdef unsigned int _DAY, _KNOWN_BLOCKS, _CUSTOM, _CUSTOM_NOT_COPIED
cdef unsigned int _PACKET_LEAST, _SIMPLE_LEAST, _INTERFACE_LEAST, _STATISTICS_LEAST, _SECTION_LEAST

cdef class RecordWalk:
    cdef readonly bint is_pcapng
    cdef readonly bint big_endian
    cdef readonly unsigned int ticks
    cdef readonly Py_ssize_t record_header_length
    cdef readonly int length_order
    cdef readonly unsigned int record_limit
    cdef readonly unsigned int snaplen
    cdef public unsigned int interfaces
    cdef public unsigned int last_seconds
    cdef public bint has_time
    cdef readonly int fault
    cdef readonly Py_ssize_t start
    cdef readonly Py_ssize_t end
    cdef readonly Py_ssize_t data_at
    cdef readonly unsigned int captured
    cdef readonly unsigned int original
    cdef readonly unsigned int kind
    cdef readonly unsigned int high
    cdef readonly unsigned int low
    cdef readonly unsigned int interface_id
    cdef readonly Py_ssize_t options_at
    cdef readonly Py_ssize_t options_end

    cdef int next_record(self, unsigned char* buf, Py_ssize_t at, Py_ssize_t end, bint final) noexcept nogil
    cdef int _next_pcap_record(self, unsigned char* buf, Py_ssize_t at, Py_ssize_t end, bint final) noexcept nogil
    cdef int _begin_section(self) noexcept nogil
    cdef int _fail(self, int fault, Py_ssize_t end) noexcept nogil
    cdef void _read_pcap_header(self, unsigned char* buf, Py_ssize_t at) noexcept nogil
    cdef bint _is_plain_header(self, unsigned char* buf, Py_ssize_t at, unsigned int seconds) noexcept nogil
    cdef int _follows(self, unsigned char* buf, Py_ssize_t at, Py_ssize_t end, bint final) noexcept nogil
    cdef int _leads_on(self, unsigned char* buf, Py_ssize_t at, Py_ssize_t end, bint final) noexcept nogil
    cdef int _next_block(self, unsigned char* buf, Py_ssize_t at, Py_ssize_t end, bint final) noexcept nogil
    cdef int _take_block(self, unsigned char* buf, Py_ssize_t at, unsigned int total) noexcept nogil
    cdef void read_packet_block(self, unsigned char* buf, Py_ssize_t at) noexcept nogil
    cdef Py_ssize_t _find(self, unsigned char* buf, Py_ssize_t at, Py_ssize_t end, bint final) noexcept nogil
    cdef bint _is_credible_record(self, unsigned char* buf, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef bint _is_credible_block(
        self, unsigned char* buf, Py_ssize_t at, Py_ssize_t end, bint final, int deeper
    ) noexcept nogil

cdef bint _near(unsigned int seconds, unsigned int other) noexcept nogil
cdef bint _is_block_type(unsigned int kind) noexcept nogil
cdef bint is_capture_start(unsigned char* buf, Py_ssize_t at, Py_ssize_t end) noexcept nogil
cdef bint is_pcap_start(unsigned char* buf, Py_ssize_t at, Py_ssize_t end) noexcept nogil
cdef unsigned int load_u32(unsigned char* buf, Py_ssize_t at, bint big_endian) noexcept nogil
cdef unsigned int load_u16(unsigned char* buf, Py_ssize_t at, bint big_endian) noexcept nogil
