"""Which link-layer header a packet gets, from what the kernel says of it.

    framer       the header of one packet
    tags         what of a packet is tags, and whether the header it came with is its own
    addresses    what is known of the interfaces' addresses

Compiled. The rules, for each packet:

- The EtherType is what the kernel says (sll_protocol), never guessed from bytes before the payload. Protocol 0 is
  read from the version nibble.
- On Ethernet hardware, inbound protocol 1 and 4 and every outbound number below 0x0600 are 802.3 (an outbound number
  is the frame's length field itself). Ethernet framing and a tag carry the length form, rebuilt from the original
  length where the kernel lost it; cooked framing carries protocol 4, or 1 where the payload begins ffff. The loopback
  device counts as Ethernet hardware: the kernel reads its frames the same way.
- A headerless packet is told by its address: the kernel fills it from where the source MAC would be, so it equals
  payload bytes 6 to 11. Such an address is never written down.
- A VLAN tag that the kernel stripped is put back. Of two tags it strips the outer one and takes the inner type out,
  so an inner tag is known by its TCI at the payload's start; its TPID can only be assumed to be 0x8100.
- A raw frame has no header at all: an IPv4 or IPv6 packet, as its version nibble says, without whatever stood before
  it, VLAN tags with it.
- What a link type cannot carry honestly gets no header: NOT_CARRIED, for the caller to count.

Where headers are kept, from a SOCK_RAW socket, a frame with a sound Ethernet header goes through byte for byte, with
the tag that the kernel took out put back. A header is sound when its type field is the packet's protocol. A missing or
stale header is made up, and the peer is then called by the address that a sound outbound header has shown.

Fake addresses are locally administered and stable: 02:63:61:70:00:0x, which spells "cap" in its second to fourth byte.

Source: packet(7); tcpdump.org, link-layer header types; IEEE 802.3; RFC 1112 and RFC 2464 for group addresses.
"""

from capfix.framing.addresses import InterfaceAddresses
from capfix.framing.framer import HEADER_LIMIT, LOCAL_FAKE, OTHER_FAKE, PEER_FAKE, Framer

__all__ = ["HEADER_LIMIT", "LOCAL_FAKE", "OTHER_FAKE", "PEER_FAKE", "Framer", "InterfaceAddresses"]
