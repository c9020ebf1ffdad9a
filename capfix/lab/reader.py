"""What a reader makes of a capture file, packet by packet: tshark where it is installed, else scapy."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from capfix.errors import CapfixError


@dataclass(frozen=True)
class Reading:
    """One packet as the reader shows it in its list. Addresses are those of the highest layer it understood."""

    protocol: str
    source: str
    destination: str
    info: str


def reader_name() -> str:
    """Return the name of the reader that `read` uses."""
    return "scapy" if shutil.which("tshark") is None else "tshark"


def read(path: Path) -> list[Reading]:
    """Return what the reader shows for each packet of a pcap or pcapng file.

    Raises:
        CapfixError: the reader refuses the file.
    """
    return _read_with_scapy(path) if reader_name() == "scapy" else _read_with_tshark(path)


# The columns are asked for by their formats, which stay the same, while the names of their fields have changed. Where
# the destination stands right after the source, tshark puts an arrow between them.
_TSHARK = [
    "tshark",
    "-n",
    *("-o", "tcp.relative_sequence_numbers:TRUE"),
    *("-o", 'gui.column.format:"Source","%s","Protocol","%p","Destination","%d","Info","%i"'),
    *("-T", "tabs"),
]


def _read_with_tshark(path: Path) -> list[Reading]:
    done = subprocess.run(
        [*_TSHARK, "-r", path],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        stdin=subprocess.DEVNULL,
    )
    if done.returncode != 0:
        raise CapfixError(f"tshark cannot read {path}: {done.stderr.strip().splitlines()[-1]}")
    rows = [[column.strip() for column in line.split("\t", 3)] for line in done.stdout.splitlines()]
    return [Reading(protocol, source, destination, info) for source, protocol, destination, info in rows]


def _read_with_scapy(path: Path) -> list[Reading]:
    from scapy.error import Scapy_Exception
    from scapy.layers import dns, inet, l2  # noqa: F401  (importing them makes scapy know the protocols)
    from scapy.packet import Packet, Raw
    from scapy.utils import rdpcap

    def reading(packet: Packet) -> Reading:
        layers = [layer for layer in packet.layers() if layer is not Raw]
        addressed = packet.getlayer(inet.IP) or packet
        source, destination = getattr(addressed, "src", ""), getattr(addressed, "dst", "")
        return Reading(layers[-1].__name__, str(source), str(destination), packet.summary())

    try:
        return [reading(packet) for packet in rdpcap(str(path))]
    except Scapy_Exception as error:
        raise CapfixError(f"scapy cannot read {path}: {error}") from error
