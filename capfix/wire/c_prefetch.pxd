# The compiler's builtin: have a cache line on its way. An address without memory does no harm.
cdef extern from *:
    void prefetch "__builtin_prefetch"(const void *) noexcept nogil
