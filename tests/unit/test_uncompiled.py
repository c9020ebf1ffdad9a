"""Every compiled module also runs uncompiled, beside the compiled one."""

import importlib
import sys

import pytest

import capfix.errors
from capfix.cli.build import compiled_modules, uncompiled_modules
from tests.support.uncompiled import load_uncompiled


@pytest.mark.parametrize("name", compiled_modules())
def test_compiled_module_also_runs_uncompiled(name):
    """The uncompiled copy comes from the source, and leaves the compiled module where it was."""
    compiled = importlib.import_module(name)
    uncompiled = load_uncompiled(name)
    assert uncompiled.__file__.endswith(".py")
    assert uncompiled.__spec__.origin.endswith(".py")
    assert uncompiled is not compiled
    assert importlib.import_module(name) is compiled


def test_everything_is_compiled_here():
    """The tests run against a compiled capfix, else comparing the two copies would show nothing."""
    assert uncompiled_modules() == []


def test_uncompiled_copy_is_one_copy():
    """Modules that are loaded one after the other share their classes, and the errors are the real ones."""
    numbers = load_uncompiled("capfix.wire.numbers")
    assert load_uncompiled("capfix.wire").numbers is numbers
    assert load_uncompiled("capfix.errors") is capfix.errors


def test_failed_import_leaves_no_trace():
    """A module that cannot be imported uncompiled leaves the interpreter's own copy untouched."""
    before = sys.modules["capfix"]
    with pytest.raises(ModuleNotFoundError):
        load_uncompiled("capfix.no_such_module")
    assert sys.modules["capfix"] is before
    assert not any(type(finder).__name__ == "_SourcesOnly" for finder in sys.meta_path)
