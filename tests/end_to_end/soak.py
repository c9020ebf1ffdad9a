"""A long capture under all that a service meets: `python -m tests.end_to_end.soak [--minutes 10] [--rate 5000]`.

Takes root.

Mixed traffic on two interfaces, one of which is deleted and made again all the time, a new file every ten seconds and
at every SIGHUP. Each finished file is read and removed as it comes. At the end: memory and descriptors are flat, and
every packet that is missing is a drop the kernel counted.
"""

import argparse
import signal
import statistics
import struct
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from scapy.layers.inet import IP, UDP

from capfix.lab import HeaderlessVpn, NetworkNamespace
from tests.support.capturing import Waiting
from tests.support.load import ETHER_TYPE, SEQUENCE_AT, NumberedTraffic

SLL_HEADER_LENGTH = 16
IPV4 = 0x0800
FLAT_BYTES = 2 << 20  # what memory may differ by between the second quarter and the last
HOTPLUG_INTERVAL_S = 3.0
HANGUP_INTERVAL_S = 7.0
SAMPLE_INTERVAL_S = 1.0


def packets(data: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Yield EtherType, payload and the drops counted before it for each packet of a file with cooked headers.

    Written apart from capfix.
    """
    at = 0
    while at < len(data):
        block_type, total = struct.unpack_from("<II", data, at)
        if block_type == 6:
            (captured,) = struct.unpack_from("<I", data, at + 20)
            frame = data[at + 28 : at + 28 + captured]
            drops = 0
            options = at + 28 + (captured + 3) // 4 * 4
            while options < at + total - 4:
                code, length = struct.unpack_from("<HH", data, options)
                if code == 4:
                    (drops,) = struct.unpack_from("<Q", data, options + 4)
                options += 4 + (length + 3) // 4 * 4
            yield struct.unpack_from("!H", frame, 14)[0], frame[SLL_HEADER_LENGTH:], drops
        at += total


@dataclass
class Seen:
    """What the files held so far."""

    files: int = 0
    numbered: int = 0
    next_number: int = 0
    told_drops: int = 0
    vpn: list[int] = field(default_factory=list)

    def add(self, file: Path) -> None:
        """Read a finished file: its numbers must go on where those of the last one ended."""
        for ether_type, payload, drops in packets(file.read_bytes()):
            if ether_type == ETHER_TYPE:
                (number,) = struct.unpack_from("<Q", payload, SEQUENCE_AT - 14)
                if number != self.next_number + drops:
                    sys.exit(
                        f"FAILED: {file.name}: {number} after {self.next_number - 1}, {drops} drops told"
                    )
                self.next_number = number + 1
                self.numbered += 1
                self.told_drops += drops
            elif ether_type == IPV4 and payload[28:].isdigit():
                self.vpn.append(int(payload[28:]))
        self.files += 1
        file.unlink()


def send_until(stop: threading.Event, traffic: NumberedTraffic, rate: int) -> None:
    """Send numbered packets until it is enough."""
    while not stop.is_set():
        traffic.send(1.0, rate)


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


def main() -> None:
    """Run it, and say what was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.end_to_end.soak")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--rate", type=int, default=5000, help="packets a second on the interface that stays")
    arguments = parser.parse_args()
    scratch = tempfile.TemporaryDirectory(prefix="capfix-soak-", dir="/var/tmp")
    with scratch as directory, NetworkNamespace() as namespace:
        namespace.add_veth_pair("near", "far")
        soak(namespace, Path(directory), arguments.minutes * 60, arguments.rate)


def soak(namespace: NetworkNamespace, directory: Path, seconds: float, rate: int) -> None:
    """Capture for that long, look all the time, and end with status 1 if anything is not as it should be."""
    options = ["-i", "far", "-i", "cipsec0", "--wait", "--rotate-every", "10s", "-B", "32"]
    running = Waiting(namespace, *options, "-o", directory / "out.pcapng")
    pid = running.process.pid
    traffic = NumberedTraffic(namespace, "near")
    stop = threading.Event()
    sender = threading.Thread(target=send_until, args=(stop, traffic, rate))
    sender.start()
    seen, memory, descriptors, delivered, cycles = Seen(), [], [], 0, 0
    began = next_hangup = time.monotonic()
    vpn: HeaderlessVpn | None = None
    while (now := time.monotonic()) < began + seconds and running.process.poll() is None:
        if vpn is None:
            vpn = HeaderlessVpn(namespace, mac="02:00:00:00:00:05")
            cycles += 1
            wait_for(running, "cipsec0 is there", cycles)
        for _ in range(50):
            text = str(delivered)
            vpn.deliver(bytes(IP(src="10.8.0.1", dst="10.9.0.9", ttl=1) / UDP(sport=53, dport=40000) / text))
            delivered += 1
        if now - began > cycles * HOTPLUG_INTERVAL_S:
            vpn.close()
            vpn = None
            wait_for(running, "cipsec0 has gone", cycles)
        if now > next_hangup:
            next_hangup = now + HANGUP_INTERVAL_S
            running.process.send_signal(signal.SIGHUP)
        memory.append(resident_bytes(pid))
        descriptors.append(len(list(Path(f"/proc/{pid}/fd").iterdir())))
        for file in sorted(directory.glob("out_*.pcapng")):
            seen.add(file)
        time.sleep(SAMPLE_INTERVAL_S)
    stop.set()
    sender.join()
    time.sleep(0.3)
    status = running.stop()
    for file in sorted(directory.glob("out_*.pcapng")):
        seen.add(file)
    dropped = int(running.stderr.split(" received, ")[1].split()[0])
    quarter = len(memory) // 4
    early = statistics.median(memory[quarter : 2 * quarter])
    late = statistics.median(memory[-quarter:])
    print(
        f"{seconds / 60:g} minutes, {seen.files} files, interface made {cycles} times, status {status}\n"
        f"sent {traffic.sent} and {delivered}; captured {seen.numbered} and {len(seen.vpn)}; "
        f"dropped by the kernel {dropped}\n"
        f"resident memory {early / 2**20:.1f} MiB in the second quarter, {late / 2**20:.1f} in the last; "
        f"at most {max(descriptors)} descriptors"
    )
    problems = {
        "exit status": status != 0,
        "packets missing without a counted drop": traffic.sent - seen.numbered > dropped,
        "packets missing after a hotplug": seen.vpn != list(range(delivered)),
        "memory grows": late - early > FLAT_BYTES,
        "descriptors grow": max(descriptors[-quarter:]) > max(descriptors[: 2 * quarter]),
    }
    failed = [problem for problem, holds in problems.items() if holds]
    if failed:
        print(running.stderr[-2000:])
        sys.exit(f"FAILED: {', '.join(failed)}")


def wait_for(running: Waiting, text: str, times: int) -> None:
    """Wait until the capture has said something so many times."""
    deadline = time.monotonic() + 20
    while running.stderr.count(text) < times:
        if time.monotonic() > deadline:
            sys.exit(f"FAILED: never said {times} times: {text}\n{running.stderr[-2000:]}")
        time.sleep(0.01)


if __name__ == "__main__":
    main()
