"""The command line over the configuration file over the defaults, as `capfix run` sees them."""

from fractions import Fraction

import pytest

from capfix import cli
from capfix.errors import ContradictionError
from capfix.options.checks import checked
from capfix.options.run import RunOptions
from capfix.rotation.retention import RetentionRules
from capfix.rotation.schedule import RotationRules
from capfix.session import start
from capfix.units import SizeOrPercent
from capfix.wire.pcapng import SECTION_COMMENTS_LIMIT


@pytest.fixture
def options(monkeypatch):
    """Return a function that gives the options with which the capture would have been started."""
    started = []

    def run_capture(options, reread=None):
        started.append((options, reread))
        return 0

    monkeypatch.setattr(start, "run_capture", run_capture)

    def of(*arguments):
        assert cli.main(["run", *map(str, arguments)]) == 0
        return started.pop()

    return of


@pytest.fixture
def config(tmp_path):
    """Return a function that writes a configuration file."""

    def write(text):
        path = tmp_path / "capture.toml"
        path.write_text(text)
        return path

    return write


def test_file_gives_what_the_command_line_does_not(options, config):
    """Every kind of option can stand in the file, by its long name, and has the meaning it has on the command line."""
    path = config(
        'interface = ["lo", "eth0"]\noutput = "x.pcapng"\nlink = "ethernet"\nring-size = 8\nquiet = true\n'
        'wait = false\nstop = "duration:2.5"\nlocal-mac = "02:00:00:00:00:01"\n'
    )
    found, _ = options("--config", path)
    assert found == RunOptions(
        interfaces=("lo", "eth0"),
        output="x.pcapng",
        link="ethernet",
        ring_size_mib=8,
        quiet=True,
        stop_after_s=2.5,
        local_mac=bytes.fromhex("020000000001"),
    )


def test_command_line_goes_before_the_file(options, config):
    """An option on the command line replaces the file's, lists included; others keep the file's value."""
    path = config('interface = ["lo", "eth0"]\noutput = "x.pcapng"\nlink = "sll2"\nverbose = true\n')
    found, _ = options("--config", path, "-i", "tun0", "--link", "sll")
    assert (found.interfaces, found.link, found.output, found.verbose) == (("tun0",), "sll", "x.pcapng", True)


def test_one_interface_needs_no_list(options, config):
    """An option that may be given several times takes a single value too."""
    found, _ = options("--config", config('interface = "lo"\noutput = "-"\n'))
    assert found.interfaces == ("lo",)


def test_file_is_read_again_on_request(options, config):
    """What the capture calls to read the file again gives the options as they are in the file by then."""
    path = config('interface = "lo"\noutput = "x"\n')
    _, reread = options("--config", path, "--link", "sll2")
    config('interface = "lo"\noutput = "x"\nverbose = true\nlink = "sll"\n')
    assert (reread().verbose, reread().link) == (True, "sll2")
    _, reread = options("-i", "lo", "-o", "x")
    assert reread is None


