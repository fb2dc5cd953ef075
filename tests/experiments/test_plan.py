"""Plans: what is read, what is refused and in which words, cells, and seeds."""

from collections.abc import Callable

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.experiments.plan import KEYS, LONGEST, SERVICES, Cell, Plan, PlanError, read
from lab.experiments.results import Value
from lab.faults.datagrams import Latency, Loss
from lab.faults.streams import Slicer


def ini(*lines: str) -> str:
    """A plan of these lines."""
    return "\n".join(["[experiment]", *lines])


def mistake(*lines: str) -> str:
    """What is said of a wrong plan."""
    try:
        plan = read(ini(*lines))
    except PlanError as error:
        return str(error)
    raise AssertionError(plan)


class ReadTests(SynchronousTestCase):
    """What a file says."""

    def test_usual(self) -> None:
        """What is left out is filled in, with what the service knows and nothing else."""
        plan = read(ini("service = sequence"), "cuts")
        self.assertEqual(plan.name, "cuts")
        (cell,) = plan.cells()
        self.assertEqual(
            cell.values,
            {
                "service": "sequence", "servers": 1, "clients": 1, "count": 50, "interval": 0.02,
                "cut": 0.0, "cut-after": 0.3, "heartbeat": 0.5, "window": 2.0, "fault": "",
                "proxy": True,
            },
        )  # fmt: skip
        self.assertEqual((plan.repetitions, plan.warm_up, plan.seed, plan.limit), (10, 1, 0, 120.0))

    def test_lists(self) -> None:
        """Lists make a cross product; commas and lines both divide; the last key is fastest."""
        plan = read(
            ini("service = echo", "clients = 1, 2,", "rate =", "  10", "  100", "proxy = yes, no")
        )
        found = [
            [cell.values[key] for key in ("clients", "rate", "proxy")] for cell in plan.cells()
        ]
        self.assertEqual(len(plan), 8)
        self.assertEqual(found[:3], [[1, 10, True], [1, 10, False], [1, 100, True]])
        self.assertEqual(found[-1], [2, 100, False])

    def test_single(self) -> None:
        """Keys with one value."""
        text = ini("service=echo", "repetitions=3", "warm-up=0", "seed=9", "limit=5s")
        plan = read(text)
        self.assertEqual((plan.repetitions, plan.warm_up, plan.seed, plan.limit), (3, 0, 9, 5.0))

    def test_faults(self) -> None:
        """Attributes belong to the fault before them; several of one cell stand together."""
        plan = read(
            ini(
                "service = arithmetic",
                "fault = none, loss:probability=0.1, correlation=0.2, noop",
                "    latency:latency=5 ,jitter=1 ; loss:probability=0.3",
            )
        )
        self.assertEqual(
            plan.lists["fault"],
            (
                "", "loss:probability=0.1,correlation=0.2", "noop",
                "latency:latency=5,jitter=1;loss:probability=0.3",
            ),
        )  # fmt: skip
        none, _, _, two = (cell.faults() for cell in plan.cells())
        self.assertEqual(none, [])
        self.assertEqual(
            [fault.settings for fault in two], [Latency(0.005, jitter=0.001), Loss(0.3)]
        )

    def test_faults_of_streams(self) -> None:
        """What can go wrong depends on the transport."""
        plan = read(ini("service = echo", "transport = tcp", "fault = slicer:average_size=5"))
        (cell,) = plan.cells()
        self.assertEqual([fault.settings for fault in cell.faults()], [Slicer(5)])
        self.assertIn("type is 'slicer'", mistake("service=echo", "fault=slicer:average_size=5"))

    def test_values(self) -> None:
        """Values are asked for by their kind; what a service lacks is 0."""
        (cell,) = read(ini("service = arithmetic", "timeout = 250ms")).cells()
        self.assertEqual((cell.seconds("timeout"), cell.whole("rate")), (0.25, 100))
        self.assertEqual((cell.seconds("cut"), cell.whole("size")), (0.0, 0))
        self.assertEqual((cell.service, cell.transport), ("arithmetic", "udp"))


