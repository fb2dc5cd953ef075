"""Toxics, and the faults that they make."""

import json
import math
from typing import Any

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.errors import LocalError
from lab.faults.datagrams import SCOPES, Bandwidth, Corrupt, Duplicate, Latency, Loss, Reorder
from lab.faults.draws import DISTRIBUTIONS
from lab.faults.fault import Fault
from lab.faults.journal import Dice, Place
from lab.faults.link import DatagramLink
from lab.faults.pipe import StreamLink
from lab.faults.schema import DATAGRAMS, STREAMS, to_json
from lab.faults.sharing import Buckets
from lab.faults.stages import STAGES
from lab.faults.streams import CLOSE, RESET, LimitData, ResetPeer, Slicer, SlowClose, Timeout
from lab.proxy.errors import ApiError
from lab.proxy.gojson import encode
from lab.proxy.toxics import (
    KINDS,
    LEAST_EVERY,
    MOST,
    MOST_TIME,
    TYPES,
    Toxic,
    check_together,
    read_toxic,
    toxic_of,
)

INT64 = st.integers(-(2**63), 2**63 - 1) | st.sampled_from([0, 1, -1, 10, 40, 2**63 - 1, -(2**63)])
FLOATS = st.floats(allow_nan=False, allow_infinity=False) | st.floats(-1, 2)
VALUES = {"int64": INT64, "float64": FLOATS, "bool": st.booleans()}
WORDS = {"distribution": DISTRIBUTIONS, "scope": SCOPES}


@st.composite
def toxics(draw: st.DrawFn, protocol: str = "tcp") -> dict[str, Any]:
    """What may be asked for: any numbers of the right types."""
    kind = draw(st.sampled_from(sorted(TYPES[protocol])))
    kinds = TYPES[protocol][kind].kinds.items()
    values_of = {name: VALUES[type] for name, type in kinds if type != "string"}
    values_of |= {name: st.sampled_from([*WORDS[name]]) for name, type in kinds if type == "string"}
    attributes = st.fixed_dictionaries({}, optional=values_of)
    more = {"toxicity": st.floats(width=32, allow_nan=False, allow_infinity=False)}
    more |= dict.fromkeys(("after", "duration", "every"), FLOATS)
    values = {"type": kind, "attributes": draw(attributes)}
    return values | draw(st.fixed_dictionaries({}, optional=more))


def toxic(protocol: str = "tcp", **values: Any) -> Toxic:
    """A toxic, as it is read."""
    return read_toxic(json.dumps(values).encode(), (), protocol)


def fault_of(kind: str, protocol: str = "tcp", **attributes: Any) -> Any:
    """The settings of the fault of a toxic."""
    return toxic(protocol, type=kind, attributes=attributes).fault().settings


