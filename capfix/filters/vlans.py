"""Which VLANs to take, by the outer tag of a packet."""

from capfix.filters import composition, fitting
from capfix.filters import instructions as bpf
from capfix.filters.fitting import Reading
from capfix.filters.instructions import Program, statement
from capfix.filters.vlan_set import LAST_VLAN_ID, VlanSet


def outer_tag_choice(
    vlans: VlanSet, reading: Reading, *, stripped: bool, if_tagged: Program, if_untagged: Program
) -> Program:
    """Return the program for packets in one of these VLANs, which goes on as their being tagged asks for.

    `reading` is that before all tags. `stripped` says that the kernel took the outer tag out, so that there is one.
    """
    has_id = composition.within(
        (
            statement(bpf.LD | bpf.H | bpf.ABS, reading.tci),
            statement(bpf.ALU | bpf.AND | bpf.K, LAST_VLAN_ID),
        ),
        vlans.ids,
    )
    tagged = composition.both(has_id, if_tagged)
    if stripped:
        return tagged
    untagged = if_untagged if vlans.untagged else (composition.REFUSE,)
    return composition.choose(fitting.vlan_test(reading, None, stripped=False), tagged, untagged)
