"""`capfix run --source nflog`, `both` and `auto`: what taps never see, judged by tshark."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pcapng.blocks import EnhancedPacket

from capfix.lab import HeaderlessVpn, NetworkNamespace
from capfix.lab.bypass import FAR_ADDRESS, NEAR_ADDRESS, BypassingTunnel
from capfix.wire.link_types import LINK_TYPES
from tests.end_to_end.test_run import EACH_WAY, exchange, expected
from tests.support.capturing import TIMEOUT, Capture, capture, packets, refused, statistics, tshark
from tests.support.tools import need

pytestmark = pytest.mark.root

INNER = ("ip.src", "ip.dst", "frame.packet_flags_direction", "frame.interface_name", "udp.payload")
# With nf_hooks_lwtunnel the outer packets, IPv6, meet hooks of their own; that stays on until the machine restarts
OF_THE_TUNNEL = "udp && !ipv6"
SO_MARK = 36
LWTUNNEL_HOOKS = Path("/proc/sys/net/netfilter/nf_hooks_lwtunnel")


@pytest.fixture
def tunnel() -> Iterator[BypassingTunnel]:
    with BypassingTunnel() as made:
        yield made


def inner(count: int, name: str = "near0") -> list[list[str]]:
    """What tshark's INNER say of an exchange through the tunnel."""
    rows = []
    for number in range(count):
        payload = number.to_bytes(4, "big").ljust(64, b".").hex()
        rows.append([FAR_ADDRESS, NEAR_ADDRESS, "0x00000001", name, payload])
        rows.append([NEAR_ADDRESS, FAR_ADDRESS, "0x00000002", name, payload])
    return rows


def settle() -> None:
    """Wait until what was sent has certainly been logged."""
    time.sleep(0.05)


def ruleset(namespace: NetworkNamespace) -> str:
    with namespace.entered():
        return subprocess.run(
            [need("nft"), "list", "ruleset"], capture_output=True, text=True, check=True
        ).stdout


@pytest.mark.parametrize("link", LINK_TYPES)
def test_a_tunnel_s_inner_packets_are_captured(tunnel: BypassingTunnel, tmp_path: Path, link: str) -> None:
    """Every one, both ways, with the right interface and direction, in each framing; the rules go with the end."""
    file = tmp_path / "out.pcapng"
    with capture(tunnel.near, "-i", tunnel.NAME, "-o", file, "--source", "nflog", "--link", link) as running:
        assert "table inet capfix_1007" in ruleset(tunnel.near)
        tunnel.exchange(EACH_WAY)
        settle()
        assert running.stop() == 0
    assert tshark(file, INNER, OF_THE_TUNNEL) == inner(EACH_WAY)
    assert ruleset(tunnel.near) == ""
    last = statistics(file)[tunnel.NAME].options
    assert last["isb_ifrecv"] == last["isb_usrdeliv"] == len(packets(file))
    assert last["isb_osdrop"] == 0


def test_any_shows_the_real_interface(tunnel: BypassingTunnel, tmp_path: Path) -> None:
    """On `any` each packet names its interface, and loopback packets come once."""
    file = tmp_path / "out.pcapng"
    with capture(tunnel.near, "-i", "any", "-o", file, "--source", "nflog") as running:
        tunnel.exchange(2)
        with tunnel.near.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.bind(("127.0.0.1", 9999))
            sender.sendto(b"to myself", ("127.0.0.1", 9999))
        settle()
        assert running.stop() == 0
    assert tshark(file, INNER, f"{OF_THE_TUNNEL} && ip.addr == 10.9.0.0/24") == inner(2)
    assert tshark(file, INNER, "ip.addr == 127.0.0.1") == [
        ["127.0.0.1", "127.0.0.1", "0x00000001", "lo", b"to myself".hex()]
    ]


