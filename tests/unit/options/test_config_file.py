"""Reading the configuration file: what it says, and on which line."""

import pytest

from capfix.errors import CapfixError, UsageError
from capfix.options.config_file import Setting, read_config_file


def read(tmp_path, text):
    path = tmp_path / "capture.toml"
    path.write_text(text)
    return read_config_file(path)


def test_settings_come_with_their_lines(tmp_path):
    """Keys are found on their lines behind comments, in quotes, with blanks, and after values of several lines."""
    text = '# note = 1\ninterface = [\n  "a",\n  "b",\n]\n"ring-size"=8\n\n  quiet = true # loud = 1\n[table]\nx = 1\n'
    assert read(tmp_path, text) == [
        Setting("interface", ["a", "b"], 2),
        Setting("ring-size", 8, 6),
        Setting("quiet", True, 8),
        Setting("table", {"x": 1}, 9),
    ]


def test_a_line_within_a_text_is_no_setting(tmp_path):
    """What looks like the key inside a text of several lines does not take the key's place."""
    text = 'filter = """\nquiet = 1\n"""\nquiet = true\n'
    assert read(tmp_path, text) == [Setting("filter", "quiet = 1\n", 1), Setting("quiet", True, 4)]


def test_empty_file(tmp_path):
    """A file without settings is sound."""
    assert read(tmp_path, "# nothing\n") == []


def test_syntax_errors_have_the_parsers_place(tmp_path):
    """What is not TOML is wrong usage, told with line and column."""
    with pytest.raises(UsageError, match=r"capture\.toml: .*\(at line 2, column 3\)"):
        read(tmp_path, "a=1\nb==2\n")


def test_bytes_that_are_no_text_are_wrong_usage(tmp_path):
    """A file that is not UTF-8 is refused in one sentence."""
    (tmp_path / "capture.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match=r"capture\.toml: 'utf-8' codec"):
        read_config_file(tmp_path / "capture.toml")


def test_a_missing_file_is_trouble(tmp_path):
    """A file that is not there is status 1, not wrong usage."""
    with pytest.raises(CapfixError, match="no such file") as caught:
        read_config_file(tmp_path / "none.toml")
    assert caught.value.exit_status == 1
