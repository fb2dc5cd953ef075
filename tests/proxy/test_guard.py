"""Who may ask."""

from twisted.trial.unittest import SynchronousTestCase

from lab.proxy.guard import Guard

BROWSER = "Mozilla/5.0"


def headers(**values: str) -> dict[str, list[str]]:
    """Headers."""
    return {name.replace("_", "-"): [value] for name, value in values.items()}


class GuardTests(SynchronousTestCase):
    """Requests and refusals."""

    def test_hosts(self) -> None:
        """Only by names of this machine, with any port."""
        guard = Guard(hosts={"toxiproxy"})
        here = "192.0.2.1"
        for host in (
            "localhost", "LOCALHOST:8474", "127.0.0.1:1", "[::1]:8474", "192.0.2.1", "toxiproxy:80"
        ):  # fmt: skip
            self.assertIsNone(guard.refusal("GET", headers(host=host), here), host)
        self.assertIsNone(guard.refusal("GET", {}, here))
        self.assertIsNone(guard.refusal("GET", headers(host="192.0.2.1"), "::ffff:192.0.2.1"))
        for host in ("evil.example", "192.0.2.2", "", "[::1", "localhost.evil.example"):
            refusal = guard.refusal("GET", headers(host=host), here)
            self.assertEqual(refusal, (403, "Host not allowed"), host)
        two = {"host": ["localhost", "evil.example"]}
        self.assertEqual(guard.refusal("GET", two, here), (403, "Host not allowed"))

    def test_origins(self) -> None:
        """Other people's pages change nothing; they can't read anything either way."""
        guard = Guard()
        own = headers(host="localhost:8474", origin="http://LOCALHOST:8474")
        self.assertIsNone(guard.refusal("POST", own, ""))
        for origin in ("http://x", "null", "http://localhost:80", ""):
            foreign = headers(host="localhost:8474", origin=origin)
            self.assertIsNone(guard.refusal("GET", foreign, ""))
            for method in ("POST", "PATCH", "DELETE"):
                refusal = guard.refusal(method, foreign, "")
                self.assertEqual(refusal, (403, "Origin not allowed"), origin)
        self.assertIsNotNone(guard.refusal("POST", headers(origin="http://x"), ""))

    def test_token(self) -> None:
        """Who carries it may ask, by whatever name; nobody else may."""
        guard = Guard(token="sécret")
        good = headers(host="evil.example", origin="http://x", user_agent=BROWSER)
        good["authorization"] = ["Bearer sécret".encode().decode("latin-1")]
        self.assertIsNone(guard.refusal("POST", good, ""))
        self.assertFalse(guard.refuses_browser(good))
        for value in ("Bearer secret", "sécret", "Bearer ", "Basic sécret"):
            refusal = guard.refusal("GET", headers(host="localhost", authorization=value), "")
            self.assertEqual(refusal, (401, "Token required"))
        self.assertEqual(guard.refusal("GET", {}, ""), (401, "Token required"))
        self.assertNotIn("sécret", repr(guard))

    def test_no_token(self) -> None:
        """Where there is none, an empty one opens nothing."""
        carrying = headers(host="evil.example", authorization="Bearer ")
        self.assertIsNotNone(Guard().refusal("GET", carrying, ""))

    def test_browsers(self) -> None:
        """Only with pages of our own."""
        guard = Guard()
        self.assertFalse(guard.refuses_browser({}))
        self.assertFalse(guard.refuses_browser(headers(user_agent="mozilla/5.0")))
        for site, refused in (
            ("same-origin", False), ("none", False), ("cross-site", True), ("same-site", True)
        ):  # fmt: skip
            asked = headers(host="localhost", user_agent=BROWSER, sec_fetch_site=site)
            self.assertEqual(guard.refuses_browser(asked), refused, site)
        self.assertTrue(guard.refuses_browser(headers(host="localhost", user_agent=BROWSER)))
        nameless = headers(user_agent=BROWSER, sec_fetch_site="none")
        self.assertTrue(guard.refuses_browser(nameless))
