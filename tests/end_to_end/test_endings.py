"""Whatever happens, the file ends at a whole block: while it grows, on a full disk, after a mistake of our own."""

import os
import signal
import socket
import struct
import threading
import time
from pathlib import Path

import pytest
from pcapng import FileScanner
from pcapng.blocks import InterfaceStatistics

from capfix.lab import HeaderlessVpn, NetworkNamespace
from tests.end_to_end.test_run import FIELDS, exchange, expected, settle
from tests.support.capturing import capture, packets, statistics, tshark
from tests.support.load import NumberedTraffic, numbers_and_drops

pytestmark = pytest.mark.root

BLOCK_LIMIT = 262144
LONGEST_WRITE_S = (
    0.25  # some milliseconds in fact; a file that stays torn does so until the next write, or for good
)

AFTER_NOHUP = (
    "-c",
    "import signal, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN); from capfix.cli import main; sys.exit(main())",
)
MISTAKEN = (
    "-c",
    "import sys; from capfix.cli import main; from capfix.session.sources.packet import PacketSource; "
    "PacketSource.convert = lambda self, *_: 1 / 0; sys.exit(main())",
)


class Watch:
    """Looks at a growing file as another process, and notes for how long at most it did not end at a whole block."""

    def __init__(self, path: Path) -> None:
        self.longest_torn_s = 0.0
        self.looks = 0
        self._fd = os.open(path, os.O_RDONLY)
        self._whole = 0
        self._torn_since: float | None = None

    def look(self) -> None:
        self.looks += 1
        now, size = time.monotonic(), os.fstat(self._fd).st_size
        while self._whole + 12 <= size:
            _, total = struct.unpack("<II", os.pread(self._fd, 8, self._whole))
            assert 12 <= total <= BLOCK_LIMIT, f"no block at {self._whole} of {size}"
            if self._whole + total > size:
                break
            self._whole += total
        if self._whole == size:
            self._torn_since = None
            return
        self._torn_since = self._torn_since or now
        self.longest_torn_s = max(self.longest_torn_s, now - self._torn_since)

    def close(self) -> None:
        os.close(self._fd)


def test_a_growing_file_is_whole_between_writes(namespace: NetworkNamespace, tmp_path: Path) -> None:
    """Under load no other process sees, for longer than a write takes, a file that ends within a block."""
    file = tmp_path / "out.pcapng"
    namespace.add_veth_pair("va", "vb")
    traffic = NumberedTraffic(namespace, "va")
    with capture(namespace, "-i", "vb", "-o", file) as running:
        sending = threading.Thread(target=traffic.send, args=(2.5, 100_000))
        sending.start()
        watch = Watch(file)
        while sending.is_alive():
            watch.look()
            time.sleep(0.0005)
        sending.join()
        assert running.stop() == 0
    watch.look()
    watch.close()
    traffic.close()
    assert watch.longest_torn_s < LONGEST_WRITE_S
    assert watch.looks > 100
    assert file.stat().st_size > 4 << 20  # more than one buffer, so that pages were written directly


def test_a_capture_can_be_stopped_under_load(namespace: NetworkNamespace, tmp_path: Path) -> None:
    """It ends soon though packets keep coming, and what was received until then is in the file or counted."""
    file = tmp_path / "out.pcapng"
    namespace.add_veth_pair("va", "vb")
    traffic = NumberedTraffic(namespace, "va")
    sending = threading.Thread(target=traffic.send, args=(2, 100_000))
    with capture(namespace, "-i", "vb", "-o", file) as running:
        sending.start()
        time.sleep(0.3)
        assert running.stop() == 0
        assert sending.is_alive()
    sending.join()
    traffic.close()
    numbers = [number for number, _, _ in numbers_and_drops(file)]
    options = statistics(file)["vb"].options
    assert len(numbers) + options["isb_osdrop"] == options["isb_ifrecv"]
    assert len(numbers) > 1000
    assert numbers == sorted(numbers)


def test_a_full_disk_ends_the_capture(vpn: HeaderlessVpn, small_tmpfs: Path) -> None:
    """Status 1, the reason, and a file with all that fitted, which says why it ends there if there was room to."""
    file = small_tmpfs / "out.pcapng"
    with capture(vpn.namespace, "-i", "cipsec0", "-o", file) as running:
        with vpn.namespace.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for _ in range(2000):
                sender.sendto(bytes(1000), ("10.8.0.1", 53))
        assert running.wait() == 1
    kept = packets(file)
    assert f"{len(kept)} packets captured" in running.stderr
    assert f"cannot write {file}: no space left on device" in running.stderr
    assert f"{2000 - len(kept)} packets captured but lost to the output" in running.stderr
    assert {tuple(row) for row in tshark(file, ["ip.dst", "udp.dstport"])} == {("10.8.0.1", "53")}
    with file.open("rb") as stream:
        told = [block.options for block in FileScanner(stream) if isinstance(block, InterfaceStatistics)]
    assert [options["isb_usrdeliv"] for options in told] in ([], [len(kept)])
    assert all("no space left on device" in options["opt_comment"] for options in told)


def test_a_mistake_of_our_own_ends_the_capture(vpn: HeaderlessVpn, tmp_path: Path) -> None:
    """What nobody expected is told in full, once, and the file is whole all the same."""
    file = tmp_path / "out.pcapng"
    with capture(vpn.namespace, "-i", "cipsec0", "-o", file, program=MISTAKEN) as running:
        exchange(vpn)
        assert running.wait() == 1
    assert running.stderr.count("ZeroDivisionError") == 1
    assert tshark(file, FIELDS) == []


def test_hanging_up_does_not_end_what_was_started_to_outlive_it(vpn: HeaderlessVpn, tmp_path: Path) -> None:
    """Started by nohup, a capture goes on when the terminal goes."""
    file = tmp_path / "out.pcapng"
    with capture(vpn.namespace, "-i", "cipsec0", "-o", file, program=AFTER_NOHUP) as running:
        running.process.send_signal(signal.SIGHUP)
        time.sleep(0.3)
        exchange(vpn)
        settle()
        assert running.stop() == 0
    assert tshark(file, FIELDS) == expected()


def test_a_second_signal_ends_at_once(vpn: HeaderlessVpn, tmp_path: Path) -> None:
    """Two signals at the same time end the capture with a whole file too."""
    file = tmp_path / "out.pcapng"
    with capture(vpn.namespace, "-i", "cipsec0", "-o", file) as running:
        exchange(vpn)
        time.sleep(0.3)  # taken out of the ring
        running.process.send_signal(signal.SIGINT)
        running.process.send_signal(signal.SIGTERM)
        assert running.wait() == 0
    assert tshark(file, FIELDS) == expected()
