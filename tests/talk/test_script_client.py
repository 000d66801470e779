"""medusa.http.get, request and open: a script as a client of other servers."""

import json
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
      conn:write((tostring(select(2, pcall(f, conn))):gsub("\\n", "~")), "\\n")
    end
  end
}
medusa.http.server {
  listen = "127.0.0.1:0",
  routes = {
    ["/hello"] = function(req) return "hello\\n" end,
    ["/echo"] = { POST = function(req) return {body = req:body(), type = req.headers.content_type or "none", headers = {["X-M"] = req.method}} end },
    ["/fields"] = function(req) return {body = tostring(req.headers.x_one) .. "," .. tostring(req.headers["X-Two"]), headers = {["X-Answer"] = {"a", "b"}}} end,
    ["/status/:n"] = function(req) return tonumber(req.params.n) end,
    ["/go"] = function(req) return {redirect = "/hello"} end,
    ["/round"] = function(req) return {redirect = "/round"} end,
    ["/slow/:t"] = function(req) medusa.sleep(tonumber(req.params.t)) return "slow" end,
    ["/big"] = function(req) for i = 1, 100 do req:write(("%05d"):format(i):rep(2000)) end end,
    ["/trickle"] = function(req) for i = 1, 5 do req:write("piece " .. i) medusa.sleep(0.05) end end,
  }
}
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    with Script(tmp_path_factory.mktemp("client"), TALK) as script:
        yield script


@pytest.fixture
def ask(script):
    wire = script.connect(1)
    at = f"http://127.0.0.1:{script.port(2)}"

    def ask(lua):
        return wire.send(f"local at = '{at}' " + lua.replace("\n", " ") + "\n").line()

    yield ask
    wire.close()
    script.wires.remove(wire)


class Other:
    """A server of raw bytes: each connection is handled by [serve](socket)."""

    def __init__(self, serve):
        self.sock = socket.socket()
        self.sock.bind(("127.0.0.1", 0))
        self.sock.listen(64)
        self.at = "http://127.0.0.1:%d" % self.sock.getsockname()[1]
        self.serve, self.accepted = serve, 0
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                sock, _ = self.sock.accept()
            except OSError:
                return
            self.accepted += 1
            threading.Thread(target=self.one, args=[sock], daemon=True).start()

    def one(self, sock):
        try:
            with sock:
                sock.settimeout(20)
                self.serve(sock)
        except OSError:
            pass

    def close(self):
        self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()


@pytest.fixture
def other():
    all = []

    def make(serve):
        all.append(Other(serve))
        return all[-1].at

    make.all = all
    yield make
    for one in all:
        one.close()


def head(sock):
    data = b""
    while b"\r\n\r\n" not in data:
        more = sock.recv(65536)
        if not more:
            raise ConnectionError
        data += more
    return data


def test_get(ask):
    assert ask("local r = assert(medusa.http.get(at .. '/hello')) return r.status .. r.body .. r.headers['Content-Length']") == "200hello~6"
    assert ask("local r = medusa.http.get(at .. '/hello') return r.headers.content_type") == "text/plain; charset=utf-8"
    assert ask("return medusa.http.get(at .. '/nothing').status") == "404"
    assert ask("return medusa.http.get(at .. '/status/500').status") == "500"
    assert ask("return medusa.http.get(at).status") == "404"


def test_request(ask):
    assert ask("""local r = medusa.http.request{url = at .. '/echo', method = 'POST', body = ('b'):rep(300000)}
        return r.status .. ' ' .. #r.body .. ' ' .. r.headers['x-m'] .. r.headers.content_type""") == "200 300000 POSTnone"
    got = ask("return medusa.http.request{url = at .. '/echo', method = 'POST', json = {a = {1, 2}}}.body")
    assert json.loads(got) == {"a": [1, 2]}
    assert ask("return medusa.http.request{url = at .. '/echo', method = 'POST', json = 1}.headers.content_type") == "application/json"
    assert ask("""return medusa.http.request{url = at .. '/echo', method = 'POST', json = 1,
        headers = {['content-type'] = 'text/x'}}.headers.content_type""") == "text/x"
    assert ask("""local r = medusa.http.request{url = at .. '/fields', headers = {['X-One'] = 1, ['x-two'] = {'a', 2}}}
        return r.body .. ' ' .. r.headers.x_answer""") == "1,a, 2 a, b"
    assert ask("local r = medusa.http.request{url = at .. '/hello', method = 'HEAD'} return r.status .. '[' .. r.body .. ']'") == "200[]"


def test_redirects(ask):
    assert ask("return medusa.http.get(at .. '/go').body") == "hello~"
    assert ask("return medusa.http.get(at .. '/go', {redirects = 0}).status") == "302"
    assert "redirect" in ask("return select(2, medusa.http.get(at .. '/round'))")


def test_unix(ask, tmp_path):
    path = tmp_path / "s"
    with Script(tmp_path, 'medusa.http.server { listen = "unix:%s", routes = {["/x"] = "by socket"} }' % path):
        assert ask(f"return medusa.http.get('unix:{path}:/x').body") == "by socket"


