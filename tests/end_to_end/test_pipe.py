"""`capfix run` into a pipe: what its reader gets and when, and how it ends with its reader.

CAPFIX_SOAK=1 makes the repeated and the long tests as long as they are meant: 20 rounds, a minute.
"""

import contextlib
import io
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pcapng import FileScanner
from pcapng.blocks import EnhancedPacket, InterfaceDescription, InterfaceStatistics, SectionHeader

from capfix.lab import HeaderlessVpn, NetworkNamespace
from tests.end_to_end.test_run import FIELDS, LINKS, exchange, expected, settle
from tests.support.capturing import TIMEOUT, Capture, capture, tshark

pytestmark = pytest.mark.root

SOAK = os.environ.get("CAPFIX_SOAK") == "1"
ROUNDS = 20 if SOAK else 5
STALL_S = 60 if SOAK else 4
DATAGRAM = bytes.fromhex("45000578000100004011 0000 0a080001 0a080002 1000 2000 0564 0000") + bytes(1372)


class Pipe:
    """A pipe whose writing end is a capture's stdout, until `begun`."""

    def __init__(self) -> None:
        self.read_end, self.write_end = os.pipe()

    def begun(self) -> None:
        """Leave the writing end to the capture alone."""
        os.close(self.write_end)
        self.write_end = -1

    def read(self) -> bytes:
        """Return what comes first, waiting for it."""
        return os.read(self.read_end, 1 << 20)

    def read_all(self) -> bytes:
        """Return everything up to the end."""
        with os.fdopen(os.dup(self.read_end), "rb") as stream:
            return stream.read()

    def close(self) -> None:
        """Be a reader who goes."""
        if self.read_end >= 0:
            os.close(self.read_end)
            self.read_end = -1


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """A pipe to capture into."""
    pipe = Pipe()
    yield pipe
    pipe.close()
    if pipe.write_end >= 0:
        os.close(pipe.write_end)


@contextlib.contextmanager
def piped(namespace: NetworkNamespace, pipe: Pipe, *arguments: object) -> Iterator[Capture]:
    """Yield a capture on cipsec0 that writes into `pipe`."""
    with capture(namespace, "-i", "cipsec0", "-o", "-", *arguments, stdout=pipe.write_end) as running:
        pipe.begun()
        yield running


@contextlib.contextmanager
def load(vpn: HeaderlessVpn) -> Iterator[None]:
    """Have large packets arrive, some ten thousand a second, for the length of a `with` block."""
    over = threading.Event()

    def deliver() -> None:
        while not over.wait(0.001):
            for _ in range(20):
                vpn.deliver(DATAGRAM)

    thread = threading.Thread(target=deliver)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def blocks(stream: bytes) -> list[object]:
    """Return the blocks of a whole pcapng stream as python-pcapng reads them."""
    return list(FileScanner(io.BytesIO(stream)))


def resident_kib(process: "subprocess.Popen[str]") -> int:
    """Return how much memory a process has in use, the ring included."""
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise AssertionError("no VmRSS")


def test_the_head_comes_at_once(vpn: HeaderlessVpn, pipe: Pipe) -> None:
    """Section header and first interface block arrive though no packet does: readers wait for them to open."""
    with piped(vpn.namespace, pipe):
        header, interface = blocks(pipe.read())
    assert isinstance(header, SectionHeader)
    assert isinstance(interface, InterfaceDescription)
    assert interface.options["if_name"] == "cipsec0"


def test_a_packet_does_not_wait_for_others(vpn: HeaderlessVpn, pipe: Pipe) -> None:
    """A single packet is with the reader while nothing follows it."""
    with piped(vpn.namespace, pipe):
        head = pipe.read()
        vpn.deliver(DATAGRAM)
        sent = time.monotonic()
        packet = blocks(head + pipe.read())[-1]
        assert time.monotonic() - sent < 0.25  # a few ms on a quiet machine
    assert isinstance(packet, EnhancedPacket)


