from capfix.wire.c_memory cimport load_be16, load_be32, load_u16

cdef int _PACKET_HEADER, _MARK, _TIMESTAMP, _IN_IFINDEX, _OUT_IFINDEX, _PHYSICAL_IN_IFINDEX
cdef int _PHYSICAL_OUT_IFINDEX, _HARDWARE_ADDRESS, _PAYLOAD, _PREFIX, _UID, _SEQUENCE, _GID, _HARDWARE_TYPE
cdef int _HARDWARE_HEADER, _HARDWARE_LENGTH
cdef int _GENERAL_HEADER_LENGTH, _ETHERNET_HEADER_LENGTH, _ETHERNET
cdef int _READ, _CUT_SHORT, _BAD_LENGTH, _NO_PACKET_HEADER

cdef class PacketFields:
    cdef readonly int hw_protocol
    cdef readonly int hook
    cdef readonly unsigned int mark
    cdef readonly long long timestamp_ns
    cdef readonly unsigned int in_ifindex
    cdef readonly unsigned int out_ifindex
    cdef readonly unsigned int physical_in_ifindex
    cdef readonly unsigned int physical_out_ifindex
    cdef readonly long long uid
    cdef readonly long long gid
    cdef readonly long long sequence
    cdef readonly int hardware_type
    cdef readonly int hardware_length
    cdef readonly Py_ssize_t address_at
    cdef readonly int address_length
    cdef readonly Py_ssize_t header_at
    cdef readonly Py_ssize_t header_length
    cdef readonly Py_ssize_t prefix_at
    cdef readonly Py_ssize_t prefix_length
    cdef readonly Py_ssize_t payload_at
    cdef readonly Py_ssize_t payload_length
    cdef readonly Py_ssize_t fault_at
    cdef readonly int fault_attribute

    cdef void clear(self) noexcept nogil

cdef int read_packet(unsigned char* buffer, Py_ssize_t at, Py_ssize_t end, PacketFields fields) noexcept nogil
cdef bint has_trusted_header(unsigned char* buffer, PacketFields fields) noexcept nogil
cdef int _least_length(int kind) noexcept nogil
cdef void _set_field(unsigned char* buffer, Py_ssize_t at, Py_ssize_t size, int kind, PacketFields fields) noexcept nogil
