"""Classic BPF: which packets to take, as a program for the kernel or for the machine here.

    instructions   programs as values, bytes and text
    composition    programs made of programs
    machine        runs a program on one packet; compiled
    expressions    the text of an expression, taken apart as far as libpcap cannot compile it
    pieces         long expressions, compiled a few terms at a time
    misreadings    expressions that mean something else than they seem to
    vlans          which VLANs to take, by the outer tag
    fitting        a program for Ethernet frames, made to fit how a socket shows packets
    selection      all that was asked for, as one program, or as two where the kernel has no room for it

Where the kernel has no room, user space runs the rest on what the ring shows of a packet (`selection.Plan`). What the
kernel's filter saw and the ring shows differ so on a SOCK_DGRAM socket:

- A tag in the frame of an outgoing packet is a stripped tag in the ring (status bits, TCI, TPID), with the packet's
  data behind it: set the VLAN ancillaries from there. `udp`, which in the kernel passes by such packets as it does in
  tcpdump, then finds them as it finds incoming ones. A second tag of such a packet is not in the ring.
- A second tag of an incoming packet stands at the start of the data, while the ring gives the innermost EtherType:
  set SKF_AD_PROTOCOL to the second tag's TPID, 0x8100, there.
- There is no link-layer header before the data: loads from SKF_LL_OFF on refuse the packet.

Pure: the function that compiles an expression is handed in.

Source: linux/filter.h; pcap-filter(7).
"""
