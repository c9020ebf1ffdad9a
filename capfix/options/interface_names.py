"""Names and patterns of interfaces, as users write them.

An interface has a name and may have alternative names (`ip link property add dev eth0 altname uplink`), each of which
stands for it everywhere. So does an old-style label, as `eth0:1` is: the kernel reads it up to the colon.
"""

from collections.abc import Iterable
from fnmatch import fnmatchcase


def is_pattern(wanted: str) -> bool:
    """Return whether `wanted` stands for any number of interfaces: whether it holds one of `*`, `?`, `[`."""
    return any(character in wanted for character in "*?[")


def is_match(names: Iterable[str], wanted: str) -> bool:
    """Return whether an interface of these names is wanted.

    A pattern is matched as by a shell, upper and lower case apart; an interface whose name is the pattern itself
    matches too, as the kernel allows such names.
    """
    if is_pattern(wanted):
        return any(name == wanted or fnmatchcase(name, wanted) for name in names)
    return not {wanted, wanted.partition(":")[0]}.isdisjoint(names)
