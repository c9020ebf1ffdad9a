"""`capfix demo`: two faults and their cures, on interfaces made for the purpose in namespaces of their own.

The captures are children that run `capfix run`, not part of this process, for two reasons: the demo then shows the
program that its user will run, and scapy, which plays the far end here, stays out of the process that captures.
"""

import argparse
import io
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from capfix.errors import CaptureError, PrivilegeError, SinkError

if TYPE_CHECKING:
    from rich.table import Table

    from capfix.doctor.findings import Diagnosis
    from capfix.lab import NetworkNamespace
    from capfix.lab.reader import Reading
    from capfix.lab.traffic import Passed

DIRECTORY = Path("capfix-demo")
INTERFACE = "cipsec0"
OLD_WAY = "old-way.pcap"
FRAMINGS = {"sll": "sll.pcapng", "sll2": "sll2.pcapng", "ethernet": "ethernet.pcapng"}

#: A ping from the far end of the VPN, from its IP header on.
_PING = bytes.fromhex("4500001c00010000400166ce0a0800010a0800020800f7fd00010001")

_PATIENCE_S = 20.0
_WATCH_S = 3.0  # doctor is sure sooner
_WIDTH_WITHOUT_A_TERMINAL = 112


def add_parser(subparsers: Any) -> None:
    """Add the command `demo`."""
    parser = subparsers.add_parser(
        "demo",
        help="show the fault and the cure on a VPN interface made for the purpose",
        description=(
            "Make a VPN interface with the fault in a network namespace of its own, send a DNS exchange, a TCP "
            "conversation and pings through it, capture them the old way and with capfix, and print side by side "
            f"what a reader makes of each. Leaves the capture files in ./{DIRECTORY}. Then show an interface whose "
            "packets no capture is offered, and what `capfix doctor` says of both. "
            "Needs root, or a system that lets its users make user namespaces; nothing outside is touched."
        ),
    )
    parser.set_defaults(run=run)


def run(_: argparse.Namespace) -> int:
    """Run the demo. The status is 1 when a capfix capture was not understood in full."""
    _check_packages()
    _gain_privileges()
    try:
        DIRECTORY.mkdir(exist_ok=True)
        passed = _capture()
    except OSError as error:
        raise SinkError(f"cannot write to {DIRECTORY}: {(error.strerror or str(error)).lower()}") from error
    status = _show(passed)
    _show_doctor()
    return status


def _check_packages() -> None:
    """Import what comes with the extra `demo`, so that what is missing is known before anything is made."""
    import pyroute2  # noqa: F401
    import rich  # noqa: F401
    import scapy  # noqa: F401


def _gain_privileges() -> None:
    from capfix.lab import can_make_namespaces, enter_user_namespace

    if can_make_namespaces():
        return
    try:
        enter_user_namespace()
    except PrivilegeError as error:
        raise CaptureError(
            "the demo needs a network namespace of its own, and this system does not let its users make one; "
            "run it as root: sudo capfix demo"
        ) from error


def _capture() -> "list[Passed]":
    """Send the traffic, with every capture running beside every other; return what passed the interface."""
    from capfix.lab import HeaderlessVpn, NetworkNamespace
    from capfix.lab.raw_capture import RawCapture
    from capfix.lab.traffic import all_traffic

    with (
        NetworkNamespace() as namespace,
        HeaderlessVpn(namespace, INTERFACE) as vpn,
        RawCapture(namespace, INTERFACE) as old_way,
    ):
        with _capfix_captures(namespace):
            passed = all_traffic(vpn)
        old_way.save(DIRECTORY / OLD_WAY)
        return passed