@pytest.mark.parametrize("link", LINKS)
def test_tshark_reads_the_pipe(vpn: HeaderlessVpn, pipe: Pipe, link: str) -> None:
    """`tshark -r -` at the other end decodes every packet, with names and directions."""
    fields = [option for field in FIELDS for option in ("-e", field)]
    with piped(vpn.namespace, pipe, "--link", link) as running:
        reader = subprocess.Popen(
            ["tshark", "-n", "-r", "-", "-T", "fields", *fields],
            stdin=pipe.read_end,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        exchange(vpn)
        settle()
        assert running.stop() == 0
        output, _ = reader.communicate(timeout=TIMEOUT)
    assert [line.split("\t") for line in output.splitlines()] == expected()


@pytest.mark.parametrize("link", LINKS)
def test_dumpcap_reads_the_pipe(vpn: HeaderlessVpn, pipe: Pipe, tmp_path: Path, link: str) -> None:
    """`dumpcap -i -`, as which Wireshark reads a pipe, takes all and passes it on as it is."""
    copy = tmp_path / "copy.pcapng"
    with piped(vpn.namespace, pipe, "--link", link) as running:
        reader = subprocess.Popen(
            ["dumpcap", "-q", "-i", "-", "-w", copy], stdin=pipe.read_end, stderr=subprocess.PIPE, text=True
        )
        exchange(vpn)
        settle()
        assert running.stop() == 0
        _, messages = reader.communicate(timeout=TIMEOUT)
    assert reader.returncode == 0, messages
    assert tshark(copy, FIELDS) == expected()
    assert isinstance(blocks(copy.read_bytes())[-1], InterfaceStatistics)


def test_a_fifo_is_written_not_replaced(vpn: HeaderlessVpn, tmp_path: Path) -> None:
    """A FIFO as output stays one, and its reader gets the capture."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    read = subprocess.Popen(["cat", fifo], stdout=subprocess.PIPE)
    with capture(vpn.namespace, "-i", "cipsec0", "-o", fifo) as running:
        vpn.deliver(DATAGRAM)
        settle()
        assert running.stop() == 0
    stream, _ = read.communicate(timeout=TIMEOUT)
    assert fifo.is_fifo()
    kinds = [type(block) for block in blocks(stream)]
    assert kinds == [SectionHeader, InterfaceDescription, EnhancedPacket, InterfaceStatistics]


def test_stdout_may_be_a_file(vpn: HeaderlessVpn, tmp_path: Path) -> None:
    """`-o - > FILE` gives a whole capture file, and nothing else is in it."""
    file = tmp_path / "out.pcapng"
    with (
        file.open("wb") as stdout,
        capture(vpn.namespace, "-i", "cipsec0", "-o", "-", "-v", stdout=stdout.fileno()) as running,
    ):
        exchange(vpn)
        settle()
        assert running.stop() == 0
    assert tshark(file, FIELDS) == expected()


def run_to_end(
    namespace: NetworkNamespace, output: str, **settings: object
) -> "subprocess.CompletedProcess[str]":
    """Return how a capture that should not start has ended."""
    with namespace.entered():
        return subprocess.run(
            [sys.executable, "-m", "capfix", "run", "-i", "cipsec0", "-o", output],
            stderr=subprocess.PIPE,
            text=True,
            timeout=TIMEOUT,
            check=False,
            **settings,
        )


@pytest.mark.parametrize("by_path", [False, True], ids=["stdout", "path"])
def test_a_terminal_is_refused(vpn: HeaderlessVpn, by_path: bool) -> None:
    """A terminal gets no capture, only the two things to do instead on stderr: status 2."""
    terminal, stdout = os.openpty()
    try:
        result = run_to_end(vpn.namespace, os.ttyname(stdout) if by_path else "-", stdout=stdout)
        assert result.returncode == 2
        assert "`-o FILE`" in result.stderr
        assert "`-o - | wireshark -k -i -`" in result.stderr
        os.set_blocking(terminal, False)
        with pytest.raises(BlockingIOError):
            os.read(terminal, 1)
    finally:
        os.close(terminal)
        os.close(stdout)


def test_a_closed_stdout_is_refused(vpn: HeaderlessVpn) -> None:
    """Without a stdout nothing is captured, let alone into whatever took its number: status 1."""
    result = run_to_end(vpn.namespace, "-", preexec_fn=lambda: os.close(1))
    assert (result.returncode, result.stderr) == (1, "capfix: cannot write stdout: bad file descriptor\n")


@pytest.mark.parametrize("kind", ["pipe", "fifo"])
@pytest.mark.parametrize("traffic", [False, True], ids=["silence", "traffic"])
def test_ends_when_the_reader_goes(vpn: HeaderlessVpn, tmp_path: Path, kind: str, traffic: bool) -> None:
    """Without a reader the capture ends within a second, status 0, without a word; no packet is needed for that."""
    for number in range(ROUNDS):
        with contextlib.ExitStack() as stack:
            if kind == "pipe":
                pipe = Pipe()
                running = stack.enter_context(piped(vpn.namespace, pipe))
            else:
                pipe = None
                fifo = tmp_path / str(number)
                os.mkfifo(fifo)
            command = ["cat"] if pipe else ["cat", fifo]
            reader = subprocess.Popen(
                command, stdin=pipe.read_end if pipe else None, stdout=subprocess.DEVNULL
            )
            if pipe:
                pipe.close()
            else:
                running = stack.enter_context(capture(vpn.namespace, "-i", "cipsec0", "-o", fifo))
            if traffic:
                stack.enter_context(load(vpn))
            settle()
            reader.kill()
            reader.wait()
            gone = time.monotonic()
            assert running.wait() == 0
            assert time.monotonic() - gone < 1
            assert running.stderr.startswith("capfix: capturing on cipsec0 to ")
            assert running.stderr.count("\n") == 1


def test_a_reader_may_take_only_the_beginning(vpn: HeaderlessVpn, pipe: Pipe) -> None:
    """A reader like `head -c 100`, under load, gets its bytes and the capture ends as quietly."""
    with load(vpn), piped(vpn.namespace, pipe) as running:
        assert len(os.read(pipe.read_end, 100)) == 100
        pipe.close()
        assert running.wait() == 0
    assert running.stderr == "capfix: capturing on cipsec0 to stdout\n"


def test_a_socket_as_stdout(vpn: HeaderlessVpn) -> None:
    """What is typed into the socket that stdout is under sshd does not end the capture; closing it does."""
    ours, stdout = socket.socketpair()
    with ours, capture(vpn.namespace, "-i", "cipsec0", "-o", "-", stdout=stdout.fileno()) as running:
        stdout.close()
        head = ours.recv(1 << 20)
        ours.sendall(b"typed\n")
        ours.shutdown(socket.SHUT_WR)
        settle()
        vpn.deliver(DATAGRAM)
        assert isinstance(blocks(head + ours.recv(1 << 20))[-1], EnhancedPacket)
        ours.close()
        assert running.wait() == 0


def test_stdout_may_be_non_blocking(vpn: HeaderlessVpn, pipe: Pipe) -> None:
    """A full pipe that somebody made non-blocking is waited for all the same."""
    os.set_blocking(pipe.write_end, False)
    with piped(vpn.namespace, pipe, "-c", "500") as running:
        for _ in range(500):
            vpn.deliver(DATAGRAM)
        time.sleep(0.5)
        stream = pipe.read_all()
        assert running.wait() == 0
    assert sum(isinstance(block, EnhancedPacket) for block in blocks(stream)) == 500


def test_a_slow_reader_gets_all(vpn: HeaderlessVpn, pipe: Pipe) -> None:
    """The packets that were asked for arrive, also at a reader who takes longer than a stalled one is given."""
    with piped(vpn.namespace, pipe, "-c", "500") as running:
        for _ in range(500):
            vpn.deliver(DATAGRAM)
        time.sleep(1.5)
        stream = pipe.read_all()
        assert running.wait() == 0
    assert sum(isinstance(block, EnhancedPacket) for block in blocks(stream)) == 500


def test_a_reader_that_stalls_for_seconds_loses_nothing_of_little(vpn: HeaderlessVpn, pipe: Pipe) -> None:
    """It is bytes that fill the buffers, not the time that passes: 3 MiB in 3 seconds wait for their reader."""
    sent = 2000
    with piped(vpn.namespace, pipe) as running:
        for _ in range(sent):
            vpn.deliver(DATAGRAM)
            time.sleep(0.0015)
        streams: list[bytes] = []
        reading = threading.Thread(target=lambda: streams.append(pipe.read_all()))
        reading.start()
        settle()
        assert running.stop() == 0
        reading.join()
    seen = blocks(streams[0])
    assert sum(isinstance(block, EnhancedPacket) for block in seen) == sent
    assert isinstance(seen[-1], InterfaceStatistics)
    assert seen[-1].options["isb_osdrop"] == 0


def test_a_stalled_reader_costs_drops_not_memory(vpn: HeaderlessVpn, pipe: Pipe) -> None:
    """Memory stays flat while nobody reads; what the kernel drops meanwhile stands in the capture, at its place."""
    with piped(vpn.namespace, pipe, "-B", "4") as running:
        with load(vpn):
            time.sleep(2)  # buffers and ring are full by now
            before = resident_kib(running.process)
            time.sleep(STALL_S)
            after = resident_kib(running.process)
        assert after - before < 256
        streams: list[bytes] = []
        reading = threading.Thread(target=lambda: streams.append(pipe.read_all()))
        reading.start()
        settle()
        vpn.deliver(DATAGRAM)
        settle()
        assert running.stop() == 0
        reading.join()
    seen = blocks(streams[0])
    packets = [block for block in seen if isinstance(block, EnhancedPacket)]
    statistics = seen[-1]
    assert isinstance(statistics, InterfaceStatistics)
    dropped = statistics.options["isb_osdrop"]
    assert dropped > 1000
    assert statistics.options["isb_ifrecv"] == len(packets) + dropped
    assert sum(int(packet.options.get("epb_dropcount", 0)) for packet in packets) == dropped
    assert f"{dropped} dropped by the kernel" in running.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stalled_reader_is_waited_for_one_second(
    vpn: HeaderlessVpn, pipe: Pipe, number: signal.Signals
) -> None:
    """After a signal the reader has one second; then the capture ends, status 1, and says what it gave up."""
    with piped(vpn.namespace, pipe, "-B", "4") as running:
        with load(vpn):
            time.sleep(1)
        told = time.monotonic()
        assert running.stop(number) == 1
        assert 0.9 < time.monotonic() - told < 1.8
    assert "capfix: nobody reads stdout fast enough; gave up what was not written yet\n" in running.stderr
    assert "captured but lost to the output" in running.stderr
    assert "Traceback" not in running.stderr
