# The compiler's builtins, typed for the ring's status words.
cdef extern from *:
    """
    static inline unsigned int capfix_acquire(const unsigned int *word)
    {
        return __atomic_load_n(word, __ATOMIC_ACQUIRE);
    }
    static inline void capfix_release(unsigned int *word, unsigned int value)
    {
        __atomic_store_n(word, value, __ATOMIC_RELEASE);
    }
    """
    unsigned int acquire "capfix_acquire"(const unsigned int *word) noexcept nogil
    void release "capfix_release"(unsigned int *word, unsigned int value) noexcept nogil
