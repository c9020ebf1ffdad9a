from capfix.wire.c_memory cimport copy_mac, put_be16

cdef Py_ssize_t put_ethernet(
    unsigned char* out,
    Py_ssize_t at,
    unsigned char* destinations,
    Py_ssize_t destination_at,
    unsigned char* sources,
    Py_ssize_t source_at,
    unsigned int type_field,
) noexcept nogil
cdef Py_ssize_t put_tag(
    unsigned char* out, Py_ssize_t at, unsigned int tci, unsigned int type_field
) noexcept nogil
