"""The service under a real systemd. Runs as root in a booted container, as tools/test-service arranges it.

A plain script, as nothing but capfix and what its demo needs is installed there. It says what it found, step by step,
ends with status 1 at the first thing that is wrong, and leaves in expected.json what the files must hold.
"""

import json
import os
import pwd
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from scapy.layers.inet import IP, UDP

from capfix.lab import HeaderlessVpn, NetworkNamespace

CAPFIX = "/opt/capfix/bin/capfix"
UNIT = "capfix@cipsec0"
CAP_NET_RAW = 1 << 13
LARGEST_EXPOSURE = 15  # 1.5, in the tenths that systemd-analyze takes
WRITTEN_WITHIN_S = 1.0  # a packet is in its file after that

#: What the test cannot wait for.
IMPATIENCE = "[Service]\nWatchdogSec=3\nRestartSec=100ms\n"


class ThisNamespace(NetworkNamespace):
    """The network namespace that the container, and so the service, is in."""

    def __init__(self) -> None:
        self.ipv6 = False
        self.fd = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


class Traffic:
    """Numbered datagrams that arrive headerless on the interface."""

    def __init__(self) -> None:
        self.vpn: HeaderlessVpn | None = None
        # Somebody must want the datagrams, or the system answers each with an ICMP error
        self.receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.receiver.bind(("0.0.0.0", 40000))
        self.sent: list[str] = []

    def up(self) -> None:
        """Have the VPN come up."""
        self.vpn = HeaderlessVpn(ThisNamespace())

    def down(self) -> None:
        """Have the VPN go."""
        assert self.vpn is not None
        self.vpn.close()

    def deliver(self, count: int) -> None:
        """Let datagrams arrive."""
        assert self.vpn is not None
        for _ in range(count):
            text = f"datagram {len(self.sent)}"
            datagram = IP(src="10.8.0.1", dst="10.8.0.2") / UDP(sport=53, dport=40000) / text
            self.vpn.deliver(bytes(datagram))
            self.sent.append(text)


def run(*command: str) -> str:
    """Return what a command says, which must succeed."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    check(done.returncode == 0, f"{' '.join(command)}: status {done.returncode}\n{done.stdout}")
    return done.stdout


def check(holds: bool, trouble: str) -> None:
    """End the test unless something holds."""
    if not holds:
        print(f"FAILED: {trouble}")
        subprocess.run(["systemctl", "--no-pager", "--full", "status", UNIT])
        subprocess.run(["journalctl", "--no-pager", "--unit", "capfix@*"])
        sys.exit(1)


def wait_until(condition: Callable[[], bool], what: str, within_s: float = 15) -> None:
    """Wait for something to become true."""
    deadline = time.monotonic() + within_s
    while not condition():
        check(time.monotonic() < deadline, f"not within {within_s} s: {what}")
        time.sleep(0.05)


def show(name: str) -> str:
    """Return a property of the unit."""
    return run("systemctl", "show", "--value", "--property", name, UNIT).strip()


def status_shows(text: str) -> bool:
    """Return whether `systemctl status` shows a text; it ends with another status than 0 while a unit restarts."""
    command = ["systemctl", "--no-pager", "--full", "status", UNIT]
    return text in subprocess.run(command, capture_output=True, text=True).stdout


def wait_for_packets(count: int) -> None:
    """Wait until `systemctl status` counts so many packets, or some more of the system's own, and no loss."""

    def are_there() -> bool:
        found = re.search(r"([0-9,]+) packets, 0 dropped", show("StatusText"))
        return found is not None and int(found[1].replace(",", "")) >= count

    wait_until(are_there, f"{count} packets in the status")


def wait_for_restart(pid: str) -> None:
    """Wait until another process than `pid` captures, and is ready."""
    running = lambda: show("MainPID") not in ("0", pid) and show("ActiveState") == "active"  # noqa: E731
    wait_until(running, f"a process in the place of {pid}")


def step(text: str) -> None:
    """Say what is done now."""
    print(f"{time.monotonic():7.2f}  {text}")


