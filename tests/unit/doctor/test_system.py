"""`capfix doctor` alone: can this user capture here."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from capfix.doctor import system
from capfix.doctor.system import examine_system
from tests.support.tools import NOBODY

DROP = ["setpriv", "--reuid", str(NOBODY), "--clear-groups", "--bounding-set", "-all", "--inh-caps", "-all"]
PROGRAM = [sys.executable, "-m", "capfix", "doctor"]


@pytest.mark.root
def test_root_may() -> None:
    """Where all is there the status is 0, a line each."""
    done = subprocess.run([*PROGRAM], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "this user may capture, as root" in done.stdout
    assert "TROUBLE" not in done.stdout
    assert "the hot path is compiled" in done.stdout


@pytest.mark.root
def test_nobody_may_not() -> None:
    """Without CAP_NET_RAW that is the trouble, and each remark is an object of the same keys."""
    done = subprocess.run([*DROP, *PROGRAM, "--json"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "")
    told = json.loads(done.stdout)
    assert told["version"] == 1
    troubles = [remark for remark in told["remarks"] if not remark["ok"]]
    assert [trouble["subject"] for trouble in troubles] == ["capture"]
    assert troubles[0]["remedy"]
    assert {frozenset(remark) for remark in told["remarks"]} == {
        frozenset({"subject", "ok", "sentence", "remedy"})
    }


def test_uncompiled() -> None:
    """A slow build is trouble, with the way to a fast one."""
    remark = examine_system(["capfix.wire.ip"])[-1]
    assert not remark.ok
    assert "pip install" in remark.remedy


def test_little_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the default ring does not fit, a smaller one is advised; where nothing is known, nothing is claimed."""
    made_up = tmp_path / "meminfo"
    made_up.write_text("MemTotal: 200000 kB\nMemAvailable: 90000 kB\n")
    monkeypatch.setattr(system, "_MEMORY", made_up)
    remark = next(each for each in examine_system([]) if each.subject == "memory")
    assert (remark.ok, remark.remedy) == (False, "capfix run -B 8 ...")
    made_up.write_text("nonsense\n")
    assert next(each for each in examine_system([]) if each.subject == "memory").ok


def test_short_filters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small optmem_max is told with the command that raises it."""
    made_up = tmp_path / "optmem_max"
    made_up.write_text("20480\n")
    monkeypatch.setattr(system, "_OPTMEM", made_up)
    remark = next(each for each in examine_system([]) if each.subject == "filters")
    assert remark.remedy == "sysctl -w net.core.optmem_max=131072"
