"""A log group, one read at a time, against the real kernel."""

import socket
import subprocess
import time

import pytest

from capfix.kernel.nflog import NflogSocket
from capfix.lab import NetworkNamespace
from capfix.session.sources.netfilter import LogReads
from capfix.wire.numbers import HOOK_OUTPUT
from tests.support.tools import need

pytestmark = pytest.mark.root

RULES = "table inet mine { chain out { type filter hook output priority 0; log group 5; }; }"


def send(payload: bytes) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(payload, ("127.0.0.2", 9))


def read(reads: LogReads) -> bytes:
    """Return what comes within 50 ms."""
    found = b""
    until = time.monotonic() + 0.05
    while time.monotonic() < until:
        ready = reads.ready()
        if ready is not None:
            found += bytes(ready)
            reads.release()
    return found


@pytest.mark.parametrize("hooks", [[], [HOOK_OUTPUT]], ids=["foreign rules", "own rules"])
def test_what_is_logged_after_the_end_is_not_read(namespace: NetworkNamespace, hooks: list[int]) -> None:
    """What was logged before comes out, also what the kernel still kept back; then nothing, whoever goes on logging."""
    with namespace.entered():
        reads = LogReads(NflogSocket(5), hooks, None)
        if not hooks:
            subprocess.run([need("nft"), RULES], check=True)
        send(b"before")
        reads.refuse_all()
        assert b"before" in read(reads)
        send(b"after")
        assert read(reads) == b""
    reads.socket.close()


def test_a_read_stays_until_it_is_released(namespace: NetworkNamespace) -> None:
    """As a ring block does, so that it can be converted in pieces; its time is that of the read."""
    with namespace.entered():
        reads = LogReads(NflogSocket(5), [HOOK_OUTPUT], None)
        send(b"one")
        time.sleep(0.03)
        before = time.time_ns()
        first = reads.ready()
        assert first is not None
        assert before <= reads.receipt_ns <= time.time_ns()
        send(b"two")
        time.sleep(0.03)
        assert reads.ready() == first
        assert b"two" not in bytes(first)
        reads.release()
        assert b"two" in read(reads)
    reads.refuse_all()
    reads.socket.close()


def test_what_waits_is_read_all_the_same_and_keeps_its_time(namespace: NetworkNamespace) -> None:
    """Else it would be read later, be later by that, and wait again: netfilter's share of large packets fell behind."""
    with namespace.entered():
        reads = LogReads(NflogSocket(5), [HOOK_OUTPUT], None)
        send(b"one")
        time.sleep(0.03)
        first = reads.ready()
        assert first is not None
        send(b"two")
        time.sleep(0.03)
        reads.stock_up()
        stocked_ns = time.time_ns()
        send(b"three")
        assert b"one" in bytes(reads.ready() or b"")  # not written over
        time.sleep(0.03)
        reads.release()
        assert b"two" in bytes(reads.ready() or b"")
        assert reads.receipt_ns <= stocked_ns
        reads.release()
        assert b"three" in bytes(reads.ready() or b"")
        assert reads.receipt_ns > stocked_ns
    reads.refuse_all()
    reads.socket.close()
