"""`capfix run` on interfaces that come and go."""

import os
import signal
import socket
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from scapy.layers.inet import IP, UDP

from capfix.lab import HeaderlessVpn, NetworkNamespace
from tests.support.capturing import Waiting, packets, statistics, tshark

pytestmark = pytest.mark.root

SOAK = os.environ.get("CAPFIX_SOAK") == "1"  # `make soak`
CYCLES = 200 if SOAK else 10
PATIENCE_S = 20

#: What memory may still grow by in the second half of the cycles: the ring and the buffers are touched page by page
#: at first, and the allocator settles within some hundred cycles.
MEMORY_SETTLES_BYTES = (2 if SOAK else 8) << 20
MAC = "02:00:00:00:00:05"


def deliver(vpn: HeaderlessVpn, *texts: str) -> None:
    """Let datagrams arrive. Nobody answers: they are not for this host."""
    for text in texts:
        datagram = IP(src="10.8.0.1", dst="10.9.0.9", ttl=1) / UDP(sport=53, dport=40000) / text
        vpn.deliver(bytes(datagram))


def captured(file: Path) -> list[tuple[str, str, str]]:
    """Return interface name, text and comment of each datagram of a file."""
    fields = ("frame.interface_name", "udp.payload", "frame.comment")
    rows = tshark(file, fields, "udp.dstport == 40000 && !icmp")
    return [(name, bytes.fromhex(payload).decode(), comment) for name, payload, comment in rows]


def texts(file: Path) -> list[str]:
    """Return the text of each datagram of a file."""
    return [text for _, text, _ in captured(file)]


def test_started_before_the_interface_exists(
    namespace: NetworkNamespace, capture: Callable[..., Waiting], tmp_path: Path
) -> None:
    """A capture that waits has a sound file at once, and attaches when the interface comes."""
    file = tmp_path / "out.pcapng"
    running = capture("--wait", "-i", "cipsec0", "-o", file)
    assert "waiting for cipsec0" in running.stderr
    with HeaderlessVpn(namespace, mac=MAC) as vpn:
        running.wait_for("cipsec0 is there")
        deliver(vpn, "first", "second")
        time.sleep(0.3)
        assert running.stop() == 0
    assert captured(file) == [("cipsec0", "first", ""), ("cipsec0", "second", "")]


def test_deleted_and_created_again_under_traffic(
    namespace: NetworkNamespace, capture: Callable[..., Waiting], tmp_path: Path
) -> None:
    """However often the interface is made anew, every packet sent while attached is there, and each gap is told once.

    Neither descriptors nor memory grow.
    """
    file = tmp_path / "out.pcapng"
    running = capture("--wait", "-i", "cipsec0", "-o", file, "-B", 16)
    sent: list[str] = []
    descriptors, memory = [], []
    for cycle in range(CYCLES):
        with HeaderlessVpn(namespace, mac=MAC) as vpn:
            running.wait_for("cipsec0 is there", cycle + 1)
            batch = [f"{cycle}.{number}" for number in range(20)]
            deliver(vpn, *batch)
            sent += batch
        running.wait_for("cipsec0 has gone", cycle + 1)
        process = Path("/proc", str(running.process.pid))
        descriptors.append(len(list((process / "fd").iterdir())))
        memory.append(int((process / "statm").read_text().split()[1]) * 4096)
    assert running.stop() == 0
    rows = captured(file)
    assert [text for _, text, _ in rows] == sent
    told = [text for _, text, comment in rows if "cipsec0 was gone from" in comment]
    assert told == [f"{cycle}.0" for cycle in range(1, CYCLES)]
    settled = CYCLES // 2
    assert max(descriptors[settled:]) <= max(descriptors[:settled])
    assert memory[-1] - memory[settled] < MEMORY_SETTLES_BYTES


def test_same_device_keeps_its_interface_block(
    namespace: NetworkNamespace, capture: Callable[..., Waiting], tmp_path: Path
) -> None:
    """The same name, address and type again is the same interface block; another address is another block."""
    file = tmp_path / "out.pcapng"
    running = capture("--wait", "-i", "cipsec0", "-o", file)
    for times, mac in enumerate((MAC, MAC, "02:00:00:00:00:06"), 1):
        with HeaderlessVpn(namespace, mac=mac) as vpn:
            running.wait_for("cipsec0 is there", times)
            time.sleep(0.1)  # the address is set after the device was made
            deliver(vpn, mac)
            time.sleep(0.4)
        running.wait_for("cipsec0 has gone", times)
    assert running.stop() == 0
    assert [packet.interface_id for packet in packets(file)] == [1, 1, 2]


