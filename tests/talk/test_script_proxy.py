"""medusa.http.proxy: requests handed on to another server."""

import time

import pytest

from medusa import until
from script import Script, refused
from test_script_client import Other, head

BEHIND = """
medusa.http.server { listen = "unix:%s", routes = {
  ["/base/*rest"] = function(req)
    local h, names = req.headers, {}
    if req.path:find("/echo") then return {body = req:body(), type = "text/x"} end
    if req.path:find("/big") then for i = 1, 200 do req:write(("%%05d"):format(i):rep(2000)) end return end
    if req.path:find("/304") then return 304 end
    if req.path:find("/204") then return 204 end
    if req.path:find("/500") then return 500 end
    for _, n in ipairs {"x-forwarded-for", "x-forwarded-host", "host", "x-hop", "connection", "keep-alive", "x-kept"} do
      names[#names + 1] = n .. "=" .. tostring(h[n]) end
    return {body = req.method .. " " .. req.path .. " " .. table.concat(names, ";"), headers = {["X-Answer"] = "yes"}}
  end } }
"""
FRONT = """
medusa.http.server { listen = "127.0.0.1:0", routes = {
  ["/*rest"] = medusa.http.proxy("unix:%s:/base/", {timeout = 2}) } }
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    dir = tmp_path_factory.mktemp("proxy")
    with Script(dir, FRONT % (dir / "s") + BEHIND % (dir / "s")) as script:
        yield script


def front(tmp_path, at, more=""):
    return Script(tmp_path, 'medusa.http.server { listen = "127.0.0.1:0", routes = { ["/*rest"] = medusa.http.proxy("%s", {timeout = 0.5, %s}) } }' % (at, more))


def test_fields(script):
    answer = script.get("/a%20b?q=1", "Connection: close, X-Hop", "X-Hop: 1", "X-Kept: 2", "Keep-Alive: 5", "X-Forwarded-For: 192.0.2.1")
    assert answer.status == 200 and answer.get("X-Answer") == "yes"
    assert answer.body == (b"GET /base/a b x-forwarded-for=192.0.2.1, 127.0.0.1;x-forwarded-host=test;host=localhost;"
                           b"x-hop=nil;connection=nil;keep-alive=nil;x-kept=2")


def test_bodies_both_ways(script):
    wire = script.connect(1)
    data = bytes(range(256)) * 2000
    assert wire.get("/echo", f"Content-Length: {len(data)}", method="POST", body=data).body == data
    chunked = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in [b"a", b"b" * 70000, b"c"]) + b"0\r\n\r\n"
    assert wire.get("/echo", "Transfer-Encoding: chunked", method="PUT", body=chunked).body == b"a" + b"b" * 70000 + b"c"
    assert len(wire.get("/big").body) == 2000000
    assert wire.get("/echo", "Content-Length: 0", method="POST").body == b""
    for status in (204, 304, 500):
        assert wire.get(f"/{status}").status == status
    assert wire.get("/x", method="HEAD").status == 200
    assert wire.get("/x").status == 200
    wire.close()


def test_many(script):
    wire = script.connect(1)
    before = script.descriptors()
    for _ in range(500):
        assert wire.get("/x").status == 200
    assert script.descriptors() <= before + 4
    wires = [script.connect(1).ask("/big") for _ in range(20)]
    for one in wires:
        assert len(one.answer().body) == 2000000
        one.close()
    wire.close()


def test_clients_that_go_away(script):
    before = script.descriptors()
    for i in range(20):
        wire = script.connect(1).ask("/big")
        if i % 2:
            wire.read(1000)
        wire.reset()
        wire = script.connect(1)
        wire.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nabc")
        wire.reset()
    until(lambda: script.descriptors() <= before + 8)
    assert script.get("/x").status == 200


def test_failures(tmp_path):
    with front(tmp_path, "http://127.0.0.1:1/") as script:
        wire = script.connect(1)
        assert wire.get("/").status == 502
        assert wire.get("/", "Content-Length: 3", method="POST", body=b"abc").status == 502
        wire.close()
    silent = Other(lambda sock: time.sleep(10))
    with front(tmp_path, silent.at) as script:
        assert script.get("/").status == 504
    silent.close()
    nonsense = Other(lambda sock: (head(sock), sock.sendall(b"hello\r\n\r\n")))
    with front(tmp_path, nonsense.at) as script:
        assert script.get("/").status == 502
    nonsense.close()
    cut = Other(lambda sock: (head(sock), sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n012"), time.sleep(0.3)))
    with front(tmp_path, cut.at, "keep_host = true") as script:
        wire = script.connect(1).ask("/")
        assert wire.rest().endswith(b"\r\n\r\n012")
    cut.close()


def test_a_slow_client_makes_the_other_server_wait(tmp_path):
    sent = []

    def serve(sock):
        head(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 200000000\r\n\r\n")
        while True:
            sock.sendall(b"x" * 65536)
            sent.append(65536)

    other = Other(serve)
    with front(tmp_path, other.at) as script:
        wire = script.connect(1).ask("/")
        time.sleep(1)
        n = len(sent)
        time.sleep(0.3)
        assert len(sent) == n and sum(sent) < 50_000_000
        wire.close()
    other.close()


@pytest.mark.parametrize("call, words", [
    ("medusa.http.proxy()", "string expected"),
    ("medusa.http.proxy('nowhere')", "nowhere"),
    ("medusa.http.proxy('https://x/')", "is expected"),
    ("medusa.http.proxy('http://x/?a')", "without a query"),
    ("medusa.http.proxy('http://x/', {tmeout = 1})", "did you mean timeout"),
])
def test_wrong_arguments(tmp_path, call, words):
    assert words in refused(tmp_path, call)
