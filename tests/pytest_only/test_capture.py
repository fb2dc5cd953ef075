"""Captures, as Wireshark reads them: tshark is the judge."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from lab.capture.flows import Flow
from lab.capture.packets import FIN, SYN, udp, unreachable
from lab.capture.recorder import Capture
from lab.faults.datagrams import Bandwidth, Corrupt, Duplicate, Latency, Loss, Reorder, Settings
from lab.faults.fault import Fault
from lab.simulator import simulate
from tests.simulator.test_tapping import DATA, Send, talk

TSHARK = shutil.which("tshark") or ""
#: Real processes take their time: with the longer explorations.
pytestmark = [
    pytest.mark.skipif(not TSHARK, reason="needs tshark: apt install tshark"),
    pytest.mark.thorough,
]

CHECKED = [word for name in ("ip", "tcp", "udp") for word in ("-o", f"{name}.check_checksum:TRUE")]
#: What has checksums, but for what ICMP answers, of which it has a part.
CHECKSUMS = {
    "tcp": ["tcp.checksum.status"],
    "udp && !icmp && !icmpv6": ["udp.checksum.status"],
    "ip": ["ip.checksum.status"],
    "icmp": ["icmp.checksum.status"],
    "icmpv6": ["icmpv6.checksum.status"],
}


def tshark(file: Path, *words: str) -> list[str]:
    """The lines that tshark prints about a file."""
    done = subprocess.run(
        [TSHARK, "-r", str(file), *CHECKED, *words],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return done.stdout.splitlines()


def column(file: Path, *names: str, words: tuple[str, ...] = ()) -> list[list[str]]:
    """Fields of all packets."""
    asked = [word for name in names for word in ("-e", name)]
    return [line.split("\t") for line in tshark(file, *words, "-T", "fields", *asked)]


def judge(file: Path) -> None:
    """Nothing malformed, all checksums good, no errors of any kind."""
    assert tshark(file, "-Y", "_ws.malformed || _ws.expert.severity == error") == []
    for which, names in CHECKSUMS.items():
        rows = column(file, *names, words=("-Y", which))
        assert {status for (cell,) in rows for status in cell.split(",")} <= {"1"}, which


def followed(file: Path) -> tuple[bytes, bytes]:
    """What client and server have sent on the first connection."""
    lines = tshark(file, "-q", "-z", "follow,tcp,raw,0")[6:-1]
    sent = "".join(line for line in lines if not line.startswith("\t"))
    answered = "".join(line.strip() for line in lines if line.startswith("\t"))
    return bytes.fromhex(sent), bytes.fromhex(answered)


def capture(file: Path, *faults: Settings) -> None:
    """Simulate a connection and some datagrams on a way that has these faults."""
    with simulate(7, capture=file) as net:
        net.host("client"), net.host("server")
        for way in (("client", "server"), ("server", "client")):
            net.link(*way, *(Fault(one, f"f{n}") for n, one in enumerate(faults)))
        talk(net)
        for port in (7, 9):
            net.host("client").reactor.listenUDP(0, Send("10.0.0.3", port))
        net.run(60)


@pytest.mark.parametrize(
    "faults",
    [
        (),
        (Latency(0.02), Loss(0.3)),
        (Loss(0.3), Latency(0.02, 0.01), Duplicate(0.3)),
        (Bandwidth(2000.0), Reorder(0.3)),
    ],
    ids=lambda faults: "+".join(type(one).__name__ for one in faults) or "none",
)
def test_simulation(tmp_path: Path, faults: tuple[Settings, ...]) -> None:
    """Whatever the faults: Wireshark finds nothing wrong, and the bytes in their order."""
    file = tmp_path / "run.pcapng"
    capture(file, *faults)
    judge(file)
    assert followed(file) == (DATA, DATA)


def test_corrupt(tmp_path: Path) -> None:
    """Bytes that are changed on the way have the checksum of what has arrived."""
    file = tmp_path / "run.pcapng"
    capture(file, Corrupt(0.5))
    judge(file)


def test_sides(tmp_path: Path) -> None:
    """Each side of a link is an interface; alone it looks like a connection without a flaw."""
    file = tmp_path / "run.pcapng"
    capture(file, Latency(0.02))
    names = [row[0] for row in column(file, "frame.interface_name")]
    assert set(names) == {"client-to-server", "server-to-client"}
    for name in set(names):
        one = tmp_path / f"{name}.pcapng"
        tshark(file, "-Y", f'frame.interface_name == "{name}"', "-w", str(one))
        assert tshark(one, "-Y", "tcp.analysis.flags") == []
        assert followed(one) == (DATA, DATA)


def test_loss_is_seen(tmp_path: Path) -> None:
    """At the sender's side a lost segment is sent again, which Wireshark sees by itself."""
    file, one = tmp_path / "run.pcapng", tmp_path / "client.pcapng"
    with simulate(7, capture=file) as net:
        net.link("client", "server", Fault(Loss(0.5), "loss"))
        talk(net)
        net.run(60)
    tshark(file, "-Y", 'frame.interface_name == "client-to-server"', "-w", str(one))
    lost = tshark(one, "-Y", 'frame.comment contains "dropped by loss, p=0.5, draw 0."')
    again = tshark(one, "-Y", "tcp.analysis.retransmission")
    assert len(lost) == len(again) > 0


def test_words(tmp_path: Path) -> None:
    """Names of hosts, directions, times, comments, and what the file says of itself."""
    file = tmp_path / "run.pcapng"
    capture(file, Duplicate(1.0))
    hosts = column(file, "ip.src_host", "ip.dst_host", words=("-N", "n", "-Y", "udp && !icmp"))
    assert {tuple(row) for row in hosts} == {("client", "server")}
    assert tshark(file, "-Y", "frame.packet_flags_direction == 1")
    first = column(file, "frame.time_epoch", "frame.interface_description")[0]
    assert first == ["946684800.000000000", "the side of client on its link to server"]
    told = column(file, "frame.comment", words=("-Y", "udp && !icmp"))
    assert all(row[0].startswith("duplicated by f0, p=1, draw 0.") for row in told)
    raw = file.read_bytes()
    assert b"simulation with seed 7" in raw
    assert b"simulated" in raw


def test_ipv6(tmp_path: Path) -> None:
    """The same over IPv6."""
    file = tmp_path / "six.pcapng"
    client: Any = ("fe80::2", 49152)
    server: Any = ("fe80::3", 80)
    there, back = Flow(client, server), Flow(server, client)
    packets = [(False, there.packet(SYN))]
    back.ack = 1
    packets.append((True, back.packet(SYN)))
    there.ack = 1
    packets += [(False, there.packet(0)), *((False, one) for one in there.packets(DATA))]
    back.ack += len(DATA)
    packets += [(True, back.packet(0)), (False, there.packet(FIN))]
    packets += [
        (False, udp(client, server, b"odd")),
        (True, unreachable(udp(client, server, DATA))),
    ]
    with file.open("wb") as out:
        recorder = Capture(out.write, "by hand")
        recorder.name("fe80::2", "client")
        side = recorder.side("client")
        for number, (inbound, packet) in enumerate(packets):
            recorder.packet(side, number / 1000, packet, inbound=inbound)
    judge(file)
    assert followed(file) == (DATA, b"")
    assert len(tshark(file, "-Y", "icmpv6")) == 1
