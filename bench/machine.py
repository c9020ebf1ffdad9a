"""What the numbers were taken on."""

import os
import platform
import subprocess
from pathlib import Path


def describe(directory: Path) -> dict[str, str]:
    """Return the kernel, processor, memory and the filesystem of `directory`, as words for a table's caption."""
    cpuinfo = Path("/proc/cpuinfo").read_text().splitlines()
    model = next(
        (line.split(":", 1)[1].strip() for line in cpuinfo if line.startswith("model name")),
        platform.machine(),
    )
    memory = int(Path("/proc/meminfo").read_text().split()[1])
    return {
        "kernel": f"{platform.system()} {platform.release()}",
        "processor": f"{os.cpu_count()} x {model}",
        "memory": f"{memory / 2**20:.0f} GiB",
        "filesystem": filesystem(directory),
        "python": f"Python {platform.python_version()}",
    }


def filesystem(directory: Path) -> str:
    """Return the type of the filesystem a directory is on."""
    result = subprocess.run(
        ["findmnt", "--noheadings", "--output", "FSTYPE", "--target", str(directory)],
        capture_output=True,
        text=True,
        check=False,
    )
    return result.stdout.strip() or "unknown"
