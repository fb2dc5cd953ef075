"""``lab proxy``: its words and options, what it asks for, and what it shows."""

import json
import sys
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

import click
from click.testing import CliRunner, Result
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lab.commands import proxying
from lab.commands.api import DEFAULT
from lab.commands.main import main
from lab.commands.proxying import command, toxic
from lab.commands.running import code_of, complain
from lab.errors import ConnectionRefused, NoAnswer, RemoteError
from lab.faults.profiles import PROFILES

SLOW = {
    "name": "slow",
    "type": "latency",
    "stream": "downstream",
    "toxicity": 0.5,
    "attributes": {"latency": 100, "jitter": 20},
}
NOOP = {"name": "n", "type": "noop", "stream": "upstream", "toxicity": 1.0, "attributes": {}}
ONE = {
    "name": "one",
    "listen": "[fe80::1]:49156",
    "upstream": "localhost:49155",
    "enabled": True,
    "toxics": [SLOW, NOOP],
}
CUT_UP = {**NOOP, "name": "partition_upstream"}
CUT_DOWN = {**NOOP, "name": "partition_downstream"}
#: Times that are not given.
UNSAID = dict.fromkeys(("after", "duration", "every"))
OTHER = {**ONE, "name": "[/b]", "enabled": False, "toxics": []}
ALL = {"one": ONE, "[/b]": OTHER}


class ProxyCase(SynchronousTestCase):
    """Calls the command, on a stand-in of the API."""

    def setUp(self) -> None:
        """Note what is asked, and run without a reactor."""
        self.clock = Clock()
        self.asked: list[Any] = []
        self.answers: list[Any] = []
        self.made: list[tuple[Any, ...]] = []
        self.terminal = False
        self.patch(proxying, "Api", self.make)
        self.patch(proxying, "run", self.run_on_clock)

    def make(self, *given: Any) -> "ProxyCase":
        """A client of an API."""
        self.made.append(given)
        return self

    async def call(self, *words: str, body: Any = None) -> Any:
        """Note it, and give the next answer."""
        self.asked.append((*words, body) if body is not None else words)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def run_on_clock(self, begin: Callable[[Any], Coroutine[Deferred[Any], Any, int]]) -> NoReturn:
        """As `lab.commands.running.run`, of what needs no reactor."""
        if self.terminal:
            self.patch(sys.stdout, "isatty", lambda: True)
        codes: list[int] = []
        ended = Deferred.fromCoroutine(begin(self.clock))
        ended.addErrback(lambda failure: complain(failure) or code_of(failure.value))
        ended.addCallback(codes.append)
        while not codes:
            self.clock.advance(1)
        raise SystemExit(codes[0])

    def lab(self, *words: str, answers: tuple[Any, ...] = (), **env: str) -> Result:
        """Call it as a shell would."""
        self.asked.clear()
        self.answers = list(answers)
        environment = {"COLUMNS": "120", "TERM": "dumb", **env}
        return CliRunner().invoke(main, ["proxy", *words], prog_name="lab", env=environment)

    def said(self, *words: str, answers: tuple[Any, ...] = (None,)) -> str:
        """What it says if all is well."""
        done = self.lab(*words, answers=answers)
        self.assertEqual((done.exit_code, done.stderr), (0, ""), done.output)
        return done.stdout