@pytest.mark.parametrize("call, words", [
    ("medusa.http.get()", "string expected"),
    ("medusa.http.get({})", "string expected"),
    ("medusa.http.get(at, {tiemout = 1})", "did you mean timeout"),
    ("medusa.http.get(at, 1)", "a table of options"),
    ("medusa.http.request()", "a table of options"),
    ("medusa.http.request{}", "url is missing"),
    ("medusa.http.request{url = {}}", "url: a string"),
    ("medusa.http.request{url = at, method = {}}", "method: a string"),
    ("medusa.http.request{url = at, headers = 1}", "headers: a table"),
    ("medusa.http.request{url = at, headers = {'x'}}", "each has a name"),
    ("medusa.http.request{url = at, headers = {x = {{}}}}", "a string or a list"),
    ("medusa.http.request{url = at, headers = {x = true}}", "a string or a list"),
    ("medusa.http.request{url = at, headers = {x = ('x,'):rep(200), y = (function() local t = {} for i = 1, 80 do t[i] = i end return t end)()}}", "at most 64"),
    ("medusa.http.request{url = at, body = {}}", "body: a string"),
    ("medusa.http.request{url = at, body = '', json = 1}", "not both"),
    ("medusa.http.request{url = at, json = print}", "cannot be JSON"),
    ("medusa.http.request{url = at, timeout = 0}", "timeout must lie"),
    ("medusa.http.open{}", "url is missing"),
    ("medusa.http.open(at)", "a table of options"),
    ("medusa.http.open{url = at}.read(1)", "response expected"),
    ("table.sort({2, 1}, function() medusa.http.get(at) end)", "cannot wait here"),
])
def test_wrong_arguments(ask, call, words):
    assert words in ask("local ok, why = pcall(function() " + call + " end) return why")


@pytest.mark.parametrize("call, words", [
    ("medusa.http.get('')", ""),
    ("medusa.http.get('ftp://x/')", ""),
    ("medusa.http.get('http://a b/')", ""),
    ("medusa.http.get('https://127.0.0.1/')", "https"),
    ("medusa.http.get('http://nowhere.invalid/', {timeout = 3})", ""),
    ("medusa.http.get('http://127.0.0.1:1/')", "efused"),
    ("medusa.http.get('unix:/nowhere/x:/')", ""),
    ("medusa.http.request{url = at, method = 'G T'}", "method"),
    ("medusa.http.request{url = at, headers = {['a b'] = 'x'}}", ""),
    ("medusa.http.request{url = at, headers = {a = 'x\\r\\ny: z'}}", ""),
    ("medusa.http.request{url = at, headers = {['Content-Length'] = 'x'}}", ""),
    ("medusa.http.get(at .. '/big', {max_body = 1000})", ""),
    ("medusa.http.get(at .. '/slow/3', {timeout = 0.2})", ""),
    ("medusa.http.open{url = at .. '/slow/3', timeout = 0.2}", ""),
])
def test_failures(ask, call, words):
    begin = time.monotonic()
    answer = ask(f"local r, why = {call} return tostring(r) .. ' ' .. why")
    assert answer.startswith("nil ") and words in answer and len(answer) > 8, answer
    assert time.monotonic() - begin < 15


ANSWER = b"HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: 10\r\n\r\n0123456789"


@pytest.mark.parametrize("n", list(range(0, len(ANSWER), 7)) + [len(ANSWER) - 1])
def test_cut_at_each_step(ask, other, n):
    def serve(sock):
        head(sock)
        sock.sendall(ANSWER[:n])

    at = other(serve)
    assert ask(f"local r, why = medusa.http.get('{at}/', {{timeout = 5}}) return tostring(r) .. ' ' .. why").startswith("nil ")
    body = n - ANSWER.index(b"0123456789")
    got = ask(f"""local r, why = medusa.http.open{{url = '{at}/', timeout = 5}}
        if not r then return why end local b = ''
        while true do local p, why = r:read() if not p then return b .. '|' .. tostring(why) end b = b .. p end""")
    if body > 0:
        assert got.startswith("0123456789"[:body] + "|") and not got.endswith("nil")
    assert got


def test_slow_byte_by_byte(ask, other):
    def serve(sock):
        head(sock)
        for i in range(len(ANSWER)):
            sock.sendall(ANSWER[i:i + 1])
            time.sleep(0.003)

    at = other(serve)
    assert ask(f"local r = assert(medusa.http.get('{at}/')) return r.body .. r.headers.x_a") == "0123456789b"


def test_a_server_that_never_answers(ask, other):
    at = other(lambda sock: time.sleep(20))
    begin = time.monotonic()
    assert ask(f"return select(2, medusa.http.get('{at}/', {{timeout = 0.3}}))")
    assert ask(f"return select(2, medusa.http.open{{url = '{at}/', timeout = 0.3}})")
    assert time.monotonic() - begin < 10


