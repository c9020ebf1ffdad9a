"""`capfix demo` shows the fault and the cure, and says so in one sentence where it cannot."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from scapy.utils import RawPcapReader

import capfix
from capfix import lab
from capfix.cli import demo, main
from capfix.errors import PrivilegeError
from capfix.lab.reader import Reading
from capfix.lab.traffic import Passed

FILES = {"old-way.pcap", "sll.pcapng", "sll2.pcapng", "ethernet.pcapng"}


def run_demo(directory, **environment):
    """Run the demo as a user does, in `directory`."""
    environment = {**os.environ, "PYTHONPATH": str(Path(capfix.__file__).parent.parent), **environment}
    command = [sys.executable, "-m", "capfix", "demo"]
    return subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, timeout=60)


def path_without(program):
    """A search path on which everything is but one program."""
    directories = os.environ["PATH"].split(os.pathsep)
    return os.pathsep.join(path for path in directories if not Path(path, program).exists())


@pytest.mark.root
@pytest.mark.parametrize("reader", ["tshark", "scapy"])
def test_shows_the_fault_and_the_cure(tmp_path, reader):
    """Every packet is understood in each framing, and in the old way the outbound ones only, whoever reads."""
    if reader == "tshark":
        assert shutil.which("tshark"), "tshark is not installed"
        done = run_demo(tmp_path)
    else:
        done = run_demo(tmp_path, PATH=path_without("tshark"))
    assert (done.returncode, done.stderr) == (0, "")
    assert f"What {reader} makes of each" in " ".join(done.stdout.split())
    (summary,) = [line for line in done.stdout.splitlines() if "understood" in line]
    assert " ".join(summary.split()) == " ".join(["9 of 16 understood"] + 3 * ["16 of 16 understood"])
    assert "45:00:00" in done.stdout
    assert {path.name for path in (tmp_path / "capfix-demo").iterdir()} == FILES


@pytest.mark.root
def test_shows_the_second_fault_and_doctor(tmp_path):
    """What netfilter sees and taps do not is told, and doctor's words on both interfaces end the demo."""
    done = run_demo(tmp_path)
    said = done.stdout
    assert "packets from 10.9.0.1 to 10.9.0.2" in said
    first, second = said.index("$ capfix doctor -i cipsec0"), said.index("$ capfix doctor -i near0")
    assert said[first:].splitlines()[1].startswith("headerless-inbound: ")
    assert said[second:].splitlines()[1].startswith("bypassing: ")
    assert said.endswith("  capfix run -i near0 --source auto -o ./near0.pcapng\n")


@pytest.mark.root
def test_old_way_is_what_tcpdump_would_write(tmp_path):
    """The file of the old way says Ethernet and begins inbound packets at their IP header."""
    run_demo(tmp_path)
    with RawPcapReader(str(tmp_path / "capfix-demo" / "old-way.pcap")) as reader:
        assert reader.linktype == 1
        packets = [packet for packet, _ in reader]
    assert sum(packet.startswith(b"\x45\x00") for packet in packets) == 7
    assert sum(packet[12:16] == b"\x08\x00\x45\x00" for packet in packets) == 9


def test_no_way_to_a_namespace_is_said(tmp_path, monkeypatch, capsys):
    """Without root and without user namespaces: one sentence, status 1, and nothing is left behind."""

    def refuse():
        raise PrivilegeError("make a network namespace", "CAP_SYS_ADMIN")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(lab, "can_make_namespaces", lambda: False)
    monkeypatch.setattr(lab, "enter_user_namespace", refuse)
    assert main(["demo"]) == 1
    assert capsys.readouterr() == (
        "",
        "capfix: the demo needs a network namespace of its own, and this system does not let its users make one; "
        "run it as root: sudo capfix demo\n",
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.root
def test_directory_that_cannot_be_made_is_said(tmp_path, monkeypatch, capsys):
    """A file where the directory should be: one sentence, status 1."""
    monkeypatch.chdir(tmp_path)
    Path("capfix-demo").touch()
    assert main(["demo"]) == 1
    assert capsys.readouterr().err == "capfix: cannot write to capfix-demo: file exists\n"


@pytest.mark.root
def test_capture_that_fails_is_said(tmp_path, monkeypatch, capsys):
    """What a capture complains of is passed on in one sentence, and no child stays behind."""
    started = []

    def start(link, path):
        command = ["sh", "-c", "echo 'capfix: no room for the ring' >&2; exit 1"]
        started.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True))
        return started[-1]

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "_start_capture", start)
    assert main(["demo"]) == 1
    assert capsys.readouterr().err == "capfix: `capfix run` failed: no room for the ring\n"
    assert all(child.poll() is not None for child in started)


def test_only_true_addresses_in_place_count_as_understood():
    """A packet that is misread, in the wrong place or missing is not understood."""
    packets = [bytes([0x45]) + bytes(11) + bytes([10, 8, 0, n, 10, 8, 0, 9]) for n in range(3)]
    passed = [Passed(True, packet) for packet in packets]
    right = [Reading("UDP", f"10.8.0.{n}", "10.8.0.9", "") for n in range(3)]
    assert demo._understood(passed, right) == [True, True, True]
    assert demo._understood(passed, [right[0], right[2]]) == [True, False, False]
    misread = Reading("0x0a08", "00:00:40:11:56:76", "45:00:00:5e:10:07", "Ethernet II")
    assert demo._understood(passed, [misread, *right[1:]]) == [False, True, True]
