"""The running capture: sources -> transcode -> sink, in one event loop.

The loop takes ring blocks when the kernel offers them, lets the transcoder fill the writer's buffers, and does what
the transcoder stops for. It never waits: the output has its own thread, and while that holds all buffers the packets
stay in the ring. Where a tap and netfilter fill one file, `order` says whose packets come next.
"""
