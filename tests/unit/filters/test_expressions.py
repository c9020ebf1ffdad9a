"""Expressions are split around the words that libpcap cannot compile, and nowhere else."""

import pytest

from capfix.errors import UsageError
from capfix.filters.expressions import (
    Direction,
    Interface,
    Join,
    Not,
    Text,
    Vlan,
    asks_for_tags,
    needs_splitting,
    open_brackets,
    prefixes,
    split,
    without_keywords,
)


@pytest.mark.parametrize(
    "text", ["", "udp", "host vlan-gateway", "host my.vlan", "ether proto \\vlan or udp"]
)
def test_stays_whole(text):
    """A word that only contains a keyword is none."""
    assert not needs_splitting(text)


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("vlan", Vlan(None, 0)),
        ("vlan 0x10", Vlan(16, 0)),
        ("((inbound))", Direction(outbound=False)),
        ("!outbound", Not(Direction(outbound=True))),
        ("ifindex 7", Interface(7)),
        ("vlan 5 and udp", Join(Vlan(5, 0), Text("udp", 1), both=True)),
        ("vlan 5&&udp", Join(Vlan(5, 0), Text("udp", 1), both=True)),
        ("udp or vlan", Join(Text("udp", 0), Vlan(None, 0), both=False)),
        ("vlan 64 and vlan 5", Join(Vlan(64, 0), Vlan(5, 1), both=True)),
        ("not (vlan or arp)", Not(Join(Vlan(None, 0), Text("arp", 1), both=False))),
        ("ip or tcp and inbound", Join(Text("ip or tcp", 0), Direction(outbound=False), both=True)),
        (
            "inbound and port 80 and not tcp or arp",
            Join(
                Join(Direction(outbound=False), Text("port 80 and not tcp", 0), both=True),
                Text("arp", 0),
                both=False,
            ),
        ),
        (
            "(ip[0] & 0xf) * 4 > 20 and vlan and (tcp or tcp[2:2] = 5)",
            Join(
                Join(Text("(ip[0] & 0xf) * 4 > 20", 0), Vlan(None, 0), both=True),
                Text("(tcp or tcp[2:2] = 5)", 1),
                both=True,
            ),
        ),
        ("vlan and mpls and ip", Join(Vlan(None, 0), Text("mpls and ip", 1), both=True)),
    ],
)
def test_splits_around_keywords(text, tree):
    """`and` and `or` bind alike from the left, and each vlan moves what stands to its right behind a tag."""
    assert needs_splitting(text)
    assert split(text) == tree


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("mpls and inbound and ip", "`ip` can't follow `mpls` here"),
        ("pppoes 5 and vlan", "`vlan` can't follow `pppoes` here"),
        ("vlan and ether[16:2] = 0x800", r"behind `vlan`, ether\[...\] can't be asked for"),
    ],
)
def test_refuses_what_splitting_would_change(text, reason):
    """Where the parts would mean something else than the whole, there is a reason and a way out."""
    with pytest.raises(UsageError, match=reason):
        split(text)


def test_asks_for_tags():
    """A vlan is found wherever it stands."""
    assert asks_for_tags(split("not (inbound or (udp and vlan))"))
    assert not asks_for_tags(split("not (inbound or (udp and ifindex 3))"))


def test_text_for_libpcaps_judgement():
    """What libpcap does not know offline is replaced by what has the same grammar; vlan it knows."""
    assert without_keywords("inbound and (outbound or ifindex 3) and vlan 5") == (
        "greater 0 and (greater 0 or greater 3) and vlan 5"
    )


def test_prefixes_and_brackets():
    """An expression is walked through word by word, and brackets are closed in their order."""
    assert [word for _, word, _ in prefixes("udp and (ip[0] = 4)")] == [
        "udp", "and", "(", "ip", "[", "0", "]", "=", "4", ")",
    ]  # fmt: skip
    assert list(prefixes("tcp port"))[1] == ("tcp port", "port", "tcp ")
    assert open_brackets("not (udp and ip[(0)") == "])"
    assert open_brackets("(udp)") == ""