class AskingTests(ProxyCase):
    """What each command asks for, and what it says then."""

    def test_list(self) -> None:
        """Each proxy is a line, with tabs between the words."""
        said = self.said("list", answers=(ALL,))
        self.assertEqual(self.asked, [("GET", "proxies")])
        lines = [line.split("\t") for line in said.splitlines()]
        self.assertEqual(
            lines,
            [
                ["one", "[fe80::1]:49156", "localhost:49155", "enabled", "2"],
                ["[/b]", "[fe80::1]:49156", "localhost:49155", "disabled", "0"],
            ],
        )

    def test_about(self) -> None:
        """Version and seed of the proxy itself, as a line or as JSON."""
        answer = {"version": "0.1.0", "seed": 12}
        self.assertEqual(self.said("about", answers=(answer,)), "txlab 0.1.0, seed 12\n")
        self.assertEqual(self.asked, [("GET", "lab")])
        self.assertEqual(json.loads(self.said("--json", "about", answers=(answer,))), answer)

    def test_about_another(self) -> None:
        """What has no such page is another's."""
        done = self.lab("about", answers=({"version": "2.12.0"},))
        self.assertEqual(done.exit_code, 1)
        self.assertIn("what answers is no proxy", done.stderr)

    def test_inspect(self) -> None:
        """Each toxic is a line."""
        said = self.said("inspect", "one", answers=(ONE,))
        self.assertEqual(self.asked, [("GET", "proxies", "one")])
        self.assertEqual(
            said, "slow\tlatency\tdownstream\t0.5\tlatency=100 jitter=20\nn\tnoop\tupstream\t1\t\n"
        )

    def test_create(self) -> None:
        """A new proxy says where it listens; without --listen the API takes a port."""
        said = self.said("create", "-l", ":1", "-u", "there:2", "one", answers=(ONE,))
        self.assertEqual(said, "one listens on [fe80::1]:49156\n")
        body = {"name": "one", "listen": ":1", "upstream": "there:2", "profile": None}
        self.assertEqual(self.asked, [("POST", "proxies", body)])
        words = ("create", "--upstream", "there:2", "--profile", "3g", "one")
        self.said(*words, answers=(ONE,))
        body = {**body, "listen": None, "profile": "3g"}
        self.assertEqual(self.asked, [("POST", "proxies", body)])

    def test_toggle(self) -> None:
        """What is on is switched off, and what is off is switched on."""
        for before, after, word in ((ONE, OTHER, "disabled"), (OTHER, ONE, "enabled")):
            said = self.said("toggle", "x", answers=(before, after))
            self.assertEqual(said, f"x is {word}\n")
            body = {"enabled": after["enabled"]}
            self.assertEqual(self.asked, [("GET", "proxies", "x"), ("POST", "proxies", "x", body)])

    def test_delete_and_reset(self) -> None:
        """What has no answer is said to be done."""
        self.assertEqual(self.said("delete", "one"), "one is deleted\n")
        self.assertEqual(self.asked, [("DELETE", "proxies", "one")])
        self.assertEqual(self.said("reset"), "all proxies are enabled, without toxics\n")
        self.assertEqual(self.asked, [("POST", "reset")])

    def test_add(self) -> None:
        """A toxic has a type; what is not said the API decides, but for the direction."""
        line = "slow\tlatency\tdownstream\t0.5\tlatency=100 jitter=20\n"
        self.assertEqual(self.said("toxic", "add", "-t", "noop", "one", answers=(SLOW,)), line)
        body = {
            "type": "noop",
            "name": None,
            "stream": "downstream",
            "toxicity": None,
            "attributes": {},
            **UNSAID,
        }
        self.assertEqual(self.asked, [("POST", "proxies", "one", "toxics", body)])
        words = "toxic add --type cut --name x --toxicity .5 -a bytes=10 --attribute a=b -u one"
        self.said(*words.split(), answers=(SLOW,))
        body = {
            "type": "cut",
            "name": "x",
            "stream": "upstream",
            "toxicity": 0.5,
            "attributes": {"bytes": 10, "a": "b"},
            **UNSAID,
        }
        self.assertEqual(self.asked, [("POST", "proxies", "one", "toxics", body)])

    def test_names_of_the_original(self) -> None:
        """Options have the original's names as well."""
        words = "toxic add -t cut --toxicName x --tox 1 -d one"
        self.said(*words.split(), answers=(SLOW,))
        body = self.asked[0][-1]
        self.assertEqual((body["name"], body["toxicity"], body["stream"]), ("x", 1, "downstream"))

    def test_update_and_remove(self) -> None:
        """A toxic is named."""
        self.said("toxic", "update", "-n", "slow", "-a", "jitter=1.5", "one", answers=(SLOW,))
        body = {"attributes": {"jitter": 1.5}, "toxicity": None, **UNSAID}
        self.assertEqual(self.asked, [("POST", "proxies", "one", "toxics", "slow", body)])
        self.assertEqual(
            self.said("toxic", "remove", "-n", "slow", "one"), "slow is removed from one\n"
        )
        self.assertEqual(self.asked, [("DELETE", "proxies", "one", "toxics", "slow")])

    def test_times(self) -> None:
        """When a toxic works is said in seconds or with a unit; the API has milliseconds."""
        times = ("--after", "1", "--duration", "500ms", "--every", "1m")
        said = {"after": 1000.0, "duration": 500.0, "every": 60_000.0}
        for words in (("add", "-t", "partition"), ("update", "-n", "slow")):
            shown = self.said("toxic", *words, *times, "one", answers=({**SLOW, **said},))
            self.assertLessEqual(said.items(), self.asked[0][-1].items())
            self.assertIn(
                "latency=100 jitter=20 after=1000.0 duration=500.0 every=60000.0\n", shown
            )
        self.said("toxic", "update", "-n", "slow", "--every", "0", "one", answers=(SLOW,))
        self.assertEqual(self.asked[0][-1]["every"], 0.0)

    def test_partition(self) -> None:
        """Both directions are cut, as far as they are not; datagrams are dropped."""
        udp = {**ONE, "protocol": "udp"}
        for proxy, kind in ((ONE, "partition"), (udp, "blackhole")):
            said = self.said("partition", "one", answers=(proxy, CUT_UP, CUT_DOWN))
            self.assertEqual(said, "one is partitioned\n")
            bodies = [
                {"name": f"partition_{stream}", "type": kind, "stream": stream}
                for stream in ("upstream", "downstream")
            ]
            path = ("POST", "proxies", "one", "toxics")
            self.assertEqual(
                self.asked, [("GET", "proxies", "one"), *((*path, body) for body in bodies)]
            )
        self.said("partition", "one", answers=({**ONE, "toxics": [CUT_UP]}, CUT_DOWN))
        self.assertEqual(self.asked[1:], [(*path, {**bodies[1], "type": "partition"})])

    def test_heal(self) -> None:
        """What is cut is mended, and other toxics stay; what is not is no error."""
        cut = {**ONE, "toxics": [SLOW, CUT_UP, CUT_DOWN]}
        self.assertEqual(self.said("heal", "one", answers=(cut, None, None)), "one is healed\n")
        path = ("DELETE", "proxies", "one", "toxics")
        names = ("partition_upstream", "partition_downstream")
        self.assertEqual(self.asked[1:], [(*path, name) for name in names])
        self.assertEqual(self.said("heal", "one", answers=(ONE,)), "one is healed\n")
        self.assertEqual(self.asked, [("GET", "proxies", "one")])

    def test_profiles(self) -> None:
        """They are listed with their figures and sources, and nobody is asked."""
        lines = [line.split("\t") for line in self.said("profiles").splitlines()]
        self.assertEqual([line[0] for line in lines], list(PROFILES))
        source = "WebPageTest, connectivity.ini.sample, read 2026"
        self.assertIn(["3g", "200 KB/s", "96 KB/s", "300 ms", "0 %", source], lines)
        self.assertEqual((self.asked, self.made), ([], []))
        found = json.loads(self.said("--json", "profiles"))
        self.assertEqual([one["url"] for one in found], [one.url for one in PROFILES.values()])

    def test_attributes(self) -> None:
        """A value is a number if it looks like one, and true and false are no words."""
        words = [
            word for text in ("n=-1", "t=true", "w=null", "l=[1]", "e=") for word in ("-a", text)
        ]
        self.said("toxic", "add", "-t", "x", *words, "one", answers=(SLOW,))
        found = {"n": -1, "t": True, "w": "null", "l": "[1]", "e": ""}
        self.assertEqual(self.asked[0][-1]["attributes"], found)

    def test_short_names(self) -> None:
        """Commands have the original's short names."""
        for short, method in {
            "l": "GET", "li": "GET", "ls": "GET", "i one": "GET", "ins one": "GET",
            "c -u x one": "POST", "new -u x one": "POST", "d one": "DELETE",
            "t a -t x one": "POST", "t u -n x one": "POST", "t r -n x one": "DELETE",
            "t delete -n x one": "DELETE", "toxic d -n x one": "DELETE",
        }.items():  # fmt: skip
            answers = {"l": ALL, "t": SLOW}.get(short[0], ONE)
            self.said(*short.split(), answers=(answers,))
            self.assertEqual(self.asked[0][0], method, short)
        self.said("tog", "one", answers=(ONE, ONE))


