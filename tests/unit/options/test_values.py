"""Words of the command line, what they mean, and what options may be together."""

import pytest

from capfix.errors import UsageError
from capfix.filters.vlan_set import VlanSet
from capfix.options.assembly import assemble
from capfix.options.checks import checked
from capfix.options.dumpcap import StopRules, rotate_criterion
from capfix.options.run import RunOptions
from capfix.options.values import (
    file_rules,
    parse_count,
    parse_group,
    parse_hooks,
    parse_mark,
    parse_snaplen,
    parse_vlans,
)
from capfix.rotation.retention import RetentionRules
from capfix.rotation.schedule import RotationRules


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "many", "", "1" * 30])
def test_a_count_is_a_whole_number_from_one(text: str) -> None:
    """Anything else is refused with the text in the message."""
    with pytest.raises(UsageError, match="whole number"):
        parse_count(text)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"interfaces": ()}, "no interface"),
        ({"interfaces": ("any", "lo")}, "every interface already"),
        ({"link": "token-ring"}, "--link: 'token-ring' is none of sll, sll2, ethernet"),
        ({"ring_size_mib": 4096}, "too large"),
        ({"keep_headers": True}, "--link ethernet"),
        ({"source": "ulog"}, "--source: 'ulog' is none of packet, nflog, both, auto"),
        ({"nflog_group": 5}, "--nflog-group needs --source nflog, both or auto"),
        ({"nflog_rules": "auto"}, "--nflog-rules needs --source nflog"),
        ({"nflog_hooks": (1,)}, "--nflog-hooks needs --source nflog"),
        ({"source": "nflog", "nflog_rules": "none"}, "--nflog-rules none needs --nflog-group"),
        (
            {"source": "nflog", "nflog_rules": "none", "nflog_group": 5, "nflog_hooks": (1,)},
            "--nflog-rules none that it makes none",
        ),
        (
            {"source": "auto", "link": "ethernet", "keep_headers": True},
            "--keep-headers needs --source packet",
        ),
        ({"retention": RetentionRules(keep_files=3)}, "one file unless it is rotated"),
        ({"stop_files": 3}, "one file unless it is rotated"),
        ({"rotation": RotationRules(every_ns=10**6)}, "--rotate-every of 1 ms is too often"),
        ({"rotation": RotationRules(every_ns=99_000_000)}, "99 ms"),
        ({"rotation": RotationRules(duration_ns=10**6)}, "--rotate duration of 1 ms"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, object], reason: str) -> None:
    """With the reason, before anything is tried."""
    with pytest.raises(UsageError, match=reason):
        checked(RunOptions(**{"interfaces": ("lo",), "output": "x.pcapng", **options}))


@pytest.mark.parametrize(
    ("text", "mark"),
    [
        ("1007", (1007, 0xFFFFFFFF)),
        ("0x3EF", (1007, 0xFFFFFFFF)),
        ("0x100/0xff00", (0x100, 0xFF00)),
        ("0/1", (0, 1)),
        ("4294967295", (0xFFFFFFFF, 0xFFFFFFFF)),
    ],
)
def test_marks(text, mark):
    """A mark is a 32-bit number, decimal or hexadecimal, with a mask of all ones where none is given."""
    assert parse_mark(text) == mark


@pytest.mark.parametrize(
    "text", ["", "/", "1/", "-1", "x", "0x", "4294967296", "0x100000000", "1/2/3", "07x"]
)
def test_wrong_marks(text):
    """What is no mark is refused with the form of one."""
    with pytest.raises(UsageError, match="say VALUE or VALUE/MASK"):
        parse_mark(text)


def test_impossible_mark():
    """A value with bits outside of its mask would never match."""
    with pytest.raises(UsageError, match="no packet has the mark 0x101/0xff00"):
        parse_mark("0x101/0xff00")


def test_snaplens():
    """A snapshot length is in bytes, and 0 is the largest."""
    assert [parse_snaplen(text) for text in ("0", "1", "96", "262144")] == [262144, 1, 96, 262144]


@pytest.mark.parametrize("text", ["", "-1", "262145", "1k", "99999999999999999999"])
def test_wrong_snaplens(text):
    """What no packet can be cut to is refused."""
    with pytest.raises(UsageError, match="is not a number of bytes from 0 to 262144"):
        parse_snaplen(text)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"direction": "up"}, "--direction: 'up' is none of in, out, inout"),
        ({"snaplen": 0}, "--snaplen 0 is too small; the least is 1"),
    ],
)
def test_options_are_checked_together(options, message):
    """Wrong values are refused wherever they come from."""
    with pytest.raises(UsageError, match=message):
        checked(RunOptions(interfaces=("lo",), output="x", **options))


