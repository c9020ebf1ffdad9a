"""The VLANs that a capture is asked for."""

from typing import Final, NamedTuple

LAST_VLAN_ID: Final = 4095


class VlanSet(NamedTuple):
    """VLAN IDs from 0, which a priority tag has, to 4095; `untagged` takes packets without a tag, too."""

    ids: frozenset[int]
    untagged: bool = False
