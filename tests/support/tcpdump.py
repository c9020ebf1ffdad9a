"""tcpdump beside what is tested, on the frames of `selection_traffic`."""

import signal
import socket
import struct
import subprocess
from pathlib import Path

from capfix.lab import NetworkNamespace
from tests.support.selection_traffic import marked

Kept = set[tuple[int, int]]  # interface index, number of the frame


class Tcpdump:
    """A tcpdump writing to a file.

    libpcap runs the filter itself on what is in the first part of the ring, and then takes every ancillary value for
    missing, so the first packets of a capture are no measure.
    """

    def __init__(
        self, namespace: NetworkNamespace, interface: str, expression: str, path: Path, *more: str
    ) -> None:
        self.path = path
        self.interface = interface
        # With a short snapshot length a small ring holds all of the frames
        command = ["tcpdump", "-i", interface, "-n", "-s", "2000", "-B", "2048", "-U", "--immediate-mode"]
        command += ["-w", str(path)]
        if interface == "any":
            command += ["-y", "LINUX_SLL2"]
        with namespace.entered():
            self.process = subprocess.Popen(
                [*command, *more, expression], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
            )

    def listens(self) -> bool:
        """Wait until it captures, or refuses the expression."""
        for line in self.process.stderr:
            if "listening on" in line:
                return True
        return False

    def stop(self) -> None:
        self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=10)

    def kill(self) -> None:
        """See to it that the process is gone."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate(timeout=10)

    def kept(self, indexes: dict[str, int]) -> Kept:
        """Return what it kept, once it has stopped."""
        kept = set()
        for frame in pcap_records(self.path.read_bytes()):
            index = (
                indexes[self.interface] if self.interface != "any" else struct.unpack_from(">I", frame, 4)[0]
            )
            if (number := marked(frame)) is not None:
                kept.add((index, number))
        return kept


def pcap_records(data: bytes) -> list[bytes]:
    """Return the packets of a little-endian pcap file."""
    at, found = 24, []
    while at + 16 <= len(data):
        captured = struct.unpack_from("<I", data, at + 8)[0]
        found.append(data[at + 16 : at + 16 + captured])
        at += 16 + captured
    return found


def send(namespace: NetworkNamespace, interface: str, sent: tuple[bytes, ...]) -> None:
    with namespace.entered(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sender:
        sender.bind((interface, 0))
        for frame in sent:
            sender.send(frame)
