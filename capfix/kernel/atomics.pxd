cpdef unsigned int load_acquire(unsigned char[::1] memory, Py_ssize_t at)
cpdef void store_release(unsigned char[::1] memory, Py_ssize_t at, unsigned int value)
