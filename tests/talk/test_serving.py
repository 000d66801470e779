"""What surrounds the requests: listeners, the PROXY protocol, access logs, signals, the end."""

import os
import re
import signal
import socket
import struct

import pytest

from medusa import lines_of, objects_of, until

SITE = {"a.txt": "hello\n", "digits.bin": b"0123456789" * 10, "big": bytes(8 << 20)}


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as s:
            s.bind(("::1", 0))
        return True
    except OSError:
        return False


# ---- Listeners ----


def test_unix_socket(serve, tmp_path):
    path = tmp_path / "s"
    server = serve(SITE, listen=(f"unix:{path}",))
    assert server.connect(f"unix:{path}").get("/a.txt").body == b"hello\n"
    server.stop()
    assert not path.exists()


def test_unix_socket_left_behind(serve, tmp_path):
    """Kill -9 leaves a socket file; the next server takes its place."""
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
        dead.listen()
    server = serve(SITE, listen=(f"unix:{path}",))
    assert server.connect(f"unix:{path}").get("/a.txt").body == b"hello\n"


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here")
def test_ipv6(serve, tmp_path):
    log = tmp_path / "log"
    server = serve(SITE, "--access-log", str(log), listen=("[::1]:0",))
    assert server.connect(server.urls[0]).get("/a.txt").body == b"hello\n"
    assert lines_of(log, 1)[0].startswith("::1 - - [")


def test_several_listeners(serve):
    server = serve(SITE, listen=("127.0.0.1:0", "127.0.0.1:0", "127.0.0.2:0"))
    assert len(set(server.urls)) == 3
    assert [url.split(":")[0] for url in server.urls] == ["127.0.0.1", "127.0.0.1", "127.0.0.2"]  # as they were given
    for url in server.urls:
        assert server.connect(url).get("/a.txt").body == b"hello\n"


# ---- The PROXY protocol ----

V2 = b"\r\n\r\n\0\r\nQUIT\n"
GET = b"GET /a.txt HTTP/1.1\r\nHost: t\r\n\r\n"


def v2(command, family, payload):
    return V2 + struct.pack("!BBH", 0x20 | command, family, len(payload)) + payload


def v2_inet(source="203.0.113.7", extra=b""):
    return v2(1, 0x11, socket.inet_aton(source) + socket.inet_aton("127.0.0.1") + struct.pack("!HH", 5000, 80) + extra)


