from capfix.wire.c_memory cimport load_u32

cdef Py_ssize_t BLOCK_LIMIT, BLOCK_OVERHEAD
cdef unsigned int BYTE_ORDER_MAGIC, SECTION_HEADER, INTERFACE_DESCRIPTION, INTERFACE_STATISTICS, ENHANCED_PACKET
cdef Py_ssize_t _SECTION_HEADER_LEAST, _INTERFACE_LEAST, _PACKET_LEAST, _STATISTICS_LEAST

cdef class SectionWalk:
    cdef readonly unsigned int interfaces
    cdef readonly bint has_header
    cdef readonly bint broken
    cdef readonly unsigned long long last_timestamp_ns
    cdef unsigned long long[::1] _packets

    cdef bint _take(self, unsigned char* buf, Py_ssize_t at, unsigned int block_type, Py_ssize_t total)
    cdef bint _add_interface(self)
