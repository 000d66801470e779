"""medusa.work: blocking code on threads."""

import json
import time

import pytest
from script import Script

SITE = """
local function double(x) return x * 2 end
local up = 1
local ways = {
  sum = function() return medusa.work(function(a, b) return a + b, "x" end, 2, 3.5) end,
  text = function() return medusa.work("local a, b = ... return b, a", "one", {2}) end,
  nothing = function() return select("#", medusa.work("return")) end,
  values = function()
    return medusa.work(function(...) return ... end, nil, true, false, 1, -1, math.mininteger, 0.5, "", "a\\0b", {1, 2, {x = "y"}})
  end,
  tables = function() return medusa.work(function(t) t.list[1] = t.n return t end, {n = 7, list = {0, 1}, [10] = "ten"}) end,
  bare = function() return medusa.work("return type(medusa), type(require), type(io.open), type(os.execute), type(os.exit), type(os.setlocale), type(debug), type(string.dump), type(dofile)") end,
  files = function() return medusa.work(function() local f = io.popen("echo hi") local s = f:read("a") f:close() return s end) end,
  err = function() return medusa.work("error 'oh'") end,
  errtable = function() return medusa.work("error {}") end,
  syntax = function() return medusa.work("x = = 1") end,
  endless = function() return medusa.work{run = "while true do pcall(function() while true do end end) end", timeout = 0.2} end,
  endless2 = function() return medusa.work({run = "local co = coroutine.wrap(function() while true do end end) co()", timeout = "200ms"}) end,
  memory = function() return medusa.work({run = "local t = {} for i = 1, 1e9 do t[i] = ('x'):rep(1000) .. i end", memory = "4M"}) end,
  gc = function() return medusa.work("setmetatable({}, {__gc = function() while true do end end})") end,
  binary = function() return medusa.work("return load('\\27Lua', 'x', 'b')") end,
  badresult = function() return medusa.work("return print") end,
  cyclic = function() return medusa.work("local t = {} t.t = t return t") end,
  up = function() return medusa.work(function() return double(up) end) end,
  cfunction = function() return medusa.work(print) end,
  number = function() return medusa.work(1.5) end,
  option = function() return medusa.work{run = "return 1", timeot = 1} end,
  badarg = function() return medusa.work("return 1", print) end,
  cycarg = function() local t = {} t[1] = t return medusa.work("return 1", t) end,
  sort = function() table.sort({1, 2}, function() medusa.work("return 1") end) end,
  wait = function() return medusa.work("os.execute('sleep 0.3') return 1") end,
  killed = function()
    local t = medusa.spawn(function() medusa.work("while true do end") end)
    medusa.sleep(0.05) t:cancel() medusa.sleep(0.01) return t:is_running()
  end,
  global = function() return medusa.work("x = (x or 0) + 1 return x") end,
}
medusa.http.server { listen = "127.0.0.1:0", routes = {
  ["/many"] = function()
    local n, t = 0, {}
    for i = 1, 20 do t[i] = medusa.spawn(function() local v = medusa.work(function(i) return i end, i) n = n + v end) end
    for i = 1, 20 do while t[i]:is_running() do medusa.sleep(0.005) end end
    return tostring(n)
  end,
  ["/quick"] = "quick",
  ["/:way"] = function(req)
    local t = table.pack(pcall(ways[req.params.way]))
    for i = 1, t.n do if t[i] == nil then t[i] = "nil" end end
    t.n = nil
    return {json = t}
  end,
} }
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with Script(tmp_path_factory.mktemp("work"), SITE) as script:
        yield script


def ask(site, way):
    answer = site.get("/" + way)
    assert answer.status == 200, answer.body
    return json.loads(answer.body)


@pytest.mark.parametrize("way, wanted", [
    ("sum", [True, 5.5, "x"]),
    ("text", [True, [2], "one"]),
    ("nothing", [True, 0]),
    ("values", [True, "nil", True, False, 1, -1, -(2 ** 63), 0.5, "", "a\0b", [1, 2, {"x": "y"}]]),
    ("bare", [True, "nil", "nil", "function", "function", "nil", "nil", "nil", "nil", "nil"]),
    ("files", [True, "hi\n"]),
    ("global", [True, 1]),
    ("wait", [True, 1]),
    ("killed", [True, False]),
])
def test_right(site, way, wanted):
    assert ask(site, way) == wanted
    if way == "global":
        assert ask(site, way) == wanted  # a state of its own each time


@pytest.mark.parametrize("way, words", [
    ("err", "oh"), ("errtable", "table"), ("syntax", "unexpected symbol"), ("endless", "longer than"),
    ("endless2", "longer than"), ("memory", "not enough memory"), ("gc", "__gc is not available"),
    ("badresult", "result 1 of the work: a function cannot be copied"), ("cyclic", "nested too deep"),
])
def test_failures_are_results(site, way, words):
    ok, value, why = ask(site, way)
    assert ok is True and value == "nil" and words in why


def test_no_binary_chunks(site):
    assert "nil" in ask(site, "binary")


@pytest.mark.parametrize("way, words", [
    ("up", "from outside of it"), ("cfunction", "a function of Lua"), ("number", "a function of Lua"),
    ("option", "did you mean timeout"), ("badarg", "function cannot be copied"), ("cycarg", "holds itself"),
    ("sort", "cannot wait here"),
])
def test_mistakes_raise(site, way, words):
    ok, why = ask(site, way)
    assert ok is False and words in why


def test_many_at_once(site):
    assert site.get("/many").body == b"210"


def test_others_go_on(site):
    wire = site.connect()
    wire.send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
    began = time.monotonic()
    assert site.get("/quick").body == b"quick"
    assert time.monotonic() - began < 0.25
    wire.close()
    site.wires.remove(wire)


def test_end_while_at_work(tmp_path):
    with Script(tmp_path, 'medusa.spawn(function() medusa.work("while true do end") end)\n') as script:
        script.reload()
