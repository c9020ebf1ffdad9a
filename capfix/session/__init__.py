"""The running capture: sources -> transcode -> sink, in one event loop.

    start           options become a capture; nothing is made before everything was checked
    capture         what begins it and what ends it; `phase` names where it stands, `reload` reads its options again
    conversion      takes packets from the sources, in the order that `order` decides
    sources         where packets come from, and the interfaces that go and come meanwhile
    output          where they go: one file after another; `section` numbers the interfaces of each
    status          the counts, as `counts` has them, and everybody who is told of them
    privilege_policy  who a capture runs as, and what it keeps

The loop never waits: the output has its own thread, and while that holds all buffers the packets stay in the ring.
Link events come to the same loop.
"""
