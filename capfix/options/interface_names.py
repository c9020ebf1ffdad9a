"""Names and patterns of interfaces, as users write them."""

from fnmatch import fnmatchcase


def is_pattern(wanted: str) -> bool:
    """Return whether `wanted` stands for any number of interfaces: whether it holds one of `*`, `?`, `[`."""
    return any(character in wanted for character in "*?[")


def is_match(name: str, wanted: str) -> bool:
    """Return whether a link called `name` is wanted.

    A pattern is matched as by a shell, upper and lower case apart; a link whose name is the pattern itself matches
    too, as the kernel allows such names.
    """
    return name == wanted or (is_pattern(wanted) and fnmatchcase(name, wanted))