@contextmanager
def _capfix_captures(namespace: "NetworkNamespace") -> Iterator[None]:
    """Have `capfix run` capture in each framing during the `with` block."""
    captures: list[subprocess.Popen[str]] = []
    try:
        with namespace.entered():
            captures.extend(_start_capture(link, DIRECTORY / name) for link, name in FRAMINGS.items())
        _wait_until_capturing(captures, namespace.index(INTERFACE))
        yield
        for capture in captures:
            capture.send_signal(signal.SIGINT)
        for capture in captures:
            _, complaint = capture.communicate(timeout=_PATIENCE_S)
            if capture.returncode != 0:
                raise CaptureError(_failure(capture, complaint))
    except subprocess.TimeoutExpired as error:
        raise CaptureError("`capfix run` does not stop") from error
    finally:
        for capture in captures:
            capture.kill()
            capture.wait()


def _start_capture(link: str, path: Path) -> "subprocess.Popen[str]":
    options = ["-i", INTERFACE, "--link", link, "-o", str(path), "-B", "2", "-q"]
    return subprocess.Popen(
        [sys.executable, "-m", "capfix", "run", *options],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def _wait_until_capturing(captures: Sequence["subprocess.Popen[str]"], interface_index: int) -> None:
    """Wait until each child has a packet socket that listens on the interface; the demo itself has one too."""
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        for capture in captures:
            if capture.poll() is not None:
                raise CaptureError(_failure(capture, capture.communicate()[1]))
        if _listening_sockets(captures[0].pid, interface_index) > len(captures):
            return
        time.sleep(0.02)
    raise CaptureError(f"`capfix run` did not begin to capture within {_PATIENCE_S:.0f} seconds")


def _listening_sockets(pid: int, interface_index: int) -> int:
    """Return how many packet sockets listen on an interface in the network namespace of a process."""
    try:
        lines = Path(f"/proc/{pid}/net/packet").read_text().splitlines()[1:]
    except OSError:  # the process has ended
        return 0
    # Columns: sk RefCnt Type Proto Iface R Rmem User Inode; R is 1 once the socket is bound and listens.
    columns = [line.split() for line in lines]
    return sum(int(column[4]) == interface_index and column[5] == "1" for column in columns)


def _failure(capture: "subprocess.Popen[str]", complaint: str) -> str:
    lines = complaint.strip().splitlines() or [f"ended with status {capture.returncode}"]
    return f"`capfix run` failed: {lines[-1].removeprefix('capfix: ')}"


def _show(passed: "list[Passed]") -> int:
    from rich.console import Console

    from capfix.lab.reader import read, reader_name

    if isinstance(sys.stdout, io.TextIOWrapper):  # an arrow is not worth failing for in a locale without it
        sys.stdout.reconfigure(errors="replace")
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _WIDTH_WITHOUT_A_TERMINAL
    readings = {name: read(DIRECTORY / name) for name in (OLD_WAY, *FRAMINGS.values())}
    understood = {name: _understood(passed, packets) for name, packets in readings.items()}

    console.print(
        f"\n[bold]{INTERFACE}[/] is a VPN interface that says it is Ethernet. What the host sends on it has an "
        f"Ethernet header, what comes in has none. These {len(passed)} packets went through it. What {reader_name()} "
        "makes of each, in four captures of the same traffic:\n"
    )
    console.print(_table(passed, readings, understood))
    console.print(
        "\nThe old way takes the first 14 bytes of an inbound packet for its Ethernet header: 45:00 is how an IPv4 "
        "header begins, and type 0x0a08 is the 10.8 of its source address.\n"
        f"The files are in ./{DIRECTORY}, for Wireshark: {', '.join(readings)}"
    )
    complete = all(sum(understood[name]) == len(passed) for name in FRAMINGS.values())
    if not complete:
        console.print("[red]Not every packet of the capfix captures was understood, and all should be.[/]")
    return 0 if complete else 1


def _show_doctor() -> None:
    """Show the second fault, and what doctor says of both interfaces."""
    from capfix.cli.doctor import as_text

    headerless = _examine_headerless()
    try:
        bypassing = _examine_bypassing()
    except CaptureError as error:
        print(f"\nThe second fault cannot be shown here: {error}")
        bypassing = None
    if bypassing is not None:
        print(_bypass_in_words(bypassing))
    for diagnosis in filter(None, (headerless, bypassing)):
        print(f"\n$ capfix doctor -i {diagnosis.subject}\n{as_text(diagnosis)}")


def _examine_headerless() -> "Diagnosis":
    """Return what doctor says of the interface that the captures were made on, while packets come in and go out."""
    import socket

    from capfix.doctor.examination import examine_interface
    from capfix.lab import HeaderlessVpn, NetworkNamespace
    from capfix.lab.repeating import again_and_again
    from capfix.lab.vpn import PEER_ADDRESS

    with NetworkNamespace() as namespace, HeaderlessVpn(namespace, INTERFACE) as vpn:
        with namespace.entered():
            host = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

        def exchange() -> None:
            host.sendto(b"demo", (PEER_ADDRESS, 9))
            vpn.deliver(_PING)
            vpn.read_sent()

        with host, again_and_again(exchange):
            return namespace.run(examine_interface, INTERFACE, _WATCH_S)


def _examine_bypassing() -> "Diagnosis":
    """Return what doctor says of an interface whose inner packets are handed to the IP stack behind the taps."""
    from capfix.doctor.examination import examine_interface
    from capfix.lab.bypass import BypassingTunnel
    from capfix.lab.repeating import again_and_again

    with BypassingTunnel() as tunnel, again_and_again(lambda: tunnel.exchange(1)):
        return tunnel.near.run(examine_interface, tunnel.NAME, _WATCH_S)


def _bypass_in_words(diagnosis: "Diagnosis") -> str:
    evidence = diagnosis.as_object()["evidence"]
    unseen = [
        f"  netfilter saw {pair['packets']} packets from {pair['source']} to {pair['destination']}"
        for pair in evidence.get("bypassing", ())
    ]
    return "\n".join(
        [
            f"\n{diagnosis.subject} shows the second fault: packets come in by it wrapped up, and the inner ones go to "
            "the IP stack behind the place where captures look. While datagrams went there and back:",
            f"  taps were offered {evidence['inbound']['packets']} packets that came in, of the inner ones none",
            *unseen,
        ]
    )


def _understood(passed: "list[Passed]", readings: "list[Reading]") -> list[bool]:
    """Tell for each packet that passed whether the reader shows it, in its place, with its true addresses."""
    import socket

    def addresses(packet: bytes) -> tuple[str, str]:  # of an IPv4 header, RFC 791 section 3.1
        return socket.inet_ntoa(packet[12:16]), socket.inet_ntoa(packet[16:20])

    shown = [(reading.source, reading.destination) for reading in readings]
    shown += [("", "")] * (len(passed) - len(shown))
    return [pair == addresses(one.packet) for one, pair in zip(passed, shown, strict=False)]


def _table(
    passed: "list[Passed]", readings: "dict[str, list[Reading]]", understood: dict[str, list[bool]]
) -> "Table":
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_footer=True, show_edge=False)
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    titles = {
        OLD_WAY: "old way (SOCK_RAW)",
        **{name: f"--link {link}" for link, name in FRAMINGS.items()},
    }
    for name, title in titles.items():
        count = sum(understood[name])
        style = "green" if count == len(passed) else "red"
        footer = Text(f"{count} of {len(passed)} understood", style=style)
        table.add_column(title, footer=footer, ratio=1)

    for number, packet in enumerate(passed):
        cells = [_cell(readings[name], number, understood[name][number]) for name in readings]
        table.add_row(str(number + 1), "in" if packet.inbound else "out", *cells)
    return table


def _cell(readings: "list[Reading]", number: int, understood: bool) -> Any:
    from rich.console import Group
    from rich.text import Text

    if number >= len(readings):
        return Text("missing", style="red")
    reading = readings[number]
    style = "" if understood else "red"
    return Group(
        Text(f"{reading.protocol} {reading.info}", style=style, no_wrap=True, overflow="ellipsis"),
        Text(f"{reading.source} → {reading.destination}", style=style or "dim"),
    )
