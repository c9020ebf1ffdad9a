"""One run: a tool is started, meets its load, comes to rest, is stopped; what it kept and cost is read."""

import contextlib
import os
import resource
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench.count import count_packets
from bench.loads import Lab, Load
from bench.namespaces import Namespace
from bench.tools import Tool

_READY_TIMEOUT = 20.0
_REST_SECONDS = 1.2  # tcpdump and dumpcap hold a part-filled ring block for up to a second
_REST_TIMEOUT = 120.0
_SETTLE_SECONDS = 0.2
_POLL_SECONDS = 0.0005
_CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Run:
    """What one run gave. CPU in seconds, memory in KiB (peak, ring included), file in bytes."""

    tool: str
    offered: int
    rate: float
    kept: int
    dropped: int | None
    user: float
    system: float
    peak_kib: int
    file_bytes: int

    @property
    def lost(self) -> int:
        """Packets that reached the interface and not the output."""
        return self.offered - self.kept

    @property
    def cpu(self) -> float:
        """User and system time of the capturing process together."""
        return self.user + self.system

    @property
    def exact(self) -> bool:
        """Whether the tool accounts for every packet: offered = kept + what it says was dropped."""
        return self.dropped is not None and self.offered == self.kept + self.dropped


def capture(tool: Tool, load: Load, sink: str, directory: Path) -> Run:
    """Send one load past one tool, in a lab of its own, and return what it gave.

    With `sink` "pipe" it writes to a pipe, else to a file in `directory`.

    Raises:
        RuntimeError: the tool did not start to capture, or its output is not sound.
    """
    os.sync()  # what the run before left to write is not this run's business
    lab = load.lab()
    try:
        with tempfile.TemporaryDirectory(dir=directory, prefix="capfix-bench-") as place:
            path = Path(place) / "capture"
            return _capture_in(lab, tool, load, path, sink == "pipe")
    finally:
        lab.close()


def idle_cost(tool: Tool, directory: Path) -> float:
    """Return the CPU seconds of a run that sees no packet: start-up, ring and stopping."""
    return capture(tool, Load("nothing", (60,), 0), "file", directory).cpu


def _capture_in(lab: Lab, tool: Tool, load: Load, path: Path, piped: bool) -> Run:
    command = tool.command(lab.interface, "-" if piped else str(path))
    with tempfile.TemporaryFile() as messages:
        reader = _reader_to_nowhere() if piped else None
        stdout = reader.stdin if reader else messages
        process = lab.namespace.start(command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=messages)
        if reader and reader.stdin:
            reader.stdin.close()
        try:
            wait_until_capturing(process, lab.namespace)
            seconds = lab.send(load.count) if load.count else 0.0
            wait_until_at_rest(process)
            peak = peak_memory_kib(process.pid)
        finally:
            usage = stop(process)
        messages.seek(0)
        said = messages.read().decode(errors="replace")
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with status {process.returncode}: {said}")
    report = tool.report(said)
    if reader and reader.stderr:
        with reader.stderr as summary:
            size = int(summary.read().decode().splitlines()[-1].split()[0])
        reader.wait()
        kept = report.kept or 0
    else:
        size = path.stat().st_size
        kept = count_packets(path)
    return Run(
        tool=tool.name,
        offered=lab.offered(),
        rate=lab.offered() / seconds if seconds else 0.0,
        kept=kept,
        dropped=report.dropped,
        user=usage.ru_utime,
        system=usage.ru_stime,
        peak_kib=peak,
        file_bytes=size,
    )


def _reader_to_nowhere() -> subprocess.Popen[bytes]:
    """Start a reader that takes what comes by the MiB, throws it away, and says how many bytes it was."""
    return subprocess.Popen(["dd", "bs=1M", "of=/dev/null"], stdin=subprocess.PIPE, stderr=subprocess.PIPE)


def stop(process: subprocess.Popen[bytes]) -> resource.struct_rusage:
    """End a tool as a user does, with Ctrl-C, and return what it used in its life."""
    process.send_signal(signal.SIGINT)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage


def wait_until_capturing(process: subprocess.Popen[bytes], namespace: Namespace) -> float:
    """Wait until a packet socket of the process runs, and a little more; return when that was (time.monotonic).

    Nobody else captures in the namespace, so any running socket there is the tool's.

    Raises:
        RuntimeError: the process ended, or 20 seconds were not enough.
    """
    inside = os.fstat(namespace.fd).st_ino
    deadline = time.monotonic() + _READY_TIMEOUT
    while time.monotonic() < deadline:
        if os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            raise RuntimeError(f"{process.args!r} ended before it captured")
        with contextlib.suppress(OSError):
            if os.stat(f"/proc/{process.pid}/ns/net").st_ino == inside and _has_running_socket(process.pid):
                running = time.monotonic()
                time.sleep(_SETTLE_SECONDS)
                return running
        time.sleep(_POLL_SECONDS)
    raise RuntimeError(f"{process.args!r} did not start to capture")


def _has_running_socket(pid: int) -> bool:
    rows = Path(f"/proc/{pid}/net/packet").read_text().splitlines()[1:]
    return any(row.split()[5] == "1" for row in rows)  # columns: sk RefCnt Type Proto Iface R Rmem User Inode


def wait_until_at_rest(process: subprocess.Popen[bytes]) -> None:
    """Return when the process has used no CPU time for a while, so that ring and buffers are drained."""
    deadline = time.monotonic() + _REST_TIMEOUT
    since, used = time.monotonic(), cpu_seconds(process.pid)
    while time.monotonic() < min(deadline, since + _REST_SECONDS):
        time.sleep(0.05)
        now = cpu_seconds(process.pid)
        if now != used:
            since, used = time.monotonic(), now


def cpu_seconds(pid: int) -> float:
    """Return user and system time so far, in the kernel's clock ticks (10 ms mostly)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _CLOCK_TICKS


def peak_memory_kib(pid: int) -> int:
    """Return the peak resident memory; not ru_maxrss, which begins with the parent's size."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
