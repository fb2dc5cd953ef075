"""
The three ways of living: from a wheel, installed for editing, and in a bare checkout.

Each gets an environment of its own that has our dependencies and, at first, nothing of ours: a
``.pth`` file there names the packages of the environment that runs the tests, and ``.pth`` files
in *that* folder are not read, so that an installation for editing doesn't leak in. No network.
"""

import shutil
import sys
import sysconfig
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from attrs import field, frozen

from tests.pytest_only.processes import (
    TWISTD,
    Ended,
    ask_tcp,
    ask_udp,
    clean_environment,
    run,
    serving,
)

#: Real processes take their time: with the longer explorations.
pytestmark = pytest.mark.thorough

CHECKOUT = Path(__file__).parents[2]
WAYS = ("wheel", "editable", "checkout")
SERVICES = ("lab-server", "lab-client", "lab-proxy")
PIP = ("-m", "pip", "--disable-pip-version-check", "--no-input")


@frozen
class Life:
    """
    One way of living.

    Args:
        folder: The environment.
        home: Where ``lab`` has to be imported from.
        env: Environment variables.
    """

    folder: Path
    home: Path
    env: dict[str, str] = field(factory=clean_environment)

    @property
    def python(self) -> str:
        """Its interpreter."""
        return str(self.folder / "bin" / "python")

    @property
    def twistd(self) -> list[str]:
        """Its twistd: the script of ours, run by its own interpreter."""
        return [self.python, str(self.folder / "bin" / "twistd")]

    def run(self, *words: str) -> Ended:
        """Run its interpreter, far from the checkout."""
        return run(self.python, *words, cwd=self.folder, env=self.env)


def built(*words: str, cwd: Path) -> None:
    """Run a step of an installation, which has to succeed."""
    done = run(*words, cwd=cwd, env=clean_environment())
    assert done.code == 0, done


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of this checkout."""
    folder = tmp_path_factory.mktemp("dist")
    words = (sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder))
    built(*words, cwd=CHECKOUT)
    (found,) = folder.glob("*.whl")
    return found


def environment(folder: Path) -> Path:
    """An environment with our dependencies, but without us; returns its site-packages."""
    built(sys.executable, "-m", "venv", "--without-pip", str(folder), cwd=folder.parent)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    ours = dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib"))
    (site / "dependencies.pth").write_text("".join(f"{path}\n" for path in ours))
    shutil.copy(TWISTD, folder / "bin" / "twistd")
    return site


@pytest.fixture(scope="module", params=WAYS)
def life(
    request: pytest.FixtureRequest, wheel: Path, tmp_path_factory: pytest.TempPathFactory
) -> Life:
    """One way of living after the other."""
    folder = tmp_path_factory.mktemp(request.param) / "venv"
    site = environment(folder)
    if request.param == "checkout":
        paths = f"{CHECKOUT}:{CHECKOUT / 'twisted_plugins'}"
        return Life(folder, CHECKOUT, clean_environment(PYTHONPATH=paths))
    target = [str(wheel)]
    if request.param == "editable":
        target = ["--no-build-isolation", "--editable", str(CHECKOUT)]
    # The environment that runs the tests has us, too; that is not the one to install into.
    words = ["install", "--no-deps", "--no-index", "--ignore-installed", *target]
    built(sys.executable, *PIP, "--python", str(folder / "bin" / "python"), *words, cwd=folder)
    return Life(folder, site if request.param == "wheel" else CHECKOUT)


def test_is_imported_from_the_place_under_test(life: Life) -> None:
    """What the other tests see is what was installed."""
    done = life.run("-c", "import lab.commands.main; print(lab.__file__)")
    assert (done.err, Path(done.out.strip())) == ("", life.home / "lab" / "__init__.py")


def test_twistd_lists_the_services(life: Life) -> None:
    """`twistd --help` shows each service once, from any folder."""
    done = run(*life.twistd, "--help", cwd=life.folder, env=life.env)
    assert (done.code, done.err) == (0, "")
    for name in SERVICES:
        assert [line.split()[0] for line in done.lines if name in line] == [name]


def test_the_list_needs_nothing_of_ours(life: Life) -> None:
    """The help of twistd, and the use of other plugins, imports no room."""
    code = (
        "import sys; from twisted.plugin import getPlugins;"
        "from twisted.application.service import IServiceMaker;"
        "print([p.tapname for p in getPlugins(IServiceMaker) if p.tapname.startswith('lab-')]);"
        "print([name for name in sys.modules if name.partition('.')[0] == 'lab'])"
    )
    done = life.run("-c", code)
    assert (done.err, done.lines) == ("", [str(list(SERVICES)), "[]"])


def test_the_server_answers(life: Life) -> None:
    """A real twistd serves a real question over TCP and over UDP."""
    twistd = [*life.twistd, "-n", "--pidfile="]
    with serving(twistd=twistd, cwd=life.folder, env=life.env) as server:
        assert ask_tcp(server.address("tcp"), b"*,6,7\n") == b"200,42\n"
        assert ask_udp(server.address("udp"), b"*,6,7") == b"200,42"


def test_the_command_runs(life: Life) -> None:
    """The command `lab` works; as a script it is there once we are installed."""
    done = life.run("-c", "from lab.commands.main import main; main(['--help'])")
    assert (done.code, done.err) == (0, "")
    assert "arithmetic" in done.out
    script = life.folder / "bin" / "lab"
    assert script.exists() == (life.env.get("PYTHONPATH") is None)
    if script.exists():
        assert run(str(script), "--version", cwd=life.folder, env=life.env).code == 0


def test_the_wheel_holds_what_it_should(wheel: Path) -> None:
    """The package, the names of the services, and nothing of Twisted's own or of the tests."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    sources = {
        str(path.relative_to(CHECKOUT)) for path in CHECKOUT.glob("lab/**/*") if path.is_file()
    }
    sources = {name for name in sources if not name.endswith(".pyc")}
    plugins = "twisted/plugins/lab_plugins.py"
    assert {name for name in names if ".dist-info/" not in name} == {*sources, plugins}
    assert "lab/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_wheel_describes_itself(wheel: Path) -> None:
    """Metadata have name, licence, Python and the README as their text."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        about = Parser().parsestr(archive.read(name).decode())
    assert about["Name"] == "txlab"
    assert about["License-Expression"] == "MIT"
    assert about["Requires-Python"] == ">=3.11"
    assert about["Description-Content-Type"] == "text/x-rst"
    assert about.get_payload() == (CHECKOUT / "README.rst").read_text(encoding="utf-8")
