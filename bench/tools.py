"""The capture tools that are compared, and what each says of its own losses."""

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

RING_MIB = 64
_FLOOR_SOURCE = Path(__file__).with_name("floor.c")


@dataclass(frozen=True)
class Report:
    """What a tool says at its end: packets it wrote, packets lost. None where it does not say."""

    kept: int | None
    dropped: int | None


@dataclass(frozen=True)
class Tool:
    """One capture tool, or one setting of it.

    `command` makes the argument list from an interface and an output ("-" is standard output). `ends` are two
    patterns for what it prints when it stops: packets written, packets lost; not all print them when writing a pipe.
    """

    name: str
    program: str
    command: Callable[[str, str], Sequence[str]]
    ends: tuple[str, str]
    ring_mib: int = RING_MIB
    counts_on_pipe: bool = True
    version: str = ""

    def report(self, messages: str) -> Report:
        """Read what the tool printed."""
        kept, dropped = (re.search(pattern, messages) for pattern in self.ends)
        return Report(int(kept[1]) if kept else None, int(dropped[1]) if dropped else None)


def capfix(name: str, *options: str, ring_mib: int = RING_MIB) -> Tool:
    """Return capfix, run by this interpreter from where it is imported."""

    def command(interface: str, output: str) -> list[str]:
        ring = ["-B", str(ring_mib)]
        return [sys.executable, "-m", "capfix", "run", "-i", interface, "-o", output, *ring, *options]

    ends = (r"(\d+) packets? captured", r"(\d+) dropped by the kernel")
    return Tool(name, sys.executable, command, ends, ring_mib)


CAPFIX = capfix("capfix")
CAPFIX_VARIANTS = (
    capfix("capfix -B 16", ring_mib=16),
    capfix("capfix sll", "--link", "sll"),
    capfix("capfix sll2", "--link", "sll2"),
    capfix("capfix ethernet", "--link", "ethernet"),
)
TCPDUMP = Tool(
    "tcpdump",
    "tcpdump",
    lambda interface, output: [
        *("tcpdump", "-i", interface, "-w", output, "-B", str(RING_MIB * 1024), "-s", "262144", "-Z", "root")
    ],
    (r"(\d+) packets? captured", r"(\d+) packets? dropped by kernel"),
)
DUMPCAP = Tool(
    "dumpcap",
    "dumpcap",
    lambda interface, output: ["dumpcap", "-q", "-i", interface, "-w", output, "-B", str(RING_MIB)],
    (r"Packets captured: (\d+)", r"received/dropped on interface .*: \d+/(\d+)"),
)
NETSNIFF = Tool(
    "netsniff-ng",
    "netsniff-ng",
    lambda interface, output: [
        *("netsniff-ng", "--in", interface, "--out", output, "--silent", "--ring-size", f"{RING_MIB}MiB"),
        *("--no-sock-mem", "--notouch-irq"),
    ],
    (r"(\d+)\s+packets passed filter", r"(\d+)\s+packets failed filter"),
    counts_on_pipe=False,
)
_PACKAGES = {  # in Debian, by program
    "tcpdump": "tcpdump",
    "dumpcap": "wireshark-common",
    "netsniff-ng": "netsniff-ng",
    "trafgen": "netsniff-ng",
}


def floor() -> Tool:
    """Compile the C ring reader and return it: the floor that every other tool stands on."""
    program = str(Path(tempfile.gettempdir()) / "capfix-bench-floor")
    subprocess.run(["cc", "-O2", "-o", program, str(_FLOOR_SOURCE)], check=True)
    return Tool(
        "C floor",
        program,
        lambda interface, output: [program, interface, output],
        (r"(\d+) packets written", r"(\d+) dropped by kernel"),
    )


def install_missing() -> None:
    """Install the peers that are missing from Debian, where there is apt-get; what fails stays missing."""
    wanted = sorted({package for program, package in _PACKAGES.items() if shutil.which(program) is None})
    if wanted and shutil.which("apt-get"):
        subprocess.run(["apt-get", "install", "-qq", "--no-install-recommends", *wanted], check=False)


def available(names: Sequence[str] | None) -> tuple[list[Tool], list[str]]:
    """Return the tools that can run, with their versions, and the names of those left out."""
    tools = [CAPFIX, TCPDUMP, DUMPCAP, NETSNIFF]
    if shutil.which("cc"):
        tools.append(floor())
    if names is not None:
        tools = [tool for tool in [*tools, *CAPFIX_VARIANTS] if tool.name in names]
    present = [replace(tool, version=_version(tool)) for tool in tools if shutil.which(tool.program)]
    return present, [tool.name for tool in tools if not shutil.which(tool.program)]


def _version(tool: Tool) -> str:
    """Return the first version number the program prints of itself, "" if it has none."""
    if tool.name == "C floor":
        return ""
    command = [sys.executable, "-m", "capfix"] if tool.program == sys.executable else [tool.program]
    result = subprocess.run([*command, "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"\d+\.\d+[\w.]*", result.stdout + result.stderr)
    return found[0] if found else ""