class RetryTests(SynchronousTestCase):
    """How a request is tried again."""

    def test_as_patient(self) -> None:
        """With equal waits and with growing ones a request is given up at the same time."""
        text = "[experiment]\nservice=arithmetic\nbackoff=none,fixed,exponential\ntimeout=100ms"
        none, fixed, growing = (list(cell.retry().waits()) for cell in read(text).cells())
        self.assertEqual((none, fixed), ([0.1], [0.1] * 31))
        self.assertEqual(len(growing), 5)
        self.assertApproximates(sum(growing), sum(fixed), 1e-9)


class MistakeTests(SynchronousTestCase):
    """One line says section, key, value, and what is allowed."""

    def test_no_plan(self) -> None:
        """What is no INI file with the one section."""
        for text, said in (
            ("", "there is no section; give one section [experiment]"),
            ("[experiments]\n", "section is [experiments]; give one section [experiment]"),
            ("[experiment]\nservice=echo\n[more]\n", "section is [more]; give one section"),
            ("service = echo", "File contains no section headers"),
            ("[experiment]\nservice=echo\nservice=echo\n", "option 'service'"),
            ("x" * (LONGEST + 1), "plan has 1,048,577 characters; give at most 1,048,576"),
        ):
            with self.assertRaises(PlanError) as raised:
                read(text)
            self.assertIn(said, str(raised.exception))
            self.assertNotIn("\n", str(raised.exception))

    def test_wrong_values(self) -> None:
        """Each with the words of its own."""
        echo = "service = echo"
        for lines, said in (
            (["size = 1"], "service is ''; give one of arithmetic, echo, sequence, download"),
            (["service = ftp"], "service is 'ftp'; give one of"),
            ([echo, "clients = 0"], "clients is '0'; give a whole number from 1 to 1,000"),
            ([echo, "clients = 1, 2, 1"], "clients has '1' twice; give each value once"),
            ([echo, "cut = 5s"], "cut is '5s'; echo has servers, clients, transport, size, rate"),
            ([echo, "transport = sctp"], "transport is 'sctp'; give udp or tcp"),
            ([echo, "proxy = maybe"], "proxy is 'maybe'; give yes or no"),
            ([echo, "size = 0"], "size is '0'; give 1 byte to 1024G"),
            ([echo, "size = 63"], "size is 63; give 64 to 65,507 bytes"),
            ([echo, "rate = 300"], "rate is 300; packets leave every so many whole milliseconds"),
            ([echo, "limit = 25h"], "limit is '25h'; give a time up to 24h"),
            ([echo, "limit = 0"], "limit is '0'; give more than 0"),
            ([echo, "fault = flood"], "fault is 'flood'; type is 'flood'; give one of bandwidth"),
            ([echo, "fault = loss:probability=2"], "fault is 'loss:probability=2'; "),
            ([echo, "fault = noop", "proxy = no"], "proxy is 'no'; give yes where there is a"),
            (["service=sequence", "cut=1s", "proxy=no"], "give yes where there is a cut"),
            (["service=sequence", "count=65536"], "count is 65536; give 1 to 65,535"),
            (
                ["service=arithmetic", "backoff=none,exponential", "timeout=3s"],
                "timeout is 3 s; with backoff give less than its cap of 2 s",
            ),
            (
                [echo, f"count = {', '.join(map(str, range(1, 102)))}", "repetitions = 10000"],
                "repetitions is 10000; 101 cells would have 1,010,000 runs: give fewer, for 1,000",
            ),
            ([echo, "fault ="], "fault is ''; give none, or faults, for example"),
            (
                ["service=arithmetic", "backoff=fixed", "timeout=2s"],
                "timeout is 2 s; with backoff give less than its cap of 2 s",
            ),
            (
                ["service=arithmetic", "backoff=fixed", "timeout=1us"],
                "timeout is 0.000001 s; with backoff = fixed a request would be sent 2,097,151 t",
            ),
            (
                [echo, f"servers = {', '.join(map(str, range(1, 101)))}",
                 f"clients = {', '.join(map(str, range(1, 1001)))}", "rate = 1, 2"],
                "the lists make 200,000 cells; give lists for 100,000",
            ),
        ):  # fmt: skip
            self.assertIn(said, mistake(*lines))
            self.assertEqual(mistake(*lines)[:13], "[experiment] ")

    @settings(max_examples=200, deadline=None)
    @given(st.text() | st.text("[experint]\n =service:echo,;0123456789ms").map(ini))
    @example(ini("service=echo", "fault=,"))
    @example(ini("service=echo", "clients=,"))
    @example("[experiment]\nservice\n")
    def test_any_text(self, text: str) -> None:
        """It gives a plan, or the error of plans."""
        try:
            self.assertIsInstance(read(text), Plan)
        except PlanError as error:
            self.assertNotIn("\n", str(error))


