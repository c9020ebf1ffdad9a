"""Every verdict, each of a real arrangement."""

import fcntl
import os
import shlex
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from scapy.layers.inet import ICMP, IP, UDP

from capfix.doctor.examination import examine_interface
from capfix.doctor.findings import Diagnosis
from capfix.lab import HeaderlessVpn, NetworkNamespace
from capfix.lab.bypass import FAR_ADDRESS, NEAR_ADDRESS, BypassingTunnel
from capfix.lab.repeating import again_and_again
from capfix.lab.vpn import LOCAL_ADDRESS, PEER_ADDRESS
from tests.support.tools import NOBODY, need

pytestmark = pytest.mark.root

INBOUND = bytes(IP(src=PEER_ADDRESS, dst=LOCAL_ADDRESS) / UDP(sport=9, dport=9) / b"come in")
OUTBOUND = bytes(IP(src="10.7.0.2", dst="10.7.0.1") / ICMP() / b"go out")
STALE = bytes.fromhex("02000000000a02000000000b88cc") + OUTBOUND


def examine(
    namespace: NetworkNamespace, name: str, step: Callable[[], object], seconds: float = 3
) -> Diagnosis:
    with again_and_again(step):
        return namespace.run(examine_interface, name, seconds)


def run_remedy(
    namespace: NetworkNamespace, diagnosis: Diagnosis, step: Callable[[], object], directory: Path
) -> str:
    """Run the command line that was printed, for a second, and return what tshark makes of its file."""
    words = shlex.split(diagnosis.finding.remedy)
    assert words[0] == "capfix"
    with again_and_again(step), namespace.entered():
        command = [sys.executable, "-m", "capfix", *words[1:], "-a", "duration:1"]
        subprocess.run(command, cwd=directory, check=True, capture_output=True, timeout=30)
    (made,) = directory.glob("*.pcapng")
    fields = ["-T", "fields", "-e", "frame.protocols", "-e", "ip.src", "-e", "ip.dst"]
    done = subprocess.run([need("tshark"), "-r", made, *fields], check=True, capture_output=True, text=True)
    return done.stdout


@pytest.fixture
def outgoing(vpn: HeaderlessVpn) -> Iterator[Callable[[], object]]:
    """The host sends by the VPN."""
    with vpn.namespace.entered():
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with sender:
        yield lambda: (sender.sendto(b"go out", (PEER_ADDRESS, 9)), vpn.read_sent())


def test_headerless_inbound(vpn: HeaderlessVpn, outgoing: Callable[[], object], tmp_path: Path) -> None:
    """Lab A: what comes in has no header, what goes out has; the remedy's capture decodes both."""

    def both() -> None:
        vpn.deliver(INBOUND)
        outgoing()

    diagnosis = examine(vpn.namespace, "cipsec0", both)
    assert diagnosis.verdict == "headerless-inbound"
    assert diagnosis.exit_status == 1
    evidence = diagnosis.as_object()["evidence"]
    assert evidence["inbound"]["headerless"] == evidence["inbound"]["packets"] > 3
    assert evidence["outbound"]["headerless"] == 0
    assert evidence["outbound"]["packets"] > 3
    assert evidence["example"]["hex"].startswith("4500")
    assert "destination 45:00:00:" in evidence["example"]["explanation"]
    assert evidence["seconds"] < 1
    assert diagnosis.finding.remedy == "capfix run -i cipsec0 -o ./cipsec0.pcapng"
    decoded = run_remedy(vpn.namespace, diagnosis, both, tmp_path)
    assert f"{PEER_ADDRESS}\t{LOCAL_ADDRESS}" in decoded
    assert f"{LOCAL_ADDRESS}\t{PEER_ADDRESS}" in decoded
    assert all("ip:udp" in line or "ip:icmp" in line for line in decoded.splitlines())


