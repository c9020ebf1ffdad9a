"""`capfix taps` agrees with reality."""

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from capfix.cli import main
from capfix.kernel import taps
from capfix.lab import NetworkNamespace
from tests.support.capturing import Waiting
from tests.support.tools import need

pytestmark = pytest.mark.root
PATIENCE_S = 10


@pytest.fixture
def started(namespace: NetworkNamespace) -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Start programs in the namespace; they are gone in the end."""
    processes = []

    def start(*arguments: str, **settings: Any) -> "subprocess.Popen[str]":
        with namespace.entered():
            processes.append(subprocess.Popen(arguments, text=True, **settings))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def listed(namespace: NetworkNamespace, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    namespace.run(main, ["taps", "--json"])
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return found


def test_three_captures_at_once(
    namespace: NetworkNamespace,
    started: Callable[..., "subprocess.Popen[str]"],
    capture: Callable[..., Waiting],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    """tcpdump, dumpcap and capfix are listed with their interfaces and processes, the same as by `ss`."""
    namespace.add_veth_pair("va", "vb")
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    tcpdump = started(need("tcpdump"), "-i", "va", "-w", "/dev/null", **quiet)
    dumpcap = started(need("dumpcap"), "-q", "-i", "vb", "-w", str(tmp_path / "d.pcapng"), **quiet)
    capfix = capture("-i", "lo", "-o", tmp_path / "c.pcapng", "-B", "2")
    expected = {("va", tcpdump.pid), ("vb", dumpcap.pid), ("lo", capfix.process.pid)}
    deadline = time.monotonic() + PATIENCE_S
    found: list[dict[str, Any]] = []
    while {(each["interface"], each["pid"]) for each in found} != expected and time.monotonic() < deadline:
        found = [each for each in listed(namespace, capsys) if each["protocol"] != "none"]
    assert {(each["interface"], each["pid"]) for each in found} == expected
    by_pid = {each["pid"]: each for each in found}
    assert {each["handler"] for each in found} == {"tpacket_rcv"}
    assert by_pid[capfix.process.pid]["type"] == "cooked"
    assert by_pid[tcpdump.pid]["type"] == "raw"
    assert by_pid[tcpdump.pid]["command"].endswith("-i va -w /dev/null")
    with namespace.entered():
        ss = subprocess.run([need("ss"), "-0", "-p", "-n"], capture_output=True, text=True, check=True)
    assert {int(pid) for pid in re.findall(r"pid=(\d+)", ss.stdout)} >= {pid for _, pid in expected}


def test_watch(namespace: NetworkNamespace, started: Callable[..., "subprocess.Popen[str]"]) -> None:
    """A tap appears and disappears within a second, once each."""
    watch = started(sys.executable, "-m", "capfix", "taps", "--watch", "--json", stdout=subprocess.PIPE)
    first = started(need("tcpdump"), "-i", "lo", "-w", "/dev/null", stderr=subprocess.PIPE)
    assert watch.stdout is not None
    appeared = json.loads(watch.stdout.readline())
    assert (appeared["event"], appeared["interface"], appeared["pid"]) == ("appeared", "lo", first.pid)
    begin = time.monotonic()
    first.send_signal(signal.SIGINT)
    gone = json.loads(watch.stdout.readline())
    assert time.monotonic() - begin < 1
    assert gone == {**appeared, "event": "disappeared"}
    watch.send_signal(signal.SIGINT)
    assert watch.communicate(timeout=PATIENCE_S)[0] == ""
    assert watch.returncode == 0


def test_another_namespace(
    namespace: NetworkNamespace, capture: Callable[..., Waiting], tmp_path: Path
) -> None:
    """--netns looks into one namespace or all of them, and says which."""
    running = capture("-i", "lo", "-o", tmp_path / "c.pcapng", "-B", "2")
    for wanted in (str(running.process.pid), "all"):
        command = [sys.executable, "-m", "capfix", "taps", "--json", "--netns", wanted]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert running.process.pid in [each["pid"] for each in json.loads(done.stdout)]
    command = [sys.executable, "-m", "capfix", "taps", "--netns", "nowhere"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("capfix: no network namespace nowhere")


def test_a_foreign_handler(
    namespace: NetworkNamespace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A module before the stack is trouble, and the next command is named."""
    table = tmp_path / "ptype"
    table.write_text("Type Device      Function\n0800          handle_ip [cipsec]\n")
    monkeypatch.setattr(taps, "_HANDLERS", table)
    assert namespace.run(main, ["taps"]) == 1
    printed = capsys.readouterr().out
    assert "handle_ip [cipsec] takes packets of protocol 0x0800" in printed
    assert "capfix doctor -i NAME" in printed
