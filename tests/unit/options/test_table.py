"""One record an option: what is made of the records agrees with what stands elsewhere."""

import re
from pathlib import Path

import pytest

from capfix import cli
from capfix.options.assembly import assemble
from capfix.options.hints import hints
from capfix.options.parser import help_text
from capfix.options.run import RunOptions
from capfix.options.table import CHANGEABLE, GROUPS, OPTIONS, option_name

DOCUMENTATION = Path(__file__).parents[3] / "docs" / "options.md"


def documented_flags() -> list[tuple[tuple[str, ...], str]]:
    """Return names and metavar of each option in the tables; a row may have several options."""
    found = []
    for row in re.findall(
        r"^\| (`-.*?`) \| (?=[^|])", DOCUMENTATION.read_text().replace(r"\|", "&"), re.MULTILINE
    ):
        letters: tuple[str, ...] = ()
        for words in re.findall("`([^`]+)`", row):
            flag, _, metavar = words.partition(" ")
            if flag.startswith("--"):
                found.append(((*letters, flag), metavar.replace("&", "|")))
                letters = ()
            else:
                letters += (flag,)
    return found


def test_the_documentation_lists_every_option_with_its_names_and_values():
    """In its tables, once each: nothing is missing, nothing is made up."""
    expected = {
        option.flags: "|".join(option.kind.choices) or option.kind.metavar for option in OPTIONS.values()
    }
    listed = documented_flags()
    assert len(listed) == len(dict(listed))
    assert dict(listed) == expected


def test_names_are_unique():
    """No two options share a name, long or short."""
    flags = [flag for option in OPTIONS.values() for flag in option.flags]
    assert len(flags) == len(set(flags))
    assert len(OPTIONS) == sum(len(group.options) for group in GROUPS)


def test_every_field_is_filled_by_an_option():
    """No option fills a field that does not exist, and no field can be reached by none."""
    filled = {path.partition(".")[0] for option in OPTIONS.values() for path in option.fills}
    assert filled == set(RunOptions._fields)


def test_what_is_not_given_has_its_default():
    """The defaults stand in RunOptions alone."""
    assert assemble({"interface": ["lo"], "output": "x"}) == RunOptions(("lo",), "x")


def test_changeable_fields_and_their_names():
    """The user's names of fields are those of the options."""
    assert {"stop_packets", "verbose", "retention"} == CHANGEABLE
    assert option_name("interfaces") == "interface"
    assert option_name("promiscuous") == "no-promiscuous"
    assert option_name("filter") == "filter or filter-file"
    assert option_name("rotation") == "rotate-size, -every or -packets"
    assert (option_name("stop_packets"), option_name("stop_files")) == ("count", "stop")


def test_help_has_every_option_its_default_and_its_needs(capsys):
    """`--help` comes from the records; a percent sign stands for itself."""
    assert cli.main(["run", "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for option in OPTIONS.values():
        assert all(flag in shown for flag in option.flags)
    assert "10% of the filesystem" in shown
    assert help_text(OPTIONS["link"]).endswith("default sll")
    needs = "needs --source nflog, both or auto and CAP_NET_ADMIN"
    assert help_text(OPTIONS["nflog-group"]).endswith(needs)


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("x.pcap", "x.pcap will be a pcapng file"),
        ("d/x.PCAP", "will be a pcapng file"),
        ("x-%H%M.pcapng", "% sequences are not expanded; for files named by time use --rotate-every"),
        ("x.pcapng", ""),
        ("d%H/100%.pcapng", ""),
        ("-", ""),
    ],
)
def test_an_output_that_is_likely_not_meant_gets_a_hint(output, words):
    """For what users of other tools expect of a name."""
    found = list(hints(RunOptions(("lo",), output)))
    assert len(found) == bool(words)
    assert words in "".join(found)