def test_the_shortest_rhythm_is_allowed():
    """A new file every 100 ms can be had: only below that would syncing be all that happens."""
    options = RunOptions(("lo",), "x", rotation=RotationRules(every_ns=100_000_000))
    assert checked(options) is options


@pytest.mark.parametrize(("text", "group"), [("0", 0), ("1007", 1007), ("65535", 65535)])
def test_a_log_group_is_a_number_of_16_bits(text: str, group: int) -> None:
    """From 0 to 65535."""
    assert parse_group(text) == group


@pytest.mark.parametrize("text", ["", "-1", "65536", "0x10", "any"])
def test_other_log_groups_are_refused(text: str) -> None:
    """With the text in the message."""
    with pytest.raises(UsageError, match="is not a log group"):
        parse_group(text)


def test_hooks_are_a_comma_list_of_names() -> None:
    """Each once, by netfilter's numbers."""
    assert parse_hooks("prerouting,input,forward,output,postrouting") == (0, 1, 2, 3, 4)
    assert parse_hooks("output,input,output") == (3, 1)


@pytest.mark.parametrize("text", ["", "input,", "ingress", "INPUT"])
def test_other_hooks_are_refused(text: str) -> None:
    """With those there are in the message."""
    with pytest.raises(UsageError, match="is not a netfilter hook; choose from prerouting, input"):
        parse_hooks(text)


def test_rules_are_made_at_the_usual_hooks_unless_they_are_the_user_s_own() -> None:
    """Input, forward and output by default; none with --nflog-rules none."""
    options = {"interfaces": ("lo",), "output": "x", "source": "nflog"}
    assert RunOptions(**options).hooks == (1, 2, 3)
    assert RunOptions(**options, nflog_hooks=(0,)).hooks == (0,)
    assert RunOptions(**options, nflog_rules="none", nflog_group=5).hooks == ()


def test_of_two_limits_for_a_file_the_smaller_holds():
    """Options of both kinds may be given together; each limit is the smaller of the two."""
    criteria = map(
        rotate_criterion, ["filesize:1000", "packets:50", "interval:3600", "duration:5", "files:4"]
    )
    rotation, retention, _ = file_rules(
        criteria, RotationRules(size_bytes=999, packets=51), RetentionRules(keep_files=9), StopRules()
    )
    assert rotation == RotationRules(999, 50, 3600 * 10**9, 5 * 10**9)
    assert retention == RetentionRules(keep_files=9, run_files=4)


def test_a_size_to_stop_at_begins_a_new_file_where_files_are_rotated():
    """As in dumpcap, -a filesize ends the capture only where there is one file."""
    stop = StopRules(size_bytes=5000)
    alone = file_rules([], RotationRules(), RetentionRules(), stop)
    rotated = file_rules([("packets", 9)], RotationRules(), RetentionRules(), stop)
    assert (alone[0], alone[2]) == (RotationRules(), stop)
    assert (rotated[0], rotated[2]) == (RotationRules(size_bytes=5000, packets=9), StopRules())


@pytest.mark.parametrize(
    ("text", "vlans"),
    [
        ("5", VlanSet(frozenset({5}))),
        ("5,7-9,none", VlanSet(frozenset({5, 7, 8, 9}), untagged=True)),
        ("none", VlanSet(frozenset(), untagged=True)),
        ("0-4095", VlanSet(frozenset(range(4096)))),
    ],
)
def test_vlans(text, vlans):
    """IDs, ranges and `none` make a set."""
    assert parse_vlans(text) == vlans


@pytest.mark.parametrize("text", ["", "5,", "4096", "9-7", "5-", "-5", "None", "5 7", "0x5"])
def test_no_vlans(text):
    """Anything else is refused, with an example."""
    with pytest.raises(
        UsageError, match="is not a VLAN; say IDs from 0 to 4095, ranges and none, as in 5,7-9,none"
    ):
        parse_vlans(text)


def test_an_expression_stands_in_one_place():
    """Either on the command line or in a file."""
    with pytest.raises(UsageError, match="leave one out"):
        assemble({"interface": ["lo"], "output": "x", "filter": "ip", "filter-file": "ip"})
    assert assemble({"interface": ["lo"], "output": "x", "filter-file": "ip"}).filter == "ip"


def test_vlans_are_not_chosen_where_there_are_no_tags():
    """Netfilter's log shows none, so `--vlan 5` would take nothing."""
    with pytest.raises(UsageError, match="--vlan needs --source packet, both or auto"):
        checked(RunOptions(("lo",), "x", source="nflog", vlans=VlanSet(frozenset({5}))))