def main() -> None:
    """Carry out the test."""
    traffic = Traffic()

    step("installing the service")
    print(run(CAPFIX, "service", "install"))
    drop_in = Path("/etc/systemd/system/capfix@.service.d/test.conf")
    drop_in.parent.mkdir()
    drop_in.write_text(IMPATIENCE)
    run("systemctl", "daemon-reload")

    step("starting it before there is an interface")
    run("systemctl", "enable", "--now", UNIT)  # returns once it is ready
    check(status_shows("waiting for cipsec0"), "the status does not say that it waits")

    step("the interface comes, and packets on it")
    traffic.up()
    wait_until(lambda: status_shows("capturing on cipsec0"), "capturing")
    traffic.deliver(100)
    wait_for_packets(100)
    print(run("systemctl", "--no-pager", "--full", "status", UNIT))

    step("who runs it, with which capabilities")
    pid = show("MainPID")
    fields = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    uid = pwd.getpwnam("capfix").pw_uid
    check(fields["Uid"].split() == [str(uid)] * 4, f"runs as {fields['Uid']}, not as capfix, {uid}")
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        check(int(fields[name], 16) == CAP_NET_RAW, f"{name} is {fields[name]}")
    check(fields["NoNewPrivs"] == "1" and fields["Seccomp"] == "2", "may gain privileges, or call everything")
    security = run("systemd-analyze", "security", f"--threshold={LARGEST_EXPOSURE}", UNIT)
    print(next(line for line in security.splitlines() if "Overall" in line))

    step("the interface goes and comes again")
    traffic.down()
    wait_until(lambda: status_shows("waiting for cipsec0"), "waiting again")
    traffic.up()
    wait_until(lambda: status_shows("capturing on cipsec0"), "capturing again")
    traffic.deliver(50)
    wait_for_packets(150)

    step("settings come, and are read again")
    Path("/etc/capfix/cipsec0.toml").write_text('verbose = true\nlink = "sll2"\n')
    run("systemctl", "reload", UNIT)
    journal = lambda: run("journalctl", "--unit", UNIT)  # noqa: E731
    wait_until(
        lambda: "cannot change while running: link" in journal(), "what a restart takes in the journal"
    )
    check("changed: verbose" in journal(), "the changed setting is not in the journal")
    check(show("MainPID") == pid, "reloading restarted it")

    step("killed")
    time.sleep(WRITTEN_WITHIN_S)
    os.kill(int(pid), signal.SIGKILL)
    wait_for_restart(pid)
    wait_until(lambda: status_shows("capturing on cipsec0"), "capturing after the kill")
    traffic.deliver(50)
    wait_for_packets(50)

    step("hung")
    time.sleep(WRITTEN_WITHIN_S)
    pid = show("MainPID")
    os.kill(int(pid), signal.SIGSTOP)
    wait_for_restart(pid)
    check("Watchdog timeout" in journal(), "the watchdog is not in the journal")
    check(show("NRestarts") == "2", f"{show('NRestarts')} restarts")
    wait_until(lambda: status_shows("capturing on cipsec0"), "capturing after the hang")
    traffic.deliver(50)
    wait_for_packets(50)

    step("a second instance, for all interfaces")
    run("systemctl", "start", "capfix@any")
    traffic.deliver(10)
    time.sleep(WRITTEN_WITHIN_S)
    run("systemctl", "stop", "capfix@any")
    check(any(Path("/var/lib/capfix").glob("any*.pcapng")), "no file of the instance any")

    step("stopping")
    run("systemctl", "stop", UNIT)
    check(show("Result") == "success" and show("ActiveState") == "inactive", f"it ended as {show('Result')}")

    step("removing the service")
    print(run(CAPFIX, "service", "remove"))
    check(
        subprocess.run(["systemctl", "cat", UNIT], capture_output=True).returncode != 0,
        "the unit is still there",
    )
    check(Path("/etc/capfix/cipsec0.toml").exists(), "the settings are gone")
    Path("/opt/expected.json").write_text(json.dumps(traffic.sent))
    step("done")


main()
