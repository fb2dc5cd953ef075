"""Faults as JSON."""

import contextlib
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lab.errors import LocalError
from lab.faults.datagrams import Bandwidth, Latency, Loss
from lab.faults.fault import Fault
from lab.faults.schema import DATAGRAMS, STREAMS, from_json, from_text, to_json
from lab.faults.stages import STAGES
from lab.faults.streams import (
    Cut,
    LimitData,
    PacketLoss,
    Partition,
    ResetPeer,
    Slicer,
    SlowClose,
    Timeout,
)

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=6,
)
WORDS = st.sampled_from(
    ["type", "name", "stream", "toxicity", "attributes", "after", "duration", "every"]
)
OBJECTS = st.dictionaries(WORDS, PLAIN | st.sampled_from(sorted(DATAGRAMS)))

ATTRIBUTES = st.sampled_from(["probability", "every", "p", "r", "correlation"])
LOSSES = st.dictionaries(ATTRIBUTES, PLAIN).map(lambda of: {"type": "loss", "attributes": of})


class FromJsonTests(SynchronousTestCase):
    """What is read."""

    def test_units(self) -> None:
        """Milliseconds and KB/s become seconds and bytes/s."""
        attributes = {"latency": 20, "jitter": 5.5, "distribution": "normal", "correlation": 0.25}
        fault = from_json({"type": "latency", "attributes": attributes})
        self.assertEqual(fault.settings, Latency(0.02, 0.0055, "normal", 0.25))
        attributes = {"rate": 10, "burst": 5000, "queue": 9000, "packets": 7}
        fault = from_json({"type": "bandwidth", "attributes": attributes})
        self.assertEqual(fault.settings, Bandwidth(10_000.0, 5000.0, 9000.0, 7))

    def test_everything(self) -> None:
        """All that a fault has can be said."""
        fault = from_json(
            {
                "type": "loss", "name": "rain", "stream": "upstream", "toxicity": 0.5,
                "attributes": {"probability": 0.3}, "after": 1000, "duration": 500, "every": 2000,
            }
        )  # fmt: skip
        self.assertEqual(
            fault,
            Fault(Loss(0.3), "rain", "upstream", 0.5, after=1.0, duration=0.5, every=2.0),
        )

    def test_defaults(self) -> None:
        """Only the type must be there; what is null is not there."""
        fault = from_json({"type": "loss"})
        self.assertEqual(fault, Fault(Loss(), "loss_downstream"))
        self.assertEqual(
            from_json({"type": "loss", "name": None, "toxicity": None, "attributes": None}), fault
        )
        self.assertEqual(from_json({"type": "loss", "attributes": {"probability": None}}), fault)

    def test_refused(self) -> None:
        """What can't be is refused in one line that says what can."""
        wrong: list[tuple[Any, str]] = [
            ([], "fault is []; give an object with a type"),
            ({}, "type is None; give one of bandwidth, blackhole, "),
            ({"type": "rain"}, "type is 'rain'; give one of bandwidth, blackhole, "),
            ({"type": "loss", "attributs": {}}, "fault is 'attributs'; give one of after, "),
            ({"type": "loss", "attributes": []}, "attributes is []; give an object"),
            (
                {"type": "noop", "attributes": {"x": 1}},
                "attribute is 'x'; give one of none",
            ),
            (
                {"type": "loss", "attributes": {"rate": 1}},
                "attribute is 'rate'; give one of correlation, every, ",
            ),
            (
                {"type": "loss", "attributes": {"probability": "0.3"}},
                "probability is '0.3'; give a number",
            ),
            ({"type": "loss", "attributes": {"every": 1.5}}, "every is 1.5; give a whole number"),
            ({"type": "loss", "toxicity": True}, "toxicity is 'True'; give a number"),
            ({"type": "loss", "after": float("inf")}, "after is 'inf'; give a number"),
            ({"type": "loss", "name": 5}, "name is 5; give a text"),
            ({"type": "loss", "name": ""}, "name is ''; give a text"),
            ({"type": "loss", "stream": "up"}, "stream is 'up'; give upstream or downstream"),
            (
                {"type": "latency", "attributes": {"distribution": 1}},
                "distribution is 1; give a text",
            ),
            ({"type": ["loss"]}, "type is ['loss']; give one of "),
        ]
        for values, text in wrong:
            error = self.assertRaises(LocalError, from_json, values)
            self.assertTrue(str(error).startswith(text), str(error))

    @given(
        PLAIN
        | OBJECTS
        | st.fixed_dictionaries(
            {
                "type": st.sampled_from(sorted(DATAGRAMS)),
                "attributes": st.dictionaries(
                    st.sampled_from(["probability", "every", "latency"]), PLAIN
                ),
            }
        )
    )
    def test_any_values(self, values: Any) -> None:
        """Whatever JSON can hold is read, or refused by our own error."""
        with contextlib.suppress(LocalError):
            from_json(values)


