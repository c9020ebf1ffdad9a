"""Where a capture's packets come from, and the interfaces that go and come meanwhile."""