@pytest.mark.parametrize(
    "header, peer",
    [
        (b"PROXY TCP4 203.0.113.5 127.0.0.1 5000 80\r\n", "203.0.113.5"),
        (b"PROXY TCP6 2001:db8::5 ::1 5000 80\r\n", "2001:db8::5"),
        (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
        (v2_inet(), "203.0.113.7"),
        (v2_inet(extra=b"\x04\0\x03abc"), "203.0.113.7"),
        (v2(1, 0x21, socket.inet_pton(socket.AF_INET6, "2001:db8::7") + bytes(16) + struct.pack("!HH", 5, 6)), "2001:db8::7"),
        (v2(0, 0, b""), "127.0.0.1"),
    ],
)
def test_proxy(serve, tmp_path, header, peer):
    log = tmp_path / "log"
    server = serve(SITE, "--access-log", str(log), listen=("127.0.0.1:0,proxy",))
    wire = server.connect()
    assert wire.send(header + GET).answer().body == b"hello\n"
    assert wire.get("/digits.bin").status == 200
    bytewise = server.connect()
    for byte in header + GET:
        bytewise.send(bytes([byte]))
    assert bytewise.answer().body == b"hello\n"
    for line in lines_of(log, 3):
        assert line.startswith(f"{peer} - - [")


@pytest.mark.parametrize(
    "data",
    [GET, b"PROXY TCP4 1.2.3.4\r\n" + GET, b"PROXY " + b"x" * 200, V2 + b"\x31\x11\0\x0c" + bytes(12), b"PROXY TCP4 1.2.3.999 1.2.3.4 1 2\r\n" + GET],
)
def test_proxy_header_is_demanded(serve, data):
    server = serve(SITE, listen=("127.0.0.1:0,proxy",))
    assert server.raw(data) == b""


def test_proxy_header_is_not_taken_elsewhere(serve):
    server = serve(SITE)
    assert server.raw(b"PROXY TCP4 203.0.113.5 127.0.0.1 5000 80\r\n" + GET).startswith(b"HTTP/1.1 400 ")


def test_proxy_header_must_come_in_time(serve):
    server = serve(SITE, "--header-timeout", "200ms", listen=("127.0.0.1:0,proxy",))
    assert server.connect().send("PROXY TC").has_ended()


# ---- Access logs ----


def test_combined_log(serve, tmp_path):
    log = tmp_path / "log"
    server = serve(SITE, "--access-log", str(log))
    server.get("/a.txt?x", "Referer: http://r/", 'User-Agent: me "and" \\ you')
    server.get("/nothing")
    server.get("/digits.bin", "Range: bytes=0-9")
    server.get("/a.txt", method="HEAD")
    server.raw(b"nonsense\r\n\r\n")
    lines = lines_of(log, 5)
    shape = re.compile(r'127\.0\.0\.1 - - \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d \+0000\] "([^"]*)" (\d+) (\d+|-) "([^"]*)" "([^"]*)"')
    found = [shape.fullmatch(line) for line in lines]
    assert all(found), lines
    assert [m[2] for m in found] == ["200", "404", "206", "200", "400"]
    assert found[0].group(1, 3, 4) == ("GET /a.txt?x HTTP/1.1", "6", "http://r/")
    assert found[2][3] == "10" and found[3][3] == "-"


def test_json_log(serve, tmp_path):
    log = tmp_path / "log"
    server = serve(SITE, "--access-log", str(log), "--log-format", "json")
    wire = server.connect()
    wire.get("/a.txt", 'User-Agent: "\\\t\xe9')
    wire.get("/digits.bin")
    server.raw(b"GET /\x01 HTTP/1.1\r\n\r\n")
    first, second, third = objects_of(log, 3)
    assert (first["method"], first["target"], first["status"], first["bytes"], first["request"]) == ("GET", "/a.txt", 200, 6, 1)
    assert second["request"] == 2 and second["session"] == first["session"] and second["host"] == "test"
    assert first["peer"] == "127.0.0.1" and first["user"] is None and second["user_agent"] is None
    assert third["status"] == 400


def test_log_on_standard_output(serve):
    server = serve(SITE, "--access-log", "-")
    server.get("/a.txt")
    server.out.wait('"GET /a.txt HTTP/1.1" 200 6 ')


def test_log_is_reopened(serve, tmp_path):
    log, moved = tmp_path / "log", tmp_path / "log.1"
    server = serve(SITE, "--access-log", str(log))
    server.get("/a.txt?first")
    lines_of(log, 1)
    log.rename(moved)
    server.signal(signal.SIGUSR1)
    until(log.exists, "the new file")
    server.get("/a.txt?second")
    assert "?second" in lines_of(log, 1)[0]
    assert len(lines_of(moved, 1)) == 1


def test_log_of_a_transfer_cut_off(serve, tmp_path):
    log = tmp_path / "log"
    server = serve(SITE, "--access-log", str(log), "--log-format", "json")
    wire = server.connect(receive_buffer=4096)
    wire.ask("/big")
    wire._head()
    wire.reset()
    (entry,) = objects_of(log, 1)
    assert entry["target"] == "/big" and entry["status"] == 200 and entry["bytes"] < 8 << 20


def test_log_on_a_full_disk_is_told_without_further_requests(serve):
    server = serve(SITE, "--access-log", "/dev/full")
    server.get("/a.txt")
    server.err.wait(r"No space left on device")


def test_log_is_complete_at_the_end(serve, tmp_path):
    log = tmp_path / "log"
    server = serve(SITE, "--access-log", str(log))
    wire = server.connect()
    wire.send(GET * 500)
    for _ in range(500):
        wire.answer()
    server.stop()
    assert len(log.read_text().splitlines()) == 500


# ---- Signals and the end ----


def test_status(serve):
    server = serve(SITE)
    wires = [server.connect() for _ in range(3)]
    for wire in wires:
        wire.get("/a.txt")
    status = server.status()
    assert status["open"] == 3 and status["accepted"] == 3
    assert status["bytes"] == sum(status["owners"].values())
    server.err.wait(r"session \d+ 127\.0\.0\.1\S*: idle, requests 1")


@pytest.mark.parametrize("signo", [signal.SIGTERM, signal.SIGINT])
def test_ends_at_once_when_idle(serve, signo):
    server = serve(SITE, "--drain-timeout", "1h")
    idle = server.connect()
    idle.get("/a.txt")
    fresh = server.connect()
    until(lambda: server.status()["open"] == 2, "two sessions")
    server.signal(signo)
    server.wait_end()
    assert idle.has_ended() and fresh.has_ended()


@pytest.mark.parametrize("signo", [signal.SIGTERM, signal.SIGINT])
def test_transfer_in_flight_is_drained(serve, signo):
    server = serve(SITE, "--drain-timeout", "1h")
    wire = server.connect(receive_buffer=8192)
    wire.ask("/big")
    head = wire._head()
    server.signal(signo)
    server.err.wait("no new connections; 1 open")
    with pytest.raises(OSError):
        server.connect()
    assert len(wire._body(head)) == 8 << 20
    assert wire.has_ended()
    server.wait_end()


def test_request_begun_is_answered_while_draining(serve):
    server = serve(SITE, "--drain-timeout", "1h")
    wire = server.connect().send("GET /a.txt HT")
    until(lambda: "reading a request" in server.err.text or not server.status(), "the beginning", every=0.1)
    server.signal(signal.SIGTERM)
    server.err.wait("no new connections")
    r = wire.send("TP/1.1\r\nHost: test\r\n\r\n").answer()
    assert r.status == 200 and r.get("Connection") == "close"
    server.wait_end()


def test_drain_has_a_limit(serve):
    server = serve(SITE, "--drain-timeout", "200ms")
    wire = server.connect(receive_buffer=4096)
    wire.ask("/big")
    wire._head()
    server.signal(signal.SIGTERM)
    server.wait_end()
    assert len(wire.rest()) < 8 << 20
    assert "did not end in time" in server.err.text


@pytest.mark.parametrize("first, second", [(signal.SIGINT, signal.SIGINT), (signal.SIGTERM, signal.SIGTERM), (signal.SIGTERM, signal.SIGINT)])
def test_asked_twice_it_ends_at_once(serve, first, second):
    server = serve(SITE, "--drain-timeout", "1h")
    wire = server.connect(receive_buffer=4096)
    wire.ask("/big")
    wire._head()
    server.signal(first)
    server.err.wait("no new connections")
    server.signal(second)
    server.wait_end(10)


def test_kill_leaves_nothing_to_repair(serve, tmp_path):
    path, log = tmp_path / "s", tmp_path / "log"
    args = ("--access-log", str(log))
    first = serve(SITE, *args, listen=(f"unix:{path}",))
    first.connect(f"unix:{path}").get("/a.txt")
    lines_of(log, 1)
    first.is_checked = True
    os.kill(first.pid, signal.SIGKILL)
    first.process.wait()
    second = serve(first.root, *args, listen=(f"unix:{path}",))
    assert second.connect(f"unix:{path}").get("/a.txt").status == 200
    assert len(lines_of(log, 2)) == 2


def test_log_of_notices(serve, tmp_path):
    """--log takes the notices away from standard error."""
    log = tmp_path / "notices"
    server = serve(SITE, "--log", str(log))
    server.signal(signal.SIGUSR2)
    assert any("connections: 0 open" in line for line in lines_of(log, 3))
    assert "connections:" not in server.err.text