class ReadTests(SynchronousTestCase):
    """What is read."""

    def refused(self, body: bytes, *taken: str) -> tuple[int, str]:
        """What is said to a body."""
        error = self.assertRaises(ApiError, read_toxic, body, taken)
        return error.status, str(error)

    def test_described(self) -> None:
        """All attributes, in their order, and a name made from type and stream."""
        for body, text in (
            (
                b'{"type":"latency"}',
                (
                    '{"attributes":{"latency":0,"jitter":0},"name":"latency_downstream",'
                    '"type":"latency","stream":"downstream","toxicity":1}'
                ),
            ),
            (
                b'{"type":"slicer","stream":"UPstream","toxicity":0.3,"attributes":{"Delay":-5}}',
                (
                    '{"attributes":{"average_size":0,"size_variation":0,"delay":-5},'
                    '"name":"slicer_UPstream","type":"slicer","stream":"UPstream","toxicity":0.3}'
                ),
            ),
            (
                b'{"type":"packet_loss","name":"x","attributes":{"loss_rate":0.5}}',
                (
                    '{"attributes":{"loss_rate":0.5,"correlation":0},"name":"x",'
                    '"type":"packet_loss","stream":"downstream","toxicity":1}'
                ),
            ),
            (
                b'{"type":"bandwidth","name":"","attributes":{"rate":9,"burst":5.5},"every":20}',
                (
                    '{"attributes":{"rate":9,"burst":5.5},"name":"bandwidth_downstream",'
                    '"type":"bandwidth","stream":"downstream","toxicity":1,"every":20}'
                ),
            ),
        ):
            self.assertEqual(encode(read_toxic(body).describe()), text)

    def test_more_than_toxiproxy(self) -> None:
        """Attributes that it lacks are not shown until they say something."""
        reset = toxic(type="reset_peer", attributes={"idle": True})
        self.assertEqual(reset.describe()["attributes"], {"timeout": 0, "idle": True})
        self.assertEqual(reset.fault().settings, ResetPeer(0.0, idle=True))
        late = toxic(type="latency", attributes={"distribution": "normal", "correlation": 0.5})
        self.assertEqual(late.fault().settings, Latency(0.0, 0.0, "normal", 0.5))

    def test_every_type(self) -> None:
        """All faults of streams can be asked for, and are in force as they are."""
        for name in STREAMS:
            fault = toxic(type=name).fault()
            self.assertIn(type(fault.settings), STAGES)
            self.assertEqual(fault.name, f"{name}_downstream")

    def test_every_type_of_datagrams(self) -> None:
        """All faults of datagrams can be asked for where there are some, and nowhere else."""
        for name in DATAGRAMS:
            made = toxic("udp", type=name)
            self.assertIs(type(made.fault().settings), DATAGRAMS[name].settings)
            self.assertEqual(made.describe()["name"], f"{name}_downstream")
        for name in STREAMS.keys() ^ DATAGRAMS.keys():
            protocol = "tcp" if name in DATAGRAMS else "udp"
            error = self.assertRaises(ApiError, toxic, protocol, type=name)
            self.assertEqual((error.status, str(error)), (400, "invalid toxic type"))

    def test_queue(self) -> None:
        """Datagrams have one, which can be full; a stream waits, and passes its sizes over."""
        values = {"rate": 10, "queue": 3000, "packets": 5}
        self.assertEqual(fault_of("bandwidth", "udp", **values), Bandwidth(10e3, 0, 3000, 5))
        self.assertEqual(fault_of("bandwidth", **values), Bandwidth(10e3))
        shown = toxic("udp", type="bandwidth", attributes=values).describe()["attributes"]
        self.assertEqual(shown, values)

    def test_order(self) -> None:
        """Of several errors the first is told that Toxiproxy would tell."""
        invalid = "stream was invalid, can be either upstream or downstream"
        self.assertEqual(self.refused(b'{"type":"x","stream":"y"}'), (400, invalid))
        self.assertEqual(self.refused(b'{"type":"noop","stream":""}'), (400, invalid))
        self.assertEqual(self.refused(b"{}"), (400, "invalid toxic type"))
        body = b'{"type":"latency","name":"a","attributes":{"latency":1.5}}'
        self.assertEqual(self.refused(body, "a"), (409, "toxic already exists"))
        self.assertIn("LatencyToxic.attributes.latency of type int64", self.refused(body)[1])

    def test_words(self) -> None:
        """A distribution that there is none of is refused: no other is the nearest."""
        body = b'{"type":"latency","attributes":{"distribution":"x"}}'
        status, text = self.refused(body)
        self.assertEqual(status, 400)
        self.assertIn("give one of uniform", text)
        body = b'{"type":"bandwidth","attributes":{"scope":"all"}}'
        words = "scope is 'all'; give one of connection, client, proxy"
        self.assertEqual(self.refused(body), (400, words))


class ChangeTests(SynchronousTestCase):
    """What is changed."""

    def test_partly(self) -> None:
        """What is not named stays; name, type and stream stay in any case."""
        before = toxic(type="latency", attributes={"latency": 5}, after=10)
        body = b'{"attributes":{"jitter":9},"name":"x","type":"noop","stream":"upstream"}'
        self.assertEqual(
            encode(before.changed(body).describe()),
            '{"attributes":{"latency":5,"jitter":9},"name":"latency_downstream",'
            '"type":"latency","stream":"downstream","toxicity":1,"after":10}',
        )
        after = before.changed(b'{"toxicity":0.5,"after":20,"every":null}')
        self.assertEqual((after.toxicity, after.times), (0.5, {"after": 20}))
        self.assertEqual(before.changed(b"null"), before)

    def test_refused(self) -> None:
        """Nothing of what is wrong in part counts."""
        before = toxic(type="latency")
        for body in (
            b"",
            b"[]",
            b'{"attributes":[]}',
            b'{"attributes":{"jitter":9,"latency":"5"}}',
        ):
            self.assertRaises(ApiError, before.changed, body)