class ShowingTests(ProxyCase):
    """How answers are shown."""

    def test_json(self) -> None:
        """With --json an answer is a line, as it came; what has none is null."""
        for words, answers in {
            "list": (ALL,),
            "inspect one": (ONE,),
            "create -u x one": (ONE,),
            "toxic add -t x one": (SLOW,),
            "delete one": (None,),
            "watch --count 1": (ALL,),
        }.items():
            self.terminal = not self.terminal  # it is the same there
            said = self.said("--json", *words.split(), answers=answers)
            self.assertEqual(said.count("\n"), 1)
            self.assertEqual(json.loads(said), answers[0])

    def test_tables(self) -> None:
        """On a terminal it is a table with titles, in which a name is a name."""
        self.terminal = True
        lines = self.said("list", answers=(ALL,)).splitlines()
        rows = [line.split() for line in lines if line.strip("─ ")]
        self.assertEqual(rows[0], ["name", "listen", "upstream", "enabled", "toxics"])
        self.assertEqual(rows[1][:2], ["one", "[fe80::1]:49156"])
        self.assertEqual(rows[2][0], "[/b]")
        self.assertIn("latency=100 jitter=20", self.said("inspect", "one", answers=(ONE,)))

    def test_strange_names(self) -> None:
        """No name can move the cursor or make a line of its own."""
        strange = {"x": {**OTHER, "name": "a\x1b[2J\nb\tc", "upstream": 7}}
        line = "a?[2J?b?c\t[fe80::1]:49156\t7\tdisabled\t0\n"
        self.assertEqual(self.said("list", answers=(strange,)), line)

    def test_watch(self) -> None:
        """It asks again after a while, as often as is wanted, and shows the toxics as well."""
        said = self.said("watch", "--count", "3", "--interval", "2", answers=(ALL, {}, ALL))
        self.assertEqual(self.asked, [("GET", "proxies")] * 3)
        self.assertEqual(self.clock.seconds(), 4)
        line = "slow latency downstream 0.5 latency=100 jitter=20; n noop upstream 1"
        self.assertEqual([one.split("\t")[4] for one in said.splitlines()], [line, "", line, ""])

    def test_watch_on_a_terminal(self) -> None:
        """There the newest table stands in the place of the one before."""
        self.terminal = True
        said = self.said("watch", "--count", "2", answers=(ALL, {"one": ONE}))
        self.assertIn("[fe80::1]:49156", said)
        self.assertIn("slow latency downstream", said)

    def test_watch_until_something_happens(self) -> None:
        """Without --count it goes on until it is interrupted, or nobody is there any more."""
        gone = ConnectionRefused("nobody listens")
        done = self.lab("watch", answers=(*[{}] * 9, gone))
        self.assertEqual((done.exit_code, self.clock.seconds()), (3, 9))


