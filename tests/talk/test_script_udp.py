"""medusa.udp: declared servers of datagrams, and sockets that a script opens."""

import re
import socket
import time

import pytest

from medusa import until
from script import Script, refused

TALK = """
medusa.tcp.server {
  listen = "127.0.0.1:0",
  handle = function(conn)
    for line in conn:lines() do
      local f = assert(load(line))
      conn:write((tostring(select(2, pcall(f, conn))):gsub("\\n", "~")), "\\n")
    end
  end
}
medusa.udp.server {
  listen = {"127.0.0.1:0", "127.0.0.1:%s"},
  queue = 10,
  on_datagram = function(socket, data, address, port)
    count = (count or 0) + 1
    kept = socket
    if data == "error" then error("it went wrong") end
    if data == "sleep" then medusa.sleep(0.3) end
    if data == "dropped" then data = socket:dropped() end
    if data == "address" then data = socket:address() end
    if data == "receive" then data = select(2, pcall(socket.receive, socket)) end
    if data == "close" then data = select(2, pcall(socket.close, socket)) end
    assert(socket:send("old:" .. data, address, port))
  end
}
medusa.udp.server { listen = "127.0.0.1:0", tasks = 50, on_datagram = function(socket, data, address, port)
  medusa.sleep(0.2) socket:send(data, address, port) end }
"""


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    with Script(tmp_path_factory.mktemp("udp"), TALK % free_port()) as script:
        yield script


@pytest.fixture
def ask(script):
    wire = script.connect(1)

    def ask(lua):
        return wire.send(lua.replace("\n", " ") + "\n").line()

    yield ask
    wire.close()
    script.wires.remove(wire)


@pytest.fixture
def peer():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(20)
        yield sock


def say(peer, script, n, data):
    peer.sendto(data, ("127.0.0.1", script.port(n)))
    answer, where = peer.recvfrom(70000)
    assert where[1] == script.port(n)
    return answer


def test_a_server_answers(script, peer):
    for n in (2, 3):
        assert say(peer, script, n, b"hello") == b"old:hello"
        assert say(peer, script, n, b"") == b"old:"
        assert say(peer, script, n, b"x" * 60000) == b"old:" + b"x" * 60000
        assert say(peer, script, n, b"address") == b"old:127.0.0.1:%d" % script.port(n)
    assert b"on_datagram" in say(peer, script, 2, b"receive")
    assert b"reload" in say(peer, script, 2, b"close")


def test_an_error_is_told_and_the_server_goes_on(script, peer):
    since = len(script.log())
    peer.sendto(b"error", ("127.0.0.1", script.port(2)))
    script.wait_log("it went wrong", since)
    assert say(peer, script, 2, b"x") == b"old:x"


def test_others_wait_in_order_and_too_many_are_dropped(script, peer):
    before = int(say(peer, script, 2, b"dropped")[4:])
    at = ("127.0.0.1", script.port(2))
    peer.sendto(b"sleep", at)
    time.sleep(0.1)
    for i in range(30):
        peer.sendto(b"%d" % i, at)
    assert peer.recv(100) == b"old:sleep"
    assert [peer.recv(100) for _ in range(10)] == [b"old:%d" % i for i in range(10)]
    assert int(say(peer, script, 2, b"dropped")[4:]) - before == 20


def test_many_at_a_time(script, peer):
    begin = time.monotonic()
    for i in range(100):
        peer.sendto(b"%d" % i, ("127.0.0.1", script.port(4)))
    assert sorted(int(peer.recv(100)) for _ in range(100)) == list(range(100))
    assert time.monotonic() - begin < 10


def test_thousands(script, peer):
    for i in range(3000):
        assert say(peer, script, 2, b"%d" % i) == b"old:%d" % i


def test_open_sends_and_receives(script, ask):
    at = f"127.0.0.1:{script.port(2)}"
    assert ask(f"""local s = assert(medusa.udp.open()) assert(s:send('a', '{at}') == s)
        local d, a, p = s:receive(5) s:close() return d .. a .. p""") == f"old:a127.0.0.1{script.port(2)}"
    assert ask(f"""local s <close> = assert(medusa.udp.open{{listen = '127.0.0.1:0', queue = 2}})
        assert(s:send('a', '127.0.0.1', {script.port(2)})) return s:receive('5s') .. s:address()""").startswith("old:a127.0.0.1:")
    assert ask(f"local s = medusa.udp.open() s:send('n', 'localhost:{script.port(2)}') return s:receive(5)") == "old:n"
    assert ask(f"""local a, b = medusa.udp.open{{listen = '127.0.0.1:0', queue = 2}}, medusa.udp.open()
        for i = 1, 5 do assert(b:send(i, a:address())) end medusa.sleep(0.1)
        return a:receive() .. a:receive() .. select(2, a:receive(0.05)) .. a:dropped()""") == "12timeout3"


