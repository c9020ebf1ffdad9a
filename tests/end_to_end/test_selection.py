"""`capfix run` takes the packets it is asked for, and as much of each: tcpdump and tshark judge."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pcapng import FileScanner
from pcapng.blocks import InterfaceDescription
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Raw

from capfix.lab import HeaderlessVpn, NetworkNamespace
from capfix.wire.link_types import LINK_TYPES, Carries
from tests.end_to_end.test_run import exchange, settle
from tests.support.capturing import Capture, capture, packets, refused, tshark
from tests.support.selection_traffic import (
    ETHERNET_EXPRESSIONS,
    EXPRESSIONS,
    RECEIVER,
    SENDER,
    frames,
    marked,
    unmarked,
)
from tests.support.tcpdump import Kept, Tcpdump, pcap_records, send
from tests.support.tools import need

# What is sent is not all IP
LINKS = tuple(name for name, link_type in LINK_TYPES.items() if link_type.carries is not Carries.IP)
SO_MARK = 36


@pytest.fixture
def cable(namespace: NetworkNamespace) -> NetworkNamespace:
    """The namespace with one veth pair: what is sent on `near` goes out there and comes in on `far`."""
    namespace.add_veth_pair("near", "far", address=SENDER, peer={"address": RECEIVER})
    return namespace


def kept(file: Path, indexes: dict[str, int]) -> Kept:
    """Return which of the frames are in a file, and from which interface."""
    return {
        (indexes[packet.interface.options["if_name"]], number)
        for packet in packets(file)
        if (number := marked(packet.packet_data)) is not None
    }


def interface_blocks(file: Path) -> list[InterfaceDescription]:
    with file.open("rb") as stream:
        return [block for block in FileScanner(stream) if isinstance(block, InterfaceDescription)]


@contextlib.contextmanager
def captures(namespace: NetworkNamespace, arguments: list[tuple[object, ...]]) -> Iterator[list[Capture]]:
    """Yield a running capture for each set of arguments, all started together."""
    with ThreadPoolExecutor(8) as pool:
        running = list(pool.map(lambda words: Capture(namespace, *words, "-B", 1), arguments))
    try:
        yield running
    finally:
        for each in running:
            each.kill()


def stop_all(running: list[Capture]) -> list[int]:
    """Stop captures together and return their exit statuses."""
    for each in running:
        each.process.send_signal(signal.SIGINT)
    return [each.wait() for each in running]


ASKED = [*EXPRESSIONS, *ETHERNET_EXPRESSIONS]
BATCHES = [ASKED[at : at + 20] for at in range(0, len(ASKED), 20)]


@pytest.mark.root
@pytest.mark.parametrize("expressions", BATCHES, ids=[f"from {batch[0]}" for batch in BATCHES])
def test_keeps_what_tcpdump_keeps(cable: NetworkNamespace, tmp_path: Path, expressions: list[str]) -> None:
    """On named interfaces and, by turns, on `any`: the file holds what tcpdumps on the interfaces keep meanwhile."""
    need("tcpdump")
    indexes = cable.interfaces()
    texts = [text.format(receiver=indexes["far"]) for text in expressions]
    files = [tmp_path / f"{n}.pcapng" for n in range(len(texts))]
    dumps = [
        [Tcpdump(cable, name, text, tmp_path / f"{name}{n}.pcap") for name in ("near", "far")]
        for n, text in enumerate(texts)
    ]
    arguments = [
        (
            *(("-i", "any") if n % 2 else ("-i", "near", "-i", "far")),
            "-o",
            file,
            "-f",
            text,
            "--link",
            LINKS[n % 3],
        )
        for n, (file, text) in enumerate(zip(files, texts, strict=True))
    ]
    with contextlib.ExitStack() as stack:
        for dump in (dump for pair in dumps for dump in pair):
            stack.callback(dump.kill)
        running = stack.enter_context(captures(cable, arguments))
        assert all(dump.listens() for pair in dumps for dump in pair)
        send(cable, "near", tuple(unmarked(frame) for frame in frames()))  # see Tcpdump
        send(cable, "near", frames())
        settle()
        assert set(stop_all(running)) == {0}
        for near, far in dumps:
            near.stop()
            far.stop()
    for file, text, (near, far) in zip(files, texts, dumps, strict=True):
        assert kept(file, indexes) == near.kept(indexes) | far.kept(indexes), text
        assert {block.options["if_filter"] for block in interface_blocks(file)} == {(0, text.encode())}


HEADERLESS_EXPRESSIONS = (
    "udp",
    "udp dst port 53",
    "inbound",
    "outbound and udp",
    "src host 10.8.0.1 and inbound",
    "not dst host 10.8.0.1",
    "ip[8] > 60 and len > 10",
    "udp[4:2] = 12",
    "udp src port 53 or vlan",
    "less 20",
)


@pytest.mark.root
@pytest.mark.parametrize(
    "more", [(), ("--link", "ethernet", "--keep-headers")], ids=["cooked", "keep-headers"]
)
def test_headerless_packets_are_chosen_as_by_tcpdump_afterwards(
    vpn: HeaderlessVpn, tmp_path: Path, more: tuple[str, ...]
) -> None:
    """On an interface without inbound headers a filter keeps what tcpdump finds in capfix's own unfiltered file."""
    need("tcpdump")
    files = [tmp_path / f"{n}.pcapng" for n in range(len(HEADERLESS_EXPRESSIONS))]
    everything = tmp_path / "everything.pcapng"
    arguments = [("-i", "cipsec0", "-o", everything, "--link", "sll2")] + [
        ("-i", "cipsec0", "-o", file, "-f", text, *more)
        for file, text in zip(files, HEADERLESS_EXPRESSIONS, strict=True)
    ]
    with captures(vpn.namespace, arguments) as running:
        exchange(vpn)
        settle()
        assert set(stop_all(running)) == {0}
    assert len(packets(everything)) == 10
    for file, text in zip(files, HEADERLESS_EXPRESSIONS, strict=True):
        text = text.replace(" or vlan", "")  # which tcpdump does not know in a cooked file
        command = ["tcpdump", "-r", everything, "-w", tmp_path / "chosen.pcap", text]
        subprocess.run(command, check=True, capture_output=True)
        chosen = [frame[20:] for frame in pcap_records((tmp_path / "chosen.pcap").read_bytes())]
        ours = [packet.packet_data[14 if more else 16 :] for packet in packets(file)]
        assert ours == chosen, text