class FaultTests(SynchronousTestCase):
    """The nearest that makes sense."""

    def test_units(self) -> None:
        """Milliseconds, KB/s and microseconds become seconds and bytes/s."""
        self.assertEqual(fault_of("latency", latency=20, jitter=10), Latency(0.02, 0.01))
        self.assertEqual(fault_of("bandwidth", rate=10), Bandwidth(10_000.0))
        self.assertEqual(fault_of("timeout", timeout=100), Timeout(0.1))
        self.assertEqual(
            fault_of("slicer", average_size=10, size_variation=2, delay=500), Slicer(10, 2, 0.0005)
        )
        fault = toxic(type="noop", after=1000, duration=500, every=2000).fault()
        self.assertEqual((fault.after, fault.duration, fault.every), (1.0, 0.5, 2.0))

    def test_nearest(self) -> None:
        """Nothing is refused that Toxiproxy takes."""
        much = 2**63 - 1
        self.assertEqual(fault_of("latency", latency=-5, jitter=much), Latency(0.0, MOST_TIME))
        self.assertEqual(fault_of("bandwidth", rate=-1), Bandwidth(0.0))
        self.assertEqual(fault_of("bandwidth", rate=much), Bandwidth(float(MOST)))
        self.assertEqual(fault_of("slow_close", delay=-1), SlowClose(0.0))
        self.assertEqual(fault_of("limit_data", bytes=-1), LimitData(0))
        self.assertEqual(fault_of("slicer", average_size=10, size_variation=40), Slicer(10, 40))
        self.assertEqual(fault_of("corrupt", probability=2, bits=0), Corrupt(1.0, 1))
        self.assertEqual(fault_of("loss", probability=-1, correlation=1), Loss(correlation=0.999))
        self.assertEqual(fault_of("loss", probability=1, every=3, p=0.5), Loss(every=3))
        self.assertEqual(fault_of("loss", probability=1, p=0.5), Loss(p=0.5))
        self.assertEqual(fault_of("duplicate", "udp", copies=0), Duplicate(0.0, 1))
        self.assertEqual(fault_of("duplicate", "udp", copies=much), Duplicate(0.0, 100))
        self.assertEqual(fault_of("reorder", "udp", displacement=-1), Reorder(0.0, 1))
        self.assertEqual(fault_of("reorder", "udp", displacement=much), Reorder(0.0, 1000))
        self.assertEqual(toxic(type="noop", toxicity=7).fault().toxicity, 1.0)
        self.assertEqual(toxic(type="noop", toxicity=-1).fault().toxicity, 0.0)

    def test_times(self) -> None:
        """A fault that never stops does not come again, and none comes again before it ends."""
        for given_, every in (
            ({"every": 5}, 0.0),
            ({"every": 5, "duration": 10}, 0.01),
            ({"every": 1e-9, "duration": 0}, LEAST_EVERY),
            ({"every": -5, "duration": 10}, 0.0),
        ):
            self.assertEqual(toxic(type="noop", **given_).fault().every, every)
        self.assertEqual(toxic(type="noop").fault().duration, math.inf)

    @settings(max_examples=300, deadline=None)
    @given(toxics(), st.lists(st.binary(max_size=3000), max_size=5))
    def test_any(self, values: dict[str, Any], chunks: list[bytes]) -> None:
        """Any numbers make a fault, with which a stream neither fails nor hangs."""
        made = toxic(**values)
        fault = made.fault()
        to_json(fault, STREAMS)
        encode(made.describe())
        link = StreamLink([fault], Dice(seed=7), Place("a-b"), now=1e9, share=Buckets().lane)
        now, out = 1e9, []
        for chunk in chunks:
            link.feed(chunk, now)
            now += 0.05
            link.tick(now)
            out += link.outgoing()
        link.end(now)
        for _ in range(20):
            at = link.deadline()
            if at is None:
                break
            self.assertGreaterEqual(at, 0)
            link.tick(max(now, min(at, now + 10)))
            out += link.outgoing()
        link.update([], now + 1000)
        out += link.outgoing()
        size = sum(len(one) for one in out if isinstance(one, bytes))
        self.assertLessEqual(size, sum(map(len, chunks)))
        if values["type"] in {"latency", "slicer", "noop"} and not {CLOSE, RESET} & set(out[-1:]):
            self.assertEqual(b"".join(o for o in out if isinstance(o, bytes)), b"".join(chunks))

    @settings(max_examples=300, deadline=None)
    @given(toxics("udp"), st.lists(st.binary(max_size=3000), max_size=5))
    def test_any_of_datagrams(self, values: dict[str, Any], datagrams: list[bytes]) -> None:
        """Any numbers make a fault, with which datagrams neither fail nor hang."""
        made = toxic("udp", **values)
        fault = made.fault()
        to_json(fault)
        encode(made.describe())
        link = DatagramLink([fault], Dice(seed=7), Place("a-b"), now=1e9, share=Buckets().lane)
        now, out = 1e9, []
        for datagram in datagrams:
            out += link.send(datagram, now)
            now += 0.05
            out += link.tick(now)
        for _ in datagrams:
            now = max(now, link.deadline() or now)
            out += link.tick(now)
        self.assertIsNone(link.deadline())
        out += link.update([], now + 1000)
        for arrival in out:
            self.assertTrue(1e9 <= arrival.at < math.inf)
        most = 101 if values["type"] == "duplicate" else 1
        self.assertLessEqual(len(out), most * len(datagrams))
        if values["type"] in {"latency", "reorder", "noop"}:
            self.assertEqual(sorted(one.data for one in out), sorted(datagrams))


