"""Single measures: delay through a pipe, time to the first packet, cost of waiting."""

import os
import random
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median, quantiles

from bench.capture import cpu_seconds, stop, wait_until_capturing
from bench.loads import VethLab
from bench.report import table
from bench.tools import CAPFIX, DUMPCAP, TCPDUMP, Tool, capfix

_SMALLEST_FRAME = 60
_BASELINE = [sys.executable, "-c", "import asyncio, ctypes, mmap"]


def delay(packets: int) -> str:
    """Return a table of the time from sending a packet to the pipe's reader having it, about 20 packets a second."""
    flushing = [*TCPDUMP.command("vb", "-"), "-U"]  # without -U it waits for a full 4 KiB
    commands = {
        "capfix": CAPFIX.command("vb", "-"),
        "tcpdump -U": flushing,
        "tcpdump -U --immediate-mode": [*flushing, "--immediate-mode"],
        "dumpcap": DUMPCAP.command("vb", "-"),
    }
    rows = []
    for name, command in commands.items():
        delays = sorted(1000 * seconds for seconds in _delays(command, packets))
        rows.append(
            [name, f"{median(delays):.1f}", f"{quantiles(delays, n=20)[-1]:.1f}", f"{delays[-1]:.1f}"]
        )
    return table(["delay to a pipe's reader, ms", "median", "95 %", "longest"], rows)


_UNCLAIMED_FRAME = bytes.fromhex("020000000002 020000000001 9000")  # an EtherType that nobody answers


def _delays(command: Sequence[str], packets: int) -> list[float]:
    """Return the delay of each packet in seconds. Packets are told apart by a random number in their payload."""
    lab = VethLab((_SMALLEST_FRAME,))
    with lab.raw_socket() as sender:
        process = lab.namespace.start(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert process.stdout is not None
        try:
            wait_until_capturing(process, lab.namespace)
            sent: dict[bytes, float] = {}
            delays: list[float] = []
            for _ in range(packets):
                mark = random.randbytes(16)
                sent[mark] = time.monotonic()
                sender.send((_UNCLAIMED_FRAME + mark).ljust(_SMALLEST_FRAME, b"\0"))
                # Uneven steps, or the packets would keep step with the ring's retire timer.
                delays += _arrived(
                    process.stdout.fileno(), sent, time.monotonic() + random.uniform(0.02, 0.08)
                )
            delays += _arrived(process.stdout.fileno(), sent, time.monotonic() + 2)
        finally:
            stop(process)
            process.stdout.close()
            lab.close()
    if sent:
        raise RuntimeError(f"{command[0]}: {len(sent)} of {packets} packets did not arrive")
    return delays


def _arrived(pipe: int, sent: dict[bytes, float], deadline: float) -> list[float]:
    """Read the pipe until `deadline`; return the delays of the packets seen and take them out of `sent`."""
    delays = []
    while sent and (left := deadline - time.monotonic()) > 0:
        if not select.select([pipe], [], [], left)[0]:
            break
        data, now = os.read(pipe, 1 << 20), time.monotonic()
        for mark in [mark for mark in sent if mark in data]:
            delays.append(now - sent.pop(mark))
    time.sleep(max(0.0, deadline - time.monotonic()) if not sent else 0)
    return delays


def startup(tools: Sequence[Tool], rounds: int) -> str:
    """Return a table of the time from exec until a tool's packet socket runs, beside a bare interpreter's imports."""
    times: dict[str, list[float]] = {"python imports": []}
    with tempfile.TemporaryDirectory() as place:
        for _ in range(rounds):
            times["python imports"].append(_import_time())
            for tool in tools:
                times.setdefault(tool.name, []).append(_time_to_capture(tool, Path(place) / "capture"))
    baseline = median(times["python imports"])
    rows = [
        [name, f"{1000 * median(taken):.0f}", f"{1000 * min(taken):.0f}", f"{median(taken) / baseline:.2f}"]
        for name, taken in times.items()
    ]
    return table(["time from exec to capturing, ms", "median", "shortest", "ratio"], rows)


def startup_tools(present: Sequence[Tool]) -> list[Tool]:
    """Return the tools, capfix with a ring of 16 MiB: setting up 64 MiB takes longer than the rest."""
    small = capfix("capfix -B 16", ring_mib=16)
    return [small if tool.name == "capfix" else tool for tool in present]


def _import_time() -> float:
    started = time.monotonic()
    subprocess.run(_BASELINE, check=True)
    return time.monotonic() - started


def _time_to_capture(tool: Tool, path: Path) -> float:
    lab = VethLab((_SMALLEST_FRAME,))
    try:
        started = time.monotonic()
        process = lab.namespace.start(
            tool.command(lab.interface, str(path)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            return wait_until_capturing(process, lab.namespace) - started
        finally:
            stop(process)
    finally:
        lab.close()


def idle(tools: Sequence[Tool], seconds: float) -> str:
    """Return a table of the CPU share of each tool while nothing arrives; they wait side by side."""
    labs = [VethLab((_SMALLEST_FRAME,)) for _ in tools]
    with tempfile.TemporaryDirectory() as place:
        processes = [
            lab.namespace.start(
                tool.command(lab.interface, f"{place}/{number}"),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for number, (tool, lab) in enumerate(zip(tools, labs, strict=True))
        ]
        try:
            for process, lab in zip(processes, labs, strict=True):
                wait_until_capturing(process, lab.namespace)
            time.sleep(1)
            before = [cpu_seconds(process.pid) for process in processes]
            time.sleep(seconds)
            used = [cpu_seconds(process.pid) - then for process, then in zip(processes, before, strict=True)]
        finally:
            for process in processes:
                stop(process)
            for lab in labs:
                lab.close()
    rows = [[tool.name, f"{100 * cpu / seconds:.2f}"] for tool, cpu in zip(tools, used, strict=True)]
    return table([f"CPU when idle, over {seconds:.0f} s", "%"], rows)
