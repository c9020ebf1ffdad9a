"""How this capfix was built: which of its modules are compiled."""

from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec
from pathlib import Path

import capfix


def compiled_modules() -> list[str]:
    """Return the names of the modules that the ordinary build compiles: those with a .pxd file beside them."""
    package = Path(capfix.__file__).parent
    sources = [path.with_suffix(".py") for path in package.rglob("*.pxd")]
    names = [path.relative_to(package.parent).with_suffix("").parts for path in sources if path.exists()]
    return sorted(".".join(parts) for parts in names)


def uncompiled_modules() -> list[str]:
    """Return those of `compiled_modules` that are not compiled here. Empty means compiled.

    Nothing but their packages is imported to find out.
    """
    return [name for name in compiled_modules() if not _is_extension(name)]


def _is_extension(name: str) -> bool:
    spec = find_spec(name)
    return spec is not None and spec.origin is not None and spec.origin.endswith(tuple(EXTENSION_SUFFIXES))


def version_line() -> str:
    """Return what `capfix --version` prints, which says whether this capfix is compiled."""
    how = "uncompiled: right, and slow" if uncompiled_modules() else "compiled"
    return f"capfix {capfix.__version__} ({how})"
