from capfix.wire.c_memory cimport copy, put_u32

cdef Py_ssize_t PACKET_HEADER_LENGTH, FLAGS_OPTION_LENGTH, DROPCOUNT_OPTION_LENGTH, PACKET_TRAILER_LENGTH
cdef unsigned int ENHANCED_PACKET, EPB_FLAGS, EPB_DROPCOUNT, OPT_ENDOFOPT

cdef Py_ssize_t put_enhanced_packet(
    unsigned char* out,
    Py_ssize_t at,
    unsigned int interface_id,
    unsigned long long timestamp_ns,
    unsigned int captured_length,
    unsigned int original_length,
    unsigned int flags,
    unsigned long long dropcount,
    unsigned char* options,
    Py_ssize_t options_length,
) noexcept nogil
