"""A filter expression is read from a file as tcpdump reads it."""

import pytest

from capfix.errors import UsageError
from capfix.options.expression_file import MAX_SIZE, read_expression


def test_comments_and_lines(tmp_path):
    """Comments go, up to the end of their line, and lines become one."""
    file = tmp_path / "filter"
    file.write_text("# name servers\nport 53 # DNS\n  and udp\n")
    assert read_expression(str(file)) == "port 53 and udp"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"port 53\0", "is not text: byte 7 is 0"),
        (b"port \xff", "is not text: byte 5 is not UTF-8"),
        (b" " * (MAX_SIZE + 1), "has more than 1048576 bytes"),
    ],
)
def test_what_is_no_expression(tmp_path, content, message):
    """What cannot be an expression is refused in one sentence, before it takes memory."""
    file = tmp_path / "filter"
    file.write_bytes(content)
    with pytest.raises(UsageError, match=message):
        read_expression(str(file))


def test_what_cannot_be_read(tmp_path):
    """A missing file and a directory are named, with the reason."""
    with pytest.raises(UsageError, match=r"cannot read the filter in .*/none: no such file or directory"):
        read_expression(str(tmp_path / "none"))
    with pytest.raises(UsageError, match="is a directory"):
        read_expression(str(tmp_path))