def test_both_show_tap_and_netfilter_in_order(tunnel: BypassingTunnel, tmp_path: Path) -> None:
    """The outer packets on one interface, the inner ones on another, in the order of their times."""
    file = tmp_path / "out.pcapng"
    with capture(tunnel.near, "-i", tunnel.NAME, "-o", file, "--source", "both") as running:
        for _ in range(3):
            tunnel.exchange(EACH_WAY)
            time.sleep(0.07)
        assert running.stop() == 0
    assert len(tshark(file, INNER, 'udp && ipv6 && frame.interface_name == "near0"')) == 6 * EACH_WAY
    assert tshark(file, INNER, OF_THE_TUNNEL) == 3 * inner(EACH_WAY, "near0 (netfilter)")
    times = [packet.timestamp for packet in packets(file)]
    assert times == sorted(times)


@pytest.mark.parametrize("source", ["both", "auto"])
def test_where_the_tap_sees_everything_auto_leaves_the_copies_out(
    vpn: HeaderlessVpn, tmp_path: Path, source: str
) -> None:
    """A headerless interface hides nothing from taps: auto writes what they show, both writes all twice."""
    file = tmp_path / "out.pcapng"
    with capture(vpn.namespace, "-i", "cipsec0", "-o", file, "--source", source) as running:
        exchange(vpn)
        settle()
        assert running.stop() == 0
    fields = ("ip.src", "ip.dst", "udp.srcport", "udp.dstport", "udp.payload")
    fields += ("frame.packet_flags_direction", "frame.interface_name")
    assert tshark(file, fields, 'frame.interface_name == "cipsec0"') == expected()
    copies = tshark(file, fields, 'frame.interface_name == "cipsec0 (netfilter)"')
    if source == "both":
        assert copies == expected("cipsec0 (netfilter)")
    else:
        assert copies == []
        assert f"{2 * EACH_WAY} packets of netfilter left out" in running.stderr


def test_auto_keeps_what_the_tap_did_not_see(tunnel: BypassingTunnel, tmp_path: Path) -> None:
    """The tunnel's inner packets beside its outer ones; nothing is left out."""
    file = tmp_path / "out.pcapng"
    with capture(tunnel.near, "-i", tunnel.NAME, "-o", file, "--source", "auto") as running:
        tunnel.exchange(EACH_WAY)
        settle()
        assert running.stop() == 0
    name = "near0 (netfilter)"
    assert tshark(file, INNER, f'udp && frame.interface_name == "{name}"') == inner(EACH_WAY, name)
    assert (
        len(tshark(file, ["frame.number"], 'frame.interface_name == "near0" && ipv6.routing')) == 2 * EACH_WAY
    )


@pytest.mark.skipif(
    not (os.environ.get("CI") == "true" or os.environ.get("CAPFIX_TEST_LWTUNNEL") == "1"),
    reason="sets net.netfilter.nf_hooks_lwtunnel, for the whole machine until it restarts; "
    "CAPFIX_TEST_LWTUNNEL=1 asks for it",
)
def test_prerouting_sees_the_tunnel_too_where_the_kernel_lets_it(
    tunnel: BypassingTunnel, tmp_path: Path
) -> None:
    """With nf_hooks_lwtunnel an inner packet meets the prerouting hook."""
    if not LWTUNNEL_HOOKS.exists():
        pytest.skip("this kernel has no nf_hooks_lwtunnel")
    LWTUNNEL_HOOKS.write_text("1")
    file = tmp_path / "out.pcapng"
    arguments = ("-i", tunnel.NAME, "-o", file, "--source", "nflog", "--nflog-hooks", "prerouting")
    with capture(tunnel.near, *arguments) as running:
        tunnel.exchange(EACH_WAY)
        settle()
        assert running.stop() == 0
    inbound = [row for row in inner(EACH_WAY) if row[2] == "0x00000001"]
    assert tshark(file, INNER, OF_THE_TUNNEL) == inbound


def test_sigkill_leaves_no_rule(tunnel: BypassingTunnel, tmp_path: Path) -> None:
    """However a capture ends, nobody else's packets are logged for it any more."""
    arguments = ("-i", tunnel.NAME, "-o", tmp_path / "out.pcapng", "--source", "nflog")
    with capture(tunnel.near, *arguments) as running:
        assert "capfix_1007" in ruleset(tunnel.near)
        running.stop(signal.SIGKILL)
    until = time.monotonic() + 2
    while ruleset(tunnel.near) and time.monotonic() < until:
        time.sleep(0.01)
    assert ruleset(tunnel.near) == ""


