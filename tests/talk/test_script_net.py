"""medusa.resolve, medusa.tcp.connect, and what a proxy needs of connections."""

import re
import signal
import socket
import threading
import time

import pytest

from medusa import until
from script import Script

TALK = """
medusa.tcp.server {
  listen = "127.0.0.1:0",
  handle = function(conn)
    for line in conn:lines() do
      local f = assert(load(line))
      conn:write(tostring(select(2, pcall(f, conn))), "\\n")
    end
  end
}
-- proxy to the address in the first line
medusa.tcp.server {
  listen = "127.0.0.1:0",
  handle = function(conn)
    local other, why = medusa.tcp.connect(conn:read_line(), {timeout = 5})
    if not other then conn:write(why, "\\n") return end
    local back = medusa.spawn(function()
      medusa.log("down " .. tostring(other:pipe_to(conn)))
      conn:shutdown()
    end)
    local n, error = conn:pipe_to(other)
    medusa.log("up " .. tostring(n) .. " " .. tostring(error))
    other:shutdown()
    while back:is_running() do medusa.sleep(0.01) end
    other:close()
  end
}
-- says all to itself
medusa.tcp.server { listen = "127.0.0.1:0", handle = function(conn) conn:pipe_to(conn) end }
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    with Script(tmp_path_factory.mktemp("net"), TALK) as script:
        yield script


@pytest.fixture
def ask(script):
    wire = script.connect(1)

    def ask(lua):
        return wire.send(lua.replace("\n", " ") + "\n").line()

    yield ask
    wire.close()
    script.wires.remove(wire)


class Listener(socket.socket):
    @property
    def at(self):
        return "127.0.0.1:%d" % self.getsockname()[1]


@pytest.fixture
def listener():
    sock = Listener()
    sock.bind(("127.0.0.1", 0))
    sock.listen(64)
    sock.settimeout(20)
    yield sock
    sock.close()


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def test_resolve(ask):
    assert ask("return table.concat(medusa.resolve('127.0.0.1'), ' ')") == "127.0.0.1"
    assert ask("return table.concat(medusa.resolve('::1'), ' ')") == "::1"
    assert "127.0.0.1" in ask("return table.concat(medusa.resolve('localhost'), ' ')")
    assert ask("return table.concat(medusa.resolve('unix:/a/b'), ' ')") == "unix:/a/b"


def test_resolve_fails_in_bounded_time(ask):
    begin = time.monotonic()
    answer = ask("local a, why = medusa.resolve('nowhere.invalid') return tostring(a) .. ' ' .. why")
    assert answer.startswith("nil ") and len(answer) > 6
    assert time.monotonic() - begin < 15
    answer = ask("local a, why = medusa.tcp.connect('nowhere.invalid:80', {timeout = 1}) return tostring(a) .. ' ' .. why")
    assert answer.startswith("nil ")
    assert time.monotonic() - begin < 20


@pytest.mark.parametrize("call, words", [
    ("medusa.resolve()", "string expected"),
    ("medusa.resolve({})", "string expected"),
    ("medusa.tcp.connect()", "string expected"),
    ("medusa.tcp.connect('nowhere')", "an address is expected"),
    ("medusa.tcp.connect('a:b')", "an address is expected"),
    ("medusa.tcp.connect(':80')", "an address is expected"),
    ("medusa.tcp.connect('a:99999')", "an address is expected"),
    ("medusa.tcp.connect('a', 0)", "from 1 to 65535"),
    ("medusa.tcp.connect('a:1', {timeot = 1})", "did you mean timeout"),
    ("medusa.tcp.connect('a:1', {timeout = 0})", "timeout must lie"),
    ("medusa.tcp.connect('a:1', 'x')", "a table of options"),
    ("local c = ... c:pipe_to()", "connection expected"),
    ("local c = ... c:pipe_to(io)", "connection expected"),
    ("table.sort({2, 1}, function() medusa.resolve('127.0.0.1') end)", "cannot wait here"),
    ("table.sort({2, 1}, function() medusa.tcp.connect('127.0.0.1:1') end)", "cannot wait here"),
])
def test_wrong_arguments(ask, call, words):
    assert words in ask("local ok, why = pcall(function(...) " + call + " end, ...) return why")


def test_strange_names(ask):
    for name in ["", " ", "a b", "x" * 300, "..", "\\0"]:
        answer = ask(f"local a, why = medusa.resolve('{name}') return tostring(a) .. ' ' .. why")
        assert answer.startswith("nil "), name


def test_refused(ask, tmp_path):
    port = free_port()
    assert ask(f"return select(2, medusa.tcp.connect('127.0.0.1:{port}'))") == "Connection refused"
    assert ask(f"return select(2, medusa.tcp.connect('127.0.0.1', {port}))") == "Connection refused"
    assert "No such file" in ask(f"return select(2, medusa.tcp.connect('unix:{tmp_path}/none'))")


def test_timeout(ask):
    """A full queue of connections: the kernel does not answer."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.listen(0)
    fill = []
    for _ in range(3):
        other = socket.socket()
        other.setblocking(False)
        other.connect_ex(sock.getsockname())
        fill.append(other)
    begin = time.monotonic()
    answer = ask(f"return select(2, medusa.tcp.connect('127.0.0.1:{sock.getsockname()[1]}', {{timeout = 0.3}}))")
    assert answer == "timeout" and time.monotonic() - begin < 10
    for other in fill + [sock]:
        other.close()


