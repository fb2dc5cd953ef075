"""What the proxies count, for Prometheus."""

from importlib.metadata import PackageNotFoundError, version

from prometheus_client.parser import text_string_to_metric_families
from twisted.trial.unittest import SynchronousTestCase

from lab.proxy import metrics
from lab.proxy.metrics import metrics_text, own_version
from lab.proxy.registry import Counters, Labels

PLACE = 'listener="127.0.0.1:1",proxy="a",upstream="b:80"'


class MetricsTests(SynchronousTestCase):
    """The text."""

    def test_text(self) -> None:
        """Names and labels of Toxiproxy's, and ours."""
        counters = Counters(1, 5, 2, {"upstream": 7, "downstream": 8}, {"upstream": 6}, {"x": 3})
        text = metrics_text(lambda: [(Labels("a", "127.0.0.1:1", "b:80"), counters)]).decode()
        for line in (
            "# TYPE toxiproxy_proxy_received_bytes_total counter",
            f'toxiproxy_proxy_received_bytes_total{{direction="upstream",{PLACE}}} 7.0',
            f'toxiproxy_proxy_received_bytes_total{{direction="downstream",{PLACE}}} 8.0',
            f'toxiproxy_proxy_sent_bytes_total{{direction="upstream",{PLACE}}} 6.0',
            f'toxiproxy_proxy_sent_bytes_total{{direction="downstream",{PLACE}}} 0.0',
            f"lab_proxy_connections{{{PLACE}}} 1.0",
            f"lab_proxy_accepted_total{{{PLACE}}} 5.0",
            f"lab_proxy_refused_total{{{PLACE}}} 2.0",
            f'lab_proxy_fault_hits_total{{fault="x",{PLACE}}} 3.0',
        ):
            self.assertIn(f"{line}\n", text)

    def test_datagrams(self) -> None:
        """What only relays of datagrams count is there for them alone."""
        special = {"icmp_refusals": 1, "overflowed": 2, "unsent": 3}
        text = metrics_text(
            lambda: [
                (Labels("a", "127.0.0.1:1", "b:80"), Counters(special=special)),
                (Labels("c", "127.0.0.1:1", "b:80"), Counters()),
            ]
        ).decode()
        for name, number in special.items():
            self.assertIn(f"# TYPE lab_proxy_{name}_total counter\n", text)
            self.assertIn(f"\nlab_proxy_{name}_total{{{PLACE}}} {number}.0\n", text)
            self.assertEqual(text.count(f"\nlab_proxy_{name}_total{{"), 1)

    def test_any_names(self) -> None:
        """Whatever a proxy is called, the text is read as what it is."""
        name = 'a "b"\\\n{c}é'
        text = metrics_text(lambda: [(Labels(name, name, name), Counters())]).decode()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name != "lab_proxy_info":
                    self.assertEqual(sample.labels["proxy"], name)

    def test_info(self) -> None:
        """Which proxy it is: version and seed, or none."""
        for seed, shown in ((12, "12"), (0, "0"), (None, "")):
            text = metrics_text(list, seed).decode()
            self.assertIn(f'lab_proxy_info{{seed="{shown}",version="{own_version()}"}} 1.0\n', text)

    def test_version(self) -> None:
        """That of what is installed; where nothing is, it is unknown."""
        own_version.cache_clear()
        self.assertEqual(own_version(), version("txlab"))

        def missing(name: str) -> str:
            raise PackageNotFoundError(name)

        self.patch(metrics, "version", missing)
        self.addCleanup(own_version.cache_clear)
        own_version.cache_clear()
        self.assertEqual(own_version(), "unknown")

    def test_live(self) -> None:
        """Collected each time it is asked for."""
        counters = Counters()
        found = lambda: [(Labels("a", "b", "c"), counters)]  # noqa: E731 - asked for twice
        before = metrics_text(found)
        counters.accepted += 1
        self.assertNotEqual(metrics_text(found), before)
