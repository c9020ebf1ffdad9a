"""Capture files that last: rotation, retention, restarts and full disks, as a user meets them."""

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from capfix.lab import NetworkNamespace
from tests.support.capturing import capture, statistics
from tests.support.load import NumberedTraffic, numbers_and_drops

SOAK = os.environ.get("CAPFIX_SOAK") == "1"  # `make soak`
pytestmark = [pytest.mark.root, pytest.mark.timeout(3600 if SOAK else 300)]
LOAD_SECONDS = 60 if SOAK else 10
KILLS = 200 if SOAK else 20
FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")


@pytest.fixture
def traffic(namespace: NetworkNamespace) -> Iterator[NumberedTraffic]:
    """Numbered packets that arrive on the interface `far`."""
    namespace.add_veth_pair("near", "far")
    sender = NumberedTraffic(namespace, "near")
    yield sender
    sender.close()


def finished(directory: Path, output: str = "out") -> list[Path]:
    """Return the finished files, in the order of their numbers."""
    return sorted(directory.glob(f"{output}_*.pcapng"))


def read_alone(files: list[Path]) -> None:
    """Assert that Wireshark's reader and tcpdump read each file by itself without a complaint."""
    for file in files:
        subprocess.run(["tcpdump", "-n", "-r", str(file), "-w", "/dev/null"], capture_output=True, check=True)
    judged = subprocess.run(["capinfos", "-c", *map(str, files)], capture_output=True, text=True, check=True)
    assert judged.stdout.count("Number of packets") == len(files)
    assert judged.stderr == ""
    for file in files[:: max(1, len(files) // (600 if SOAK else 5))]:
        read = subprocess.run(["tshark", "-n", "-r", str(file)], capture_output=True, text=True, check=True)
        assert "cut short" not in read.stderr


def test_nothing_is_lost_between_files(
    namespace: NetworkNamespace, traffic: NumberedTraffic, tmp_path: Path
) -> None:
    """With a new file each 100 ms under 200,000 packets a second, every packet missing is a drop the kernel counted."""
    with capture(namespace, "-i", "far", "-o", tmp_path / "out.pcapng", "--rotate-every", "100ms") as running:
        traffic.send(LOAD_SECONDS, 200_000)
        time.sleep(0.3)
        assert running.stop() == 0
    files = finished(tmp_path)
    assert len(files) >= LOAD_SECONDS * 9
    dropped = account(files, traffic.sent)
    assert f"{traffic.sent - dropped} packets captured" in running.stderr
    if SOAK:
        assert dropped == 0
    read_alone(files)
    assert not list(tmp_path.glob("*.part"))


def account(files: list[Path], sent: int) -> int:
    """Assert that drops counted in the files explain all that is missing of `sent` packets; return how many."""
    expected, told, dropped = 0, 0, 0
    for file in files:
        in_file = 0
        for number, drops, _ in numbers_and_drops(file):
            assert number == expected + drops
            expected, in_file = number + 1, in_file + drops
        counted = statistics_of_a_short_read(file)
        assert counted["isb_osdrop"] == in_file or file == files[-1]
        told, dropped = told + in_file, dropped + counted["isb_osdrop"]
    assert dropped - told == sent - expected, "what was dropped behind the last packet"
    return dropped


def test_drops_between_files_are_counted_once(
    namespace: NetworkNamespace, traffic: NumberedTraffic, tmp_path: Path
) -> None:
    """What the kernel drops around a change of files is told on the next packet and counted in its file alone."""
    arguments = ("-i", "far", "-o", tmp_path / "out.pcapng", "-B", "1", "-b", "packets:5000")
    with capture(namespace, *arguments) as running:
        for _ in range(5):
            traffic.send(0.1, 100_000)
            running.process.send_signal(signal.SIGSTOP)
            traffic.send(0.2, 100_000)
            running.process.send_signal(signal.SIGCONT)
        traffic.send(0.2, 5_000)
        time.sleep(0.5)
        assert running.stop() == 0
    dropped = account(finished(tmp_path), traffic.sent)
    assert dropped > 10_000
    assert f"{traffic.sent - dropped} packets captured" in running.stderr


def statistics_of_a_short_read(file: Path) -> dict[str, int]:
    """Return the last statistics of the one interface, without reading the packets block by block in slow code."""
    data = file.read_bytes()
    at = data.rfind(b"\x05\x00\x00\x00", 0, len(data) - 16)
    while int.from_bytes(data[at + 4 : at + 8], "little") != len(data) - at:
        at = data.rfind(b"\x05\x00\x00\x00", 0, at)
    short = file.with_suffix(".short")
    header_length = int.from_bytes(data[4:8], "little")
    interface_length = int.from_bytes(data[header_length + 4 : header_length + 8], "little")
    short.write_bytes(data[: header_length + interface_length] + data[at:])
    try:
        return dict(statistics(short)["far"].options)
    finally:
        short.unlink()


def test_kills_cost_a_second_at_most(
    namespace: NetworkNamespace, traffic: NumberedTraffic, tmp_path: Path
) -> None:
    """SIGKILL at any moment leaves no unreadable file, loses a second at the tail at most, and touches nothing else."""
    foreign = tmp_path / "out_00001_20200101000000.pcapng.bak"
    foreign.write_bytes(b"somebody else's")
    stop = threading.Event()
    sender = threading.Thread(target=_send_until, args=(traffic, stop))
    sender.start()
    chance = random.Random(1007)
    seen_until = []
    try:
        for _ in range(KILLS):
            arguments = ("-i", "far", "-o", tmp_path / "out.pcapng", "--rotate-every", "100ms")
            with capture(namespace, *arguments) as running:
                first = traffic.sent + 1000  # sent after the capture began
                time.sleep(0.2 + chance.random() / 4)
                certain = traffic.sent
                time.sleep(1 + chance.random() / 10)
                running.process.kill()
                running.wait()
                seen_until.append((first, certain))
            assert len(list(tmp_path.glob("*.part"))) <= 2
    finally:
        stop.set()
        sender.join()
    with capture(namespace, "-i", "far", "-o", tmp_path / "out.pcapng", "--rotate-every", "1h") as running:
        assert running.stop() == 0
    assert not list(tmp_path.glob("*.part"))
    files = finished(tmp_path)
    read_alone(files)
    numbers = [number for file in files for number, _, _ in numbers_and_drops(file)]
    assert numbers == sorted(set(numbers))
    present = set(numbers)
    for first, certain in seen_until:
        missing = [number for number in range(first, certain) if number not in present]
        assert not missing, f"{len(missing)} of {certain - first} missing"
    assert foreign.read_bytes() == b"somebody else's"
    assert sorted(path.name for path in tmp_path.iterdir() if path not in files) == [foreign.name]


def _send_until(traffic: NumberedTraffic, stop: threading.Event) -> None:
    while not stop.is_set():
        traffic.send(0.2, 5_000)


@pytest.mark.parametrize("keeps", [False, True], ids=["without retention", "with retention"])
def test_a_disk_that_fills_is_emptied_and_fills_again(
    namespace: NetworkNamespace, traffic: NumberedTraffic, small_tmpfs: Path, keeps: bool
) -> None:
    """Whatever the disk does, files end at whole blocks, capture goes on, and every packet lost is accounted for."""
    retention = ("--keep-size", "100GB") if keeps else ()
    arguments = ("-i", "far", "-o", small_tmpfs / "out.pcapng", "--rotate-size", "200kB", *retention)
    saved = small_tmpfs.parent / "saved"
    saved.mkdir()
    with capture(namespace, *arguments) as running:
        for _ in range(2):
            traffic.send(2.5, 10_000)  # some 3 MB
            if not keeps:
                until(lambda: running.stderr.count("No space left") + running.stderr.count("no space left"))
            time.sleep(1)  # what is on its way arrives
            read_alone(finished(small_tmpfs))
            for file in finished(small_tmpfs):
                shutil.move(file, saved / file.name)
            time.sleep(1.5)
        traffic.send(0.5, 1_000)
        time.sleep(0.3)
        status = running.stop()
    assert status == (0 if keeps else 1), running.stderr
    for file in finished(small_tmpfs):
        shutil.copy(file, saved / file.name)
    files = finished(saved)
    read_alone(files)
    assert not list(small_tmpfs.glob("*.part"))
    expected, told, missing = 0, 0, 0
    for file in files:
        for number, drops, comment in numbers_and_drops(file):
            missing += number - expected - drops
            if comment:
                told += int(comment.split()[0])
                assert told == missing, "the comment stands on the packet behind the gap"
            expected = number + 1
    if keeps:
        assert told == 0
        assert "no space left" not in running.stderr
        assert ": the disk is full" in running.stderr
        assert numbers_in(files[-1])[-1] == traffic.sent - 1
    else:
        assert expected == traffic.sent
        assert told == missing > 0
        assert running.stderr.count("capturing goes on") == running.stderr.count("writing again") == 2
        assert f"{traffic.sent - missing} packets captured" in running.stderr


def numbers_in(file: Path) -> list[int]:
    return [number for number, _, _ in numbers_and_drops(file)]


def until(condition: object, seconds: float = 5) -> None:
    """Wait for a condition."""
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_single_file_ends_whole_on_a_full_disk(
    namespace: NetworkNamespace, traffic: NumberedTraffic, small_tmpfs: Path
) -> None:
    """Without rotation a full disk ends the capture: a whole file, the reason, status 1, and the loss counted."""
    file = small_tmpfs / "out.pcapng"
    with capture(namespace, "-i", "far", "-o", file) as running:
        traffic.send(2, 10_000)
        assert running.wait() == 1
    assert "no space left on device" in running.stderr
    numbers = numbers_in(file)
    assert numbers == list(range(len(numbers)))
    assert len(numbers) > 1000
    assert f"{len(numbers)} packets captured" in running.stderr
    read_alone([file])


def test_sighup_begins_a_new_file_and_ends_a_single_one(namespace: NetworkNamespace, tmp_path: Path) -> None:
    """SIGHUP means the next file to a rotating capture, and the end to another."""
    namespace.add_veth_pair("near", "far")
    with capture(namespace, "-i", "far", "-o", tmp_path / "out.pcapng", "--rotate-size", "1GB") as running:
        for n in (1, 2):
            running.process.send_signal(signal.SIGHUP)
            until(lambda n=n: len(finished(tmp_path)) == n)
        assert running.stop() == 0
    files = finished(tmp_path)
    assert [file.name.split("_")[1] for file in files] == ["00001", "00002", "00003"]
    read_alone(files)
    with capture(namespace, "-i", "far", "-o", tmp_path / "single.pcapng") as running:
        assert running.stop(signal.SIGHUP) == 0


def test_files_of_earlier_runs_count_and_others_do_not(namespace: NetworkNamespace, tmp_path: Path) -> None:
    """Retention reaches back to earlier runs of this output, names its rule, and leaves other files alone."""
    namespace.add_veth_pair("near", "far")
    other = tmp_path / "out_x_00001_20200101000000.pcapng"
    other.touch()
    for number in range(1, 8):
        (tmp_path / f"out_{number:05}_20200101000000.pcapng").touch()
    arguments = ("-i", "far", "-o", tmp_path / "out.pcapng", "-b", "duration:0.2", "--keep-files", "3")
    with capture(namespace, *arguments) as running:
        until(lambda: len(finished(tmp_path)) == 2 + 1)  # with the file being written three, and the other's
        until(lambda: any("_00009_" in file.name for file in finished(tmp_path)))
        assert running.stop() == 0
    assert "keeping at most 3 files; oldest go first, files of earlier runs count" in running.stderr
    assert other.exists()


def test_rotation_needs_a_file(namespace: NetworkNamespace, tmp_path: Path) -> None:
    """What goes through a pipe is not rotated, and what is not rotated has nothing to keep: wrong usage."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for arguments, message in (
        (("-o", "-", "--rotate-every", "1s"), "what goes through a pipe cannot be rotated"),
        (("-o", str(fifo), "--rotate-every", "1s"), "what goes through a pipe cannot be rotated"),
        (("-o", "-", "--keep-files", "3"), "there is one file unless it is rotated"),
        (("-o", str(tmp_path / "out"), "-b", "files:3"), "there is one file unless it is rotated"),
        (("-o", str(tmp_path / "out"), "--rotate-every", "1ms"), "--rotate-every of 1 ms is too often"),
        (("-o", str(tmp_path / "out"), "--rotate-size", "10M"), "M alone is ambiguous"),
        (
            ("-o", str(tmp_path / "out"), "-b", "size:3"),
            "one of duration, files, filesize, interval, packets",
        ),
    ):
        command = [sys.executable, "-m", "capfix", "run", "-i", "lo", *arguments]
        with namespace.entered():
            ended = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (ended.returncode, message in ended.stderr) == (2, True), ended.stderr


def test_two_captures_do_not_share_an_output(namespace: NetworkNamespace, tmp_path: Path) -> None:
    """The second capture to one output ends at once, naming the first one's process, and disturbs nothing."""
    arguments = ("-i", "lo", "-o", tmp_path / "out.pcapng", "--rotate-every", "1h")
    with capture(namespace, *arguments) as running:
        command = [sys.executable, "-m", "capfix", "run", *map(str, arguments)]
        with namespace.entered():
            ended = subprocess.run(command, capture_output=True, text=True, check=False)
        assert ended.returncode == 1
        assert f"another capture, process {running.process.pid}, is writing" in ended.stderr
        assert len(list(tmp_path.glob("*.part"))) == 1
        assert running.stop() == 0
    read_alone(finished(tmp_path))


@pytest.mark.skipif(not FAKETIME.exists(), reason="libfaketime is not installed")
def test_a_clock_stepped_by_an_hour(
    namespace: NetworkNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the clock stepped forward and back an hour, files go on at their rhythm and none is overwritten."""
    namespace.add_veth_pair("near", "far")
    offset = tmp_path / "offset"
    offset.write_text("+0")
    directory = tmp_path / "files"
    directory.mkdir()
    for name, value in (
        ("LD_PRELOAD", FAKETIME),
        ("FAKETIME_TIMESTAMP_FILE", offset),
        ("FAKETIME_NO_CACHE", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ("NO_FAKE_STAT", "1"),
    ):
        monkeypatch.setenv(name, str(value))
    counts = []
    with capture(
        namespace, "-i", "far", "-o", directory / "out.pcapng", "--rotate-every", "500ms"
    ) as running:
        for step in ("+0", "+3600", "-3600", "+0"):
            offset.write_text(step)
            before = len(finished(directory))
            time.sleep(2.5)
            counts.append(len(finished(directory)) - before)
        assert running.stop() == 0
    assert all(3 <= count <= 7 for count in counts), counts
    names = [file.name for file in finished(directory)]
    assert [int(name.split("_")[1]) for name in names] == list(range(1, len(names) + 1))
    hours = {name.split("_")[2][:10] for name in names}
    assert len(hours) >= 3, "the clock was stepped"
    read_alone(finished(directory))
