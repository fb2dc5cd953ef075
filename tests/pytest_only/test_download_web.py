"""The files of lab-server over HTTP, as the programs get them that people have."""

import html
import os
import re
import shutil
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers import thorough
from tests.pytest_only.processes import Server, proxying, run, serving

PLACES = ["tcp:0:interface=127.0.0.1"]
DATA = (bytes(n * n % 251 for n in range(251)) * 12_000)[:3_000_000]
CUT = 1_000_000
NAME = "<b>a b&'.bin"
QUOTED = "%3Cb%3Ea%20b%26%27.bin"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is served."""
    root = tmp_path_factory.mktemp("root")
    (root / "inner").mkdir()
    (root / "large").write_bytes(DATA)
    (root / "larger").write_bytes(DATA * 8)
    (root / "changing").write_bytes(DATA)
    (root / "inner" / NAME).write_bytes(DATA[:1000])
    (root / "page.html").write_text("<title>before</title><script>document.title='run'</script>")
    return root


@pytest.fixture(scope="module")
def server(root: Path) -> Iterator[Server]:
    """A server of it."""
    with serving("--root", str(root), "--recursive", places=PLACES, service="web") as server:
        yield server


@pytest.fixture(scope="module")
def cutting(server: Server) -> Iterator[Server]:
    """A way to it whose connections are cut after so many bytes."""
    host, port = server.address("tcp")
    cut = ("--fault", f"limit_data:bytes={CUT}")
    place = ("--listen", "tcp:0:interface=127.0.0.1", "--upstream", f"tcp:{host}:{port}")
    with proxying(*place, *cut) as proxy:
        yield proxy


def url(server: Server, path: str = "large") -> str:
    """Where a file is."""
    host, port = server.address("tcp")
    return f"http://{host}:{port}/{path}"


def program(name: str, package: str) -> str:
    """The path of a program, or the test is skipped."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"there is no {name}; install it with: apt-get install {package}")
    return path


def etag(where: str) -> str:
    """The tag of a file."""
    with urllib.request.urlopen(where) as answer:
        return str(answer.headers["ETag"])


def test_curl(server: Server, cutting: Server, tmp_path: Path) -> None:
    """``curl -C -`` gets a file, and the rest of one that was cut."""
    curl, got = program("curl", "curl"), tmp_path / "got"
    words = (curl, "-sS", "-C", "-", "-o", str(got))
    assert run(*words, url(cutting)).code == 18  # less than was promised
    assert 0 < got.stat().st_size < len(DATA)
    assert run(*words, url(server)).code == 0
    assert got.read_bytes() == DATA
    ended = run(curl, "-sSf", f"{url(server, 'inner')}/{QUOTED}", "-o", str(got))
    assert (ended.code, got.read_bytes()) == (0, DATA[:1000])


def test_curl_changed(server: Server, root: Path, tmp_path: Path) -> None:
    """A part of a file that has changed is not given to one who says which it was."""
    curl, got = program("curl", "curl"), tmp_path / "got"
    where = url(server, "changing")
    tag = etag(where)
    got.write_bytes(DATA[:CUT])
    (root / "changing").write_bytes(DATA[::-1])
    words = (curl, "-sS", "-H", f"If-Range: {tag}", "-o", str(got), where)
    assert run(*words, "-C", "-").code == 33  # all of it came, and curl does not mix that
    assert got.read_bytes() == DATA[:CUT]
    assert run(*words, "-r", f"{CUT}-").code == 0
    assert got.read_bytes() == DATA[::-1]
    words = (curl, "-sS", "-o", str(got), "-w", "%{http_code}", where)
    assert run(*words, "-H", f"If-Match: {tag}").out == "412"
    assert run(*words, "-H", f"If-None-Match: {etag(where)}").out == "304"


def test_wget(server: Server, cutting: Server, tmp_path: Path) -> None:
    """``wget -c`` gets the rest, and knows what it has already."""
    wget, got = program("wget", "wget"), tmp_path / "large"
    words = (wget, "-nv", "-c", "-t", "1", "-P", str(tmp_path))
    assert run(*words, url(cutting)).code != 0
    assert 0 < got.stat().st_size < len(DATA)
    assert run(*words, url(server)).code == 0
    assert got.read_bytes() == DATA
    assert run(*words, url(server)).code == 0
    assert got.read_bytes() == DATA


def test_wget_recursive(server: Server, root: Path, tmp_path: Path) -> None:
    """``wget -r`` finds all files by the pages."""
    wget = program("wget", "wget")
    assert run(wget, "-nv", "-r", "-nH", "-P", str(tmp_path / "got"), url(server, "")).code == 0
    for path in ("large", "larger", "page.html", f"inner/{NAME}"):
        assert (tmp_path / "got" / path).read_bytes() == (root / path).read_bytes()


def test_aria2(server: Server, cutting: Server, tmp_path: Path) -> None:
    """``aria2c -x16`` gets a file by sixteen connections, also one that was cut before."""
    aria2c, got = program("aria2c", "aria2"), tmp_path / "larger"
    words = (aria2c, "-q", "-x16", "-s16", "-k1M", "-m1", "-d", str(tmp_path))
    assert run(*words, url(cutting, "larger")).code != 0
    assert (tmp_path / "larger.aria2").exists()
    assert run(*words, url(server, "larger")).code == 0
    assert got.read_bytes() == DATA * 8
    assert not (tmp_path / "larger.aria2").exists()


def shown(path: Path, where: str) -> str:
    """What chromium makes of a page, when its scripts have run."""
    chromium = program("chromium", "chromium")
    words = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    words += ["--no-first-run", "--disable-background-networking", f"--user-data-dir={path}"]
    ended = run(chromium, *words, "--dump-dom", where, env={**os.environ, "HOME": str(path)})
    assert ended.code == 0, ended.err
    return ended.out


def test_chromium(server: Server, tmp_path: Path) -> None:
    """A browser shows pages whose links lead to the files."""
    dom = shown(tmp_path, url(server, "inner/"))
    links = re.findall(r'<a href="(.*?)">(.*?)</a>', dom)
    assert links == [("../", "../"), (QUOTED, html.escape(NAME, quote=False))]


@thorough
def test_chromium_sandbox(server: Server, tmp_path: Path) -> None:
    """What is in a file that is a page runs nothing."""
    assert "<title>before</title>" in shown(tmp_path, url(server, "page.html"))