def test_a_second_capture_takes_another_group_or_says_why_it_cannot(
    tunnel: BypassingTunnel, tmp_path: Path
) -> None:
    """Left to itself it takes the next group; told to use a held one, it names the holder and makes no file."""
    base = ("-i", tunnel.NAME, "--source", "nflog")
    first, second, third = (tmp_path / f"{n}.pcapng" for n in range(3))
    with (
        capture(tunnel.near, *base, "-o", first) as running,
        capture(tunnel.near, *base, "-o", second) as other,
    ):
        status, complaint = refused(tunnel.near, *base, "-o", third, "--nflog-group", 1007)
        assert status == 1
        assert "log group 1007 is held by another socket" in complaint
        assert not third.exists()
        tunnel.exchange(2)
        settle()
        assert (running.stop(), other.stop()) == (0, 0)
    assert "log group 1007" in running.stderr
    assert "log group 1008" in other.stderr
    assert tshark(first, INNER, OF_THE_TUNNEL) == tshark(second, INNER, OF_THE_TUNNEL) == inner(2)


def test_rules_of_one_s_own(tunnel: BypassingTunnel, tmp_path: Path) -> None:
    """With --nflog-rules none capfix makes none, and leaves out what was not asked for."""
    file = tmp_path / "out.pcapng"
    rules = (
        "table inet mine { chain in { type filter hook input priority 0; log group 5 queue-threshold 1; }; "
        "chain out { type filter hook output priority 0; log group 5; }; }"
    )
    with tunnel.near.entered():
        subprocess.run([need("nft"), rules], check=True)
    arguments = ("-i", tunnel.NAME, "-o", file, "--source", "nflog", "-v")
    arguments += ("--nflog-rules", "none", "--nflog-group", 5)
    with capture(tunnel.near, *arguments) as running:
        assert "capfix_" not in ruleset(tunnel.near)
        tunnel.exchange(2)
        with tunnel.near.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"to myself", ("127.0.0.1", 9))
        settle()
        assert running.stop() == 0
    assert tshark(file, INNER, OF_THE_TUNNEL) == inner(2)
    assert "packets of other interfaces left out" in running.stderr


def test_what_is_lost_is_counted(vpn: HeaderlessVpn, tmp_path: Path) -> None:
    """A buffer that overflows shows in the statistics, and on the packet that comes next."""
    file = tmp_path / "out.pcapng"
    sent = 4000
    with capture(vpn.namespace, "-i", "cipsec0", "-o", file, "--source", "nflog", "-B", 1, "-v") as running:
        running.process.send_signal(signal.SIGSTOP)
        with vpn.namespace.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for _ in range(sent):
                sender.sendto(bytes(1200), ("10.8.0.1", 53))
            settle()
            running.process.send_signal(signal.SIGCONT)
            time.sleep(0.3)
            sender.sendto(b"after", ("10.8.0.1", 53))
        settle()
        assert running.stop() == 0
    captured = packets(file)
    last = statistics(file)["cipsec0"].options
    lost = last["isb_osdrop"]
    assert lost > 0
    assert len(captured) + lost == sent + 1 == last["isb_ifrecv"]
    assert sum(dropcount(packet) for packet in captured) == lost
    assert "its buffer was full" in running.stderr
    assert f"{sent + 1} packets received, {lost} dropped by the kernel" in running.stderr


def dropcount(packet: EnhancedPacket) -> int:
    return int(packet.options["epb_dropcount"]) if "epb_dropcount" in packet.options else 0


@pytest.mark.parametrize("source", ["nflog", "both", "auto"])
def test_an_interface_may_come_and_go(namespace: NetworkNamespace, tmp_path: Path, source: str) -> None:
    """Rules go by the name: what is waited for is captured when it is there, and again when it is made anew."""
    file = tmp_path / "out.pcapng"
    with capture(namespace, "-i", "cipsec0", "-o", file, "--source", source, "--wait") as running:
        for turn in range(1, 3):
            with HeaderlessVpn(namespace, mac="02:00:00:00:00:08") as vpn:
                if source != "nflog":  # rules of a name need not be told
                    running.wait_for("cipsec0 is there", turn)
                exchange(vpn)
                time.sleep(0.2)
        assert running.stop() == 0
    name = "cipsec0" if source == "nflog" else "cipsec0 (netfilter)"
    rows = tshark(
        file, ("ip.dst", "udp.payload", "frame.interface_name"), f'frame.interface_name == "{name}"'
    )
    if source == "auto":
        rows = tshark(file, ("ip.dst", "udp.payload", "frame.interface_name"))
        name = "cipsec0"
    assert rows == 2 * [[row[1], row[4], name] for row in expected()]