class MistakeTests(ProxyCase):
    """What ends in one line."""

    def test_words(self) -> None:
        """A mistake says what is allowed and where there is help; nothing is asked."""
        for words, line in {
            "bogus": "lab proxy: No such command 'bogus'.",
            "--bogus": "lab proxy: No such option '--bogus'.",
            "-h ftp://x list": "lab proxy: host is 'ftp://x'; give one like http://localhost:8474",
            "create one": "lab proxy create: Missing option '-u' / '--upstream'.",
            "create -u x": "lab proxy create: Missing argument 'NAME'.",
            "list one": "lab proxy list: Got unexpected extra argument (one)",
            "toxic bogus": "lab proxy toxic: No such command 'bogus'.",
            "toxic add one": "lab proxy toxic add: Missing option '-t' / '--type'.",
            "toxic remove one": "lab proxy toxic remove: Missing option '-n' / '--name'",
            "toxic add -t x -a y one": "lab proxy toxic add: attribute is 'y'; give NAME=VALUE",
            "toxic update -n x -a =y one": "lab proxy toxic update: attribute is '=y'; give NAME=",
            "toxic add -t x --tox 2 one": "lab proxy toxic add: toxicity is '2'; give a ",
            "watch --count 0": "lab proxy watch: count is '0'; give a whole number from 1",
            "toxic add -t x --after -1 y": "lab proxy toxic add: after is '-1'; give seconds",
            "watch --interval 0": "lab proxy watch: interval is '0'; give more than 0",
        }.items():
            done = self.lab(*words.split())
            self.assertEqual((done.exit_code, done.stdout), (2, ""), words)
            self.assertTrue(done.stderr.startswith(line), done.stderr)
            self.assertEqual(done.stderr.count("\n"), 1, words)
        self.assertEqual((self.asked, self.made), ([], []))

    def test_no_command(self) -> None:
        """Without a command there is the help, and exit code 2."""
        for words in ((), ("toxic",)):
            done = self.lab(*words)
            self.assertEqual(done.exit_code, 2)
            self.assertTrue(done.stderr.startswith("Usage: lab proxy"), done.stderr)
            self.assertNotIn("--help)", done.stderr)

    def test_errors(self) -> None:
        """A refusal, an API where nobody is, and one that is silent have codes of their own."""
        for error, code in (
            (RemoteError("proxy not found (status 404)"), 1),
            (ConnectionRefused("nobody listens at http://localhost:8474"), 3),
            (NoAnswer("no answer from http://localhost:8474 within 30 s"), 5),
        ):
            done = self.lab("delete", "one", answers=(error,))
            self.assertEqual((done.exit_code, done.stdout), (code, ""))
            self.assertEqual(done.stderr, f"{error}\n")

    def test_something_else_answers(self) -> None:
        """What is JSON, but nothing of a proxy, is one line."""
        for answer in (None, 7, [], "x", {"a": 1}, {"a": {}}, {"toxics": [{}]}):
            for words in (
                "list", "inspect x", "create -u x y", "toggle x", "toxic add -t x y",
                "toxic update -n x y", "watch --count 1", "partition x", "heal x",
            ):  # fmt: skip
                done = self.lab(*words.split(), answers=(answer,))
                self.assertEqual((done.exit_code, done.stdout), (1, ""), (words, answer))
                self.assertTrue(done.stderr.startswith("what answers is no proxy"), done.stderr)
                self.assertEqual(done.stderr.count("\n"), 1)
        done = self.lab("toggle", "x", answers=(ONE, 7))
        self.assertEqual(done.exit_code, 1)


