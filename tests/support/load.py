"""Traffic at a known rate whose packets are numbered, so that each one missing is known."""

import ctypes
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from capfix.lab import NetworkNamespace

BATCH: Final = 64
FRAME_LENGTH: Final = 60
SEQUENCE_AT: Final = 20  # behind the Ethernet header, past what readers look at first
ETHER_TYPE: Final = 0x88B5  # for experiments, IEEE 802

_SEQUENCE: Final = struct.Struct("<Q")


class _Iovec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _MessageHeader(ctypes.Structure):  # struct msghdr
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint),
        ("iovec", ctypes.POINTER(_Iovec)),
        ("iovec_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Message(ctypes.Structure):  # struct mmsghdr
    _fields_ = (("header", _MessageHeader), ("sent", ctypes.c_uint))


class NumberedTraffic:
    """Sends frames numbered from 0 on out of `interface`; `sent` is how many went so far."""

    def __init__(self, namespace: NetworkNamespace, interface: str) -> None:
        with namespace.entered():
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._socket.bind((interface, 0))
        self.sent = 0
        header = bytes.fromhex("ffffffffffff 020000000001") + struct.pack("!H", ETHER_TYPE)
        self._frames = bytearray((header + bytes(FRAME_LENGTH - len(header))) * BATCH)
        memory = (ctypes.c_char * len(self._frames)).from_buffer(self._frames)
        self._iovecs = (_Iovec * BATCH)(
            *((ctypes.addressof(memory) + n * FRAME_LENGTH, FRAME_LENGTH) for n in range(BATCH))
        )
        self._messages = (_Message * BATCH)(
            *(
                _Message(_MessageHeader(iovec=ctypes.pointer(self._iovecs[n]), iovec_count=1))
                for n in range(BATCH)
            )
        )
        self._libc = ctypes.CDLL(None, use_errno=True)

    def send(self, seconds: float, rate: int) -> None:
        """Send about `rate` frames a second for `seconds`; none is skipped when the machine cannot keep up."""
        began, first = time.monotonic(), self.sent
        while (passed := time.monotonic() - began) < seconds:
            if self.sent - first >= passed * rate:
                time.sleep(BATCH / rate)
                continue
            for n in range(BATCH):
                _SEQUENCE.pack_into(self._frames, n * FRAME_LENGTH + SEQUENCE_AT, self.sent + n)
            done = self._libc.sendmmsg(self._socket.fileno(), self._messages, BATCH, 0)
            if done > 0:
                self.sent += done

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def numbers_and_drops(file: Path, header_length: int = 16) -> Iterator[tuple[int, int, str]]:
    """Yield the number of each packet of a file, the drops counted before it, and its comment, for a cooked link type.

    Written apart from capfix, and in one pass, as there are millions.
    """
    data = file.read_bytes()
    at = 0
    while at < len(data):
        block_type, total = struct.unpack_from("<II", data, at)
        if block_type == 6:
            (captured,) = struct.unpack_from("<I", data, at + 20)
            (number,) = _SEQUENCE.unpack_from(data, at + 28 + header_length + SEQUENCE_AT - 14)
            drops, comment = 0, ""
            options = at + 28 + (captured + 3) // 4 * 4
            while options < at + total - 4:
                code, length = struct.unpack_from("<HH", data, options)
                if code == 0:
                    break
                value = data[options + 4 : options + 4 + length]
                if code == 4:
                    (drops,) = _SEQUENCE.unpack(value)
                elif code == 1:
                    comment = value.decode()
                options += 4 + (length + 3) // 4 * 4
            yield number, drops, comment
        at += total
