"""Classic BPF: which packets to take, as a program for the kernel or for the machine here.

    instructions   programs as values, bytes and text
    composition    programs made of programs
    machine        runs a program on one packet; compiled
    expressions    the text of an expression, taken apart as far as libpcap cannot compile it
    fitting        a program for Ethernet frames, made to fit how a socket shows packets
    selection      all that was asked for, as one program

Pure: the function that compiles an expression is handed in.

Source: linux/filter.h; pcap-filter(7).
"""
