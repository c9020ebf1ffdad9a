"""Bytes to values and back, for each format capfix touches. Pure: no I/O, no clock.

Each module has one order: numbers, sizes and offsets, the value class, `decode`, `encode`. `decode_x` reads
strictly: it raises TruncatedError when the bytes end early and FormatError when they break the format, and leaves
trailing bytes alone. `encode_x` returns bytes, or raises EncodeError before it made any.

`put_x` is the same rule for the hot path: it writes at an offset into a buffer that its caller has made large
enough. In a compiled build its buffers are C pointers, else memoryviews: both are indexed alike. Each rule stands
once: `encode_x` calls `put_x`, and all of them load, store and copy through `memory`.
"""
