"""Where a capture's packets go: sections, files, and the limits of each."""
