from capfix.wire.c_memory cimport put_be16, put_be32

cdef Py_ssize_t put_sll2(
    unsigned char* out,
    Py_ssize_t at,
    unsigned int packet_type,
    unsigned int hardware_type,
    unsigned int ifindex,
    unsigned int address_length,
    unsigned char* buf,
    Py_ssize_t address_at,
    unsigned int protocol,
) noexcept nogil
