"""Expressions that are sound and mean something else than they seem to.

Each `vlan` moves everything to the right of it, also past an `or`, behind one more tag.

Source: pcap-filter(7), vlan.
"""

from capfix.filters import expressions
from capfix.filters.expressions import Join, Node, Not, Text, Vlan


def vlan_warning(text: str) -> str | None:
    """Return a sentence on the first `vlan` that cannot mean what it seems to, with what to write; None without one.

    `text` is an expression that libpcap found sound.

    Raises:
        UsageError: it cannot be taken apart.
    """
    if not expressions.needs_splitting(text):
        return None
    return _warning(expressions.split(text))


def _warning(node: Node) -> str | None:
    if isinstance(node, Not):
        return _warning(node.term)
    if not isinstance(node, Join):
        return None
    first, others = expressions.chained(node)
    seen = [first]
    for is_and, term in others:
        if found := _between(seen, term, is_and=is_and):
            return found
        seen.append(term)
    return next((found for term in seen if (found := _warning(term))), None)


def _between(before: list[Node], term: Node, *, is_and: bool) -> str | None:
    """Return what is wrong with a term that follows these on its level."""
    tags = [tag for node in before for tag in _tags(node)]
    if not tags:
        return None
    if is_and:
        if isinstance(before[-1], Not) and isinstance(before[-1].term, Vlan) and isinstance(term, Text):
            return (
                f"`{term.text}` after `not vlan` is looked for behind a tag that is not there; "
                f"write `{term.text} and not {_written(before[-1].term)}`"
            )
        return None
    inner = _tags(term)
    if inner:
        listed = ",".join(str(tag.vlan_id) for tag in [*tags, *inner] if tag.vlan_id is not None) or "0-4095"
        return (
            f"`{_written(inner[0])}` after `or` asks for a second tag, behind that of `{_written(tags[-1])}`; "
            f"to take packets of either VLAN use --vlan {listed}"
        )
    if isinstance(term, Text):
        return (
            f"`{term.text}` after `{_written(tags[-1])} or` is looked for behind a tag, so untagged packets are lost; "
            f"write `{term.text} or {_written(tags[-1])}`"
        )
    return None


def _tags(node: Node) -> list[Vlan]:
    match node:
        case Vlan():
            return [node]
        case Not(term):
            return _tags(term)
        case Join():
            first, others = expressions.chained(node)
            return [tag for term in (first, *(other for _, other in others)) for tag in _tags(term)]
        case _:
            return []


def _written(tag: Vlan) -> str:
    return "vlan" if tag.vlan_id is None else f"vlan {tag.vlan_id}"
