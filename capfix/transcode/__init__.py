"""The hot path: packets as a source holds them in, enhanced packet blocks out.

    ring         packets of a ring block
    netfilter    packets of netfilter's log
    duplicates   which packets a tap has delivered already

Compiled. Touches nothing but the buffers it is given.
"""
