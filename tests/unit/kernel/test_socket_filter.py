"""Filters on sockets: any socket takes one, so none of this needs privileges."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from capfix.errors import CaptureError, FilterTooLargeError
from capfix.filters import composition
from capfix.filters import instructions as bpf
from capfix.kernel.socket_filter import ACCEPT_ALL, REFUSE_ALL, attach
from capfix.lab.namespace import NetworkNamespace


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A sender, and a receiver that does not wait."""
    sender, receiver = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    receiver.setblocking(False)
    with sender, receiver:
        yield sender, receiver


def received(receiver: socket.socket) -> list[bytes]:
    messages = []
    while True:
        try:
            messages.append(receiver.recv(100))
        except BlockingIOError:
            return messages


def test_constant_programs():
    """The two programs written as bytes are what they say."""
    assert bpf.decode_program(ACCEPT_ALL) == (composition.ACCEPT,)
    assert bpf.decode_program(REFUSE_ALL) == (composition.REFUSE,)


def test_refusing_leaves_what_is_there(pair):
    """After it nothing comes in, and what came before can be read."""
    sender, receiver = pair
    sender.send(b"before")
    attach(receiver, REFUSE_ALL)
    sender.send(b"after")
    assert received(receiver) == [b"before"]


def test_a_filter_replaces_the_one_before(pair):
    """Only the filter attached last has a say."""
    sender, receiver = pair
    attach(receiver, REFUSE_ALL)
    attach(receiver, ACCEPT_ALL)
    sender.send(b"x")
    attach(receiver, bpf.encode_program((bpf.statement(bpf.RET | bpf.K, 2),)))
    sender.send(b"long")
    assert received(receiver) == [b"x", b"lo"]


def test_refusal_of_the_kernel_is_said(pair):
    """A program that the kernel does not take is refused in words."""
    with pytest.raises(CaptureError, match="cannot attach a filter of 2 instructions: invalid argument"):
        attach(pair[1], bpf.encode_program((bpf.statement(0xFE), composition.ACCEPT)))


@pytest.mark.parametrize("count", [4097, 65537])
def test_too_long_is_told_apart(pair, count):
    """A program longer than any kernel takes is refused as such, also where its 16-bit count would wrap around."""
    with pytest.raises(
        FilterTooLargeError, match=f"filter of {count} instructions; it takes at most 4096"
    ) as refusal:
        attach(pair[1], ACCEPT_ALL * count)
    assert refusal.value.count == count


@pytest.mark.root
def test_want_of_memory_is_told_apart():
    """Where options may have too little memory, the reason is told, and the filter before stays."""
    with NetworkNamespace() as namespace, namespace.entered():
        Path("/proc/sys/net/core/optmem_max").write_text("4096")
        sender, receiver = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with sender, receiver:
        receiver.setblocking(False)
        attach(receiver, REFUSE_ALL)
        with pytest.raises(FilterTooLargeError, match=r"a larger net\.core\.optmem_max may make room"):
            attach(receiver, ACCEPT_ALL * 4096)
        sender.send(b"x")
        assert received(receiver) == []
