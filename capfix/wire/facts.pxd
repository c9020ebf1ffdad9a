cdef class PacketFacts:
    cdef public unsigned long long timestamp_ns
    cdef public unsigned int protocol
    cdef public unsigned int packet_type
    cdef public unsigned int hardware_type
    cdef public unsigned int ifindex
    cdef public Py_ssize_t address_at
    cdef public unsigned int address_length
    cdef public unsigned int header_length
    cdef public Py_ssize_t payload_at
    cdef public unsigned int captured_length
    cdef public unsigned int original_length
    cdef public unsigned int vlan_tpid
    cdef public unsigned int vlan_tci
    cdef public bint checksum_not_ready
    cdef public bint checksum_valid
    cdef public bint checksum_untold
    cdef public bint segmentation_offloaded
