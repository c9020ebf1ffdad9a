"""`capfix service` on system images: directories instead of the running system."""

import subprocess
from pathlib import Path

import pytest

from capfix import cli
from capfix.cli import service

UNIT = "usr/local/lib/systemd/system/capfix@.service"
SYSUSERS = "etc/sysusers.d/capfix.conf"
TOP = Path(__file__).parents[3]


@pytest.fixture
def image(tmp_path):
    """A system image with capfix installed as /opt/capfix/bin/capfix, and an instance enabled."""
    assert (
        cli.main(["service", "install", "--root", str(tmp_path), "--command", "/opt/capfix/bin/capfix"]) == 0
    )
    enabled = tmp_path / "etc/systemd/system/multi-user.target.wants/capfix@cipsec0.service"
    enabled.parent.mkdir(parents=True)
    enabled.symlink_to(f"/{UNIT}")
    return tmp_path


def test_unit_starts_the_installed_program(image):
    """The installed unit differs from the packaged one in the program alone."""
    packaged = (TOP / "systemd/capfix@.service").read_text()
    assert "\nExecStart=/usr/bin/capfix run --wait --instance %i\n" in packaged
    assert (image / UNIT).read_text() == packaged.replace("=/usr/bin/capfix ", "=/opt/capfix/bin/capfix ")
    assert (image / SYSUSERS).read_text() == (TOP / "systemd/capfix.sysusers").read_text()


def test_what_to_do_next_is_said(image, capsys):
    """Installing says how to start an instance and where its files and settings are."""
    cli.main(["service", "install", "--root", str(image), "--command", "/opt/capfix/bin/capfix"])
    out = capsys.readouterr().out
    assert "systemctl enable --now capfix@cipsec0" in out
    assert "/var/lib/capfix" in out
    assert "/etc/capfix/cipsec0.toml" in out


def test_remove_leaves_captures_settings_and_drop_ins(image, capsys):
    """After removal the unit and its enabled instances are gone; what the administrator made and captured is there."""
    kept = ["var/lib/capfix/cipsec0_00001_20260101000000.pcapng", "etc/capfix/cipsec0.toml"]
    kept.append("etc/systemd/system/capfix@.service.d/inet.conf")
    for name in kept:
        (image / name).parent.mkdir(parents=True, exist_ok=True)
        (image / name).touch()
    assert cli.main(["service", "remove", "--root", str(image)]) == 0
    assert sorted(str(path.relative_to(image)) for path in image.rglob("*") if not path.is_dir()) == sorted(
        kept
    )
    assert cli.main(["service", "remove", "--root", str(image)]) == 0
    assert "nothing to remove" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("path", "quoted"),
    [("/opt/a/capfix", "/opt/a/capfix"), ("/opt/a b/capfix", '"/opt/a b/capfix"'), ("/o%/$x", "/o%%/$$x")],
)
def test_program_is_quoted_as_systemd_wants_it(path, quoted):
    """Blanks, percent and dollar signs in the program's path survive systemd's reading."""
    assert service._command(Path(path)) == quoted


@pytest.mark.parametrize("hidden", ["/home/ann/.venv/bin/python", "/root/v/bin/python", "/tmp/v/bin/python"])
def test_an_installation_the_service_cannot_see_is_refused(monkeypatch, capsys, tmp_path, hidden):
    """An interpreter under a home directory or /tmp is refused with advice, before anything is written."""
    monkeypatch.setattr(service.sys, "executable", hidden)
    assert cli.main(["service", "install", "--root", str(tmp_path)]) == 1
    assert f"the service could not run {hidden}" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_relative_program_is_wrong_usage(tmp_path):
    """The service has another working directory, so a relative path is refused."""
    assert cli.main(["service", "install", "--root", str(tmp_path), "--command", "bin/capfix"]) == 2


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path, capsys):
    """A failing write names the file and the reason."""
    (tmp_path / "usr").touch()
    assert (
        cli.main(["service", "install", "--root", str(tmp_path), "--command", "/opt/capfix/bin/capfix"]) == 1
    )
    assert capsys.readouterr().err == f"capfix: cannot write {tmp_path / UNIT}: Not a directory\n"


def test_unit_is_sound_and_exposed_little(image):
    """systemd finds no fault with the unit, and rates its exposure 1.5 or better."""
    instance = image / "capfix@cipsec0.service"
    instance.write_text((image / UNIT).read_text().replace("/opt/capfix/bin/capfix", "/bin/true"))
    done = subprocess.run(["systemd-analyze", "verify", instance], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    security = ["systemd-analyze", "security", "--offline=true", "--threshold=15", instance]
    done = subprocess.run(security, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