@pytest.mark.root
def test_address_questions_work_where_headers_are_kept(cable: NetworkNamespace, tmp_path: Path) -> None:
    """`ether host` is refused with a way out, and that way works."""
    file = tmp_path / "out.pcapng"
    arguments = ("-i", "far", "-o", file, "-f", "ether dst 02:00:00:00:00:99")
    status, words = refused(cable, *arguments)
    assert status == 2
    assert "asks for the Ethernet addresses" in words
    assert "--keep-headers" in words
    with capture(cable, *arguments, "--link", "ethernet", "--keep-headers") as running:
        send(cable, "near", frames())
        settle()
        assert running.stop() == 0
    (packet,) = packets(file)
    assert packet.packet_data[:6].hex(":") == "02:00:00:00:00:99"


@pytest.mark.root
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("-f", "udp and and tcp"), "syntax error at `and`, after `udp and`"),
        (("-f", "ifname eth0"), "choose interfaces with -i"),
        (("--mark", "7x"), "say VALUE or VALUE/MASK"),
        (("-s", "-1"), "-s"),
        (("-Q", "up"), "invalid choice: 'up'"),
    ],
)
def test_wrong_choices_start_nothing(
    namespace: NetworkNamespace, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    """Status 2, the reason in one line, and no file."""
    status, said = refused(namespace, "-i", "lo", "-o", tmp_path / "out.pcapng", *arguments)
    assert status == 2
    assert words in said
    assert "Traceback" not in said
    assert os.listdir(tmp_path) == []


def send_marked(namespace: NetworkNamespace, marks: list[int]) -> None:
    """Send a datagram over lo with each mark, its mark in its payload."""
    with namespace.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for mark in marks:
            sender.setsockopt(socket.SOL_SOCKET, SO_MARK, mark)
            sender.sendto(mark.to_bytes(4, "big"), ("127.0.0.1", 9))


def payload_marks(file: Path) -> list[int]:
    return [int(row[0], 16) for row in tshark(file, ["udp.payload"], "udp && !icmp")]


@pytest.mark.root
def test_marks_set_by_a_program(namespace: NetworkNamespace, tmp_path: Path) -> None:
    """--mark takes exactly the packets with that mark, whole or under a mask."""
    wanted = {"1007": [1007], "0x3ef/0xfff": [1007, 0x13EF], "0": [0]}
    files = {mark: tmp_path / f"{n}.pcapng" for n, mark in enumerate(wanted)}
    with captures(namespace, [("-i", "lo", "-o", files[mark], "--mark", mark) for mark in wanted]) as running:
        send_marked(namespace, [0, 7, 1007, 0x13EF, 1008])
        settle()
        assert set(stop_all(running)) == {0}
    assert {mark: payload_marks(file) for mark, file in files.items()} == wanted


@pytest.mark.root
def test_marks_set_on_packets_put_back_into_the_stack(cable: NetworkNamespace, tmp_path: Path) -> None:
    """Packets that a rule marks and queues again are told from the same packets before that."""
    need("nft")
    rules = """
        add table netdev again
        add chain netdev again arriving { type filter hook ingress device far priority 0; }
        add rule netdev again arriving udp dport 77 meta mark set 1007 fwd to lo
    """
    with cable.entered():
        subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True)
    file = tmp_path / "out.pcapng"
    sent = Ether(src=SENDER, dst=RECEIVER) / IP(src="10.1.0.1", dst="10.1.0.2")
    with capture(cable, "-i", "any", "-o", file, "--mark", "1007", "-Q", "in") as running:
        for port in (76, 77, 78):
            send(cable, "near", (bytes(sent / UDP(sport=1, dport=port) / Raw(b"x" * 30)),))
        settle()
        assert running.stop() == 0
    assert tshark(file, ["udp.dstport", "frame.interface_name"]) == [["77", "lo"]]


