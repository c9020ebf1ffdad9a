"""The system's libpcap, called through ctypes, and only for its compiler of filter expressions."""

import ctypes
import functools
import time
from collections.abc import Callable
from typing import Any, Final

from capfix.errors import CaptureError, UsageError
from capfix.filters import instructions as bpf
from capfix.filters.fitting import MAX_SNAPLEN
from capfix.filters.instructions import Program
from capfix.filters.selection import Compiler

_DLT_EN10MB: Final = 1
_NETMASK_UNKNOWN: Final = 0xFFFFFFFF  # pcap/pcap.h

_LIBRARY_NAMES: Final = ("libpcap.so.0.8", "libpcap.so.1")  # Debian's name of it, and everybody else's
_PLACE_SEARCH_S: Final = 1.0  # names in the expression are looked up each time

# What to say beside libpcap's message, by a part of it
_HINTS: Final = {
    "ifname supported only": "choose interfaces with -i",
    "not a broadcast link": "the link layer's addresses can't be asked for, since capfix takes packets without them",
    "netmask not known": "name the broadcast address instead: dst host ADDRESS",
}


class _Instructions(ctypes.Structure):
    """struct bpf_program of pcap/bpf.h: a count, and an array of 8-byte instructions."""

    _fields_ = (("count", ctypes.c_uint), ("first", ctypes.c_void_p))


def compiler() -> Compiler:
    """Return libpcap's compiler, patient for a second from now on."""
    return Compiler(compile_ethernet, _patience(_PLACE_SEARCH_S))


def _patience(seconds: float) -> Callable[[], bool]:
    deadline = time.monotonic() + seconds
    return lambda: time.monotonic() < deadline


@functools.lru_cache(
    maxsize=64
)  # the parts of an expression are asked for once for each way a packet may lie
def compile_ethernet(text: str, *, optimise: bool = True) -> Program:
    """Return the program that libpcap makes of an expression for Ethernet frames.

    Only its optimiser finds out, and refuses, that no packet can ever pass. That is wrong of a frame whose first tag
    is not in it: `udp and vlan 5`.

    Raises:
        UsageError: with libpcap's message.
        CaptureError: libpcap is missing.
    """
    pcap = _libpcap()
    handle = pcap.pcap_open_dead(_DLT_EN10MB, MAX_SNAPLEN)
    try:
        compiled = _Instructions()
        if pcap.pcap_compile(handle, ctypes.byref(compiled), text.encode(), optimise, _NETMASK_UNKNOWN) != 0:
            message = pcap.pcap_geterr(handle).decode(errors="replace")
            hint = next((hint for part, hint in _HINTS.items() if part in message), None)
            raise UsageError(f"{message}; {hint}" if hint else message)
        try:
            return bpf.decode_program(ctypes.string_at(compiled.first, 8 * compiled.count))
        finally:
            pcap.pcap_freecode(ctypes.byref(compiled))
    finally:
        pcap.pcap_close(handle)


@functools.cache
def _libpcap() -> Any:
    for name in _LIBRARY_NAMES:
        try:
            return _declared(ctypes.CDLL(name))
        except OSError:
            continue
    raise CaptureError(
        "a filter expression needs libpcap, which is not installed (Debian: apt install libpcap0.8); "
        "everything else works without it"
    )


def _declared(library: ctypes.CDLL) -> ctypes.CDLL:
    library.pcap_open_dead.argtypes = (ctypes.c_int, ctypes.c_int)
    library.pcap_open_dead.restype = ctypes.c_void_p
    library.pcap_compile.argtypes = (
        ctypes.c_void_p,
        ctypes.POINTER(_Instructions),
        ctypes.c_char_p,
        ctypes.c_int,
        ctypes.c_uint32,
    )
    library.pcap_geterr.argtypes = (ctypes.c_void_p,)
    library.pcap_geterr.restype = ctypes.c_char_p
    library.pcap_freecode.argtypes = (ctypes.POINTER(_Instructions),)
    library.pcap_freecode.restype = None
    library.pcap_close.argtypes = (ctypes.c_void_p,)
    library.pcap_close.restype = None
    return library
