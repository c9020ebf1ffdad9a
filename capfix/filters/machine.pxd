cdef unsigned int LD, LDX, ST, STX, ALU, JMP, RET
cdef unsigned int IMM, IND, MEM, LEN, MSH
cdef unsigned int ADD, SUB, MUL, DIV, OR, AND, LSH, RSH, NEG, MOD, XOR
cdef unsigned int JA, JEQ, JGT, JGE, JSET, TXA
cdef unsigned int A, B, H, X
cdef unsigned int SKF_AD_OFF, SKF_NET_OFF, SKF_LL_OFF, _ANCILLARY_COUNT, _WORD

cdef class Machine:
    cdef unsigned int[::1] _codes
    cdef unsigned int[::1] _if_true
    cdef unsigned int[::1] _if_false
    cdef unsigned int[::1] _k
    cdef unsigned int[::1] _memory
    cdef unsigned int[::1] _ancillary
    cdef unsigned int _value

    cdef void set_ancillary(self, unsigned int offset, unsigned int value) noexcept nogil
    cdef unsigned int run(
        self,
        unsigned char* buf,
        Py_ssize_t at,
        Py_ssize_t captured,
        unsigned int original,
        Py_ssize_t link_length=*,
    ) noexcept nogil
    cdef bint _load(
        self,
        unsigned char* buf,
        Py_ssize_t at,
        Py_ssize_t captured,
        unsigned int original,
        Py_ssize_t link_length,
        unsigned int code,
        unsigned int k,
        unsigned int x,
    ) noexcept nogil

cdef bint _holds(unsigned int condition, unsigned int a, unsigned int operand) noexcept nogil
cdef unsigned int _computed(unsigned int operation, unsigned int a, unsigned int operand) noexcept nogil
