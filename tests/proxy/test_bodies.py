"""What requests about proxies say."""

import json

from twisted.trial.unittest import SynchronousTestCase

from lab.faults.profiles import PROFILES, QUEUE, profile
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

    def test_profile(self) -> None:
        """A link by name is toxics, in front of those that are named."""
        for protocol, queue in (("tcp", {}), ("udp", {"packets": QUEUE, "queue": 0})):
            body = {
                "name": "a",
                "upstream": "b",
                "protocol": protocol,
                "profile": "3g",
                "toxics": [{"type": "noop"}],
            }
            wanted = read_proxy(json.dumps(body).encode())
            faults = [toxic.fault() for toxic in wanted.toxics[:-1]]
            self.assertEqual(faults, profile("3g").faults(protocol))
            self.assertEqual([toxic.name for toxic in wanted.toxics[-1:]], ["noop_downstream"])
            attributes = {"rate": 96, "scope": "proxy", **queue}
            self.assertLessEqual(
                wanted.toxics[0].describe()["attributes"].items(), attributes.items()
            )
        same = b'{"name":"a","upstream":"b","profile":"3g","toxics":[{"type":"noop","name":"%s"}]}'
        error = self.assertRaises(ApiError, read_proxy, same % b"3g_latency_upstream")
        self.assertEqual((error.status, str(error)), (409, "toxic already exists"))
        for nothing in (b"null", b'""'):
            body_ = b'{"name":"a","upstream":"b","profile":%s}' % nothing
            self.assertEqual(read_proxy(body_).toxics, ())

    def test_every_profile(self) -> None:
        """What the API makes of a profile is the very same fault."""
        for link in PROFILES.values():
            body = b'{"name":"a","upstream":"b","profile":"%s"}' % link.name.encode()
            faults = [toxic.fault() for toxic in read_proxy(body).toxics]
            self.assertEqual(faults, link.faults())

    def test_unknown_profile(self) -> None:
        """The text says which there are."""
        said = self.refused(b'{"name":"a","upstream":"b","profile":"6g"}')
        self.assertTrue(said.startswith("profile is '6g'; give one of dialup, edge, "), said)
        body = b'[{"name":"a","upstream":"b","profile":"6g"}]'
        error = self.assertRaises(ApiError, read_proxies, body)
        self.assertTrue(str(error).endswith(" at proxy 1"))

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
