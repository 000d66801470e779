"""Scripts: requests, connections, errors, time."""

import pytest
from script import Script, refused

HELLO = """
medusa.http.server {
  listen = "127.0.0.1:0",
  routes = {
    ["/"] = function(req) return "hello\\n" end,
    ["/hello/:name"] = function(req) return "hello " .. req.params.name .. "\\n" end,
    ["/echo"] = function(req) return {body = req:body(), type = req.headers["content-type"]} end,
    ["/pieces"] = function(req)
      local n = 0
      while true do
        local piece = req:read()
        if not piece then break end
        n = n + #piece
      end
      return n .. "\\n"
    end,
    ["/err"] = function(req) local x = nil; return x.y end,
    ["/status"] = function() return 403 end,
    ["/two"] = function() return 201, "made" end,
    ["/two-table"] = function() return 202, {json = {}} end,
    ["/two-redirect"] = function() return 307, {redirect = "/"} end,
    ["/two-fail"] = function() return 410, {headers = {["X-A"] = "b"}} end,
    ["/thrown"] = function() error {status = 404} end,
    ["/nothing"] = function() end,
    ["/loop"] = function() while true do pcall(function() while true do end end) end end,
    ["/wrap"] = function()
      local next = coroutine.wrap(function() for i = 1, 3 do medusa.sleep(0.01) coroutine.yield(i) end end)
      local t = {}
      for v in next do t[#t + 1] = v end
      return table.concat(t, ",")
    end,
    ["/meta"] = function()
      local t = setmetatable({}, {__index = function(_, k) medusa.sleep(0.01) return k .. "!" end})
      local ok, v = pcall(function() return t.x end)
      return tostring(ok) .. v
    end,
    ["/sort"] = function()
      local ok, why = pcall(table.sort, {2, 1}, function(a, b) medusa.sleep(0.01) return a < b end)
      return why
    end,
    ["/stream"] = function(req) for i = 1, 5 do req:write(i, ",") medusa.sleep(0.001) end end,
    ["/m"] = { GET = function() return "got" end, POST = function(req) return "posted " .. #req:body() end },
  }
}
medusa.tcp.server {
  listen = "127.0.0.1:0",
  handle = function(conn) for line in conn:lines() do conn:write(line:reverse(), "\\r\\n") end end,
}
medusa.tcp.server {
  listen = "127.0.0.1:0",
  on_line = function(conn, line)
    conn.n = (conn.n or 0) + 1
    conn:write(conn.n, " ", line, "\\r\\n")
    if line == "quit" then conn:close() end
  end,
  on_close = function(conn) medusa.log("closed after " .. tostring(conn.n)) end,
}
"""


@pytest.fixture(scope="module")
def hello(tmp_path_factory):
    with Script(tmp_path_factory.mktemp("script"), HELLO) as script:
        yield script


@pytest.mark.parametrize("target, status, body", [
    ("/", 200, b"hello\n"),
    ("/hello/bob", 200, b"hello bob\n"),
    ("/hello/a%20b", 200, b"hello a b\n"),
    ("/status", 403, None),
    ("/two", 201, b"made"),
    ("/two-table", 202, b"{}"),
    ("/two-redirect", 307, b""),
    ("/two-fail", 410, None),
    ("/thrown", 404, None),
    ("/err", 500, None),
    ("/nothing", 500, None),
    ("/loop", 500, None),
    ("/wrap", 200, b"1,2,3"),
    ("/meta", 200, b"truex!"),
    ("/stream", 200, b"1,2,3,4,5,"),
    ("/m", 200, b"got"),
])
def test_answers(hello, target, status, body):
    answer = hello.get(target)
    assert answer.status == status
    assert body is None or answer.body == body


def test_error_pages_do_not_leak(hello):
    assert b"lua" not in hello.get("/err").body
    hello.wait_log("attempt to index a nil value")


def test_a_sort_callback_cannot_wait(hello):
    assert b"cannot wait here" in hello.get("/sort").body


