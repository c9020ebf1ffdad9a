"""When to start a file, what to call it, which files must go. Pure policy: no I/O, and time comes in as an
argument.

`schedule` says when a file is full, `names` what the files of one output are called, `retention` which of
them must go, `dumpcap` what dumpcap's `-a` and `-b` ask of the other two. Two clocks are handed in: the wall
clock, in nanoseconds since the epoch, to which `--rotate-every` is aligned, and the monotonic clock for spans
of time.
"""
