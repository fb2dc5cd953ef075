"""What requests about proxies say."""

from twisted.trial.unittest import SynchronousTestCase

from lab.proxy.bodies import Change, Wanted, read_change, read_proxies, read_proxy
from lab.proxy.errors import ApiError


class ProxyTests(SynchronousTestCase):
    """One proxy."""

    def refused(self, body: bytes) -> str:
        """What is said to a body."""
        error = self.assertRaises(ApiError, read_proxy, body)
        self.assertEqual(error.status, 400)
        return str(error)

    def test_read(self) -> None:
        """What is not there is as usual."""
        self.assertEqual(read_proxy(b'{"name":"a","upstream":"b"}'), Wanted("a", "b", "", True))
        body = b'{"Name":"a","UPSTREAM":"b","listen":"c","enabled":false,"protocol":"TCP","x":1}'
        self.assertEqual(read_proxy(body), Wanted("a", "b", "c", enabled=False))

    def test_toxics(self) -> None:
        """They come with it, and have names that differ."""
        wanted = read_proxy(
            b'{"name":"a","upstream":"b","toxics":[{"type":"noop"},{"type":"noop","name":"x"}]}'
        )
        self.assertEqual([toxic.name for toxic in wanted.toxics], ["noop_downstream", "x"])
        self.assertEqual(read_proxy(b'{"name":"a","upstream":"b","toxics":null}').toxics, ())
        body = b'{"name":"a","upstream":"b","toxics":[{"type":"noop"},{"type":"noop"}]}'
        error = self.assertRaises(ApiError, read_proxy, body)
        self.assertEqual((error.status, str(error)), (409, "toxic already exists"))

    def test_protocol(self) -> None:
        """It is named, or follows from an endpoint string; its toxics are of it."""
        for body, protocol in (
            (b'{"name":"a","upstream":"b","protocol":null}', "tcp"),
            (b'{"name":"a","upstream":"b","protocol":"UDP"}', "udp"),
            (b'{"name":"a","upstream":"b","listen":"udp:53"}', "udp"),
            (b'{"name":"a","upstream":"b","listen":"udp:53","protocol":"tcp"}', "tcp"),
            (b'{"name":"a","upstream":"b","listen":"unix:/s"}', "tcp"),
        ):
            self.assertEqual(read_proxy(body).protocol, protocol)
        self.assertEqual(Wanted("a", "b", "udp:53").protocol, "udp")
        body = b'{"name":"a","upstream":"b","protocol":"udp","toxics":[{"type":"reorder"}]}'
        self.assertEqual([toxic.protocol for toxic in read_proxy(body).toxics], ["udp"])
        self.assertEqual(self.refused(body.replace(b"udp", b"tcp")), "invalid toxic type")
        self.assertEqual(self.refused(body.replace(b"reorder", b"cut")), "invalid toxic type")

    def test_refused(self) -> None:
        """In this order."""
        self.assertEqual(self.refused(b"{}"), "missing required field: name")
        self.assertEqual(self.refused(b'{"name":""}'), "missing required field: name")
        self.assertEqual(self.refused(b'{"name":"a"}'), "missing required field: upstream")
        self.assertIn("of type []toxics", self.refused(b'{"toxics":5}'))
        body = b'{"name":"a","upstream":"b","protocol":"udp"}'
        body = body.replace(b"udp", b"sctp")
        self.assertEqual(self.refused(body), "protocol is 'sctp'; give tcp or udp")
        body = body.replace(b"sctp", b"")
        self.assertEqual(self.refused(body), "protocol is ''; give tcp or udp")


class ProxiesTests(SynchronousTestCase):
    """Several proxies."""

    def test_read(self) -> None:
        """In their order."""
        self.assertEqual(read_proxies(b"[]"), [])
        self.assertEqual(read_proxies(b"null"), [])
        found = read_proxies(b'[{"name":"a","upstream":"b"},{"name":"c","upstream":"d"}]')
        self.assertEqual(found, [Wanted("a", "b"), Wanted("c", "d")])

    def test_refused(self) -> None:
        """With the number of what is wrong, counted from 1."""
        for body, text in (
            (b"[null]", "missing required field: name at proxy 1"),
            (
                b'[{"name":"a","upstream":"b"},{"name":"c"}]',
                "missing required field: upstream at proxy 2",
            ),
            (
                b'[{"name":"a","upstream":"b","toxics":[{}]}]',
                "invalid toxic type at proxy 1",
            ),
            (
                b"{}",
                (
                    "bad request body: json: cannot unmarshal object into Go value of type "
                    '[]struct { toxiproxy.Proxy; Enabled *bool "json:\\"enabled\\"" }'
                ),
            ),
        ):
            error = self.assertRaises(ApiError, read_proxies, body)
            self.assertEqual((error.status, str(error)), (400, text))


class ChangeTests(SynchronousTestCase):
    """What is to be different."""

    def test_read(self) -> None:
        """What is not there is None; a name is passed over, and so is a protocol."""
        self.assertEqual(read_change(b'{"name":"x","enabled":null}'), Change())
        self.assertEqual(read_change(b'{"protocol":"udp"}'), Change())
        body = b'{"listen":"","upstream":"b","enabled":false}'
        self.assertEqual(read_change(body), Change("", "b", enabled=False))
        self.assertRaises(ApiError, read_change, b"")