@pytest.mark.root
def test_directions(cable: NetworkNamespace, tmp_path: Path) -> None:
    """-Q takes what comes in, goes out, or both; of lo's two copies the one going out only where that is asked for."""
    files = {direction: tmp_path / f"{direction}.pcapng" for direction in ("in", "out", "inout")}
    with captures(cable, [("-i", "any", "-o", file, "-Q", name) for name, file in files.items()]) as running:
        send(cable, "near", frames()[:1])
        send_marked(cable, [5])
        settle()
        assert set(stop_all(running)) == {0}
    fields = ["frame.interface_name", "frame.packet_flags_direction"]
    came, went = "0x00000001", "0x00000002"
    seen = {name: sorted(map(tuple, tshark(file, fields, "!icmp"))) for name, file in files.items()}
    assert seen == {
        "in": [("far", came), ("lo", came)],
        "out": [("lo", went), ("near", went)],
        "inout": [("far", came), ("lo", came), ("near", went)],
    }


@pytest.mark.root
@pytest.mark.parametrize("link", LINKS)
def test_cut_packets_are_exact_prefixes(cable: NetworkNamespace, tmp_path: Path, link: str) -> None:
    """At any snapshot length each packet is the prefix of its uncut self, with its original length."""
    snaplens = (1, 2, 13, 14, 15, 16, 19, 20, 33, 54, 63, 64, 80, 96, 127, 128)
    files = {snaplen: tmp_path / f"{snaplen}.pcapng" for snaplen in (0, *snaplens)}
    arguments = [("-i", "far", "-o", file, "-s", n, "--link", link) for n, file in files.items()]
    with captures(cable, arguments) as running:
        send(cable, "near", frames())
        settle()
        assert set(stop_all(running)) == {0}
    whole = packets(files[0])
    assert len(whole) == len(frames())
    for snaplen in snaplens:
        cut = packets(files[snaplen])
        assert [packet.packet_data for packet in cut] == [packet.packet_data[:snaplen] for packet in whole]
        assert [packet.packet_len for packet in cut] == [packet.packet_len for packet in whole]
        assert {block.snaplen for block in interface_blocks(files[snaplen])} == {snaplen}
    assert {block.snaplen for block in interface_blocks(files[0])} == {262144}