@pytest.fixture
def mislabelled_tun(namespace: NetworkNamespace) -> Iterator[int]:
    """A tun device given the Ethernet type: neither way has a header. The descriptor is its far end."""
    fd = namespace.run(os.open, "/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    namespace.run(fcntl.ioctl, fd, 0x400454CA, struct.pack("16sH22x", b"tun0", 0x1001))  # TUNSETIFF
    fcntl.ioctl(fd, 0x400454CD, 1)  # TUNSETLINK, linux/if_tun.h
    namespace.set_up("tun0")
    namespace.add_address("tun0", "10.7.0.1", 24)
    yield fd
    os.close(fd)


def test_headerless_both(namespace: NetworkNamespace, mislabelled_tun: int, tmp_path: Path) -> None:
    """A tun that says it is Ethernet: pings and their answers are both without header."""

    def ping() -> None:
        os.write(mislabelled_tun, OUTBOUND)

    diagnosis = examine(namespace, "tun0", ping)
    assert diagnosis.verdict == "headerless-both"
    assert any("NOARP" in note for note in diagnosis.notes)
    decoded = run_remedy(namespace, diagnosis, ping, tmp_path)
    assert "10.7.0.2\t10.7.0.1" in decoded
    assert "10.7.0.1\t10.7.0.2" in decoded


def test_headerless_outbound(namespace: NetworkNamespace, mislabelled_tun: int) -> None:
    """Where packets only go out, only that direction is accused, and of the other nothing is said."""
    with namespace.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        diagnosis = examine(namespace, "tun0", lambda: sender.sendto(b"x", ("10.7.0.9", 9)))
    assert diagnosis.verdict == "headerless-outbound"
    assert any("no packet came in" in note for note in diagnosis.notes)


def test_stale_header(namespace: NetworkNamespace, tmp_path: Path) -> None:
    """A header whose type is another protocol's stands before a whole IP packet."""
    namespace.add_veth_pair("va", "vb")
    with namespace.entered(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sender:

        def send() -> None:
            sender.sendto(STALE, ("va", 0x0800))  # what the kernel is told to take it for

        diagnosis = examine(namespace, "va", send)
        assert diagnosis.verdict == "stale-header"
        assert "type 0x88cc" in diagnosis.as_object()["evidence"]["example"]["explanation"]
        assert "10.7.0.2\t10.7.0.1" in run_remedy(namespace, diagnosis, send, tmp_path)


def test_bypassing(tmp_path: Path) -> None:
    """Lab B: netfilter sees packets that no tap is offered; the remedy's capture has them."""
    with BypassingTunnel() as tunnel:

        def exchange() -> None:
            tunnel.exchange(1)

        diagnosis = examine(tunnel.near, tunnel.NAME, exchange)
        assert diagnosis.verdict == "bypassing"
        (pair,) = diagnosis.as_object()["evidence"]["bypassing"]
        assert (pair["source"], pair["destination"]) == (FAR_ADDRESS, NEAR_ADDRESS)
        decoded = run_remedy(tunnel.near, diagnosis, exchange, tmp_path)
        assert f"\t{FAR_ADDRESS}\t{NEAR_ADDRESS}" in decoded


def test_without_the_privilege_to_ask_netfilter(tmp_path: Path) -> None:
    """Without CAP_NET_ADMIN the doctor says that it cannot tell, and how to ask."""
    with BypassingTunnel() as tunnel, again_and_again(lambda: tunnel.exchange(1)), tunnel.near.entered():
        keep_raw = ["setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin"]
        command = [*keep_raw, sys.executable, "-m", "capfix", "doctor", "-i", tunnel.NAME, "--seconds", "1"]
        done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    said = " ".join(done.stdout.split())
    assert "whether packets bypass the taps was not checked (CAP_NET_ADMIN is missing)" in said
    assert f"sudo capfix doctor -i {tunnel.NAME}" in said


def test_idle_and_down(namespace: NetworkNamespace) -> None:
    """Without traffic nothing is judged; what is down is said at once, with the way up."""
    namespace.add_veth_pair("va", "vb")
    diagnosis = namespace.run(examine_interface, "va", 0.3)
    assert diagnosis.verdict == "no-traffic"
    assert diagnosis.finding.remedy == "capfix doctor -i va --seconds 60"
    namespace.set_down("va")
    diagnosis = namespace.run(examine_interface, "va", 60)
    assert diagnosis.verdict == "down"
    with namespace.entered():
        subprocess.run(shlex.split(diagnosis.finding.remedy), check=True)
    assert namespace.run(examine_interface, "va", 0.1).verdict == "no-traffic"


def test_absent(vpn: HeaderlessVpn) -> None:
    """Near names are offered, the nearest first."""
    diagnosis = vpn.namespace.run(examine_interface, "cipsec1", 1)
    assert diagnosis.verdict == "absent"
    assert diagnosis.finding.evidence["near"][0] == "cipsec0"
    assert diagnosis.finding.remedy == "capfix run -i cipsec1 --wait -o ./cipsec1.pcapng"


def test_an_alternative_name(namespace: NetworkNamespace) -> None:
    """It is as good as the name, and the diagnosis is of the name."""
    namespace.add_veth_pair("va", "vb")
    with namespace.entered():
        subprocess.run(["ip", "link", "property", "add", "dev", "va", "altname", "uplink"], check=True)
    assert namespace.run(examine_interface, "uplink", 0.1).subject == "va"


def test_no_permission() -> None:
    """A user without CAP_NET_RAW is told to use sudo, and sees no stack trace."""
    command = [sys.executable, "-m", "capfix", "doctor", "-i", "lo", "--json"]
    drop = [
        "setpriv",
        "--reuid",
        str(NOBODY),
        "--clear-groups",
        "--bounding-set",
        "-all",
        "--inh-caps",
        "-all",
    ]
    done = subprocess.run([*drop, *command], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "")
    assert '"verdict": "no-permission"' in done.stdout
    assert '"remedy": "sudo capfix doctor -i lo"' in done.stdout
