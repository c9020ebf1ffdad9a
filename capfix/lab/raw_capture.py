"""A capture in the old way, as tcpdump and dumpcap make it on an Ethernet interface: the fault to be shown.

A SOCK_RAW packet socket gives each packet from where its link-layer header would be, and the file says Ethernet
because the interface does. For a packet without that header both are wrong.
"""

import socket
import struct
from pathlib import Path

from capfix.lab.closing import Closing
from capfix.lab.namespace import NetworkNamespace

_ETH_P_ALL = 3
_SNAPLEN = 262144
_LINKTYPE_ETHERNET = 1
_SO_TIMESTAMPNS = 35  # asm-generic/socket.h; the socket module lacks it
# libpcap's file format, pcap-savefile(5), here with nanoseconds: magic, version 2.4, zone, accuracy, snaplen, link type
_FILE_HEADER = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, _SNAPLEN, _LINKTYPE_ETHERNET)
_RECORD_HEADER = struct.Struct("<IIII")  # seconds, nanoseconds, captured length, original length
_TIMESPEC = struct.Struct("@ll")


class RawCapture(Closing):
    """Captures on an interface from the moment it is made. The packets wait in the socket's buffer for `save`."""

    def __init__(self, namespace: NetworkNamespace, interface: str) -> None:
        self._socket = namespace.run(socket.socket, socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._socket.setblocking(False)
        self._socket.bind((interface, _ETH_P_ALL))

    def save(self, path: Path) -> None:
        """Write what was captured until now to a pcap file that says it holds Ethernet frames."""
        with path.open("wb") as file:
            file.write(_FILE_HEADER)
            while True:
                try:
                    data, ancillary, *_ = self._socket.recvmsg(_SNAPLEN, socket.CMSG_SPACE(_TIMESPEC.size))
                except BlockingIOError:
                    return
                seconds, nanoseconds = _TIMESPEC.unpack(ancillary[0][2])
                file.write(_RECORD_HEADER.pack(seconds, nanoseconds, len(data), len(data)) + data)

    def close(self) -> None:
        """Stop capturing."""
        self._socket.close()