@pytest.mark.parametrize("size", [0, 1, 1000, 300000])
def test_bodies(hello, size):
    body = bytes(i % 251 for i in range(size))
    answer = hello.get("/echo", f"Content-Length: {size}", "Content-Type: a/b", method="POST", body=body)
    assert answer.body == body and answer.get("Content-Type") == "a/b"
    assert hello.get("/pieces", f"Content-Length: {size}", method="POST", body=body).body == b"%d\n" % size
    chunked = b"".join(b"1\r\n%c\r\n" % c for c in body[:2000]) + b"0\r\n\r\n"
    assert hello.get("/pieces", "Transfer-Encoding: chunked", method="POST", body=chunked).body == b"%d\n" % min(size, 2000)


def test_methods(hello):
    assert hello.get("/m", "Content-Length: 3", method="POST", body=b"abc").body == b"posted 3"


def test_a_method_that_is_not_there(tmp_path):
    routes = "{['/m'] = {GET = function() return 'got' end, POST = 'posted'}}"
    with Script(tmp_path, f"medusa.http.server {{listen = '127.0.0.1:0', routes = {routes}}}") as script:
        answer = script.get("/m", method="DELETE")
    assert answer.status == 405 and answer.get("Allow") == "GET, HEAD, POST, OPTIONS"


def test_pipelined_requests_are_answered_in_order(hello):
    wire = hello.connect()
    for name in "abc":
        wire.ask(f"/hello/{name}")
    wire.ask("/wrap").ask("/hello/d")
    assert [wire.answer().body for _ in range(5)] == [b"hello a\n", b"hello b\n", b"hello c\n", b"1,2,3", b"hello d\n"]


def test_lines_by_a_coroutine(hello):
    wire = hello.connect(2)
    wire.send("abc\r\nde").send("f\n")
    assert [wire.line(), wire.line()] == ["cba", "fed"]
    wire.half_close()
    assert wire.has_ended()


def test_lines_by_events(hello):
    wire = hello.connect(3)
    wire.send("a\r\nb\r\nquit\r\n")
    assert [wire.line() for _ in range(3)] == ["1 a", "2 b", "3 quit"]
    assert wire.has_ended()
    hello.wait_log("closed after 3")


def test_fields_of_a_connection(tmp_path):
    text = """medusa.tcp.server {listen = "127.0.0.1:0", handle = function(conn)
      conn.name, conn[1] = "ann", 2
      local ok, why = pcall(function() conn.lines = 0 end)
      conn:write(conn.name, conn[1], tostring(conn.other), why)
    end}"""
    with Script(tmp_path, text) as script:
        assert script.connect().rest().decode().startswith("ann2nil") and "conn.lines is a method" in script.connect().rest().decode()


def test_a_reload_keeps_connections_and_brings_new_code(tmp_path):
    with Script(tmp_path, HELLO) as script:
        http, coroutine, events = script.connect(1), script.connect(2), script.connect(3)
        assert http.get("/").body == b"hello\n"
        coroutine.send("ab\n")
        events.send("one\n")
        assert coroutine.line() == "ba" and events.line() == "1 one"
        assert "load.done" in script.reload(HELLO.replace("hello", "hallo").replace('" ", line', '" neu ", line'))
        assert http.get("/").body == b"hallo\n"
        coroutine.send("ab\n")
        events.send("two\n")
        assert coroutine.line() == "ba" and events.line() == "1 neu two"
        assert "load.failed" in script.reload("this is no Lua")
        assert http.get("/").body == b"hallo\n"


@pytest.mark.parametrize("text, words", [
    ("this is no Lua", "syntax error near"),
    ("medusa.http.server { listten = ':0', routes = {} }", "did you mean listen?"),
    ("medusa.http.server { listen = ':0', routes = {}, keepalive = 'soon' }", "keepalive: a time"),
    ("medusa.http.server { routes = {} }", "listen is missing"),
    ("medusa.http.server { listen = 'nowhere:x', routes = {} }", "nowhere"),
    ("medusa.http.server { listen = ':0' }", "routes"),
    ("medusa.http.server { listen = ':0', routes = {['/'] = 1} }", "a function, a handler"),
    ("medusa.tcp.server { listen = ':0' }", "handle = function"),
    ("error 'no'", "no"),
    ("error {status = 1}", "status 1"),
    ("local t = setmetatable({}, {__gc = function() end})", "__gc is not available"),
    ("while true do end", "time is up"),
    ("local t = {} for i = 1, 1e9 do t[i] = ('x'):rep(1000) .. i end", "not enough memory"),
    ("os.execute 'true'", "os.execute is not available to scripts: use medusa.files(path), or medusa.work"),
    ("io.open '/etc/passwd'", "io.open is not available to scripts"),
    ("for line in io.lines 'x' do end", "use medusa.files(path)"),
    ("debug.sethook()", "only debug.traceback is"),
    ("package.path = 'x' print(package.cpath)", 'use require "name"'),
    ("load('\\27Lua')()", "nil"),
    ("medusa.sleep('x')", "a time is expected"),
])
def test_scripts_that_do_not_load(tmp_path, text, words):
    said = refused(tmp_path, text)
    assert words in said


