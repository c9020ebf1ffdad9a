"""A second copy of capfix in the same process, whose modules are all plain Python.

The compiled modules must give what their own sources give when they run uncompiled, so the tests need both.
"""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import SOURCE_SUFFIXES, FileFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType

import capfix.errors

#: The uncompiled copy, kept so that all of it is one copy: its modules share their classes. The errors are the real
#: ones, which are never compiled, so that `pytest.raises` recognises what either copy raises.
_copy: dict[str, ModuleType] = {"capfix.errors": capfix.errors}


class _SourcesOnly(MetaPathFinder):
    """Find capfix's modules as the ordinary path finder does, and only the .py files among them."""

    def find_spec(self, fullname, path=None, target=None):
        if not _is_ours(fullname):
            return None
        for directory in path or [str(Path(capfix.__file__).parent.parent)]:
            spec = FileFinder(directory, (SourceFileLoader, SOURCE_SUFFIXES)).find_spec(fullname)
            if spec is not None:
                return spec
        return None


def load_uncompiled(name: str) -> ModuleType:
    """Return the module `name` of the uncompiled copy, for example `load_uncompiled("capfix.transcode.ring")`.

    `import capfix...` elsewhere goes on to mean the first copy. A module of the uncompiled copy that imports inside a
    function gets the first copy's module there.
    """
    with _copy_in_place():
        return importlib.import_module(name)


@contextmanager
def _copy_in_place() -> Iterator[None]:
    finder = _SourcesOnly()
    first = _take_ours()
    sys.modules.update(_copy)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        _copy.update(_take_ours())
        sys.modules.update(first)


def _take_ours() -> dict[str, ModuleType]:
    """Take capfix's modules out of those the interpreter knows, and return them."""
    return {name: sys.modules.pop(name) for name in list(sys.modules) if _is_ours(name)}


def _is_ours(name: str) -> bool:
    return name.partition(".")[0] == "capfix"
