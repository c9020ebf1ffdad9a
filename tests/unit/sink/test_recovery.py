"""Finishing a file that a crash left unfinished."""

import io
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pcapng import FileScanner
from pcapng.blocks import EnhancedPacket
from pcapng.blocks import InterfaceStatistics as ReadStatistics

from capfix.sink.directory import CaptureDirectory
from capfix.sink.recovery import Recovery, recover
from capfix.wire.pcapng import InterfaceStatistics, encode_interface_statistics
from tests.unit.wire.test_section_walk import HEADER, INTERFACE, packet

PART = "out_00001_20261122130801.pcapng.part"
FINAL = PART.removesuffix(".part")
BLOCKS = [
    HEADER,
    INTERFACE,
    packet(0, 10),
    INTERFACE,
    packet(1, 11),
    packet(0, 12, b"odd")[:0],
    packet(1, 13),
]
FILE = b"".join(BLOCKS)


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[CaptureDirectory]:
    opened = CaptureDirectory(str(tmp_path / "out.pcapng"))
    yield opened
    opened.close()


def recovered(directory: CaptureDirectory, content: bytes, part_name: str = PART) -> Recovery:
    Path(directory.path, part_name).write_bytes(content)
    return recover(directory, part_name)


def read(path: Path) -> tuple[int, list[ReadStatistics]]:
    blocks = list(FileScanner(io.BytesIO(path.read_bytes())))
    packets = sum(isinstance(block, EnhancedPacket) for block in blocks)
    return packets, [block for block in blocks if isinstance(block, ReadStatistics)]


def test_a_torn_file(directory: CaptureDirectory, tmp_path: Path) -> None:
    """What is whole stays, what is torn is cut, and each interface's statistics say how much of both."""
    recovery = recovered(directory, FILE + packet()[:-5])
    assert (recovery.packets, recovery.cut_bytes) == (3, len(packet()) - 5)
    assert recovery.file is not None
    assert recovery.file.name == FINAL
    assert (tmp_path / FINAL).read_bytes().startswith(FILE)
    packets, statistics = read(tmp_path / FINAL)
    assert packets == 3
    assert [block.interface_id for block in statistics] == [0, 1]
    assert [block.options["isb_usrdeliv"] for block in statistics] == [1, 2]
    assert f"after a crash: {len(packet()) - 5} bytes cut" in statistics[0].options["opt_comment"]
    assert (
        recovery.sentence()
        == f"recovered {FINAL}, left unfinished by a crash: 3 packets kept, 35 bytes cut from its end"
    )
    assert not (tmp_path / PART).exists()


def test_a_whole_file_that_only_lacks_its_name(directory: CaptureDirectory, tmp_path: Path) -> None:
    """A crash just before the renaming loses nothing, and the comment says so."""
    closing = encode_interface_statistics(InterfaceStatistics(0, 12, delivered=1))
    assert recovered(directory, FILE + closing).cut_bytes == 0
    packets, statistics = read(tmp_path / FINAL)
    assert (packets, len(statistics)) == (3, 3)
    assert "0 bytes cut" in statistics[-1].options["opt_comment"]


@pytest.mark.parametrize(
    "content", [b"", HEADER, HEADER[:-1], HEADER + INTERFACE[:-1], bytes(4096), packet()]
)
def test_without_an_interface_block_a_file_is_removed(
    directory: CaptureDirectory, tmp_path: Path, content: bytes
) -> None:
    """A file that cannot hold a packet is removed and reported, not kept for readers to trip over."""
    recovery = recovered(directory, content)
    assert recovery.file is None
    assert recovery.sentence().startswith(f"removed {PART}: left by a crash without a whole section header")
    assert not (tmp_path / PART).exists()
    assert not (tmp_path / FINAL).exists()


@pytest.mark.parametrize("tail", [bytes(100_000), b"\xff" * 64, FILE], ids=["zeros", "garbage", "old blocks"])
def test_a_tail_of_something_else_is_cut(directory: CaptureDirectory, tmp_path: Path, tail: bytes) -> None:
    """Zeros that an unsynced disk left, garbage, and another file's blocks are cut like a torn block."""
    assert recovered(directory, FILE + tail).cut_bytes == len(tail)
    assert read(tmp_path / FINAL)[0] == 3


