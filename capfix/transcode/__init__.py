"""The hot path: packets as a source holds them in, enhanced packet blocks out.

    ring          packets of a ring block
    netfilter     packets of netfilter's log
    log_messages  the messages of that log, as one read returned them
    packet        the frame of one packet, and the block around it
    interfaces    what is known of the interfaces that packets come from
    duplicates    which packets a tap has delivered already
    identity      what makes a packet the same in both places
    siphash       a hash that withstands chosen input
    stop          why a transcoder stopped

A RingTranscoder and a NetfilterTranscoder each have a PacketWriter, and that an InterfaceTable; they differ in how
packets are read. Both stop, and say why, whenever something is due that only their caller can do (Stop), and go on
from the same packet at the next call. What is counted is counted since they were made.

Compiled. Touches nothing but the buffers it is given.
"""
