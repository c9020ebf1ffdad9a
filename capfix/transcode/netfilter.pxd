from capfix.transcode.duplicates cimport SeenPackets
from capfix.framing cimport Framer
from capfix.transcode.ring cimport Transcoder
from capfix.filters.machine cimport Machine
from capfix.wire.facts cimport Facts
from capfix.wire.ip cimport is_ipv4_group, is_ipv6_group
from capfix.wire.nflog cimport PacketFields, has_trusted_header
from capfix.wire.nflog cimport read_packet as read_packet_message

cdef int ARPHRD_ETHER, ETH_P_IP, ETH_P_IPV6
cdef unsigned int PACKET_BROADCAST, PACKET_HOST, PACKET_MULTICAST, PACKET_OUTGOING
cdef int HOOK_FORWARD, HOOK_OUTPUT, HOOK_POSTROUTING
cdef unsigned int MESSAGE_PACKET, _IGNORED, _SEQUENCE_MASK
cdef Py_ssize_t _MESSAGE_HEADER_LENGTH
cdef unsigned long long _DISORDER_NS
cdef unsigned int SKF_AD_HATYPE, SKF_AD_IFINDEX, SKF_AD_MARK, SKF_AD_PKTTYPE, SKF_AD_PROTOCOL
cdef int _DONE, _UNKNOWN_INTERFACE, _LIMIT_REACHED, _LATER

cdef class NflogTranscoder(Transcoder):
    cdef public unsigned long long receipt_ns
    cdef readonly unsigned long long logged
    cdef readonly unsigned long long lost
    cdef readonly unsigned long long duplicates
    cdef readonly unsigned long long other_interfaces
    cdef bint _merging
    cdef unsigned long long _last_ns
    cdef SeenPackets _seen
    cdef Machine _machine
    cdef PacketFields _fields
    cdef PacketFields _ahead
    cdef unsigned short[::1] _hardware_types
    cdef unsigned int _next_sequence
    cdef unsigned long long _bound_ns
    cdef Py_ssize_t _bound_at
    cdef bint _is_read

    cdef Py_ssize_t _convert(
        self,
        unsigned char* buf,
        unsigned char* out,
        Py_ssize_t at,
        Py_ssize_t room,
        long long limit,
        unsigned char* options,
        Py_ssize_t options_length,
    ) noexcept nogil
    cdef Py_ssize_t _read(self, unsigned char* buf) noexcept nogil
    cdef bint _is_chosen(self, unsigned char* buf) noexcept nogil
    cdef void _keep_order(self) noexcept nogil
    cdef bint _is_duplicate(self, unsigned char* buf) noexcept nogil
    cdef void _count_gap(self) noexcept nogil
    cdef bint _choose_interface(self) noexcept nogil
    cdef bint _is_wanted(self, unsigned int ifindex) noexcept nogil
    cdef void _set_link_facts(self, unsigned char* buf) noexcept nogil
    cdef unsigned long long _time(self, unsigned char* buf, Py_ssize_t next_at) noexcept nogil

cdef Py_ssize_t _message_length(unsigned char* buf, Py_ssize_t at, Py_ssize_t end) noexcept nogil
cdef Py_ssize_t _aligned(Py_ssize_t length) noexcept nogil
cdef bint _is_packet(unsigned char* buf, Py_ssize_t at) noexcept nogil
cdef Py_ssize_t _ip_length(unsigned char* buf, Py_ssize_t at, Py_ssize_t captured, int protocol) noexcept nogil
cdef unsigned int _reception(unsigned char* buf, PacketFields fields, bint trusted) noexcept nogil
cdef bint _is_ones(unsigned char* buf, Py_ssize_t at, Py_ssize_t length) noexcept nogil