def test_a_packet_reaches_a_pipe_within_50_ms(vpn: HeaderlessVpn) -> None:
    """The reader of a pipe sees a packet soon after it was logged."""
    arguments = ("-i", "cipsec0", "-o", "-", "--source", "nflog")
    with capture(vpn.namespace, *arguments, stdout=subprocess.PIPE) as running:
        assert running.process.stdout is not None
        pipe = running.process.stdout.fileno()
        time.sleep(0.2)
        os.read(pipe, 65536)  # the section's beginning
        delays = []
        with vpn.namespace.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for n in range(10):
                before = time.monotonic()
                sender.sendto(b"packet %d" % n, ("10.8.0.1", 53))
                assert b"packet %d" % n in os.read(pipe, 65536)
                delays.append(time.monotonic() - before)
        assert sorted(delays)[5] < 0.05
        running.process.stdout.close()


class Crossroads:
    """A host with a veth to each of two neighbours, between which it forwards."""

    def __init__(self) -> None:
        self.left, self.host, self.right = (NetworkNamespace(ipv6=True) for _ in range(3))
        for side, name, number in ((self.left, "left", 1), (self.right, "right", 2)):
            ours, theirs = f"02:00:00:00:0{number}:02", f"02:00:00:00:0{number}:01"
            self.host.add_veth_pair(name, "eth0", side, address=ours, peer={"address": theirs})
            for namespace, device, last, other, mac in (
                (self.host, name, 2, 1, theirs),
                (side, "eth0", 1, 2, ours),
            ):
                namespace.add_address(device, f"10.{number}.0.{last}", 24)
                namespace.add_address(device, f"fd0{number}::{last}", 64)
                namespace.add_neighbour(device, f"10.{number}.0.{other}", mac)
                namespace.add_neighbour(device, f"fd0{number}::{other}", mac)
            gateways = (f"10.{number}.0.2", f"fd0{number}::2")
            side.netlink(
                lambda ipr, gateways=gateways: [
                    ipr.route("add", dst="default", gateway=gateways[0]),
                    ipr.route("add", dst="::/0", gateway=gateways[1], family=socket.AF_INET6),
                ]
            )
        self.host.sysctl("ipv4/ip_forward", "1")
        self.host.sysctl("ipv6/conf/all/forwarding", "1")

    def traffic(self) -> None:
        """Send UDP from left to the host and to right, and from the host to right, by IPv4 and IPv6."""
        for family, to_host, to_right in (
            (socket.AF_INET, "10.1.0.2", "10.2.0.1"),
            (socket.AF_INET6, "fd01::2", "fd02::1"),
        ):
            for namespace, target in ((self.left, to_host), (self.left, to_right), (self.host, to_right)):
                with namespace.entered(), socket.socket(family, socket.SOCK_DGRAM) as sender:
                    for n in range(20):
                        sender.sendto(bytes(range(n)) * 10, (target, 4000 + n))

    def close(self) -> None:
        for namespace in (self.left, self.host, self.right):
            namespace.close()


@contextmanager
def started(running: list[Capture]) -> Iterator[None]:
    try:
        yield
    finally:
        for one in running:
            one.kill()


