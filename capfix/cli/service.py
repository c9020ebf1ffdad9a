"""`capfix service`: put the systemd units of a pip installation in place, and take them away.

A distribution's package installs the same files itself. Here they go where the administrator's own software keeps its
units: /usr/local/lib/systemd/system, which leaves /etc/systemd/system to `systemctl edit`.
"""

import argparse
import shutil
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import capfix
from capfix.errors import CapfixError, UsageError

UNIT = Path("/usr/local/lib/systemd/system/capfix@.service")
SYSUSERS = Path("/etc/sysusers.d/capfix.conf")
CONFIGURATION = Path("/etc/capfix")
CAPTURES = Path("/var/lib/capfix")

#: The program named in the unit in the tree, which is right for a distribution's package.
_PACKAGED_COMMAND = "/usr/bin/capfix"

#: What the unit cannot see: ProtectHome and PrivateTmp hide these.
_HIDDEN = tuple(map(Path, ("/home", "/root", "/run/user", "/tmp", "/var/tmp")))


def add_parser(subparsers: Any) -> None:
    """Add `capfix service` with its two actions."""
    parser = subparsers.add_parser(
        "service", help="put the systemd units in place", description="Put the systemd units in place."
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    install = actions.add_parser(
        "install",
        help="install the unit capfix@.service and the user it runs as",
        description="Install the unit capfix@.service, with this installation's program in it, and the user capfix.",
    )
    install.add_argument(
        "--command",
        type=Path,
        metavar="PATH",
        help="the program as the service will find it (default: the one running)",
    )
    install.set_defaults(run=_install)
    remove = actions.add_parser(
        "remove",
        help="stop and disable all instances, remove the unit",
        description=f"Stop and disable all instances, remove the unit; {CONFIGURATION}, {CAPTURES} and the user stay.",
    )
    remove.set_defaults(run=_remove)
    for action in (install, remove):
        action.add_argument(
            "--root",
            type=Path,
            metavar="DIR",
            help="work on the system image in DIR, not on the running system",
        )


def _install(arguments: argparse.Namespace) -> int:
    command = _command(arguments.command)
    unit = _packaged("capfix@.service").replace(_PACKAGED_COMMAND, command)
    _write(_below(arguments.root, UNIT), unit)
    _write(_below(arguments.root, SYSUSERS), _packaged("capfix.sysusers"))
    configuration = _below(arguments.root, CONFIGURATION)
    _attempt("make", configuration, lambda: configuration.mkdir(exist_ok=True))
    if _manages(arguments.root):
        _run("systemd-sysusers", str(SYSUSERS))
        _run("systemctl", "daemon-reload")
    print(f"installed {UNIT} and {SYSUSERS}")
    print("next, for the interface cipsec0, which need not exist yet:")
    print("    systemctl enable --now capfix@cipsec0")
    print("    systemctl status capfix@cipsec0")
    print(f"captures: {CAPTURES}; to change settings: {CONFIGURATION}/cipsec0.toml")
    return 0


def _remove(arguments: argparse.Namespace) -> int:
    links = list(_below(arguments.root, Path("/etc/systemd/system")).glob("*.wants/capfix@*.service"))
    if _manages(arguments.root):
        instances = {link.name for link in links} | _loaded_instances()
        if instances:
            _run("systemctl", "disable", "--now", *sorted(instances))
    installed = [_below(arguments.root, path) for path in (UNIT, SYSUSERS)]
    found = [path for path in (*installed, *links) if path.is_symlink() or path.exists()]
    for path in found:
        _attempt("remove", path, path.unlink)
    if _manages(arguments.root):
        _run("systemctl", "daemon-reload")
    print("removed " + ", ".join(map(str, found)) if found else "nothing to remove")
    print(f"kept: {CONFIGURATION}, {CAPTURES}, the user capfix")
    return 0


def _command(given: Path | None) -> str:
    """Return the program for ExecStart: `given`, or the running one, if the service can reach it.

    Raises:
        UsageError: `given` is not an absolute path.
        CapfixError: the running installation is where the unit's protection hides it.
    """
    if given is not None:
        if not given.is_absolute():
            raise UsageError(f"--command takes an absolute path, not {given}")
        return _quoted(given)
    _check_visible([Path(sys.executable), Path(sys.executable).resolve(), Path(capfix.__file__).resolve()])
    started = Path(sys.argv[0]).absolute()
    if started.name == "capfix":
        _check_visible([started])
        return _quoted(started)
    return f"{_quoted(Path(sys.executable))} -m capfix"


def _check_visible(paths: Iterable[Path]) -> None:
    for path in paths:
        if any(path.is_relative_to(hidden) for hidden in _HIDDEN):
            raise CapfixError(
                f"the service could not run {path}: it sees nothing below {', '.join(map(str, _HIDDEN))}; "
                "install capfix elsewhere, for example in /opt/capfix: "
                "/usr/bin/python3 -m venv /opt/capfix && /opt/capfix/bin/pip install capfix"
            )


def _quoted(path: Path) -> str:
    """Return `path` as systemd.service(5) wants it on a command line."""
    text = str(path).replace("%", "%%").replace("$", "$$")
    return f'"{text}"' if " " in text else text


def _packaged(name: str) -> str:
    """Return the text of a file in systemd/."""
    return Path(capfix.__file__).with_name("systemd").joinpath(name).read_text()


def _below(root: Path | None, path: Path) -> Path:
    return path if root is None else root / path.relative_to("/")


def _manages(root: Path | None) -> bool:
    """Return whether a service manager is running that must reload. See sd_booted(3)."""
    return root is None and Path("/run/systemd/system").is_dir()


def _loaded_instances() -> set[str]:
    listed = _run("systemctl", "list-units", "--all", "--plain", "--no-legend", "capfix@*.service")
    return {line.split()[0] for line in listed.splitlines() if line.strip()}


def _write(path: Path, text: str) -> None:
    def write() -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    _attempt("write", path, write)


def _attempt(what: str, path: Path, act: Callable[[], None]) -> None:
    try:
        act()
    except PermissionError as exc:
        raise CapfixError(f"cannot {what} {path}: permission denied; run it with sudo") from exc
    except OSError as exc:
        raise CapfixError(f"cannot {what} {path}: {exc.strerror}") from exc


def _run(program: str, *arguments: str) -> str:
    """Run a program of systemd and return its output."""
    import subprocess

    path = shutil.which(program, path="/usr/bin:/bin:/usr/sbin:/sbin")
    if path is None:
        raise CapfixError(f"{program} is missing, although systemd is running")
    done = subprocess.run([path, *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        raise CapfixError(f"{program} {' '.join(arguments)} failed: {done.stderr.strip()}")
    return done.stdout
