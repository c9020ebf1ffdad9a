"""What a plain capture loads before its first packet."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import capfix
from capfix.lab import NetworkNamespace

pytestmark = pytest.mark.root

#: Each takes long to import and serves only who asks for it.
NOT_FOR_EVERYBODY = (
    *(
        "capfix.cli.demo",
        "capfix.kernel.nflog",
        "capfix.filters.selection",
        "capfix.kernel.libpcap",
        "capfix.lab",
    ),
    *(
        "asyncio",
        "dataclasses",
        "difflib",
        "fractions",
        "inspect",
        "ipaddress",
        "logging",
        "pathlib",
        "pyroute2",
        "rich",
        "scapy",
        "ssl",
        "tomllib",
        "urllib",
    ),
)


def test_a_plain_capture_loads_nothing_that_it_does_not_use(
    namespace: NetworkNamespace, tmp_path: Path
) -> None:
    """Whatever only some options, other commands or errors need is not imported on the way to the first packet."""
    program = (
        "import sys; from capfix import cli\n"
        f"assert cli.main(['run', '-i', 'lo', '-o', {str(tmp_path / 'out')!r}, '-a', 'duration:1']) == 0\n"
        f"print(*(name for name in {NOT_FOR_EVERYBODY!r} if name in sys.modules))"
    )
    with namespace.entered():
        # Without site, as an editable installation imports some of them for itself
        process = subprocess.Popen(
            [sys.executable, "-S", "-c", program],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(capfix.__file__).parents[1])},
        )
    assert process.communicate()[0] == "\n"
