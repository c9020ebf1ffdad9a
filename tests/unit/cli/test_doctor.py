"""`capfix doctor` as a command: what it prints, and its statuses."""

import json
import socket

import pytest

from capfix.cli import main
from capfix.lab import HeaderlessVpn, NetworkNamespace
from capfix.lab.repeating import again_and_again

pytestmark = pytest.mark.root
PACKET = bytes.fromhex("4500001c00000000401166c20a0800010a08000200090009000800 00".replace(" ", ""))


def with_sound_checksum(packet: bytes) -> bytes:
    words = sum(int.from_bytes(packet[at : at + 2], "big") for at in range(0, 20, 2) if at != 10)
    checksum = 0xFFFF - (words % 0xFFFF)
    return packet[:10] + checksum.to_bytes(2, "big") + packet[12:]


def test_for_people(vpn: HeaderlessVpn, capsys: pytest.CaptureFixture[str]) -> None:
    """The verdict, a packet read wrongly, and the command to run, without colour."""
    packet = with_sound_checksum(PACKET)
    with again_and_again(lambda: vpn.deliver(packet)):
        assert vpn.namespace.run(main, ["doctor", "-i", "cipsec0"]) == 1
    said = capsys.readouterr().out
    assert said.startswith("headerless-inbound: cipsec0 says it is Ethernet")
    assert "read as Ethernet: destination 45:00:00:1c:00:00" in said
    assert said.endswith("Run this:\n  capfix run -i cipsec0 -o ./cipsec0.pcapng\n")
    assert "\033" not in said


def test_for_programs(namespace: NetworkNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    """One object with the documented keys; status 0 for what is sound."""
    with namespace.entered():
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with sender, again_and_again(lambda: sender.sendto(b"x", ("127.0.0.1", 9))):
        assert namespace.run(main, ["doctor", "-i", "lo", "--json", "--seconds", "1"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert set(told) == {"version", "interface", "verdict", "sentence", "evidence", "remedy", "notes"}
    assert (told["version"], told["interface"], told["verdict"], told["remedy"]) == (1, "lo", "sound", None)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["-i", "lo", "--seconds", "0"], "--seconds 0.0: give a number above zero"),
        (["-i", "lo", "--seconds", "nan"], "--seconds nan: give a number above zero"),
        (["-i", "any"], "doctor looks at one interface at a time"),
    ],
)
def test_wrong_usage(capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str) -> None:
    """A mistake is one sentence and status 2."""
    assert main(["doctor", *arguments]) == 2
    assert sentence in capsys.readouterr().err