@pytest.mark.parametrize(
    ("name", "hook", "direction", "only"),
    [
        ("left", "prerouting", "inbound", None),
        ("left", "input", "inbound", ("10.1.0.2", "fd01::2")),
        ("right", "output", "outbound", ("10.2.0.2", "fd02::2")),
        ("right", "postrouting", "outbound", None),
        ("right", "forward", "outbound", ("10.1.0.1", "fd01::1")),
    ],
)
def test_netfilter_shows_what_a_tap_shows(
    tmp_path: Path, name: str, hook: str, direction: str, only: tuple[str, str] | None
) -> None:
    """Hook by hook the same packets as on the tap, byte for byte from the network layer up.

    `only`: the addresses, as destination inbound and as source outbound, of what meets the hook.
    """
    tap, log = tmp_path / "tap.pcapng", tmp_path / "log.pcapng"
    path = Crossroads()
    running = [
        Capture(path.host, "-i", name, "-o", tap),
        Capture(path.host, "-i", name, "-o", log, "--source", "nflog", "--nflog-hooks", hook),
    ]
    with started(running):
        path.traffic()
        time.sleep(0.1)
        assert [one.stop() for one in running] == [0, 0]
    path.close()
    shown = network_layer(tap, direction, only)
    assert len(shown) >= 40
    assert network_layer(log, direction, only) == shown


def network_layer(file: Path, direction: str, only: tuple[str, str] | None) -> list[bytes]:
    """Return the UDP packets of a file that go in `direction` and belong to `only`, without cooked header, sorted."""
    found = []
    for packet in packets(file):
        data = packet.packet_data[16:]
        six = data[0] >> 4 == 6
        if packet.options["epb_flags"].inout != direction or data[6 if six else 9] != socket.IPPROTO_UDP:
            continue
        outbound = direction == "outbound"
        address = data[8 if outbound else 24 :][:16] if six else data[12 if outbound else 16 :][:4]
        text = socket.inet_ntop(socket.AF_INET6 if six else socket.AF_INET, address)
        if only is None or text in only:
            found.append(bytes(data[: packet.packet_len - 16]))
    return sorted(found)


def test_without_the_capability_it_is_named(namespace: NetworkNamespace, tmp_path: Path) -> None:
    """CAP_NET_RAW is enough for a packet socket, and not for netfilter; no file is made."""
    program = (
        "import ctypes, struct, sys\n"
        "from capfix.cli import main\n"
        "only_net_raw = struct.pack('6I', 1 << 13, 1 << 13, 0, 0, 0, 0)\n"
        "header = struct.pack('Ii', 0x20080522, 0)\n"
        "assert ctypes.CDLL(None).capset(header, only_net_raw) == 0\n"
        f"sys.exit(main(['run', '-i', 'lo', '-o', {str(tmp_path / 'out.pcapng')!r}, '--source', 'auto']))\n"
    )
    with namespace.entered():
        result = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=TIMEOUT
        )
    assert result.returncode == 1
    assert "CAP_NET_ADMIN is missing" in result.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--nflog-group", "5"), "--nflog-group needs --source nflog, both or auto"),
        (("--nflog-hooks", "input"), "--nflog-hooks needs --source nflog, both or auto"),
        (("--source", "nflog", "--nflog-rules", "none"), "--nflog-rules none needs --nflog-group"),
        (("--source", "nflog", "--nflog-hooks", "ingress"), "'ingress' is not a netfilter hook"),
        (("--source", "nflog", "--nflog-group", "65536"), "'65536' is not a log group"),
        (
            ("--source", "both", "--link", "ethernet", "--keep-headers"),
            "--keep-headers needs --source packet",
        ),
        (
            ("--source", "nflog", "--nflog-group", "5", "--nflog-rules", "none", "--nflog-hooks", "input"),
            "--nflog-rules none that it makes none",
        ),
    ],
)
def test_options_that_cannot_be(
    namespace: NetworkNamespace, tmp_path: Path, arguments: tuple[str, ...], complaint: str
) -> None:
    """Wrong usage is said before anything is made."""
    status, stderr = refused(namespace, "-i", "lo", "-o", tmp_path / "out.pcapng", *arguments)
    assert status == 2
    assert complaint in stderr
    assert not list(tmp_path.iterdir())


CHOICES = {
    "inbound": ("-Q", "in"),
    "outbound": ("-Q", "out"),
    "by-expression": ("-f", f"inbound and src host {FAR_ADDRESS} and udp"),
    "by-length": ("-f", "udp and less 50"),
    "by-deep-byte": ("-f", "udp[70:1] = 0x2e and inbound", "-s", "44"),
    "by-mark": ("--mark", "7"),
}