def test_every_cut_gives_a_file_that_everybody_reads(directory: CaptureDirectory, tmp_path: Path) -> None:
    """Wherever a file is cut, python-pcapng, Wireshark and tcpdump read what is recovered, to the last whole packet."""
    ends = [sum(map(len, BLOCKS[: n + 1])) for n in range(len(BLOCKS))]
    packet_ends = [end for end, block in zip(ends, BLOCKS, strict=True) if block[:1] == b"\x06"]
    kept = []
    for cut in range(len(FILE) + 1):
        recovery = recovered(directory, FILE[:cut], f"out_{cut + 1:05}_20261122130801.pcapng.part")
        if cut < ends[1]:
            assert recovery.file is None
            continue
        assert recovery.file is not None
        kept.append(tmp_path / recovery.file.name)
        whole = sum(end <= cut for end in packet_ends)
        assert recovery.packets == read(kept[-1])[0] == whole
        assert recovery.cut_bytes == cut - max(end for end in ends if end <= cut)
    judged = subprocess.run(["capinfos", "-c", *map(str, kept)], capture_output=True, text=True, check=True)
    assert judged.stdout.count("Number of packets") == len(kept)
    assert judged.stderr == ""
    for path in (kept[0], kept[len(kept) // 2], kept[-1]):
        for reader in (["tshark", "-r"], ["tcpdump", "-nr"]):
            subprocess.run([*reader, str(path)], capture_output=True, check=True)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(flips=st.lists(st.integers(0, 8 * len(FILE) - 1), max_size=6))
def test_flipped_bits_never_raise(directory: CaptureDirectory, tmp_path: Path, flips: list[int]) -> None:
    """Whatever bits are flipped, the file is recovered or removed; it never stops the capture from starting."""
    content = bytearray(FILE)
    for position in flips:
        content[position // 8] ^= 1 << position % 8
    recovery = recovered(directory, bytes(content))
    assert not (tmp_path / PART).exists()
    if recovery.file is not None:
        (tmp_path / recovery.file.name).unlink()


def test_a_file_larger_than_the_window(directory: CaptureDirectory, tmp_path: Path) -> None:
    """A file is looked through in pieces, which progress counts, and blocks across their borders stay whole."""
    blocks = packet(data=bytes(100_000)) * 100
    (tmp_path / PART).write_bytes(HEADER + INTERFACE + blocks + packet()[:-1])
    seen: list[tuple[int, int]] = []
    recovery = recover(directory, PART, lambda done, total: seen.append((done, total)))
    assert (recovery.packets, recovery.cut_bytes) == (100, len(packet()) - 1)
    assert len(seen) > 2
    assert seen == sorted(seen)
    assert seen[-1][0] == seen[-1][1] - recovery.cut_bytes


def test_recovered_twice(directory: CaptureDirectory, tmp_path: Path) -> None:
    """A recovery that was itself cut short is taken up again."""
    recovered(directory, FILE + b"torn")
    torn = (tmp_path / FINAL).read_bytes()[:-3]
    (tmp_path / FINAL).unlink()
    recovery = recovered(directory, torn)
    assert recovery.packets == 3
    assert read(tmp_path / FINAL)[0] == 3


@pytest.mark.root
def test_on_a_full_disk_the_file_still_gets_its_name(small_tmpfs: Path) -> None:
    """Without room for the statistics a file that is whole at its end is finished all the same, and it is said."""
    directory = CaptureDirectory(str(small_tmpfs / "out.pcapng"))
    room = 4096 - len(HEADER + INTERFACE) - (len(packet()) - 8)
    (small_tmpfs / PART).write_bytes(HEADER + INTERFACE + packet(data=bytes(room)))  # exactly one page
    (small_tmpfs / "filler").write_bytes(bytes(directory.space().free_bytes))
    recovery = recover(directory, PART)
    assert recovery.file is not None
    assert recovery.sentence().endswith(
        "1 packets kept, 0 bytes cut from its end; no room to note that in the file"
    )
    assert read(small_tmpfs / FINAL)[0] == 1
    directory.close()
