"""A filter expression in a file."""

from typing import Final

from capfix.errors import UsageError

MAX_SIZE: Final = 1 << 20  # chosen: some 50000 hosts


def read_expression(path: str) -> str:
    """Return the expression in a file, on one line. As with tcpdump, `#` begins a comment, up to the line's end.

    Raises:
        UsageError: the file cannot be read, is larger than MAX_SIZE bytes, or is not text.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_SIZE + 1)
    except OSError as exc:
        raise UsageError(f"cannot read the filter in {path}: {(exc.strerror or str(exc)).lower()}") from exc
    if len(data) > MAX_SIZE:
        raise UsageError(
            f"the filter in {path} has more than {MAX_SIZE} bytes; name networks instead of hosts"
        )
    try:
        text = data.decode()
    except UnicodeDecodeError as exc:
        raise UsageError(f"the filter in {path} is not text: byte {exc.start} is not UTF-8") from exc
    if "\0" in text:
        raise UsageError(f"the filter in {path} is not text: byte {data.index(0)} is 0")
    return " ".join(word for line in text.split("\n") for word in line.partition("#")[0].split())
