"""Build the compiled part: every module with a .pxd file of its name beside it.

A missing or failing C compiler leaves a pure-Python installation, which works and says that it is slow.
CAPFIX_REQUIRE_COMPILED=1, set for a release build, makes that an error instead.
"""

import os
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

DIRECTIVES = {
    "language_level": 3,
    "boundscheck": False,
    "wraparound": False,
    "initializedcheck": False,
    "cdivision": True,
    "embedsignature": True,
}

#: Cython compares C's unsigned numbers with literals as it finds them; the compiler need not mention each.
FLAGS = ["-O3", "-g0", "-Wno-sign-compare"]


def compiled_extensions() -> list[Extension]:
    """Return an extension for each module that has a .pxd file, optional unless the build must compile."""
    declared = (path.with_suffix(".py") for path in Path("capfix").rglob("*.pxd"))
    sources = sorted(source for source in declared if source.exists())
    extensions = [
        Extension(".".join(source.with_suffix("").parts), [str(source)], extra_compile_args=FLAGS)
        for source in sources
    ]
    extensions = cythonize(extensions, build_dir="build/cython", compiler_directives=DIRECTIVES)
    for extension in extensions:  # set here because cythonize drops it
        extension.optional = os.environ.get("CAPFIX_REQUIRE_COMPILED") != "1"
    return extensions


setup(
    ext_modules=compiled_extensions(),
    options={"build_ext": {"parallel": os.cpu_count()}},
)