def test_a_conversation(ask, listener):
    def serve():
        sock, _ = listener.accept()
        with sock, sock.makefile("rwb") as file:
            assert file.readline() == b"hello\r\n"
            file.write(b"welcome\r\nto all\n12345rest")
            file.flush()

    thread = threading.Thread(target=serve)
    thread.start()
    answer = ask(f"""local c = assert(medusa.tcp.connect('{listener.at}', {{timeout = '5s', idle = 5, max_line = 100}}))
        c:write('hello', '\\r\\n') c.x = 7
        local a, p = c:peer()
        local t = {{c:read_line(), c:read_line(), c:read(5), c:read(4), a, p, c.x, tostring(c:is_open())}}
        local _, why = c:read() c:close() t[#t + 1] = why
        return table.concat(t, '|')""")
    thread.join()
    port = listener.at.split(":")[1]
    assert answer == f"welcome|to all|12345|rest|127.0.0.1|{port}|7|true|closed"


def test_unix(ask, tmp_path):
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(str(tmp_path / "s"))
    sock.listen(1)
    sock.settimeout(20)
    thread = threading.Thread(target=lambda: sock.accept()[0].sendall(b"hi\n"))
    thread.start()
    assert ask(f"local c = assert(medusa.tcp.connect('unix:{tmp_path}/s')) return c:read_line() .. c:peer()") == "hiunix"
    thread.join()
    sock.close()


def test_idle_and_deadline(ask, listener):
    at = listener.at
    assert ask(f"local c = medusa.tcp.connect('{at}', {{idle = 0.1}}) return select(2, c:read_line())") == "timeout"
    assert ask(f"local c = medusa.tcp.connect('{at}') c:deadline(0.1) return select(2, c:read_line())") == "timeout"


def test_an_old_deadline_is_no_timeout(ask, listener):
    """What was set for one wait does not end a later one."""

    def serve():
        sock, _ = listener.accept()
        sock.sendall(b"a\n")
        time.sleep(0.5)
        sock.sendall(b"b\n")
        time.sleep(0.2)
        sock.close()

    thread = threading.Thread(target=serve)
    thread.start()
    assert ask(f"""local c = medusa.tcp.connect('{listener.at}', {{idle = 0.3}})
        local a = c:read_line() medusa.sleep(0.6) return a .. tostring(c:read_line())""") == "ab"
    thread.join()


def test_half_close(ask, listener):
    """The peer's end is seen after its bytes; ours is told, and its answer is still read."""

    def serve():
        sock, _ = listener.accept()
        data = b""
        while more := sock.recv(65536):
            data += more
        sock.sendall(b"%d bytes\n" % len(data))
        sock.close()

    thread = threading.Thread(target=serve)
    thread.start()
    assert ask(f"""local c = medusa.tcp.connect('{listener.at}')
        c:write(('x'):rep(1000000)) assert(c:shutdown() == c) assert(c:shutdown())
        local _, why = c:write('more')
        return why .. ' ' .. c:read_line() .. ' ' .. select(2, c:read_line())""") == "closed 1000000 bytes closed"
    thread.join()


def test_write_after_the_peers_half_close(ask, listener):
    got = []

    def serve():
        sock, _ = listener.accept()
        sock.sendall(b"question\n")
        sock.shutdown(socket.SHUT_WR)
        got.append(sock.makefile("rb").read())

    thread = threading.Thread(target=serve)
    thread.start()
    assert ask(f"""local c = medusa.tcp.connect('{listener.at}')
        local q, e = c:read_line(), select(2, c:read_line())
        c:write(('y'):rep(300000)) c:close() return q .. e""") == "questionclosed"
    thread.join(20)
    assert len(got[0]) == 300000


