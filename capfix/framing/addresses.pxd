cimport cython

cdef Py_ssize_t _ROW

@cython.final
cdef class InterfaceAddresses:
    cdef unsigned char[::1] rows

    cdef unsigned char* row(self, Py_ssize_t row) noexcept nogil
