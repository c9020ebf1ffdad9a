"""Gives bytes away, beside the capture loop.

A Writer owns a few buffers and a thread. The capture loop fills a buffer with whole pcapng blocks and submits it; the
thread writes it to a target, a file or a pipe. When all buffers are with the thread the loop has none to fill: it
leaves the packets in the ring, and if that fills up too, the kernel counts what it drops. So a slow output costs
neither time in the loop nor memory.

A target takes whole pcapng blocks only. After any failure a file ends at a whole block; a pipe cannot promise that.
"""