def promiscuity(namespace: NetworkNamespace, name: str) -> int:
    """Return how many have asked the interface to take in frames for others."""
    index = namespace.index(name)
    links = namespace.netlink(lambda ipr: ipr.get_links(index))
    count = links[0].get_attr("IFLA_PROMISCUITY")
    return int(count)


@pytest.mark.root
@pytest.mark.parametrize(
    ("arguments", "counts"),
    [
        (("-i", "far"), (1, 0, 0)),
        (("-i", "far", "-i", "near", "-i", "lo"), (1, 1, 0)),
        (("-i", "far", "-p"), (0, 0, 0)),
        (("-i", "any"), (0, 0, 0)),
    ],
)
def test_promiscuous_mode(
    cable: NetworkNamespace, tmp_path: Path, arguments: tuple[str, ...], counts: tuple[int, ...]
) -> None:
    """A named Ethernet interface takes in frames for others while it is captured on, unless -p is given."""
    with capture(cable, *arguments, "-o", tmp_path / "out.pcapng") as running:
        assert tuple(promiscuity(cable, name) for name in ("far", "near", "lo")) == counts
        running.stop()
    assert promiscuity(cable, "far") == 0


@pytest.fixture
def two_hosts() -> Iterator[tuple[NetworkNamespace, NetworkNamespace]]:
    """Two hosts on one cable, with IPv4 and IPv6 addresses ending in 1 and 2; checksums are left to the veth device."""
    with NetworkNamespace(ipv6=True) as near, NetworkNamespace(ipv6=True) as far:
        near.add_veth_pair("near", "far", far, address=SENDER, peer={"address": RECEIVER})
        for namespace, name, number in ((near, "near", 1), (far, "far", 2)):
            namespace.add_address(name, f"10.9.0.{number}", 24)
            namespace.add_address(name, f"fd09::{number}", 64)
        yield near, far


def talk(near: NetworkNamespace, far: NetworkNamespace, family: int, address: str) -> None:
    """Send TCP and UDP from one host to the other, in small packets and in ones that the device is to cut up."""
    with far.entered():
        listener = socket.create_server((address, 0), family=family)
    with near.entered():
        speaker = socket.socket(family, socket.SOCK_STREAM)
        datagrams = socket.socket(family, socket.SOCK_DGRAM)

    def drain() -> None:
        connection, _ = listener.accept()
        with connection:
            while connection.recv(1 << 16):
                pass

    thread = threading.Thread(target=drain)
    thread.start()
    with listener, speaker, datagrams:
        speaker.connect(listener.getsockname()[:2])
        speaker.sendall(b"a")
        speaker.sendall(b"b" * 200_000)
        speaker.shutdown(socket.SHUT_WR)
        thread.join()
        for size in (0, 1, 2, 1000):
            datagrams.sendto(b"c" * size, (address, 9))


CHECKSUMS = ("-o", "tcp.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE")
GOOD, BAD = "1", "0"


@pytest.mark.root
@pytest.mark.parametrize("link", LINKS)
def test_checksums_left_to_the_device_are_completed(
    two_hosts: tuple[NetworkNamespace, NetworkNamespace], tmp_path: Path, link: str
) -> None:
    """Every TCP and UDP packet has a good checksum for tshark, but for those that were wrong when they were sent."""
    near, far = two_hosts
    file, as_it_is = tmp_path / "out.pcapng", tmp_path / "as-it-is.pcapng"
    wrong = Ether(src=SENDER, dst=RECEIVER) / IP(src="10.9.0.1", dst="10.9.0.2")
    common = ("-i", "near", "--link", link, "-f", "tcp or udp")
    with captures(near, [(*common, "-o", file, "--fix-checksums"), (*common, "-o", as_it_is)]) as running:
        talk(near, far, socket.AF_INET, "10.9.0.2")
        talk(near, far, socket.AF_INET6, "fd09::2")
        send(
            near,
            "near",
            (bytes(wrong / TCP(dport=7, chksum=0x1234)), bytes(wrong / UDP(dport=7, chksum=0x1234))),
        )
        settle()
        assert set(stop_all(running)) == {0}
    fields = ["tcp.checksum.status", "udp.checksum.status", "ip.checksum.status"]
    ours = "!icmp && !icmpv6"
    not_meant = f"{ours} && !(tcp.dstport == 7 || udp.dstport == 7)"
    statuses = {status for row in tshark(file, fields, not_meant, *CHECKSUMS) for status in row if status}
    assert statuses == {GOOD}
    meant = tshark(file, fields[:2], f"{ours} && (tcp.dstport == 7 || udp.dstport == 7)", *CHECKSUMS)
    assert meant == [[BAD, ""], ["", BAD]]
    before = [status for row in tshark(as_it_is, fields[:2], ours, *CHECKSUMS) for status in row if status]
    assert before.count(BAD) > 10
    assert all(
        "checksums left to the device" in block.options["if_description"] for block in interface_blocks(file)
    )
    assert "checksums" not in interface_blocks(as_it_is)[0].options["if_description"]


