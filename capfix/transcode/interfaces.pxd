cimport cython

from capfix.framing.addresses cimport InterfaceAddresses

cdef unsigned int _IGNORED
cdef int _EMPTY_SLOT

@cython.final
cdef class InterfaceTable:
    cdef InterfaceAddresses addresses
    cdef unsigned int[::1] interface_ids
    cdef unsigned short[::1] hardware_types
    cdef unsigned long long[::1] written
    cdef dict _rows
    cdef list _free_rows
    cdef Py_ssize_t _last_row
    cdef unsigned int[::1] _ifindexes
    cdef int[::1] _slots
    cdef Py_ssize_t _slot_count

    cdef Py_ssize_t find(self, unsigned int ifindex) noexcept nogil
    cdef bint is_wanted(self, unsigned int ifindex) noexcept nogil
