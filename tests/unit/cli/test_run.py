"""The command line of `capfix run`, where it refuses."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest


def run(*arguments: str, prefix: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Run `capfix run` to its end, started by the command `prefix`."""
    return subprocess.run(
        [*prefix, sys.executable, "-m", "capfix", "run", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (["-i", "loo", "-o", "{new}"], 1, "no interface named loo; there are: "),
        (["-i", "lo", "-o", "{directory}/none/x.pcapng"], 1, "there is no directory"),
        (["-i", "lo", "-o", "{directory}"], 1, "is a directory"),
        (["-i", "lo", "-o", "{new}", "--link", "foo"], 2, "invalid choice: 'foo'"),
        (["-i", "lo", "-o", "{new}", "--local-mac", "02:00"], 2, "--local-mac: '02:00' is not six pairs"),
        (["-i", "lo", "-o", "{new}", "-c", "x"], 2, "-c/--count: 'x' is not a whole number"),
        (["-i", "lo", "-o", "{new}", "-B", "0"], 2, "-B/--ring-size: '0' is not a whole number"),
        (["-i", "lo", "-o", "{new}", "-a", "duration:x"], 2, "duration:x"),
        (["-i", "lo", "-o", "{new}", "--keep-headers"], 2, "use --link ethernet"),
        (["-i", "lo"], 2, "-o/-w/--output is required"),
        (["-o", "{new}"], 2, "no interface to capture on"),
    ],
)
@pytest.mark.root
def test_bad_input_gets_one_sentence_and_makes_no_file(
    tmp_path: Path, arguments: list[str], status: int, sentence: str
) -> None:
    """The sentence says what to do, the status tells trouble from wrong usage, and nothing is left behind."""
    new = tmp_path / "x.pcapng"
    result = run(*(argument.format(new=new, directory=tmp_path) for argument in arguments))
    assert result.returncode == status
    assert result.stderr.startswith("capfix: ")
    assert sentence in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


WITHOUT_CAPABILITIES = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")


@pytest.mark.root
def test_without_the_capability_the_ways_to_get_it_are_told(tmp_path: Path) -> None:
    """Status 1, the capability's name, and no file."""
    result = run("-i", "lo", "-o", str(tmp_path / "x.pcapng"), prefix=WITHOUT_CAPABILITIES)
    assert result.returncode == 1
    assert "CAP_NET_RAW is missing" in result.stderr
    assert "sudo" in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.root
def test_an_unwritable_directory_is_told(tmp_path: Path) -> None:
    """Status 1, for somebody who may not write there."""
    tmp_path.chmod(0o500)
    result = run("-i", "lo", "-o", str(tmp_path / "x.pcapng"), prefix=WITHOUT_CAPABILITIES)
    assert result.returncode == 1
    assert "no permission to write" in result.stderr


def test_a_terminal_as_stdout_is_refused() -> None:
    """Status 2, and the two ways that work."""
    primary, secondary = pty.openpty()
    try:
        result = subprocess.run(
            [sys.executable, "-m", "capfix", "run", "-i", "lo", "-o", "-"],
            stdout=secondary,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=30,
        )
    finally:
        os.close(primary)
        os.close(secondary)
    assert result.returncode == 2
    assert "-o FILE" in result.stderr
    assert "-o - | wireshark -k -i -" in result.stderr
    assert "docker run -it" in result.stderr