def test_down_and_up_loses_nothing(
    vpn: HeaderlessVpn, capture: Callable[..., Waiting], tmp_path: Path
) -> None:
    """An interface that is switched off and on is the same one: no gap, and what comes then is there."""
    file = tmp_path / "out.pcapng"
    running = capture("--wait", "-i", "cipsec0", "-o", file)
    deliver(vpn, "before")
    time.sleep(0.1)
    vpn.namespace.set_down("cipsec0")
    vpn.namespace.set_up("cipsec0")
    deliver(vpn, "after")
    time.sleep(0.3)
    assert running.stop() == 0
    assert captured(file) == [("cipsec0", "before", ""), ("cipsec0", "after", "")]
    assert "has gone" not in running.stderr


def test_renaming_is_vanishing(vpn: HeaderlessVpn, capture: Callable[..., Waiting], tmp_path: Path) -> None:
    """What comes while the interface has another name is not captured; with its name back it is."""
    file = tmp_path / "out.pcapng"
    running = capture("--wait", "-i", "cipsec0", "-o", file)
    deliver(vpn, "before")
    vpn.namespace.rename("cipsec0", "other")
    running.wait_for("cipsec0 has gone")
    deliver(vpn, "meanwhile")
    vpn.namespace.rename("other", "cipsec0")
    running.wait_for("cipsec0 is there")
    deliver(vpn, "after")
    time.sleep(0.3)
    assert running.stop() == 0
    assert texts(file) == ["before", "after"]


def test_moving_to_another_namespace_is_vanishing(
    namespace: NetworkNamespace, capture: Callable[..., Waiting], tmp_path: Path
) -> None:
    """An interface that moves away has gone, and one of its name that is made then is taken."""
    running = capture("--wait", "-i", "veth0", "-o", tmp_path / "out.pcapng")
    with NetworkNamespace() as other:
        namespace.add_veth_pair("veth0", "veth1")
        running.wait_for("veth0 is there")
        index = namespace.index("veth0")
        namespace.netlink(lambda ipr: ipr.link("set", index=index, net_ns_fd=other.fd))
        running.wait_for("veth0 has gone")
    namespace.add_veth_pair("veth0", "veth2")
    running.wait_for("veth0 is there", 2)
    assert running.stop() == 0


def test_without_waiting_a_vanished_interface_ends_the_capture(
    namespace: NetworkNamespace, capture: Callable[..., Waiting], tmp_path: Path
) -> None:
    """Without --wait the capture ends with status 1, and its file is whole."""
    file = tmp_path / "out.pcapng"
    with HeaderlessVpn(namespace) as vpn:
        running = capture("-i", "cipsec0", "-o", file)
        deliver(vpn, "last")
        time.sleep(0.05)
    assert running.wait() == 1
    assert "cipsec0 has gone" in running.stderr
    assert texts(file) == ["last"]
    assert statistics(file)["cipsec0"].options["isb_usrdeliv"] == 1


@pytest.mark.parametrize("more", [[], ["-f", "udp dst port 40000"]], ids=["all", "filtered"])
def test_pattern_follows_every_matching_interface(
    namespace: NetworkNamespace, capture: Callable[..., Waiting], tmp_path: Path, more: list[str]
) -> None:
    """A pattern takes what matches, whenever it comes, each by its name, and nothing else; a gap is told for each."""
    file = tmp_path / "out.pcapng"
    with (
        HeaderlessVpn(namespace, "tun1", "feed1", MAC) as first,
        HeaderlessVpn(namespace, "eth9", "feed9") as foreign,
    ):
        running = capture("-i", "tun*", "-o", file, "--wait", *more)
        deliver(foreign, "foreign")
        deliver(first, "1")
        with HeaderlessVpn(namespace, "tun2", "feed2") as second:
            running.wait_for("tun2 is there")
            deliver(second, "2")
            deliver(first, "3")
            time.sleep(0.3)
        running.wait_for("tun2 has gone")
        deliver(first, "4")
        with HeaderlessVpn(namespace, "tun2", "feed2") as second:
            running.wait_for("tun2 is there", 2)
            deliver(second, "5")
            time.sleep(0.3)
            assert running.stop() == 0
    rows = captured(file)
    assert [row[:2] for row in rows] == [
        ("tun1", "1"),
        ("tun2", "2"),
        ("tun1", "3"),
        ("tun1", "4"),
        ("tun2", "5"),
    ]
    assert [bool(comment) for _, _, comment in rows] == [False] * 4 + [True]


