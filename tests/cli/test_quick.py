"""A quick start leaves out what a capture does not need, and nothing else notices."""

import subprocess
import sys


def _run(program: str) -> str:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout


def test_asyncio_comes_without_ssl():
    """Importing asyncio inside a quick start does not load ssl."""
    program = (
        "import sys\nfrom capfix.cli.quick import quick_start\n"
        "with quick_start():\n    import asyncio\n"
        "asyncio.run(asyncio.sleep(0))\nprint('_ssl' in sys.modules)"
    )
    assert _run(program) == "False\n"


def test_ssl_can_be_imported_afterwards():
    """Behind a quick start, whoever wants ssl gets it, and garbage is collected again."""
    program = (
        "import gc\nfrom capfix.cli.quick import quick_start\n"
        "with quick_start():\n    import asyncio\n"
        "import ssl\nprint(bool(ssl.OPENSSL_VERSION), gc.isenabled())"
    )
    assert _run(program) == "True True\n"


def test_asyncio_that_is_there_already_keeps_ssl():
    """A program that has asyncio already is left as it is."""
    program = (
        "import asyncio, sys\nfrom capfix.cli.quick import quick_start\n"
        "with quick_start():\n    import asyncio.sslproto\n"
        "print(asyncio.sslproto.ssl is sys.modules['ssl'])"
    )
    assert _run(program) == "True\n"