class StreamTests(SynchronousTestCase):
    """The faults of streams."""

    def test_names_and_units(self) -> None:
        """Types, attributes and their units are Toxiproxy's; the delay of a slicer is in µs."""
        cases: list[tuple[str, dict[str, Any], Any]] = [
            ("latency", {"latency": 20, "jitter": 10}, Latency(0.02, 0.01)),
            ("bandwidth", {"rate": 10, "burst": 500}, Bandwidth(10_000.0, 500.0)),
            ("slow_close", {"delay": 250}, SlowClose(0.25)),
            ("timeout", {"timeout": 300}, Timeout(0.3)),
            ("reset_peer", {"timeout": 500, "idle": True}, ResetPeer(0.5, idle=True)),
            (
                "slicer",
                {"average_size": 64, "size_variation": 32, "delay": 1500},
                Slicer(64, 32, 0.0015),
            ),
            ("limit_data", {"bytes": 1000}, LimitData(1000)),
            ("packet_loss", {"loss_rate": 0.3, "correlation": 0.25}, PacketLoss(0.3, 0.25)),
            ("loss", {"probability": 0.3}, Loss(0.3)),
            ("cut", {"probability": 0.25}, Cut(0.25)),
            ("partition", {}, Partition()),
        ]
        for word, attributes, expected in cases:
            fault = from_json({"type": word, "attributes": attributes}, STREAMS)
            self.assertEqual(fault.settings.__class__, expected.__class__)
            written = to_json(fault, STREAMS)
            self.assertEqual(written["type"], word)
            self.assertEqual(written["attributes"], written["attributes"] | attributes)
            self.assertEqual(from_json(written, STREAMS), fault)
            self.assertEqual(to_json(Fault(expected, fault.name), STREAMS), written)

    def test_defaults(self) -> None:
        """Without attributes each is 0, as in Toxiproxy."""
        for word in ("bandwidth", "limit_data", "packet_loss", "slicer", "slow_close", "timeout"):
            written = to_json(from_json({"type": word}, STREAMS), STREAMS)
            scope = written["attributes"].pop("scope", "connection")
            self.assertEqual((set(written["attributes"].values()), scope), ({0}, "connection"))

    def test_all(self) -> None:
        """What a stream can carry out has a type, and no other."""
        self.assertEqual({kind.settings for kind in STREAMS.values()}, set(STAGES))

    def test_no_numbers_make_no_sense_to_a_slicer(self) -> None:
        """Toxiproxy takes any, and so do we; the original then ends by them."""
        attributes = {"average_size": -10, "size_variation": 40, "delay": -1}
        fault = from_json({"type": "slicer", "attributes": attributes}, STREAMS)
        self.assertEqual(to_json(fault, STREAMS)["attributes"], attributes)

    def test_short_form(self) -> None:
        """A truth is written as in JSON."""
        fault = from_text("reset_peer:timeout=5,idle=true", STREAMS)
        self.assertEqual(fault.settings, ResetPeer(0.005, idle=True))

    def test_refused(self) -> None:
        """What a stream does not have, and what is no truth."""
        wrong: list[tuple[Any, str]] = [
            ({"type": "reorder"}, "type is 'reorder'; give one of bandwidth, blackhole, corrupt, "),
            (
                {"type": "bandwidth", "attributes": {"queue": 1}},
                "attribute is 'queue'; give one of burst, rate",
            ),
            (
                {"type": "reset_peer", "attributes": {"idle": 1}},
                "idle is '1'; give true or false",
            ),
            ({"type": "limit_data", "attributes": {"bytes": -1}}, "bytes is -1; give 0 or more"),
            (
                {"type": "cut", "attributes": {"probability": 2}},
                "probability is 2; give 0 to 1",
            ),
        ]
        for values, text in wrong:
            error = self.assertRaises(LocalError, from_json, values, STREAMS)
            self.assertTrue(str(error).startswith(text), str(error))

    @given(
        st.fixed_dictionaries(
            {
                "type": st.sampled_from(sorted(STREAMS)),
                "attributes": st.dictionaries(
                    st.sampled_from(["timeout", "idle", "bytes", "average_size", "delay"]), PLAIN
                ),
            }
        )
    )
    def test_any_values(self, values: Any) -> None:
        """Whatever JSON can hold is read, or refused by our own error."""
        with contextlib.suppress(LocalError):
            from_json(values, STREAMS)


