"""The checks, one file each: `check(observation)` yields findings. A new file takes part by being here."""

import pkgutil
from collections.abc import Iterator
from importlib import import_module

from capfix.doctor.findings import Finding
from capfix.doctor.observation import Observation


def run_checks(observation: Observation) -> Iterator[Finding]:
    """Yield what all checks find, in the order of their names."""
    for module in pkgutil.iter_modules(__path__):
        yield from import_module(f"{__name__}.{module.name}").check(observation)