def test_nonsense(ask, other):
    at = other(lambda sock: sock.sendall(b"220 ftp here\r\n\r\n"))
    assert ask(f"local r, why = medusa.http.get('{at}/') return tostring(r) .. ' ' .. why").startswith("nil ")


def test_a_pooled_connection_that_went_stale(ask, other):
    def serve(sock):
        head(sock)
        sock.sendall(ANSWER)  # and it closes, though it said nothing of that

    at = other(serve)
    for _ in range(20):
        assert ask(f"return (assert(medusa.http.get('{at}/'))).body") == "0123456789"
    assert other.all[0].accepted == 20


def test_open_reads_pieces(ask):
    assert ask("""local r = assert(medusa.http.open{url = at .. '/trickle'}) local n, b = 0, ''
        for piece in function() return r:read() end do n = n + 1 b = b .. piece end
        return r.status .. b .. tostring(n > 2) .. r.headers.content_type .. tostring(r:read()) .. tostring(r.nothing)""") \
        == "200" + "".join(f"piece {i}" for i in range(1, 6)) + "truetext/plain; charset=utf-8nilnil"
    assert ask("""local r = assert(medusa.http.open{url = at .. '/big'}) local n = 0
        for piece in function() return r:read() end do n = n + #piece end return n""") == "1000000"
    assert ask("local r = medusa.http.open{url = at .. '/big'} r:close() r:close() return select(2, r:read())") == "closed"
    assert ask("local r <close> = medusa.http.open{url = at .. '/big'} return #r:read() > 0") == "true"


def test_a_slow_reader_makes_the_server_wait(script, ask, other):
    sent = []

    def serve(sock):
        head(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        while True:
            sock.sendall(b"x" * 65536)
            sent.append(65536)

    at = other(serve)
    assert ask(f"kept = medusa.http.open{{url = '{at}/'}} return #kept:read() > 0") == "true"
    time.sleep(0.7)
    n = len(sent)
    time.sleep(0.3)
    assert len(sent) == n and n * 65536 < 30_000_000
    assert ask("kept:close() kept = nil return 1") == "1"


def test_a_thousand_requests_keep_no_descriptors(script, ask):
    assert ask("return medusa.http.get(at .. '/hello').status") == "200"
    before = script.descriptors()
    assert ask("for i = 1, 1000 do assert(medusa.http.get(at .. '/hello')) end return 'done'") == "done"
    assert script.descriptors() <= before + 2
    assert ask("""local left, bad = 50, 0
        for i = 1, 50 do medusa.spawn(function()
            local r = medusa.http.get(at .. '/slow/0.1') if not r or r.body ~= 'slow' then bad = bad + 1 end left = left - 1 end) end
        while left > 0 do medusa.sleep(0.01) end return bad""") == "0"
    until(lambda: script.descriptors() <= before + 2 * 8 + 4)  # what the pool keeps


def test_cancelled_and_forgotten_requests(script, ask, other):
    at = other(lambda sock: time.sleep(20))
    before = script.descriptors()
    ask(f"""local t = {{}} for i = 1, 20 do t[i] = medusa.spawn(function() medusa.http.get('{at}/') end) end
        medusa.sleep(0.1) for i = 1, 20 do t[i]:cancel() end return 1""")
    ask("for i = 1, 5 do medusa.http.open{url = at .. '/big'} end collectgarbage() collectgarbage() return 1")
    until(lambda: ask("collectgarbage() return 1") and script.descriptors() <= before + 4)


def test_two_readers(ask):
    assert "already" in ask("""local r = medusa.http.open{url = at .. '/trickle'} local why
        local t = medusa.spawn(function() while r:read() do end end)
        medusa.sleep(0.01) why = select(2, pcall(r.read, r)) t:cancel() return why""")


def test_a_reload_while_requests_are_out(tmp_path, other):
    with Script(tmp_path, TALK) as script:
        wire = script.connect(1)
        at = f"http://127.0.0.1:{script.port(2)}"
        wire.send(f"return medusa.http.get('{at}/slow/0.5').body\n")
        time.sleep(0.1)
        assert "load.done" in script.reload(TALK.replace("hello", "hallo"))
        assert wire.line() == "slow"
        out = other(lambda sock: time.sleep(20))
        wire.send(f"medusa.spawn(function() medusa.http.get('{out}/') end) kept = medusa.http.open{{url = '{at}/big'}} return 1\n")
        assert wire.line() == "1"
        assert "load.done" in script.reload(TALK)
        assert "load.done" in script.reload(TALK)
        wire.close()


def test_stop_while_requests_are_out(tmp_path, other):
    at = other(lambda sock: time.sleep(20))
    with Script(tmp_path, TALK + f"medusa.spawn(function() medusa.http.get('{at}/') end)"):
        until(lambda: other.all[0].accepted)


def test_get_while_loading(tmp_path, other):
    at = other(lambda sock: (head(sock), sock.sendall(ANSWER)))
    with Script(tmp_path, f"name = medusa.http.get('{at}/').body\n" + TALK) as script:
        assert script.connect(1).send("return name\n").line() == "0123456789"
