"""Can this user capture on this machine at all: one line each, with the remedy.

Each question is a function that returns a Remark; a new one goes into QUESTIONS. None changes anything or needs a
privilege; a packet socket is opened and closed to see whether that is allowed.
"""

import os
import shutil
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from capfix.errors import CaptureError
from capfix.kernel.libpcap import compile_ethernet
from capfix.kernel.netfilter import has_net_admin
from capfix.kernel.sock_diag import has_packet_diag

_SMALL_OPTMEM: Final = 65536  # a filter of 4096 instructions takes 32 KiB, and the kernel's account some more
_RING: Final = 64 << 20  # what a capture maps unless -B says otherwise
_OPTMEM: Final = Path("/proc/sys/net/core/optmem_max")
_MEMORY: Final = Path("/proc/meminfo")
_LOGGER: Final = Path("/proc/thread-self/net/netfilter/nfnetlink_log")
_TUN: Final = Path("/dev/net/tun")


@dataclass(frozen=True)
class Remark:
    """One line. `ok` is False where a capture needs what is missing; `remedy` is what to do, "" where nothing."""

    subject: str
    ok: bool
    sentence: str
    remedy: str = ""

    def as_object(self) -> dict[str, Any]:
        return {
            "subject": self.subject,
            "ok": self.ok,
            "sentence": self.sentence,
            "remedy": self.remedy or None,
        }


def examine_system(uncompiled: list[str]) -> list[Remark]:
    """Return the remarks on this machine and user; `uncompiled` are the modules of capfix that ought to be compiled."""
    return [*(question() for question in QUESTIONS), _compiled(uncompiled)]


def _packet_socket() -> Remark:
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0).close()
    except PermissionError:
        way = "sudo capfix run ..." if shutil.which("sudo") else "run capfix as root"
        return Remark("capture", False, "this user may not capture: CAP_NET_RAW is missing", way)
    except OSError as exc:
        return Remark(
            "capture",
            False,
            f"the kernel opens no packet socket: {(exc.strerror or str(exc)).lower()}",
            "load the module af_packet, or allow AF_PACKET in the sandbox",
        )
    how = "as root" if os.geteuid() == 0 else "by CAP_NET_RAW"
    return Remark("capture", True, f"this user may capture, {how}")


def _netfilter() -> Remark:
    if not has_net_admin():
        return Remark(
            "netfilter",
            True,
            "this user may not ask netfilter (CAP_NET_ADMIN is missing), so packets that bypass taps are not seen",
            "sudo capfix run --source auto ...",
        )
    if not _LOGGER.exists():
        return Remark(
            "netfilter",
            True,
            "nfnetlink_log is not loaded, which --source nflog needs",
            "modprobe nfnetlink_log",
        )
    return Remark("netfilter", True, "netfilter can be asked for what bypasses the taps (--source nflog)")


def _libpcap() -> Remark:
    try:
        compile_ethernet("ip")
    except CaptureError:
        return Remark(
            "libpcap", True, "libpcap is missing: filter expressions do not work", "apt install libpcap0.8"
        )
    return Remark("libpcap", True, "libpcap is there, for filter expressions")


def _wireshark() -> Remark:
    found = [program for program in ("wireshark", "tshark", "dumpcap") if shutil.which(program)]
    if not found:
        return Remark(
            "Wireshark", True, "no Wireshark here; captures can be read elsewhere", "apt install tshark"
        )
    # Wireshark's personal and global folders for extcap programs, "About Wireshark: Folders"
    personal = Path("~/.config/wireshark/extcap").expanduser()
    return Remark(
        "Wireshark",
        True,
        f"{', '.join(found)} found; it looks for capture plugins in {personal} among others",
    )


def _kernel() -> Remark:
    lacking = []
    if not has_packet_diag():
        lacking.append("packet_diag (`capfix taps` tells less)")
    if not _TUN.exists():
        lacking.append("tun (`capfix demo` does not work)")
    release = os.uname().release
    if lacking:
        return Remark("kernel", True, f"Linux {release}; lacks {', '.join(lacking)}")
    return Remark("kernel", True, f"Linux {release} has packet_diag and tun")


def _ring_memory() -> Remark:
    available = _number_of(_MEMORY, "MemAvailable:") * 1024
    if not available:
        return Remark("memory", True, "how much memory is free is not known")
    if available < 2 * _RING:
        return Remark(
            "memory",
            False,
            f"{available >> 20} MiB are free, and a capture's ring takes {_RING >> 20} MiB",
            "capfix run -B 8 ...",
        )
    return Remark("memory", True, f"{available >> 20} MiB are free for a ring of {_RING >> 20} MiB")


def _optmem() -> Remark:
    try:
        size = int(_OPTMEM.read_text())
    except (OSError, ValueError):  # not told inside a network namespace
        return Remark("filters", True, "net.core.optmem_max is not known")
    if size < _SMALL_OPTMEM:
        return Remark(
            "filters",
            True,
            f"net.core.optmem_max is {size} bytes: long filters are refused",
            f"sysctl -w net.core.optmem_max={2 * _SMALL_OPTMEM}",
        )
    return Remark("filters", True, f"net.core.optmem_max is {size} bytes, enough for long filters")


def _compiled(uncompiled: list[str]) -> Remark:
    if uncompiled:
        return Remark(
            "build",
            False,
            f"{len(uncompiled)} modules are not compiled: right, and slow",
            f"{sys.executable} -m pip install --force-reinstall capfix",
        )
    return Remark("build", True, "the hot path is compiled")


def _number_of(path: Path, key: str) -> int:
    """Return the number behind `key` in a file of lines, 0 where it is not there."""
    try:
        lines = (line.split() for line in path.read_text().splitlines())
        return next((int(words[1]) for words in lines if len(words) > 1 and words[0] == key), 0)
    except (OSError, ValueError):
        return 0


#: In the order in which they are printed.
QUESTIONS: Final[tuple[Callable[[], Remark], ...]] = (
    _packet_socket,
    _netfilter,
    _libpcap,
    _wireshark,
    _kernel,
    _ring_memory,
    _optmem,
)
