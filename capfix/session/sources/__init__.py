"""Where a capture's packets come from, and the interfaces that go and come meanwhile.

    source         what a capture asks of any source
    packet         a packet socket; `attachment` says which interfaces: all, one, those that match
    netfilter      a log group
    ledger         a source's interfaces in the section being written: blocks, notes, statistics; `gaps` are noted
    known_links    names of interfaces, also when they are gone; `following` hears of them, by `wanted_links`
    attachments    attaches a packet source to interfaces as they come, and detaches it as they go
    making         from options to sources, not yet open

Several interfaces share one socket that is bound to none and whose filter lists them: one ring is in order, several
would have to be merged, at 5 us a packet where they alternate.
"""