def test_an_address_in_use_changes_nothing(tmp_path):
    with Script(tmp_path, HELLO) as script:
        wrong = HELLO.replace('"127.0.0.1:0"', f'{{"127.0.0.1:0", "127.0.0.1:{script.port(2)}"}}', 1)
        assert "in use" in script.reload(wrong)
        assert script.get("/").body == b"hello\n"


def test_many_that_compute_leave_room_for_others(tmp_path):
    text = """
    medusa.http.server { listen = "127.0.0.1:0", routes = {
      ["/busy"] = function() local n = 0 for i = 1, 3e6 do n = n + i % 7 end return "done" .. n end,
      ["/"] = function() return "here" end,
    } }
    """
    with Script(tmp_path, text) as script:
        busy = [script.connect().ask("/busy") for _ in range(40)]
        for _ in range(10):
            assert script.get("/").body == b"here"
        first = busy[0].answer().body
        assert first.startswith(b"done")
        busy[1].reset()
        assert all(wire.answer().body == first for wire in busy[2:])


TASKS = """
local own, inner
medusa.spawn(function() own = coroutine.running() medusa.sleep(0.3) print "own goes on" end)
medusa.spawn(function()
  inner = coroutine.create(function() medusa.files("/etc") medusa.sleep(0.3) print "inner goes on" end)
  print("inner ends", coroutine.resume(inner))
end)
medusa.spawn(function()
  for _ = 1, 20 do
    for name, co in pairs {own = own, inner = inner, mine = coroutine.running()} do
      if coroutine.status(co) ~= "dead" then
        local ok, why = coroutine.resume(co)
        assert(not ok, name)
        ok, why = pcall(coroutine.close, co)
        assert(not ok, name)
      end
    end
    medusa.sleep(0.01)
  end
  local other = coroutine.create(function() local x <close> = setmetatable({}, {__close = function() print "closed" end}) coroutine.yield() end)
  coroutine.resume(other)
  print("close", coroutine.close(other), coroutine.status(other))
  local nested = coroutine.wrap(function() return coroutine.resume(coroutine.running()) end)
  print("nested", nested())
end)
medusa.tcp.server{listen = "127.0.0.1:0", handle = function() end}
"""


def test_nobody_resumes_or_closes_what_a_task_waits_in(tmp_path):
    with Script(tmp_path, TASKS) as script:
        script.wait_log("own goes on")
        script.wait_log("inner goes on")
        script.wait_log("inner ends.x09true")
        script.wait_log("close.x09true.x09dead")
        script.wait_log("nested.x09false.x09cannot resume non-suspended coroutine")
        assert "closed" in script.log() and "assertion" not in script.log()


def test_a_task_that_cancels_itself_leaves_nothing_to_the_next(tmp_path):
    text = """
    local t
    t = medusa.spawn(function() return t:cancel() end)
    local function add(a, b, c) medusa.log("sum " .. a + b + c) end
    medusa.after(0.01, function()
      medusa.spawn(add, 1, 2, 3)
      medusa.spawn(add, 10, 20, 30)
    end)
    medusa.http.server { listen = "127.0.0.1:0", routes = { ["/"] = function(req) return req.method end } }
    """
    with Script(tmp_path, text) as script:
        script.wait_log("sum 6")
        script.wait_log("sum 60")
        assert script.get("/").body == b"GET"
        assert "error" not in script.log()
