"""A capture as a user starts it: `capfix run` in a process of its own, and what is in its file."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from pcapng import FileScanner
from pcapng.blocks import EnhancedPacket, InterfaceStatistics

from capfix.lab import NetworkNamespace

TIMEOUT = 20
PROGRAM = ("-m", "capfix")


class Capture:
    """`capfix run` with some arguments, started in `namespace`, capturing from the moment this is made.

    `program` is what Python is told to run.
    """

    ready: tuple[str, ...] = ("capturing on",)  # what it says when it does its work

    def __init__(
        self,
        namespace: NetworkNamespace,
        *arguments: object,
        stdout: int | None = None,
        program: Sequence[str] = PROGRAM,
    ) -> None:
        self.stderr = ""
        self._capturing = threading.Event()
        with namespace.entered():
            self.process = subprocess.Popen(
                [sys.executable, *program, "run", *map(str, arguments)],
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=subprocess.PIPE,
                text=True,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        assert self._capturing.wait(TIMEOUT)
        assert self._is_ready(self.stderr), self.stderr

    def _is_ready(self, said: str) -> bool:
        return any(sign in said for sign in self.ready)

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.stderr += line
            if self._is_ready(line):
                self._capturing.set()
        self._capturing.set()

    def wait_for(self, text: str, times: int = 1) -> None:
        """Wait until stderr holds `text` that many times."""
        deadline = time.monotonic() + TIMEOUT
        while self.stderr.count(text) < times:
            assert time.monotonic() < deadline, self.stderr
            time.sleep(0.01)

    def wait(self) -> int:
        """Return the exit status, once it has ended by itself."""
        try:
            return self.process.wait(TIMEOUT)
        finally:
            self._reader.join(TIMEOUT)

    def stop(self, number: int = signal.SIGINT) -> int:
        """Send a signal and return the exit status."""
        self.process.send_signal(number)
        return self.wait()

    def kill(self) -> None:
        """See to it that the process is gone."""
        if self.process.poll() is None:
            self.process.kill()
        self.wait()


class Waiting(Capture):
    """A capture that may have nothing to capture on yet."""

    ready = ("capturing on", "waiting for")


@contextlib.contextmanager
def capture(
    namespace: NetworkNamespace,
    *arguments: object,
    stdout: int | None = None,
    program: Sequence[str] = PROGRAM,
) -> Iterator[Capture]:
    """Yield a running capture; it is killed if it is still there in the end."""
    running = Capture(namespace, *arguments, stdout=stdout, program=program)
    try:
        yield running
    finally:
        running.kill()


def refused(namespace: NetworkNamespace, *arguments: object) -> tuple[int, str]:
    """Return the exit status of a `capfix run` that must not start, and what it said."""
    with namespace.entered():
        result = subprocess.run(
            [sys.executable, "-m", "capfix", "run", *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
    assert not result.stdout
    return result.returncode, result.stderr


def tshark(file: Path, fields: Sequence[str], display_filter: str = "", *options: str) -> list[list[str]]:
    """Return the values of `fields` for each packet of a file, as tshark reads it. It must not complain."""
    command = ["tshark", "-n", "-r", str(file), "-T", "fields", *options]
    for field in fields:
        command += ["-e", field]
    if display_filter:
        command += ["-Y", display_filter]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    complaints = [
        line for line in result.stderr.splitlines() if line and not line.startswith("Running as user")
    ]
    assert not complaints, complaints
    assert result.returncode == 0
    return [line.split("\t") for line in result.stdout.splitlines()]


def packets(file: Path) -> list[EnhancedPacket]:
    """Return the packets of a file as python-pcapng reads them."""
    with file.open("rb") as stream:
        return [block for block in FileScanner(stream) if isinstance(block, EnhancedPacket)]


def statistics(file: Path) -> dict[str, InterfaceStatistics]:
    """Return the last statistics block of each interface of a file, by the interface's name."""
    with file.open("rb") as stream:
        blocks = [block for block in FileScanner(stream) if isinstance(block, InterfaceStatistics)]
    return {block.interface.options["if_name"]: block for block in blocks}