@pytest.mark.parametrize("source", ["nflog", "both"])
def test_packets_of_the_log_are_chosen_as_those_of_a_socket(
    tunnel: BypassingTunnel, tmp_path: Path, source: str
) -> None:
    """Expression, mark, direction and length choose among what netfilter logs, whatever is cut off."""
    files = {name: tmp_path / f"{name}.pcapng" for name in CHOICES}
    seen = {}
    for group, (name, choice) in enumerate(CHOICES.items(), 1100):
        arguments = (
            "-i",
            tunnel.NAME,
            "-o",
            files[name],
            "--source",
            source,
            "--nflog-group",
            group,
            *choice,
        )
        with capture(tunnel.near, *arguments) as running:
            tunnel.exchange(2)
            settle()
            assert running.stop() == 0
        rows = tshark(files[name], ["ip.src", "frame.packet_flags_direction"], "udp && !ipv6")
        seen[name] = [tuple(row) for row in rows]
    came, went = (FAR_ADDRESS, "0x00000001"), (NEAR_ADDRESS, "0x00000002")
    assert seen == {
        "inbound": [came] * 2,
        "outbound": [went] * 2,
        "by-expression": [came] * 2,
        "by-length": [],
        "by-deep-byte": [came] * 2,
        "by-mark": [],
    }


def test_the_log_s_marks(namespace: NetworkNamespace, tmp_path: Path) -> None:
    """--mark takes exactly the packets that netfilter shows with that mark."""
    file = tmp_path / "out.pcapng"
    with capture(namespace, "-i", "lo", "-o", file, "--source", "nflog", "--mark", "7/0xf") as running:
        with namespace.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for mark in (0, 7, 8, 23):
                sender.setsockopt(socket.SOL_SOCKET, SO_MARK, mark)
                sender.sendto(bytes([mark]) * 4, ("127.0.0.1", 9))
        settle()
        assert running.stop() == 0
    assert tshark(file, ["udp.payload"], "udp && !icmp") == [["07070707"], ["17171717"]]


@pytest.mark.parametrize("snaplen", [1, 17, 40])
def test_packets_of_the_log_are_cut_to_exact_prefixes(
    namespace: NetworkNamespace, tmp_path: Path, snaplen: int
) -> None:
    """Cut, a logged packet is the prefix of what it was, with its original length."""
    whole, cut = tmp_path / "whole.pcapng", tmp_path / "cut.pcapng"
    common = ("-i", "lo", "--source", "nflog", "--link", "ethernet")
    with (
        capture(namespace, *common, "-o", whole, "--nflog-group", 1200) as first,
        capture(namespace, *common, "-o", cut, "--nflog-group", 1201, "-s", snaplen) as second,
    ):
        with namespace.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
            for address in ("127.0.0.1", "224.0.0.251"):
                sender.sendto(b"x" * 100, (address, 9))
        settle()
        assert (first.stop(), second.stop()) == (0, 0)
    assert len(packets(whole)) >= 2
    assert [packet.packet_data for packet in packets(cut)] == [
        packet.packet_data[:snaplen] for packet in packets(whole)
    ]
    assert [packet.packet_len for packet in packets(cut)] == [packet.packet_len for packet in packets(whole)]


def test_checksums_left_to_the_device_are_computed(namespace: NetworkNamespace, tmp_path: Path) -> None:
    """On the loopback interface, where nothing ever computes them: tshark finds each one right."""
    file = tmp_path / "out.pcapng"
    arguments = ("-i", "lo", "-o", file, "--source", "nflog", "--fix-checksums", "--link", "raw")
    with capture(namespace, *arguments) as running:
        with namespace.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for number in range(EACH_WAY):
                sender.sendto(b"capfix" * number, ("127.0.0.2", 9))
        settle()
        assert running.stop() == 0
    command = [need("tshark"), "-n", "-r", str(file), "-o", "udp.check_checksum:TRUE", "-Y", "udp && !icmp"]
    command += ["-T", "fields", "-e", "udp.checksum.status"]
    found = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    assert found == ["1"] * EACH_WAY
