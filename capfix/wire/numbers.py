"""Numbers that the kernel and the file formats give, by the names their headers use.

Sources: linux/if_ether.h, linux/if_arp.h, linux/if_packet.h, linux/in.h, linux/in6.h,
linux/netfilter.h.
"""

from typing import Final

# EtherTypes, and the numbers below 0x0600 that Linux uses beside them (linux/if_ether.h)
ETH_P_802_3: Final = 0x0001  # Novell 802.3 without LLC
ETH_P_ALL: Final = 0x0003
ETH_P_802_2: Final = 0x0004  # 802.3 with LLC
ETH_P_IP: Final = 0x0800
ETH_P_ARP: Final = 0x0806
ETH_P_8021Q: Final = 0x8100
ETH_P_IPV6: Final = 0x86DD
ETH_P_MPLS_UC: Final = 0x8847
ETH_P_PPP_SES: Final = 0x8864
ETH_P_8021AD: Final = 0x88A8
ETH_P_LLDP: Final = 0x88CC
ETH_P_802_3_MIN: Final = 0x0600  # from here on an EtherType, below it a length

MAC_LENGTH: Final = 6  # bytes of an Ethernet address (ETH_ALEN)

# IP protocols, and IPv6 extension headers that other headers follow (linux/in.h, linux/in6.h)
IPPROTO_HOPOPTS: Final = 0
IPPROTO_ICMP: Final = 1
IPPROTO_TCP: Final = 6
IPPROTO_UDP: Final = 17
IPPROTO_ROUTING: Final = 43
IPPROTO_ICMPV6: Final = 58
IPPROTO_DSTOPTS: Final = 60

# Hardware types (linux/if_arp.h)
ARPHRD_ETHER: Final = 1
ARPHRD_INFINIBAND: Final = 32
ARPHRD_PPP: Final = 512
ARPHRD_RAWIP: Final = 519
ARPHRD_TUNNEL: Final = 768
ARPHRD_TUNNEL6: Final = 769
ARPHRD_LOOPBACK: Final = 772
ARPHRD_SIT: Final = 776
ARPHRD_IPGRE: Final = 778
ARPHRD_NETLINK: Final = 824
ARPHRD_NONE: Final = 0xFFFE

HARDWARE_TYPE_NAMES: Final = {
    ARPHRD_ETHER: "Ethernet",
    ARPHRD_INFINIBAND: "InfiniBand",
    ARPHRD_PPP: "PPP",
    ARPHRD_RAWIP: "raw IP",
    ARPHRD_TUNNEL: "IPIP tunnel",
    ARPHRD_TUNNEL6: "IP6IP6 tunnel",
    ARPHRD_LOOPBACK: "loopback",
    ARPHRD_SIT: "SIT tunnel",
    ARPHRD_IPGRE: "GRE tunnel",
    ARPHRD_NETLINK: "netlink",
    ARPHRD_NONE: "no link layer",
}

# Packet types (linux/if_packet.h)
PACKET_HOST: Final = 0
PACKET_BROADCAST: Final = 1
PACKET_MULTICAST: Final = 2
PACKET_OTHERHOST: Final = 3
PACKET_OUTGOING: Final = 4

# Ring (linux/if_packet.h): status bits, and lengths in bytes
TP_STATUS_KERNEL: Final = 0
TP_STATUS_USER: Final = 1
TP_STATUS_CSUMNOTREADY: Final = 1 << 3
TP_STATUS_VLAN_VALID: Final = 1 << 4
TP_STATUS_VLAN_TPID_VALID: Final = 1 << 6
TP_STATUS_CSUM_VALID: Final = 1 << 7
TP_STATUS_GSO_TCP: Final = 1 << 8
RING_BLOCK_HEADER_LENGTH: Final = 48  # tpacket_block_desc
RING_BLOCK_STATUS_OFFSET: Final = 8  # block_status in it
TPACKET3_HEADER_LENGTH: Final = 48  # tpacket3_hdr; the sockaddr_ll follows
SOCKADDR_LL_LENGTH: Final = 20

# Netfilter's hooks (linux/netfilter.h)
HOOK_PREROUTING: Final = 0
HOOK_INPUT: Final = 1
HOOK_FORWARD: Final = 2
HOOK_OUTPUT: Final = 3
HOOK_POSTROUTING: Final = 4
HOOKS: Final = {
    "prerouting": HOOK_PREROUTING,
    "input": HOOK_INPUT,
    "forward": HOOK_FORWARD,
    "output": HOOK_OUTPUT,
    "postrouting": HOOK_POSTROUTING,
}