class PlaceTests(ProxyCase):
    """Where the API is, and who asks."""

    def place(self, *words: str, **env: str) -> tuple[str, str]:
        """The address and the token of the API that is asked."""
        self.made.clear()
        self.assertEqual(self.lab(*words, "list", answers=({},), **env).exit_code, 0)
        ((clock, url, token),) = self.made
        self.assertIs(clock, self.clock)
        return url, token

    def test_place(self) -> None:
        """It is said by an option, or by the environment, or is the usual one."""
        self.assertEqual(self.place(), (DEFAULT, ""))
        self.assertEqual(self.place("-h", "there:1"), ("http://there:1", ""))
        self.assertEqual(self.place("--host", "https://there/")[0], "https://there")
        self.assertEqual(self.place(TOXIPROXY_URL="http://there:2")[0], "http://there:2")

    def test_token(self) -> None:
        """So is the token."""
        self.assertEqual(self.place("--token", "sesame")[1], "sesame")
        self.assertEqual(self.place(LAB_PROXY_TOKEN="sesame")[1], "sesame")

    def test_help(self) -> None:
        """The help shows each command, its short names and the exit codes."""
        text = self.said("--help", answers=())
        for name in command.commands:
            self.assertIn(f"  {name} ", text)
        for words in (DEFAULT, "Exit codes:", "(l, li, ls)", "$TOXIPROXY_URL"):
            self.assertIn(words, text)
        for name, one in toxic.commands.items():
            text = self.said("toxic", name, "--help", answers=())
            for option in one.params:
                if isinstance(option, click.Option):
                    self.assertIn(option.opts[0], text)
