"""Command lines to run next."""

import shlex


def capture_command(interface: str, *options: str) -> str:
    """Return the `capfix run` that captures an interface into a file called after it."""
    # A name may hold what a file's name must not
    file = f"./{interface.replace('/', '_')}.pcapng"
    return shlex.join(["capfix", "run", "-i", interface, *options, "-o", file])


def command(*words: str) -> str:
    """Return words as a shell takes them."""
    return shlex.join(words)
