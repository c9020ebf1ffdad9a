"""What the kernel says of one packet, in the same words from every source.

Compiled. One object is filled again for each packet, so that nothing is allocated on the way.
"""


class PacketFacts:
    """The kernel's word on one packet that lies in a buffer.

    Numbers are in host byte order. `protocol` is sll_protocol, an EtherType or one of Linux's numbers below 0x0600;
    `packet_type` a PACKET_ and `hardware_type` an ARPHRD_ number. `address_at` and `payload_at` are offsets into the
    buffer: 8 address bytes can be read there, `address_length` is the true length and may be larger.
    `header_length` bytes of link-layer header lie just before the payload, 0 where the source leaves it out.
    `captured_length` and `original_length` count the payload, in bytes. `vlan_tpid` is 0 when the kernel stripped no
    tag. `checksum_not_ready`, `checksum_valid` and `segmentation_offloaded` are what a checksum field or an oversized
    packet means (linux/if_packet.h, tp_status); `checksum_untold` is set by a source that says nothing of checksums.

    Source: packet(7), sockaddr_ll; linux/if_packet.h, tpacket3_hdr.
    """

    def __init__(self) -> None:
        self.timestamp_ns = 0
        self.protocol = 0
        self.packet_type = 0
        self.hardware_type = 0
        self.ifindex = 0
        self.address_at = 0
        self.address_length = 0
        self.header_length = 0
        self.payload_at = 0
        self.captured_length = 0
        self.original_length = 0
        self.vlan_tpid = 0
        self.vlan_tci = 0
        self.checksum_not_ready = False
        self.checksum_valid = False
        self.checksum_untold = False
        self.segmentation_offloaded = False