def _texts(key: str) -> st.SearchStrategy[str]:
    """Values of a key, as people write them."""
    wanted = {
        "transport": st.sampled_from(["udp", "tcp"]),
        "backoff": st.sampled_from(["none", "exponential"]),
        "proxy": st.just("yes"),
        "size": st.integers(64, 65507).map(str),
        "rate": st.sampled_from(["1", "10", "125", "1000"]),
        "count": st.integers(1, 65535).map(str),
        "fault": st.sampled_from(["none", "noop", "loss:probability=0.5;latency:latency=1"]),
        "timeout": st.integers(1, 1999).map("{}ms".format),
        "max-timeout": st.integers(2, 2000).map("{}s".format),
    }
    times = st.builds("{}{}".format, st.integers(1, 10**6), st.sampled_from(["us", "ms"]))
    usual = st.integers(1, 100).map(str) if key in {"servers", "clients"} else times
    return wanted.get(key, usual)


@st.composite
def plans(draw: st.DrawFn) -> str:
    """The text of a plan that is right."""
    service = draw(st.sampled_from(SERVICES))
    lines = [f"service = {service}"]
    for key, one in KEYS.items():
        if service in one.usual and draw(st.booleans()):
            values = draw(st.lists(_texts(key), min_size=1, max_size=3, unique_by=_value(key)))
            lines.append(f"{key} = {', '.join(values)}")
    lines.append(f"seed = {draw(st.integers(0, 2**64 - 1))}")
    lines.append(f"limit = {draw(_texts('limit'))}")
    return ini(*lines)


def _value(key: str) -> Callable[[str], Value]:
    """What is read of a text."""
    return lambda text: KEYS[key].read(text, key)


class WriteTests(SynchronousTestCase):
    """A plan as a file."""

    @settings(max_examples=100, deadline=None)
    @given(plans())
    def test_round_trip(self, text: str) -> None:
        """What is written is read as the same plan."""
        plan = read(text)
        self.assertEqual(read(plan.write()), plan)


class SeedTests(SynchronousTestCase):
    """The seeds of repetitions."""

    def seeds(self, *lines: str, simulated: bool = False) -> dict[tuple[str, int], int]:
        """The seed of each cell and repetition."""
        plan = read(ini("service = echo", "repetitions = 3", *lines))
        return {
            (cell.key, one.number): one.seed
            for cell in plan.cells()
            for one in plan.repeated(cell, simulated=simulated)
        }

    def test_a_value_more(self) -> None:
        """It changes the seed of no other cell, nor does a repetition more."""
        before = self.seeds("clients = 2, 4")
        after = self.seeds("clients = 1, 2, 3, 4")
        self.assertEqual(before, {name: after[name] for name in before})
        self.assertEqual(len(set(after.values())), len(after))

    def test_of_the_plan(self) -> None:
        """Another seed of the plan gives others everywhere."""
        one, other = self.seeds("seed = 1"), self.seeds("seed = 2")
        self.assertEqual(set(one.values()) & set(other.values()), set())

    def test_warm_up(self) -> None:
        """Those to warm up are first; the simulator has none, and the same seeds behind them."""
        plan = read(ini("service = echo", "repetitions = 2", "warm-up = 2"))
        (cell,) = plan.cells()
        real = list(plan.repeated(cell, simulated=False))
        simulated = list(plan.repeated(cell, simulated=True))
        self.assertEqual([one.warm_up for one in real], [True, True, False, False])
        self.assertEqual([one.number for one in real], [0, 1, 2, 3])
        self.assertEqual([one.seed for one in simulated], [one.seed for one in real[2:]])

    def test_key(self) -> None:
        """A cell is known by its values, in whatever order they stand."""
        self.assertEqual(Cell({"a": 1, "b": 2}).key, Cell({"b": 2, "a": 1}).key)
