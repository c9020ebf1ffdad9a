"""Netfilter's log: capfix beside tcpdump, which reads it too. `python -m bench.nflog`, as root.

Both read the same group, which the same nftables rule fills at the input hook, round by round by turns. "Less
start-up" is less the CPU of the same tool in a run without a packet.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from bench.capture import stop, wait_until_at_rest
from bench.count import count_packets
from bench.loads import Load
from bench.namespaces import Namespace
from bench.report import table

GROUP = 1007
_READY_TIMEOUT = 20.0
_BUFFER_MIB = 64

#: The commands of each tool, by its name; `{}` is the file.
TOOLS = {
    "tcpdump": ["tcpdump", "-i", f"nflog:{GROUP}", "-w", "{}", "-B", str(_BUFFER_MIB * 1024), "-Z", "root"],
    "capfix": [
        *(sys.executable, "-m", "capfix", "run", "-i", "vb", "-o", "{}", "-B", str(_BUFFER_MIB)),
        *("--source", "nflog", "--nflog-rules", "none", "--nflog-group", str(GROUP)),
    ],
}
LOADS = {load.name: load for load in (Load("small", (60,), 300_000), Load("large", (1442,), 300_000))}


def measure(command: list[str], load: Load, count: int) -> tuple[float, int, float]:
    """Return the CPU seconds, the packets lost, and the packets offered a second of one run."""
    lab = load.lab()
    try:
        _answer_nothing(lab.namespace)
        with tempfile.TemporaryDirectory(prefix="capfix-bench-") as place:
            path = Path(place) / "capture"
            process = lab.namespace.start(
                [argument.format(path) for argument in command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            try:
                _wait_until_bound(lab.namespace)
                seconds = lab.send(count) if count else 1.0
                wait_until_at_rest(process)
            finally:
                usage = stop(process)
            if process.returncode != 0:
                raise RuntimeError(f"{command[0]} ended with status {process.returncode}")
            lost = lab.offered() - count_packets(path)
        return usage.ru_utime + usage.ru_stime, lost, lab.offered() / seconds
    finally:
        lab.close()


def _answer_nothing(namespace: Namespace) -> None:
    """Log all that comes in, then drop it, or the host would answer each packet that nobody listens for."""
    namespace.run("ip link set lo up")
    namespace.run("ip addr add 10.9.0.2/24 dev vb")
    chain = "type filter hook input priority 0;"
    rules = f"table inet bench {{ chain in {{ {chain} iifname vb log group {GROUP} drop; }}; }}"
    process = namespace.start(["nft", rules])
    if process.wait() != 0:
        raise RuntimeError("nft failed")


def _wait_until_bound(namespace: Namespace) -> None:
    deadline = time.monotonic() + _READY_TIMEOUT
    while time.monotonic() < deadline:
        with namespace.entered():
            rows = Path("/proc/self/net/netfilter/nfnetlink_log").read_text().splitlines()
        if any(row.split()[0] == str(GROUP) for row in rows):
            time.sleep(0.5)  # until it waits for packets
            return
        time.sleep(0.01)
    raise RuntimeError("nobody bound the log group")


def main() -> None:
    """Run the rounds and print the medians."""
    parser = argparse.ArgumentParser(prog="python -m bench.nflog", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("the benchmark makes network namespaces and captures in them: run it as root")
    print(f"medians of {options.rounds} rounds; {_BUFFER_MIB} MiB of buffer each\n")
    for load in LOADS.values():
        runs: dict[str, list[tuple[float, int, float, float]]] = {name: [] for name in TOOLS}
        for _ in range(options.rounds):
            for name, command in TOOLS.items():
                startup, _, _ = measure(command, load, 0)
                cpu, lost, rate = measure(command, load, load.count)
                runs[name].append((cpu, lost, rate, cpu - startup))
        rows = []
        base = median(run[3] for run in runs["tcpdump"])
        for name, taken in runs.items():
            cpu, lost, rate, net = (median(run[n] for run in taken) for n in range(4))
            rows.append(
                [name, f"{rate / 1000:.0f}", f"{lost:.0f}", f"{cpu:.2f}", f"{net:.2f}", f"{net / base:.2f}"]
            )
        headings = [load.description, "offered k/s", "lost", "CPU s", "less start-up", "ratio"]
        print(table(headings, rows) + "\n")


if __name__ == "__main__":
    main()
