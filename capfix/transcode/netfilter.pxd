cimport cython

from capfix.filters.machine cimport Machine
from capfix.framing.framer cimport Framer
from capfix.transcode.duplicates cimport SeenPackets
from capfix.transcode.log_messages cimport LogMessages
from capfix.transcode.packet cimport PacketWriter
from capfix.wire.facts cimport PacketFacts
from capfix.wire.ip cimport is_ipv4_group, is_ipv6_group, packet_length
from capfix.wire.nflog cimport PacketFields, has_trusted_header

cdef int ARPHRD_ETHER, ETH_P_IP
cdef unsigned int PACKET_BROADCAST, PACKET_HOST, PACKET_MULTICAST, PACKET_OUTGOING
cdef int HOOK_FORWARD, HOOK_OUTPUT, HOOK_POSTROUTING
cdef unsigned long long _DISORDER_NS
cdef unsigned int SKF_AD_HATYPE, SKF_AD_IFINDEX, SKF_AD_MARK, SKF_AD_PKTTYPE, SKF_AD_PROTOCOL
cdef int _DONE, _UNKNOWN_INTERFACE, _LIMIT_REACHED, _LATER

@cython.final
cdef class NetfilterTranscoder:
    cdef readonly PacketWriter packets
    cdef readonly int stopped_for
    cdef public unsigned long long until_ns
    cdef readonly unsigned long long waiting_ns
    cdef readonly unsigned int unknown_ifindex
    cdef readonly unsigned long long other_interfaces
    cdef LogMessages _messages
    cdef Machine _machine
    cdef SeenPackets _seen
    cdef PacketFacts _facts
    cdef bint _merging
    cdef unsigned long long _last_ns

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
    cdef void _take_gap(self) noexcept nogil
    cdef bint _choose_interface(self, PacketFields fields) noexcept nogil
    cdef bint _is_to_be_written(self, unsigned char* buf) noexcept nogil
    cdef bint _is_chosen(self, unsigned char* buf) noexcept nogil
    cdef void _keep_order(self) noexcept nogil
    cdef bint _is_duplicate(self, unsigned char* buf) noexcept nogil
    cdef void _set_link_facts(self, unsigned char* buf, PacketFields fields) noexcept nogil

cdef unsigned int _reception(unsigned char* buf, PacketFields fields, bint trusted) noexcept nogil
cdef bint _is_ones(unsigned char* buf, Py_ssize_t at, Py_ssize_t length) noexcept nogil
