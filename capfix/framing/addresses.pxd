cimport cython

@cython.final
cdef class InterfaceAddresses:
    cdef unsigned char[::1] rows