@pytest.mark.root
def test_filter_is_shown_where_it_is_asked_for(namespace: NetworkNamespace, tmp_path: Path) -> None:
    """-v shows the program in the kernel."""
    with capture(namespace, "-i", "lo", "-o", tmp_path / "x.pcapng", "-f", "udp port 53", "-v") as running:
        time.sleep(0)
        running.stop()
    assert re.search(r"the filter in the kernel:\n\(000\) .*\n(.*\n)*\(\d+\) ret", running.stderr)


def tagged(number: int, vlan_id: int | None) -> bytes:
    """Return a frame of UDP to this port, in this VLAN."""
    tag = [] if vlan_id is None else [Dot1Q(vlan=vlan_id)]
    frame = Ether(src=SENDER, dst=RECEIVER)
    for layer in [*tag, IP(src="10.1.0.1", dst="10.1.0.2") / UDP(sport=9, dport=number) / Raw(b"." * 30)]:
        frame = frame / layer
    return bytes(frame)


@pytest.mark.root
@pytest.mark.parametrize(
    ("arguments", "ports"),
    [
        (("--vlan", "5,7-9,none"), {5, 7, 8, 1}),
        (("--vlan", "none"), {1}),
        (("--vlan", "5,6", "-f", "udp dst port 6 or udp dst port 1"), {6}),
    ],
)
def test_vlans_are_chosen_by_the_outer_tag(
    cable: NetworkNamespace, tmp_path: Path, arguments: tuple[str, ...], ports: set[int]
) -> None:
    """On real frames, alone and before an expression, which then speaks of what follows the tag."""
    file = tmp_path / "x.pcapng"
    with capture(cable, "-i", "far", "-o", file, "--link", "sll2", *arguments) as running:
        send(
            cable,
            "near",
            tuple(tagged(number, number if number > 1 else None) for number in (1, 5, 6, 7, 8, 10)),
        )
        settle()
        assert running.stop() == 0
    assert {int(row[0]) for row in tshark(file, ["udp.dstport"], "udp.srcport == 9")} == ports


@pytest.mark.root
def test_an_expression_is_read_from_a_file(cable: NetworkNamespace, tmp_path: Path) -> None:
    """Over several lines, with comments; the interface block shows it."""
    file, expression = tmp_path / "x.pcapng", tmp_path / "filter"
    expression.write_text("# both\nudp dst port 1 # one\n  or udp dst port 3\n")
    with capture(cable, "-i", "far", "-o", file, "-F", expression) as running:
        send(cable, "near", tuple(tagged(number, None) for number in (1, 2, 3)))
        settle()
        assert running.stop() == 0
    assert [row[0] for row in tshark(file, ["udp.dstport"], "udp.srcport == 9")] == ["1", "3"]
    assert interface_blocks(file)[0].options["if_filter"] == (0, b"udp dst port 1 or udp dst port 3")


@pytest.mark.root
def test_a_vlan_that_means_something_else_is_warned_of(namespace: NetworkNamespace, tmp_path: Path) -> None:
    """With the form that works."""
    with capture(namespace, "-i", "lo", "-o", tmp_path / "x.pcapng", "-f", "vlan 5 or vlan 7") as running:
        assert running.stop() == 0
    assert "use --vlan 5,7" in running.stderr