def test_pattern_without_a_match_is_refused_unless_it_waits(
    namespace: NetworkNamespace, tmp_path: Path
) -> None:
    """Without --wait there must be an interface that matches."""
    with pytest.raises(AssertionError, match=r"no interface named tun\*"):
        Waiting(namespace, "-i", "tun*", "-o", tmp_path / "out.pcapng").kill()


def test_usr1_logs_the_counters(vpn: HeaderlessVpn, capture: Callable[..., Waiting], tmp_path: Path) -> None:
    """USR1 tells the counts in the log, and the capture goes on."""
    running = capture("-i", "cipsec0", "-o", tmp_path / "out.pcapng")
    deliver(vpn, "1", "2", "3")
    time.sleep(0.3)
    running.process.send_signal(signal.SIGUSR1)
    running.wait_for("capturing on cipsec0: ")
    assert "3 packets, 0 dropped" in running.stderr
    assert running.stop() == 0


def test_hangup_reads_the_configuration_again(
    vpn: HeaderlessVpn, capture: Callable[..., Waiting], tmp_path: Path
) -> None:
    """SIGHUP takes over what can change, says what cannot, and keeps to the old settings when the new are wrong."""
    config = tmp_path / "capture.toml"
    config.write_text(f'interface = "cipsec0"\noutput = "{tmp_path}/out.pcapng"\n')
    running = capture("--config", config)
    config.write_text(f'interface = "lo"\noutput = "{tmp_path}/out.pcapng"\nverbose = true\n')
    running.process.send_signal(signal.SIGHUP)
    running.wait_for("changed: verbose")
    running.wait_for("cannot change while running: interface; restart for that")
    config.write_text("colour = 1\n")
    running.process.send_signal(signal.SIGHUP)
    running.wait_for("the configuration stays as it was")
    deliver(vpn, "still there")
    time.sleep(0.3)
    assert running.stop() == 0
    assert texts(tmp_path / "out.pcapng") == ["still there"]


def test_hangup_changes_what_is_kept(
    vpn: HeaderlessVpn, capture: Callable[..., Waiting], tmp_path: Path
) -> None:
    """SIGHUP begins a new file, and rules of retention that have changed hold at once."""
    config = tmp_path / "capture.toml"
    settings = f'interface = "cipsec0"\noutput = "{tmp_path}/out.pcapng"\nrotate-packets = 1\n'
    config.write_text(settings)
    running = capture("--config", config)
    deliver(vpn, "1", "2", "3", "4", "5")
    time.sleep(0.3)
    assert len(list(tmp_path.glob("out_*.pcapng"))) >= 4
    config.write_text(settings + "keep-files = 2\n")
    running.process.send_signal(signal.SIGHUP)
    running.wait_for("changed: keep-files, -size, -age or -free")
    deliver(vpn, "6", "7")
    time.sleep(0.3)
    assert running.stop() == 0
    assert len(list(tmp_path.glob("out_*.pcapng"))) == 2


def test_a_count_that_is_lowered_ends_the_capture(
    vpn: HeaderlessVpn, capture: Callable[..., Waiting], tmp_path: Path
) -> None:
    """Where more packets are written already than the new count allows, no further one is."""
    config = tmp_path / "capture.toml"
    file = tmp_path / "out.pcapng"
    config.write_text(f'interface = "cipsec0"\noutput = "{file}"\ncount = 100\n')
    running = capture("--config", config)
    deliver(vpn, "1", "2", "3")
    time.sleep(0.3)
    config.write_text(f'interface = "cipsec0"\noutput = "{file}"\ncount = 2\n')
    running.process.send_signal(signal.SIGHUP)
    running.wait_for("changed: count")
    deliver(vpn, "4")
    assert running.wait() == 0
    assert texts(file) == ["1", "2", "3"]


def test_service_manager_hears_of_readiness_state_and_end(
    namespace: NetworkNamespace,
    capture: Callable[..., Waiting],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """READY comes when waiting is established, the watchdog is answered in time, and STATUS follows what is done."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(PATIENCE_S)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "600000")
        running = capture("--wait", "-i", "cipsec0", "-o", tmp_path / "out.pcapng")
        assert manager.recv(500).decode() == "READY=1\nSTATUS=waiting for cipsec0"
        with HeaderlessVpn(namespace):
            heard: list[tuple[float, str]] = []
            while not any("STATUS=capturing on cipsec0: " in text for _, text in heard):
                heard.append((time.monotonic(), manager.recv(500).decode()))
            times = [at for at, text in heard if text == "WATCHDOG=1"]
            assert all(later - earlier < 0.6 for earlier, later in pairwise(times))
            running.process.send_signal(signal.SIGTERM)
            while manager.recv(500) != b"STOPPING=1":
                pass
            assert running.wait() == 0
