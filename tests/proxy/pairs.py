"""
What Toxiproxy was seen to answer, in this order: method, path, body, status, body, type.

Ports that are free are written as 0. Names of Go's types in errors are those of one version.
"""

_START = '"upstream":"127.0.0.1:9","enabled":true,"Logger":{},"toxics":[]}'


def _proxy(name: str, listen: str, rest: str = _START) -> str:
    """A proxy."""
    return f'{{"name":"{name}","listen":"{listen}",{rest}'


def _toxic(kind: str, attributes: str = "", name: str = "", stream: str = "downstream") -> str:
    """A toxic."""
    return (
        f'{{"attributes":{{{attributes}}},"name":"{name or f"{kind}_{stream}"}",'
        f'"type":"{kind}","stream":"{stream}","toxicity":1}}'
    )


def _error(status: int, text: str) -> tuple[int, str, str]:
    """A refusal."""
    return status, f'{{"error":"{text}","status":{status}}}\n', "text"


def _populate_error(status: int, text: str, made: str = "null") -> tuple[int, str, str]:
    """A refusal of many."""
    return status, f'{{"error":"{text}","status":{status},"proxies":{made}}}', "json"


def _bad(text: str) -> tuple[int, str, str]:
    """A body that can't be."""
    return _error(400, f"bad request body: {text}")


_UNMARSHAL = "json: cannot unmarshal"
_NOT_FOUND = (404, "404 page not found\n", "text")
_NO_METHOD = (405, "", "")
_GONE = (204, "", "")
_ZERO = '"latency":0,"jitter":0'
_GARBAGE = "address garbage: missing port in address"
_INVALID_STREAM = _error(400, "stream was invalid, can be either upstream or downstream")
_A = "127.0.0.1:0"
_A_OFF = '"upstream":"127.0.0.1:9","enabled":false,"Logger":{},"toxics":[]}'
_NEW = '"upstream":"127.0.0.1:9"'
_ENTRY = 'struct { toxiproxy.Proxy; Enabled *bool \\"json:\\\\\\"enabled\\\\\\"\\" }'

_NEG = (
    '{"attributes":{"latency":-5,"jitter":-3},"name":"neg","type":"latency",'
    '"stream":"downstream","toxicity":7}'
)
_KINDS = (
    ("bandwidth", '"rate":0'),
    ("slow_close", '"delay":0'),
    ("timeout", '"timeout":0'),
    ("reset_peer", '"timeout":0'),
    ("slicer", '"average_size":0,"size_variation":0,"delay":0'),
    ("limit_data", '"bytes":0'),
    ("noop", ""),
)
_BEFORE = (
    _toxic("latency", _ZERO, "n", "UPstream"),
    _toxic("latency", _ZERO, stream="UPstream"),
)
_BEHIND = (
    _NEG,
    _toxic("noop", name="a b/c"),
    *(_toxic(kind, attributes) for kind, attributes in _KINDS),
)
_CHANGED = (
    '{{"attributes":{{"latency":{},"jitter":9}},"name":"latency_downstream","type":"latency",'
    '"stream":"downstream","toxicity":0.3}}'
)
_ALL = ",".join((*_BEFORE, _toxic("latency", _ZERO), *_BEHIND))
_REST = ",".join((*_BEFORE, *_BEHIND))
_PROXIES = (
    200,
    "{"
    + ",".join(
        f'"{name}":{_proxy(name, listen, rest)}'
        for name, listen, rest in (
            ("Case", _A, _START),
            (
                "a",
                _A,
                f'"upstream":"127.0.0.1:10","enabled":true,"Logger":{{}},"toxics":[{_REST}]}}',
            ),
            ("dis", "garbage", _A_OFF),
            ("nolisten", "[::]:0", _START),
            ("p1", _A, _START),
            ("p2", _A, _A_OFF),
            ("p4", _A, _START),
            ("trail", _A, _START),
        )
    )
    + "}",
    "json",
)
_T = "/proxies/a/toxics"
_L = f"{_T}/latency_downstream"
_ENTRIES = (
    f'[{{"name":"p1","listen":"{_A}",{_NEW}}},'
    f'{{"name":"p2","listen":"{_A}",{_NEW},"enabled":false}}]'
)
_MADE = f"{_proxy('p1', _A)},{_proxy('p2', _A, _A_OFF)}"
_SOME = (
    f'[{{"name":"p4","listen":"{_A}",{_NEW}}},{{"name":"p5","listen":"garbage",{_NEW}}},'
    f'{{"name":"p6","listen":"{_A}",{_NEW}}}]'
)