def test_receive_in_another_task(ask):
    assert ask("""local s, got = medusa.udp.open{listen = '127.0.0.1:0'}
        local t = medusa.spawn(function() got = select(2, s:receive()) end)
        medusa.sleep(0.02) local _, why = pcall(s.receive, s) s:close() medusa.sleep(0.02)
        return tostring(why) .. '|' .. got .. '|' .. select(2, s:receive()) .. select(2, s:send('a', '127.0.0.1:1'))""") \
        == "another task is receiving from this socket already|closed|closedclosed"
    assert ask("""local s = medusa.udp.open{listen = '127.0.0.1:0'}
        local t = medusa.spawn(function() s:receive() end) medusa.sleep(0.02) t:cancel() medusa.sleep(0.02)
        s:send('x', s:address()) return s:receive(5)""") == "x"


@pytest.mark.parametrize("call, words", [
    ("medusa.udp.open(1)", "a table of options"),
    ("medusa.udp.open{lisen = ':0'}", "did you mean listen"),
    ("medusa.udp.open{listen = {}}", "an address is expected"),
    ("medusa.udp.open{listen = 'x:y'}", "x:y"),
    ("medusa.udp.open{queue = 0}", "queue must lie"),
    ("medusa.udp.open():send()", "string expected"),
    ("medusa.udp.open():send('a')", "string expected"),
    ("medusa.udp.open():send('a', 'b')", "an address is expected"),
    ("medusa.udp.open():send('a', 'b', 0)", "from 1 to 65535"),
    ("medusa.udp.open():send('a', 'b', 'c')", "number expected"),
    ("medusa.udp.open():send(('a'):rep(65508), '127.0.0.1:1')", "at most 65507"),
    ("medusa.udp.open():receive('soon')", "a time is expected"),
    ("medusa.udp.open().receive(1)", "UDP socket expected"),
    ("table.sort({2, 1}, function() medusa.udp.open():receive() end)", "cannot wait here"),
    ("medusa.udp.server{listen = ':0', on_datagram = print}", "while a script is loaded"),
])
def test_wrong_arguments(ask, call, words):
    assert words in ask("local ok, why = pcall(function() " + call + " end) return why")


def test_failures(script, ask):
    assert ask(f"return select(2, medusa.udp.open{{listen = '127.0.0.1:{script.port(2)}'}})") == "Address already in use"
    assert ask("return select(2, medusa.udp.open():send('a', 'nowhere.invalid:1')) ~= nil") == "true"
    assert ask("return #select(2, medusa.udp.open{listen = '127.0.0.1:0'}:send('a', '[::1]:1')) > 0") == "true"


@pytest.mark.parametrize("text, words", [
    ("medusa.udp.server{listen = '127.0.0.1:0'}", "on_datagram = function"),
    ("medusa.udp.server{on_datagram = print}", "listen is missing"),
    ("medusa.udp.server{listen = '127.0.0.1:0', on_datagram = print, tasks = 0}", "tasks must lie"),
    ("medusa.udp.server{listen = '127.0.0.1:0', on_datagram = print, quue = 1}", "did you mean queue"),
    ("medusa.udp.server{listen = '127.0.0.1:0,proxy', on_datagram = print}", "cannot be listened on"),
    ("medusa.udp.server{listen = '192.0.2.1:5', on_datagram = print}", "not an address of this machine"),
])
def test_scripts_that_do_not_load(tmp_path, text, words):
    assert words in refused(tmp_path, text)


def test_a_reload_keeps_the_socket(tmp_path, peer):
    text = TALK % free_port()
    with Script(tmp_path, text) as script:
        assert say(peer, script, 2, b"a") == b"old:a"
        peer.sendto(b"sleep", ("127.0.0.1", script.port(2)))
        time.sleep(0.05)
        peer.sendto(b"queued", ("127.0.0.1", script.port(2)))
        assert "load.done" in script.reload(text.replace("old:", "new:"))
        assert peer.recv(100) == b"old:sleep"  # by the code that had begun it
        assert peer.recv(100) == b"new:queued"
        assert say(peer, script, 2, b"b") == b"new:b"
        assert "load.failed" in script.reload(text + "error 'no'")
        assert say(peer, script, 3, b"c") == b"new:c"
        peer.sendto(b"sleep", ("127.0.0.1", script.port(2)))
        time.sleep(0.05)
        before = script.descriptors()
        assert "load.done" in script.reload(re.sub(r"(?s)medusa.udp.*", "", text))
        assert peer.recv(100) == b"new:sleep"  # what had begun still answers
        until(lambda: script.descriptors() <= before - 3)


def test_stop_with_tasks_at_work(tmp_path, peer):
    with Script(tmp_path, TALK % free_port()) as script:
        script.connect(1).send("kept = medusa.udp.open() medusa.spawn(function() kept:receive() end) return 1\n").line()
        peer.sendto(b"sleep", ("127.0.0.1", script.port(2)))
        for i in range(5):
            peer.sendto(b"x", ("127.0.0.1", script.port(2)))
        time.sleep(0.05)


def test_forgotten_sockets_are_closed(script, ask):
    before = script.descriptors()
    ask("for i = 1, 50 do medusa.udp.open() end return 1")
    until(lambda: ask("collectgarbage() return 1") and script.descriptors() <= before + 1)
