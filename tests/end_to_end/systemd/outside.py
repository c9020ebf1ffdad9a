"""Reads the captures that the service made in the container: `outside.py DIRECTORY EXPECTED`. Status 1: not all there.

EXPECTED names the texts of all datagrams that arrived on cipsec0 while it was being captured.
"""

import json
import subprocess
import sys
from pathlib import Path

FIELDS = ["-T", "fields", "-e", "frame.interface_name", "-e", "ip.src", "-e", "ip.dst", "-e", "udp.payload"]


def datagrams(file: Path) -> list[str]:
    """Return the texts of the datagrams that a file has from cipsec0, decoded by tshark, which must not complain."""
    command = ["tshark", "-n", "-r", str(file), *FIELDS, "-Y", "udp.dstport == 40000 && !icmp"]
    done = subprocess.run(command, capture_output=True, text=True)
    complaints = [line for line in done.stderr.splitlines() if not line.startswith("Running as user")]
    if done.returncode or complaints:
        sys.exit(f"FAILED: tshark on {file.name}: {done.stderr}")
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    return [bytes.fromhex(row[3]).decode() for row in rows if row[:3] == ["cipsec0", "10.8.0.1", "10.8.0.2"]]


def main(directory: Path, expected: list[str]) -> None:
    """Compare what is in the files of the instance cipsec0 with what arrived."""
    files = sorted(directory.glob("cipsec0*.pcapng"))
    found = [text for file in files for text in datagrams(file)]
    print(f"{len(found)} datagrams in {', '.join(file.name for file in files)}")
    leftovers = [file.name for file in directory.glob("*.part")]
    if leftovers:
        sys.exit(f"FAILED: not finished: {leftovers}")
    if found != expected:
        missing = sorted(set(expected) - set(found))
        sys.exit(f"FAILED: expected {len(expected)}; missing: {', '.join(missing) or 'none'}")
    if not any(datagrams(file) for file in directory.glob("any*.pcapng")):
        sys.exit("FAILED: nothing in the files of the instance any")


main(Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text()))