class OfFaultTests(SynchronousTestCase):
    """The toxic that makes a fault."""

    def test_same(self) -> None:
        """It makes this very fault, with its name, its times and its toxicity."""
        for protocol in KINDS:
            settings = Bandwidth(5000.0, 10.5, scope="client")
            fault = Fault(settings, "x", "upstream", 0.5, after=1.0, duration=2.0, every=3.0)
            toxic = toxic_of(fault, protocol)
            self.assertEqual((toxic.fault(), toxic.protocol), (fault, protocol))
        attributes = toxic_of(fault).describe()["attributes"]
        self.assertEqual(attributes, {"rate": 5, "burst": 10.5, "scope": "client"})


class CheckTests(SynchronousTestCase):
    """For those who would rather be told."""

    def test_refused(self) -> None:
        """What makes no sense is told, and what would."""
        for values, text in (
            (
                {"type": "latency", "attributes": {"latency": -5}},
                "latency is -0.005; give 0 or more",
            ),
            ({"type": "bandwidth", "attributes": {"rate": -1}}, "rate is -1000; give 0 or more"),
            ({"type": "latency", "attributes": {"jitter": 2**63 - 1}}, "give a number"),
            (
                {"type": "limit_data", "attributes": {"bytes": 10**16}},
                "bytes is 1e+16; that is too",
            ),
            ({"type": "noop", "toxicity": 7}, "toxicity is 7; give 0 to 1"),
            ({"type": "noop", "after": -7}, "give 0 or more"),
            ({"type": "latency", "attributes": {"LATANCY": 5}}, "attribute is 'latancy'; give one"),
            ({"type": "noop", "attributes": {"x": 5}}, "attribute is 'x'; give one of none"),
            ({"type": "slicer"}, "average_size is 0; give 1 byte or more"),
            (
                {"type": "slicer", "attributes": {"average_size": 9, "size_variation": 9}},
                "size_variation is 9; give 0 to less",
            ),
            (
                {"type": "slicer", "attributes": {"average_size": 9, "delay": -1}},
                "delay is -1; give 0 µs or more",
            ),
            ({"type": "packet_loss", "attributes": {"correlation": 2}}, "correlation is 2; give 0"),
            ({"type": "loss", "attributes": {"every": 2, "p": 0.5}}, "loss has two models"),
        ):
            error = self.assertRaises(ApiError, toxic(**values).check)
            self.assertEqual(error.status, 400)
            self.assertIn(text, str(error))
            self.assertTrue(str(error).startswith(f"toxic {values['type']}_downstream: "))

    def test_taken(self) -> None:
        """What makes sense is taken."""
        toxic(type="latency", stream="UPSTREAM", attributes={"latency": 5}, after=5).check()
        toxic(type="slicer", attributes={"average_size": 9, "size_variation": 8}).check()
        toxic(type="packet_loss", attributes={"loss_rate": 1}).check()
        toxic("udp", type="bandwidth", attributes={"rate": 5, "queue": 3000}).check()

    def test_refused_of_datagrams(self) -> None:
        """What makes no sense is told there, too."""
        for values, text in (
            ({"type": "duplicate", "attributes": {"copies": 0}}, "copies is 0; give 1 to 100"),
            ({"type": "reorder", "attributes": {"displacement": 1001}}, "displacement is 1001"),
            ({"type": "bandwidth", "attributes": {"queue": -1}}, "queue is -1; give 0 or more"),
            ({"type": "loss", "attributes": {"probability": 2}}, "probability is 2; give a prob"),
        ):
            error = self.assertRaises(ApiError, toxic("udp", **values).check)
            self.assertEqual(error.status, 400)
            self.assertIn(text, str(error))

    def test_together(self) -> None:
        """Toxics of one direction that multiply each other are refused, strict or not."""
        twice = toxic("udp", type="duplicate", attributes={"copies": 99})
        back = toxic("udp", type="duplicate", stream="Upstream", attributes={"copies": 9})
        check_together([twice, back, toxic("udp", type="noop")])
        check_together([twice, evolve(back, stream="downstream")])
        error = self.assertRaises(ApiError, check_together, [twice, twice])
        self.assertEqual(error.status, 400)
        self.assertEqual(
            str(error),
            "toxics make 10,000 of a datagram together; give at most 1,000",
        )

    @given(toxics() | toxics("udp"))
    def test_the_same(self, values: dict[str, Any]) -> None:
        """What is taken is what the fault has: nothing of it was moved."""
        protocol = "tcp" if values["type"] in STREAMS else "udp"
        made = toxic(protocol, **values)
        try:
            made.check()
        except LocalError:
            return
        shown = to_json(made.fault(), KINDS[protocol])["attributes"]
        for name, value in made.complete.items():
            if isinstance(value, float | int):
                self.assertLessEqual(abs(shown[name] - value), 1e-6 * max(1, abs(value)))