PAIRS: list[tuple[str, str, str, tuple[int, str, str]]] = [
    ("POST", "/reset", "", _GONE),
    ("GET", "/proxies", "", (200, "{}", "json")),
    ("GET", "/version", "", (200, '{"version": "2.12.0"}\n', "version")),
    ("GET", "/", "", _NOT_FOUND),
    ("GET", "/nope", "", _NOT_FOUND),
    ("PUT", "/proxies", "", _NO_METHOD),
    ("HEAD", "/proxies", "", _NO_METHOD),
    ("OPTIONS", "/proxies", "", _NO_METHOD),
    ("GET", "/proxies/", "", _NOT_FOUND),
    ("GET Mozilla/5.0", "/proxies", "", (403, "User agent not allowed\n", "text")),
    ("GET mozilla/5.0", "/proxies", "", (200, "{}", "json")),
    ("GET http://x", "/proxies", "", (200, "{}", "json")),
    ("POST", "/proxies", "", _bad("EOF")),
    ("POST", "/proxies", "{", _bad("unexpected EOF")),
    ("POST", "/proxies", "[]", _bad(f"{_UNMARSHAL} array into Go value of type toxiproxy.Proxy")),
    ("POST", "/proxies", "{}", _error(400, "missing required field: name")),
    ("POST", "/proxies", '{"name":"a"}', _error(400, "missing required field: upstream")),
    ("POST", "/proxies", f'{{"name":"a",{_NEW},"listen":"{_A}"}}', (201, _proxy("a", _A), "json")),
    ("POST", "/proxies", f'{{"name":"a",{_NEW}}}', _error(409, "proxy already exists")),
    (
        "POST",
        "/proxies",
        f'{{"name":"nolisten",{_NEW},"enabled":null}}',
        (201, _proxy("nolisten", "[::]:0"), "json"),
    ),
    (
        "POST",
        "/proxies",
        f'{{"name":"dis",{_NEW},"listen":"garbage","enabled":false}}',
        (201, _proxy("dis", "garbage", _A_OFF), "json"),
    ),
    (
        "POST",
        "/proxies",
        f'{{"name":"bad",{_NEW},"listen":"garbage"}}',
        _error(500, f"listen tcp: {_GARBAGE}"),
    ),
    (
        "POST",
        "/proxies",
        f'{{"name":"bad",{_NEW},"listen":"127.0.0.1:99999"}}',
        _error(500, "listen tcp: address 99999: invalid port"),
    ),
    (
        "POST",
        "/proxies",
        f'{{"name":"bad",{_NEW},"listen":"nohost.invalid:1"}}',
        _error(500, "listen tcp: lookup nohost.invalid: no such host"),
    ),
    (
        "POST",
        "/proxies",
        f'{{"name":5,{_NEW}}}',
        _bad(f"{_UNMARSHAL} number into Go struct field Proxy.name of type string"),
    ),
    (
        "POST",
        "/proxies",
        f'{{"name":"sp ace",{_NEW},"listen":"localhost:0","extra":1}}',
        (201, _proxy("sp ace", _A), "json"),
    ),
    ("GET", "/proxies/sp%20ace", "", (200, _proxy("sp ace", _A), "json")),
    ("DELETE", "/proxies/sp%20ace", "", _GONE),
    (
        "POST",
        "/proxies",
        '{"Name":"Case","UPSTREAM":"127.0.0.1:9","listen":"localhost:0"}',
        (201, _proxy("Case", _A), "json"),
    ),
    (
        "POST",
        "/proxies",
        f'{{"name":"trail",{_NEW},"listen":"{_A}"}} trailing',
        (201, _proxy("trail", _A), "json"),
    ),
    ("GET", "/proxies/zzz", "", _error(404, "proxy not found")),
    ("GET", "/proxies/a", "", (200, _proxy("a", _A), "json")),
    ("PATCH", "/proxies/a", '{"enabled":false}', (200, _proxy("a", _A, _A_OFF), "json")),
    ("PATCH", "/proxies/a", '{"enabled":false}', (200, _proxy("a", _A, _A_OFF), "json")),
    ("POST", "/proxies/a", '{"enabled":true}', (200, _proxy("a", _A), "json")),
    ("POST", "/proxies/a", '{"name":"renamed"}', (200, _proxy("a", _A), "json")),
    ("PATCH", "/proxies/a", '{"listen":"garbage"}', _error(500, _GARBAGE)),
    (
        "PATCH",
        "/proxies/a",
        '{"upstream":""}',
        (200, _proxy("a", _A, _START.replace("127.0.0.1:9", "")), "json"),
    ),
    (
        "PATCH",
        "/proxies/a",
        '{"upstream":"127.0.0.1:10"}',
        (200, _proxy("a", _A, _START.replace(":9", ":10")), "json"),
    ),
    ("PATCH", "/proxies/a", "", _bad("EOF")),
    ("PATCH", "/proxies/zzz", '{"enabled":false}', _error(404, "proxy not found")),
    ("POST", _T, '{"type":"latency"}', (200, _toxic("latency", _ZERO), "json")),
    (
        "POST",
        _T,
        '{"type":"latency","attributes":null,"name":"n","toxicity":null,"stream":"UPstream"}',
        (200, _BEFORE[0], "json"),
    ),
    ("POST", _T, '{"type":"latency","stream":"UPstream"}', (200, _BEFORE[1], "json")),
    ("POST", _T, '{"type":"latency"}', _error(409, "toxic already exists")),
    ("POST", _T, '{"type":"nope"}', _error(400, "invalid toxic type")),
    ("POST", _T, "{}", _error(400, "invalid toxic type")),
    ("POST", _T, '{"type":"latency","stream":""}', _INVALID_STREAM),
    ("POST", _T, '{"type":"latency","stream":"sideways"}', _INVALID_STREAM),
    ("POST", _T, "x", _bad("invalid character 'x' looking for beginning of value")),
    *(
        (
            "POST",
            _T,
            f'{{"type":"latency","name":"bad","attributes":{{"latency":{value}}}}}',
            _bad(
                f"{_UNMARSHAL} {word} into Go struct field LatencyToxic.attributes.latency"
                " of type int64"
            ),
        )
        for value, word in (("1.5", "number 1.5"), ("100.0", "number 100.0"), ('"5"', "string"))
    ),
    (
        "POST",
        _T,
        (
            '{"type":"latency","name":"neg","attributes":{"latency":-5,"jitter":-3,"bogus":1},'
            '"toxicity":7}'
        ),
        (200, _NEG, "json"),
    ),
    *(
        (
            "POST",
            _T,
            f'{{"type":"latency","name":"at","attributes":{value}}}',
            _bad(
                f"{_UNMARSHAL} {word} into Go struct field ToxicWrapper.attributes"
                " of type toxics.NoopToxic"
            ),
        )
        for value, word in (('"x"', "string"), ("[]", "array"))
    ),
    ("POST", _T, '{"type":"noop","name":"a b/c"}', (200, _BEHIND[1], "json")),
    (
        "POST",
        _T,
        '{"type":"noop","toxicity":"x"}',
        _bad(f"{_UNMARSHAL} string into Go struct field ToxicWrapper.toxicity of type float32"),
    ),
    *(
        ("POST", _T, f'{{"type":"{kind}"}}', (200, _toxic(kind, attributes), "json"))
        for kind, attributes in _KINDS
    ),
    ("GET", _T, "", (200, f"[{_ALL}]", "json")),
    ("GET", f"{_T}/zzz", "", _error(404, "toxic not found")),
    ("GET", "/proxies/zzz/toxics", "", _error(404, "proxy not found")),
    ("POST", "/proxies/zzz/toxics", '{"type":"latency"}', _error(404, "proxy not found")),
    ("GET", _L, "", (200, _toxic("latency", _ZERO), "json")),
    (
        "PATCH",
        _L,
        '{"attributes":{"jitter":9},"toxicity":0.3}',
        (200, _CHANGED.format(0), "json"),
    ),
    ("POST", _L, '{"attributes":{"latency":9}}', (200, _CHANGED.format(9), "json")),
    (
        "POST",
        _L,
        '{"toxicity":null,"name":"x","type":"bandwidth","stream":"upstream"}',
        (200, _CHANGED.format(9), "json"),
    ),
    (
        "POST",
        _L,
        '{"attributes":{"latency":"9"}}',
        _bad(
            f"{_UNMARSHAL} string into Go struct field LatencyToxic.attributes.latency"
            " of type int64"
        ),
    ),
    ("POST", _L, "", _bad("EOF")),
    ("POST", f"{_T}/zzz", '{"attributes":{}}', _error(404, "toxic not found")),
    ("DELETE", f"{_T}/zzz", "", _error(404, "toxic not found")),
    ("DELETE", _L, "", _GONE),
    ("DELETE", "/proxies/zzz", "", _error(404, "proxy not found")),
    ("POST", "/populate", "", _populate_error(400, "bad request body: EOF")),
    (
        "POST",
        "/populate",
        "{}",
        _populate_error(
            400, f"bad request body: {_UNMARSHAL} object into Go value of type []{_ENTRY}"
        ),
    ),
    ("POST", "/populate", "[]", (201, '{"proxies":null}', "json")),
    ("POST", "/populate", "", _populate_error(400, "bad request body: EOF")),
    ("POST", "/populate", _ENTRIES, (201, f'{{"proxies":[{_MADE}]}}', "json")),
    (
        "POST",
        "/populate",
        f'[{{"name":"p3","listen":"{_A}",{_NEW}}},{{"listen":"{_A}"}}]',
        _populate_error(400, "missing required field: name at proxy 2"),
    ),
    (
        "POST",
        "/populate",
        f'[{{"name":"p3","listen":"{_A}"}}]',
        _populate_error(400, "missing required field: upstream at proxy 1"),
    ),
    (
        "POST",
        "/populate",
        _SOME,
        _populate_error(500, f"listen tcp: {_GARBAGE}", f"[{_proxy('p4', _A)}]"),
    ),
    ("GET", "/proxies", "", _PROXIES),
    ("POST", "/reset", "", _error(500, f"listen tcp: {_GARBAGE}")),
    ("GET", "/proxies/p2", "", (200, _proxy("p2", _A, _A_OFF), "json")),
    ("GET", "/metrics", "", (200, "# HELP", "metrics")),
    ("GET", "/proxies", "", _PROXIES),
    *(
        ("DELETE", f"/proxies/{name}", "", _GONE)
        for name in ("Case", "a", "dis", "nolisten", "p1", "p2", "p4", "trail")
    ),
]
