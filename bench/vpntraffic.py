"""The mixed load of the VPN lab, a program of its own: `python -m bench.vpntraffic TUN_FD TAP_FD COUNT`.

Inbound packets are written to the tun device, outbound ones sent by a UDP socket through the tap device, which is
read so that its queue never fills. Prints the number of packets sent and the seconds that took.
"""

import contextlib
import os
import socket
import struct
import sys
import time

_INBOUND_LENGTH = 1388
_OUTBOUND_LENGTH = 46
_PORT = 4500
_UDP_IP_HEADERS = 28
_TAP_READ_EVERY = 100


def inbound_packet(length: int) -> bytes:
    """Return a bare IPv4 UDP packet of `length` bytes from the far end of the tunnel to this one."""
    head: bytes = struct.pack(
        "!BBHHHBBH4B4B", 0x45, 0, length, 1, 0x4000, 64, 17, 0, 10, 8, 0, 1, 10, 8, 0, 2
    )
    total = sum(struct.unpack("!10H", head))
    total = (total & 0xFFFF) + (total >> 16)
    checksum = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
    udp = struct.pack("!4H", _PORT, _PORT, length - 20, 0)  # checksum 0: not computed
    return b"".join(
        (head[:10], checksum.to_bytes(2, "big"), head[12:], udp, b"a" * (length - _UDP_IP_HEADERS))
    )


def main() -> None:
    """Send the load, half in and half out."""
    tun, tap, count = (int(argument) for argument in sys.argv[1:4])
    # Bound, so that inbound packets meet a socket, and overflow it in silence; no ICMP error answers them.
    endpoint = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    endpoint.bind(("10.8.0.2", _PORT))
    endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    endpoint.connect(("10.8.0.1", _PORT))
    inbound = inbound_packet(_INBOUND_LENGTH)
    outbound = b"b" * (_OUTBOUND_LENGTH - _UDP_IP_HEADERS)
    pairs = count // 2
    started = time.monotonic()
    for number in range(pairs):
        os.write(tun, inbound)
        endpoint.send(outbound)
        if number % _TAP_READ_EVERY == 0:
            with contextlib.suppress(BlockingIOError):
                while True:
                    os.read(tap, 2048)
    print(2 * pairs, time.monotonic() - started)


if __name__ == "__main__":
    main()