class RoundTripTests(SynchronousTestCase):
    """What is written."""

    @given(
        st.sampled_from(sorted(DATAGRAMS)),
        st.sampled_from(["upstream", "downstream"]),
        st.floats(0, 1),
        st.integers(0, 10**6),
        st.integers(1, 10**6),
        st.sampled_from([0, 1, 2]),
    )
    def test_round_trip(
        self, kind: str, stream: str, toxicity: float, after: int, duration: int, periods: int
    ) -> None:
        """What was written reads as it was."""
        given_values = {
            "type": kind, "name": "x", "stream": stream, "toxicity": toxicity, "after": after,
            "duration": duration, "every": periods * duration,
        }  # fmt: skip
        fault = from_json(given_values)
        written = to_json(fault)
        self.assertEqual(from_json(json.loads(json.dumps(written))), fault)

    def test_complete(self) -> None:
        """All attributes are written, in their order, as whole numbers where they are whole."""
        fault = Fault(Latency(0.02, 0.0055), "late", after=1.0)
        self.assertEqual(
            json.dumps(to_json(fault)),
            '{"type": "latency", "name": "late", "stream": "downstream", "toxicity": 1.0, '
            '"attributes": {"latency": 20, "jitter": 5.5, "distribution": "uniform", '
            '"correlation": 0.0}, "after": 1000}',
        )


class FromTextTests(SynchronousTestCase):
    """The short form."""

    def test_short_form(self) -> None:
        """A type, attributes, and what else a fault has, in one word."""
        self.assertEqual(from_text("loss:probability=0.3"), Fault(Loss(0.3), "loss_downstream"))
        self.assertEqual(
            from_text("latency:latency=20,distribution=normal,name=late,stream=upstream,after=1"),
            Fault(Latency(0.02, 0.0, "normal"), "late", "upstream", after=0.001),
        )
        self.assertEqual(from_text("noop").name, "noop_downstream")

    def test_refused(self) -> None:
        """What can't be is refused in one line."""
        self.assertRaises(LocalError, from_text, "")
        self.assertRaises(LocalError, from_text, "rain:probability=1")
        error = self.assertRaises(LocalError, from_text, "loss:probability")
        text = "fault is 'loss:probability'; give TYPE:NAME=VALUE,NAME=VALUE"
        self.assertEqual(str(error), text)

    @given(st.text() | st.from_regex(r"\Aloss:(probability|name|every|toxicity)=[^,]{0,9}\Z"))
    def test_any_text(self, text: str) -> None:
        """Any text is read, or refused by our own error."""
        with contextlib.suppress(LocalError):
            from_text(text)