def test_all_problems_are_told_together(capsys, config):
    """Unknown keys, wrong types, wrong values and impossible combinations come out in one go, each with its line."""
    path = config(
        'interface = ["any", "lo"]\ncolour = 1\noutput = 5\nquiet = "yes"\ncount = "many"\n'
        'keep-headers = true\nlocal-mac = "x"\nconfig = "other"\n'
    )
    assert cli.main(["run", "--config", str(path), "--check-config"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "capfix: 8 problems:",
        f"  {path}, line 1: `-i any` captures on every interface already; leave the other -i out",
        f"  {path}, line 2: there is no setting colour",
        f"  {path}, line 3: output: takes a text, not 5",
        f'  {path}, line 4: quiet: takes true or false, not "yes"',
        f"  {path}, line 5: count: 'many' is not a whole number from 1 on",
        f"  {path}, line 6: --keep-headers keeps Ethernet headers, and --link sll has none; use --link ethernet",
        f"  {path}, line 7: local-mac: 'x' is not six pairs of hexadecimal digits, as 02:00:5e:10:00:01",
        f"  {path}, line 8: there is no setting config",
    ]


def test_choices_are_named(capsys, config):
    """A value that is none of the option's choices is told with the choices."""
    assert (
        cli.main(["run", "--config", str(config('interface = "lo"\noutput = "x"\nlink = "token-ring"\n'))])
        == 2
    )
    assert capsys.readouterr().err.endswith(
        "line 3: link: 'token-ring' is none of sll, sll2, ethernet, raw\n"
    )


@pytest.mark.parametrize("value", ["1979-05-27", "{ a = 1 }", '["a"]', "true", "5"])
def test_wrong_types_are_told_by_line(capsys, config, value):
    """A value of a type that the option does not take is refused, whatever the type."""
    path = config(f'interface = "lo"\noutput = {value}\n')
    assert cli.main(["run", "--config", str(path), "--check-config"]) == 2
    assert capsys.readouterr().err.startswith(f"capfix: {path}, line 2: output: takes a text, not ")


def test_sound_configuration_is_said_to_be(capsys, config):
    """A check that finds nothing says so, with status 0, and captures nothing."""
    path = config('interface = "no-such-interface"\noutput = "/nonexistent/x"\n')
    assert cli.main(["run", "--config", str(path), "--check-config"]) == 0
    assert capsys.readouterr().out == f"{path} is sound\n"


def test_missing_file_is_status_1(capsys, tmp_path):
    """A configuration file that is named and not there is trouble, also for a check."""
    for more in ([], ["--check-config"]):
        assert cli.main(["run", "--config", str(tmp_path / "none.toml"), *more]) == 1
        assert "cannot read the configuration" in capsys.readouterr().err


def test_what_is_required_may_stand_in_either_place(capsys, options, config):
    """Without an output anywhere the option is named."""
    assert cli.main(["run", "-i", "lo"]) == 2
    assert "-o/-w/--output is required" in capsys.readouterr().err
    assert options("-i", "lo", "--config", config('output = "x"'))[0].output == "x"


@pytest.fixture
def directories(monkeypatch, tmp_path):
    """The service's directories, as the service manager tells of them."""
    monkeypatch.setenv("CONFIGURATION_DIRECTORY", str(tmp_path))
    monkeypatch.setenv("STATE_DIRECTORY", "/state")
    return tmp_path


def test_instance_without_a_file(options, directories):
    """An instance without settings captures the interface of its name into the state directory, until it has some."""
    found, reread = options("--instance", "cipsec0", "--wait")
    assert (found.interfaces, found.output, found.wait) == (("cipsec0",), "/state/cipsec0.pcapng", True)
    assert found.rotation == RotationRules(size_bytes=100_000_000)
    assert found.retention == RetentionRules(
        keep_size_bytes=1_000_000_000, keep_free=SizeOrPercent(percent=Fraction(10))
    )
    (directories / "cipsec0.toml").write_text("verbose = true\n")
    assert reread().verbose


def test_instance_with_a_file(options, directories):
    """The settings of an instance go before its defaults, and can be read again."""
    (directories / "office.toml").write_text('interface = "tun0"\nlink = "sll2"\n')
    found, reread = options("--instance", "office", "--wait")
    assert (found.interfaces, found.link, found.output) == (("tun0",), "sll2", "/state/office.pcapng")
    assert reread() == found
    (directories / "office.toml").write_text('output = "/srv/o.pcapng"\n')
    found, _ = options("--instance", "office", "--wait")
    assert (found.interfaces, found.output) == (("office",), "/srv/o.pcapng")
    assert not found.rotation


def test_comments_fit_into_a_section_header(options):
    """Several are taken; what is too long in all is refused, counted as it would lie in the file."""
    arguments = ("-i", "lo", "-o", "x.pcapng")
    found, _ = options(*arguments, "--comment", "a", "--comment", "b c")
    assert found.comments == ("a", "b c")
    options(*arguments, "--comment", "x" * (SECTION_COMMENTS_LIMIT - 4))
    for comments in (["x" * (SECTION_COMMENTS_LIMIT - 3)], [""] * (SECTION_COMMENTS_LIMIT // 4 + 1)):
        with pytest.raises(ContradictionError, match=r"--comment takes .* bytes in all; shorten it"):
            checked(found._replace(comments=tuple(comments)))
