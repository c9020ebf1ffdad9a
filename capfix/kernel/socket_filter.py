"""Filters on sockets: which of the packets that arrive get in."""

import ctypes
import errno
import socket
from typing import Final

from capfix.errors import CaptureError, FilterTooLargeError

SO_ATTACH_FILTER: Final = 26  # asm-generic/socket.h
MAX_INSTRUCTIONS: Final = 4096  # linux/bpf_common.h, BPF_MAXINSNS
INSTRUCTION_SIZE: Final = 8  # linux/filter.h, struct sock_filter

# The instruction `ret 0`. Attached to stop a capture: nothing more comes in, what is there can still be read
REFUSE_ALL: Final = b"\x06" + bytes(7)
# `ret` of the largest number. Without a filter a socket drops what has no bytes to show: run_filter in
# net/packet/af_packet.c gives the length of a packet as its verdict then, and for a SOCK_DGRAM socket that of a frame
# with nothing behind its header is 0
ACCEPT_ALL: Final = b"\x06" + bytes(3) + b"\xff" * 4


class _SocketProgram(ctypes.Structure):
    """struct sock_fprog of linux/filter.h."""

    _fields_ = (("count", ctypes.c_ushort), ("first", ctypes.c_void_p))


def attach(sock: socket.socket, code: bytes) -> None:
    """Let only what the program accepts into the socket, from now on; an earlier filter is replaced.

    `code` is whole instructions, as `capfix.filters.instructions.encode_program` makes them. Attach before binding, or
    packets that came in between are there unfiltered.

    Raises:
        FilterTooLargeError: the kernel takes no program of this length, or has no memory for it; an earlier filter
            stays in place, and a shorter one may fit.
        CaptureError: the kernel refuses the program for another reason.
    """
    count = len(code) // INSTRUCTION_SIZE
    if count > MAX_INSTRUCTIONS:  # its 16-bit count could wrap around to a length that is taken
        raise FilterTooLargeError(count, f"it takes at most {MAX_INSTRUCTIONS}")
    memory = ctypes.create_string_buffer(code)
    try:
        program = _SocketProgram(count, ctypes.addressof(memory))
        sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, bytes(program))
    except OSError as exc:
        if exc.errno == errno.ENOMEM:
            raise FilterTooLargeError(count, "a larger net.core.optmem_max may make room") from exc
        raise CaptureError(
            f"cannot attach a filter of {count} instructions: {(exc.strerror or str(exc)).lower()}"
        ) from exc
