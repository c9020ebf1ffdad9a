"""The running capture: sources -> transcode -> sink, in one event loop.

    start         options become a capture; nothing is made before everything was checked
    capture       what begins it and what ends it
    conversion    takes packets from the sources, in the order that `order` decides
    output        sees to sections and files; `section` numbers their interfaces, `current_file` knows their limits
    source        a packet socket and its interfaces; `nflog_source` a log group
    presence      binds sources again as interfaces go and come, which `following` tells
    loop          calls back when there is something to read, when it is time, when a signal came
    standing      the counts, and who is told of them: `report` a person, `notify` the service manager

The loop never waits: the output has its own thread, and while that holds all buffers the packets stay in the ring.
Link events have a thread too, in which asyncio serves pyroute2; no other capture has to import those two.
"""
