"""capfix: capture from Linux interfaces that misbehave, with a link-layer header Wireshark can decode.

A packet takes one road, and no way leads back:

    kernel ring (SOCK_DGRAM) -- ring block --> transcode -- pcapng blocks --> sink: file, rotating files, pipe
    netfilter's log (NFLOG)    -- message -----^

`framing` decides the link-layer header, in one place for every source. Imports point one way:

    cli -> session | doctor | lab -> options -> kernel | sink -> runtime -> transcode
        -> framing | judging | filters | rotation -> wire -> units -> errors

What stands from `transcode` on never opens, reads, writes, logs, sleeps or looks at the clock. A module with
a .pxd file beside it is compiled by the ordinary build, and runs uncompiled with the same results.

Values are NamedTuples where a capture meets them before its first packet, frozen dataclasses elsewhere: making a
dataclass takes a millisecond, and its module brings inspect along.
"""

__version__ = "0.1.0"
