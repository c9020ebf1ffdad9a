"""The command line as a whole: its exit statuses and what it says on stderr."""

import errno
import subprocess
import sys

import pytest

import capfix
from capfix import cli
from capfix.cli import build
from capfix.errors import CapfixError, CaptureError, UsageError


@pytest.fixture
def command(monkeypatch):
    """A command line with the one command `try`, whose handler the test chooses."""

    def use(handler):
        def add_parser(subparsers):
            parser = subparsers.add_parser("try")
            parser.add_argument("--number", type=int)
            parser.set_defaults(run=handler)

        monkeypatch.setattr(cli, "COMMANDS", {"try": add_parser})

    return use


def test_status_is_what_the_command_returns(command):
    """The exit status is what the command's handler returns for the parsed arguments."""
    command(lambda parsed: parsed.number)
    assert cli.main(["try", "--number", "1"]) == 1


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OSError(errno.EMFILE, "Too many open files"), "too many open files"),
        (OSError(errno.EIO, "Input/output error", "/proc/x"), "/proc/x: input/output error"),
        (OSError("no errno at all"), "no errno at all"),
    ],
)
def test_a_failing_system_is_one_sentence_too(command, capsys, error, sentence):
    """What the system refuses where nobody expects it is no stack trace either."""

    def handler(parsed):
        raise error

    command(handler)
    assert cli.main(["try"]) == 1
    assert capsys.readouterr().err == f"capfix: {sentence}\n"


@pytest.mark.parametrize(("error", "status"), [(CaptureError, 1), (CapfixError, 1), (UsageError, 2)])
def test_errors_become_one_sentence_and_a_status(command, capsys, error, status):
    """An error is one sentence on stderr, with the exit status of its kind, and nothing on stdout."""

    def handler(parsed):
        raise error("the ring is gone")

    command(handler)
    assert cli.main(["try"]) == status
    assert capsys.readouterr() == ("", "capfix: the ring is gone\n")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["tri"], "capfix: unknown command tri; did you mean try?; see `capfix --help`\n"),
        (["zzz"], "capfix: unknown command zzz; see `capfix --help`\n"),
        (["try", "more"], "capfix: unexpected argument more; see `capfix try --help`\n"),
        (["try", "-x"], "capfix: unknown option -x; see `capfix try --help`\n"),
        (
            ["try", "--number", "x"],
            "capfix: argument --number: invalid int value: 'x'; see `capfix try --help`\n",
        ),
        (
            ["try", "--num", "1"],
            "capfix: unknown option --num; did you mean --number?; see `capfix try --help`\n",
        ),
    ],
)
def test_wrong_usage_is_one_sentence_and_status_2(command, capsys, arguments, sentence):
    """Wrong usage, abbreviated options included, is one sentence that says where the help is, and status 2."""
    command(lambda parsed: 0)
    assert cli.main(arguments) == 2
    assert capsys.readouterr() == ("", sentence)


def test_no_arguments_print_the_help(command, capsys):
    """`capfix` alone shows what there is, on stdout, with status 0: nothing was asked and nothing failed."""
    command(lambda parsed: 0)
    assert cli.main([]) == 0
    out, err = capsys.readouterr()
    assert (out.startswith("usage: capfix"), "commands:" in out, err) == (True, True, "")


@pytest.mark.parametrize("text", ["--snaplne", "--snaplne=96"])
def test_a_misspelt_option_is_answered_with_the_near_one(capsys, text):
    """The options of the command itself are looked through, however the value is given."""
    assert cli.main(["run", "-i", "lo", "-o", "x", text, "96"]) == 2
    assert capsys.readouterr().err.startswith("capfix: unknown option --snaplne; did you mean --snaplen?")


@pytest.mark.parametrize(
    ("module", "extra"),
    [("pyroute2", "demo"), ("scapy", "demo"), ("cython", "pure")],
)
def test_a_missing_extra_is_named(command, capsys, module, extra):
    """Where a package of an extra is missing, one sentence says how to get it."""

    def handler(parsed):
        raise ModuleNotFoundError(f"No module named {module!r}", name=f"{module}.layers")

    command(handler)
    assert cli.main(["try"]) == 1
    error = capsys.readouterr().err
    assert f"'capfix[{extra}]'" in error
    assert len(error.splitlines()) == 1


def test_a_capture_needs_no_package_of_an_extra():
    """What only the demo, or an uncompiled capfix, needs is not imported where a capture starts."""
    program = (
        "import sys; sys.modules |= dict.fromkeys(['pyroute2', 'scapy', 'rich', 'cython', 'Cython'])\n"
        "from capfix import cli; import capfix.session.start\n"
        "sys.exit(cli.main(['run', '--check-config', '-i', 'lo', '-o', 'x']))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_interrupt_is_status_130(command):
    """An interrupt from the keyboard that no command has handled ends without a stack trace."""

    def handler(parsed):
        raise KeyboardInterrupt

    command(handler)
    assert cli.main(["try"]) == 130


@pytest.mark.parametrize(
    ("missing", "how"), [([], "compiled"), (["capfix.x"], "uncompiled: right, and slow")]
)
def test_version_says_whether_it_is_compiled(monkeypatch, capsys, missing, how):
    """`capfix --version` prints the version and whether the hot path is compiled, with status 0."""
    monkeypatch.setattr(build, "uncompiled_modules", lambda: missing)
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"capfix {capfix.__version__} ({how})\n"


def test_a_command_does_not_load_the_others():
    """A command imports its own module and no other command's, so that capturing starts soon."""
    program = "import sys; from capfix import cli; cli.main(['run']); print('capfix.cli.demo' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "False\n"


def test_module_runs_as_a_program():
    """`python -m capfix` runs the same command line."""
    done = subprocess.run([sys.executable, "-m", "capfix", "--version"], capture_output=True, text=True)
    assert done.stdout.startswith(f"capfix {capfix.__version__} (")


def test_reader_of_stdout_may_leave():
    """A reader that goes away while a command prints, as `head` does, causes no complaint."""
    program = (
        "import sys; from capfix import cli\n"
        "def add(s): s.add_parser('try').set_defaults(run=lambda parsed: print('x' * 1000000) or 0)\n"
        "cli.COMMANDS = {'try': add}; sys.exit(cli.main(['try']))"
    )
    shell = f'"{sys.executable}" -c "$PROGRAM" | head -c 1 >/dev/null'
    done = subprocess.run(["sh", "-c", shell], env={"PROGRAM": program}, capture_output=True)
    assert done.stderr == b""


def test_without_stderr_nothing_is_said_on_stdout():
    """Where stderr was closed, what would be said there does not get into stdout, which may carry a capture."""
    shell = f'"{sys.executable}" -m capfix run -i nosuchinterface -o - 2>&-'
    done = subprocess.run(["sh", "-c", shell], stdout=subprocess.PIPE)
    assert (done.returncode, done.stdout) == (1, b"")