def test_to_itself(script):
    wire = script.connect(3)
    data = bytes(range(256)) * 2000
    threading.Thread(target=lambda: (wire.send(data), wire.half_close())).start()
    assert wire.rest() == data


def proxied(script, listener):
    wire = script.connect(2)
    wire.send(listener.at + "\n")
    sock, _ = listener.accept()
    sock.settimeout(20)
    return wire, sock


def test_a_proxy(script, listener):
    wire, sock = proxied(script, listener)
    data = bytes(range(256)) * 20000
    since = len(script.log())
    threading.Thread(target=lambda: (wire.send(data), wire.half_close())).start()
    got = b""
    while more := sock.recv(1 << 16):
        got += more
    assert got == data
    script.wait_log(f"up {len(data)} nil", since)
    threading.Thread(target=lambda: (sock.sendall(data), sock.close())).start()
    assert wire.rest() == data
    script.wait_log(f"down {len(data)}", since)


def held(script):
    """Bytes on all accounts."""
    since = len(script.log())
    script.signal(signal.SIGUSR2)
    script.wait_log("memory of resolver: ", since)
    return sum(int(n) for n in re.findall(r"memory of .+?: (\d+) bytes", script.log()[since:]))


def test_a_proxy_waits_for_who_is_slow(script, listener):
    wire, sock = proxied(script, listener)
    before = held(script)
    wire.sock.settimeout(1)
    sent = 0
    try:
        while True:
            sent += wire.sock.send(b"z" * 65536)
    except TimeoutError:
        pass
    assert held(script) - before < 2_000_000
    wire.sock.settimeout(20)
    wire.half_close()
    got = 0
    while more := sock.recv(1 << 20):
        got += len(more)
    assert got == sent
    sock.close()
    assert wire.rest() == b""


def test_a_proxy_whose_other_side_goes(script, listener):
    for end in ("client", "server"):
        wire, sock = proxied(script, listener)
        wire.send("hello")
        assert sock.recv(100) == b"hello"
        since = len(script.log())
        if end == "client":
            wire.reset()
        else:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            sock.close()
        script.wait_log("up nil closed", since)
        if end == "client":
            assert sock.recv(100) == b""
            sock.close()
        else:
            assert wire.rest() == b""


def test_forgotten_connections_are_closed(script, ask, listener):
    """Collected, and also those of a task that was cancelled, or of one that is still dialling."""
    ask("collectgarbage() return 1")
    before = script.descriptors()
    others = []
    for _ in range(20):
        assert ask(f"medusa.tcp.connect('{listener.at}') return 1") == "1"
        others.append(listener.accept()[0])
    ask(f"""for i = 1, 20 do
            local t = medusa.spawn(function() medusa.tcp.connect('{listener.at}'):read() end)
            if i > 10 then medusa.sleep(0.01) end t:cancel() end return 1""")
    ask(f"for i = 1, 10 do medusa.spawn(function() medusa.tcp.connect('nowhere.invalid:1') end):cancel() end return 1")

    def gone():
        ask("collectgarbage() collectgarbage() return 1")
        return script.descriptors() <= before + 3  # the resolver's

    until(gone)
    for other in others:
        other.close()


def test_a_reload_ends_what_only_the_old_script_knew(tmp_path, listener):
    text = TALK + f"""
medusa.spawn(function() kept = medusa.tcp.connect("{listener.at}") medusa.log("there") kept:read() end)
"""
    with Script(tmp_path, text) as script:
        sock, _ = listener.accept()
        sock.settimeout(20)
        assert "load.done" in script.reload(TALK)
        assert sock.recv(10) == b""
        sock.close()


def test_stop_with_connections_open(tmp_path, listener):
    with Script(tmp_path, TALK + f"""
medusa.spawn(function() kept = medusa.tcp.connect("{listener.at}") kept:write(("x"):rep(10000000)) end)
medusa.spawn(function() medusa.tcp.connect("nowhere.invalid:1") end)
"""):
        sock, _ = listener.accept()
    sock.close()


def test_connect_while_loading(tmp_path, listener):
    thread = threading.Thread(target=lambda: listener.accept()[0].sendall(b"site\n"))
    thread.start()
    with Script(tmp_path, f'name = medusa.tcp.connect("{listener.at}"):read_line()\n' + TALK) as script:
        assert script.connect(1).send("return name\n").line() == "site"
    thread.join()
