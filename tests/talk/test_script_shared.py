"""medusa.shared: values, lists, time to live, channels, the journal."""

import json
import threading

import pytest
from medusa import until
from script import Script, refused

EVAL = """
local function run(req)
  local chunk, why = load(req:body(), "=eval")
  if not chunk then return {json = {"syntax", why}} end
  local t = table.pack(pcall(chunk))
  for i = 1, t.n do
    if t[i] == nil then t[i] = medusa.json.null end
    if t[i] == math.huge then t[i] = "huge" end
  end
  return {json = medusa.json.array(t.n and (function() t.n = nil return t end)())}
end
medusa.http.server { listen = "127.0.0.1:0", routes = { ["/"] = {POST = run} } }
s = medusa.shared
"""


def lua(script, text, n=1):
    """What the text returns; its error as an exception."""
    answer = script.get("/", f"Content-Length: {len(text.encode())}", method="POST", body=text.encode(), n=n)
    assert answer.status == 200, answer
    ok, *values = json.loads(answer.body)
    if ok is not True:
        raise RuntimeError(values[0])
    return values


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    with Script(tmp_path_factory.mktemp("shared"), EVAL) as script:
        yield script


@pytest.fixture(autouse=True)
def cleared(request):
    if "shared" in request.fixturenames:
        lua(request.getfixturevalue("shared"), 's.clear ""')


@pytest.mark.parametrize("text, expected", [
    ('return s.get "none"', [None]),
    ('return s.set("k", "v"), s.get "k", s.exists "k"', [True, "v", True]),
    ('s.set("k", 7) return math.type(s.get "k"), s.get "k"', ["integer", 7]),
    ('s.set("k", 7.0) return math.type(s.get "k"), s.get "k"', ["float", 7.0]),
    ('s.set("k", false) return s.get "k", s.exists "k"', [False, True]),
    ('s.set("k", math.mininteger) return s.get "k" == math.mininteger', [True]),
    ('s.set("k", 0/0) local v = s.get "k" return v ~= v', [True]),
    ('s.set("k", 1) return s.set("k", nil), s.exists "k"', [True, False]),
    ('s.set("k", medusa.json.null) return s.get "k" == medusa.json.null', [True]),
    ('return s.set("k", 1, {only_if = "present"}), s.set("k", 1, {only_if = "absent"}), s.set("k", 2, {only_if = "absent"}), '
     's.set("k", 3, {only_if = "present"}), s.get "k"', [False, True, False, True, 3]),
    ('return s.delete "k", s.set("k", 1), s.delete "k"', [False, True, True]),
    ('return s.incr "k", s.incr("k", 4), s.incr("k", -10), s.incr("k", nil)', [1, 5, -5, -4]),
    ('return s.incr("k", 0.5), s.incr "k"', [0.5, 1.5]),
    ('s.set("k", math.maxinteger) return s.incr "k"', [None, "the result would be out of range"]),
    ('s.set("k", 1e308) return s.incr("k", 1e308)', [None, "the result would be out of range"]),
    ('s.set("k", "x") return s.incr "k"', [None, "this key does not hold a number"]),
    ('return s.swap("k", nil, 1), s.swap("k", nil, 2), s.swap("k", 1, 2), s.get "k", s.swap("k", 2, nil), s.exists "k"',
     [True, False, True, 2, True, False]),
    ('s.set("k", 1) return s.swap("k", 1.0, 2), s.swap("k", "1", 2)', [False, False]),
    ('s.set("k", {a = 1, b = {2, 3}, c = "x"}) return s.swap("k", {c = "x", b = {2, 3}, a = 1}, true)', [True]),
    ('s.set("k", {a = 1}) return s.swap("k", {a = 2}, true)', [False]),
    ('return s.ttl "k", s.expire("k", 5), s.persist "k"', [None, False, False]),
    ('s.set("k", 1, {ttl = 100}) local a = s.ttl "k" return a > 99 and a <= 100, s.persist "k", s.ttl "k"', [True, True, "huge"]),
    ('s.set("k", 1) return s.expire("k", "2m"), s.ttl "k" > 119, s.expire("k", 0), s.exists "k"', [True, True, True, False]),
    ('s.set("k", 1, {ttl = "20ms"}) s.set("l", 1, {ttl = "1h"}) medusa.sleep(0.06) return s.get "k", s.get "l"', [None, 1]),
    ('s.set("k", 1, {ttl = "20ms"}) s.incr "k" s.set("k", 5) medusa.sleep(0.05) return s.get "k"', [5]),
    # lists
    ('return s.push("l", "b"), s.push("l", "c", "right"), s.push("l", "a", "left"), s.length "l", s.range "l"',
     [1, 2, 3, 3, ["a", "b", "c"]]),
    ('for i = 1, 5 do s.push("l", i) end return s.index("l", 1), s.index("l", 5), s.index("l", -1), s.index("l", -5), '
     's.index("l", 6) == nil, s.index("l", -6) == nil', [1, 5, 5, 1, True, True]),
    ('for i = 1, 5 do s.push("l", i) end return s.range("l", 2, 3), s.range("l", -2), s.range("l", 4, 100), s.range("l", -100, 1)',
     [[2, 3], [4, 5], [4, 5], [1]]),
    ('for i = 1, 5 do s.push("l", i) end return #s.range("l", 4, 2), #s.range("l", 9)', [0, 0]),
    ('for i = 1, 5 do s.push("l", i) end return s.trim("l", 2, -2), s.range "l", s.trim("none", 1), s.trim("l", 3), s.range "l"',
     [True, [2, 3, 4], False, True, [4]]),
    ('s.push("l", 1) s.push("l", 2) s.push("l", 3) return s.pop "l", s.pop("l", "right"), s.pop "l", s.pop "l", s.exists "l"',
     [1, 3, 2, None, False]),
    ('s.push("l", {x = {1, {}}}) return s.pop "l"', [{"x": [1, {}]}]),
    ('s.push("l", 1) return s.get "l"', [None, "this key holds a list: ask by medusa.shared.range or index"]),
    ('s.push("l", 1) return s.incr "l"', [None, "this key does not hold a number"]),
    ('s.push("l", 1) return s.swap("l", 1, 2)', [None, "this key holds another kind of value"]),
    ('s.set("k", 1) return s.push("k", 1)', [None, "this key holds another kind of value"]),
    ('s.set("k", 1) return s.length "k"', [None, "this key holds another kind of value"]),
    ('return s.length "none", s.range "none", s.pop "none"', [0, {}, None]),
    # keys
    ('for _, k in ipairs {"b:1", "a:2", "a:1", "c"} do s.set(k, 1) end local t = {} for k in s.keys() do t[#t + 1] = k end '
     'return t, s.count()', [["a:1", "a:2", "b:1", "c"], 4]),
    ('for i = 1, 9 do s.set("a:" .. i, i) end local n = 0 for k in s.keys "a:" do n = n + 1 s.delete(k) s.delete "a:5" s.set("b", 1) end '
     'return n, s.count()', [8, 1]),
    ('for i = 1, 9 do s.set("a:" .. i, i) end s.set("b", 1) return s.clear "a:", s.clear "a:", s.count(), s.clear ""', [9, 0, 1, 1]),
    ('s.set("", "empty") return s.get "", s.count()', ["empty", 1]),
])
def test_functions(shared, text, expected):
    got = lua(shared, text)
    assert got == expected[: len(got)] and len(got) <= len(expected), got
    assert len(got) == len(expected)


@pytest.mark.parametrize("text, why", [
    ("s.get()", "string expected"),
    ("s.get {}", "string expected"),
    ('s.set("k")', "value expected"),
    ('s.set("k", print)', "a function cannot be shared"),
    ('s.set("k", {print})', "a function cannot be shared"),
    ('s.set("k", {[{}] = coroutine.create(print)})', "a thread cannot be shared"),
    ('local t = {} t.t = t s.set("k", t)', "nested more than 100 deep"),
    ('s.set("k", 1, {tll = 3})', "did you mean ttl"),
    ('s.set("k", 1, {ttl = 0})', "ttl must lie between"),
    ('s.set("k", 1, {ttl = -1})', "a time"),
    ('s.set("k", 1, {only_if = "never"})', "invalid option 'never'"),
    ('s.set("k", nil, {ttl = 1})', "nil deletes the key"),
    ('s.incr("k", "x")', "a number is expected"),
    ('s.expire("k")', "a time is expected"),
    ('s.expire("k", 0/0)', "a time is expected"),
    ('s.push("k", nil)', "nil cannot be in a list"),
    ('s.push("k", 1, "up")', "invalid option 'up'"),
    ('s.pop("k", 1)', "invalid option"),
    ('s.index("k", 0)', "places count from 1"),
    ('s.index("k")', "number expected"),
    ('s.range("k", 0)', "places count from 1"),
    ('s.clear()', "string expected"),
    ('s.limit(1)', "while the script is loaded"),
    ('s.journal {path = "x"}', "while the script is loaded"),
    ('s.publish("c")', "cannot be nil"),
    ('s.publish("c", print)', "a function cannot be shared"),
    ('s.subscribe("c")', "function expected"),
    ('s.subscribe("", print)', "1 to 255 bytes"),
    ('s.subscribe(("x"):rep(256), print)', "1 to 255 bytes"),
    ('s.subscribe("c", print, {queue = 0})', "queue must lie between"),
    ('s.listen("c", {queu = 1})', "did you mean queue"),
    ('s.listen "wrong".next()', "subscription expected"),
    ('s.listen "wrong":next "x"', "a time is expected"),
    ('s.subscribe("wrong", print):next()', "medusa.shared.listen"),
])
def test_wrong_arguments(shared, text, why):
    with pytest.raises(RuntimeError, match=why):
        lua(shared, text)
    assert lua(shared, "return s.count()") == [0]


def test_hostile_keys_and_values(shared):
    lua(shared, r"""
      for _, k in ipairs {"\0", "a\0b", "\xff\xfe", ("k"):rep(1024), "*", " ", "\r\n"} do
        assert(s.set(k, k) and s.get(k) == k)
        assert(s.set(k, {[k] = {k, k}}) and s.get(k)[k][2] == k)
      end
      local n = 0
      for k in s.keys() do n = n + 1 end
      assert(n == 7)""")
    assert lua(shared, 'return s.set(("k"):rep(1025), 1)')[0] is None
    assert lua(shared, 'return s.get(("k"):rep(1025))') == [None]
    assert lua(shared, 'local v = ("x"):rep(16 << 20) return s.set("big", v), s.get "big" == v, s.set("big", v .. "y")')[:3] == [True, True, None]
    assert lua(shared, 'local v = ("x"):rep(9 << 20) return s.set("big", {v, v})')[0] is None
    assert lua(shared, 's.delete "big" local t = {} for i = 1, 100000 do t["key" .. i] = i end '
               's.set("t", t) local u = s.get "t" for k, v in pairs(t) do assert(u[k] == v) end return s.swap("t", t, nil)') == [True]
    assert lua(shared, 'local deep = {} local t = deep for i = 1, 99 do t[1] = {} t = t[1] end s.set("d", deep) '
               'local n, u = 0, s.get "d" while u do n = n + 1 u = u[1] end return n') == [100]


def test_tables_are_copies(shared):
    assert lua(shared, 'local t = {1, {2}} s.set("k", t) t[2][1] = 3 local u = s.get "k" u[1] = 9 local v = s.get "k" return v') == [[1, [2]]]
    assert lua(shared, 's.set("k", {a = medusa.json.array {}, b = {}, c = medusa.json.null}) return s.get "k"') == [{"a": [], "b": {}, "c": None}]
    assert lua(shared, 's.set("k", {1, nil, 3, [2.5] = 4, [-1] = 5, [true] = 6}) local t = s.get "k" '
               'return t[1], t[3], t[2.5], t[-1], t[true]') == [1, 3, 4, 5, 6]


def test_from_many_connections_at_once(shared):
    def work():
        for _ in range(20):
            lua(shared, 's.incr "n" medusa.sleep(0.001) s.push("l", s.incr "m")')

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lua(shared, 'return s.get "n", s.get "m", s.length "l"') == [160, 160, 160]


def test_limit(tmp_path):
    with Script(tmp_path, EVAL + 's.limit "1M"') as script:
        lua(script, 'for i = 1, 100 do local ok, why = s.set("k" .. i, ("x"):rep(20000)) if not ok then REASON = why break end end')
        assert "limit" in lua(script, "return REASON")[0]
        assert lua(script, 's.delete "k1" return s.set("k1", "x")') == [True]
        assert "load.done" in script.reload(EVAL + 's.limit "2M"')
        assert lua(script, 'return s.set("more", ("x"):rep(500000)), s.exists "k2"') == [True, True]
        assert "load.failed" in script.reload(EVAL + 's.limit "9M" error "no"')
        assert "limit" in lua(script, 'return s.set("most", ("x"):rep(1500000))')[1]


def test_data_and_code_over_reloads(tmp_path):
    with Script(tmp_path, EVAL + "function f() return 1 end") as script:
        lua(script, 's.set("k", {1}) s.push("l", 1)')
        for i in range(5):
            assert "load.done" in script.reload(EVAL + f"function f() return {i} end")
            assert lua(script, 'return f(), s.get "k", s.push("l", f())') == [i, [1], i + 2]


# ---- Channels ----


def test_listen(shared):
    assert lua(shared, """
      local sub = s.listen "c"
      local n = s.publish("c", {1, "x"})
      s.publish("c", false) s.publish("d", 1)
      local a, c = sub:next()
      local b = sub:next(1)
      local x, why = sub:next(0.02)
      local y, why2 = sub:next(0)
      sub:cancel()
      local z, why3 = sub:next()
      return n, a, c, b, why, why2, why3, sub:is_open(), s.publish("c", 1)""") == \
        [1, [1, "x"], "c", False, "timeout", "timeout", "closed", False, 0]


def test_listen_waits_and_iterates(shared):
    assert lua(shared, """
      local got = {}
      local sub <close> = s.listen("room:*", {queue = 10})
      medusa.spawn(function()
        for i = 1, 3 do medusa.sleep(0.005) s.publish("room:" .. i, i) end
        medusa.sleep(0.005) sub:cancel()
      end)
      for m, channel in sub:messages() do got[#got + 1] = channel .. "=" .. m end
      return got""") == [["room:1=1", "room:2=2", "room:3=3"]]
    assert lua(shared, 'do local sub <close> = s.listen "x" end return s.publish("x", 1)') == [0]
    assert lua(shared, 'do local sub = s.listen "x" end collectgarbage() collectgarbage() return s.publish("x", 1)') == [0]


def test_two_tasks_cannot_wait_for_one(shared):
    with pytest.raises(RuntimeError, match="another task is waiting"):
        lua(shared, 'local sub <close> = s.listen "x" medusa.spawn(function() sub:next(1) end) medusa.sleep(0.01) sub:next(1)')


def test_killed_while_waiting(shared):
    assert lua(shared, """
      local sub = s.listen "x"
      local t = medusa.spawn(function() sub:next() end)
      medusa.sleep(0.01) t:cancel() medusa.sleep(0.01)
      s.publish("x", "later")
      return sub:next(1)""") == ["later", "x"]


def test_queue_drops_the_oldest(shared):
    assert lua(shared, """
      local sub = s.listen("q", {queue = 3})
      for i = 1, 5 do s.publish("q", i) end
      return sub:next(), sub:dropped(), (sub:next()), (sub:next()), (sub:next(0))""")[0::1] == [3, 2, 4, 5, None]
    shared.wait_log("too slow.*script.drop")
    assert lua(shared, """
      local sub = s.listen "q2"
      local big = ("x"):rep(1 << 20)
      for i = 1, 20 do assert(s.publish("q2", big) == 1) end
      local n = 0
      while sub:next(0) do n = n + 1 end
      return n, sub:dropped(), (select(2, s.publish("q2", big .. "y")))""") == [15, 5, "a message has at most 1 MiB"]


def test_function_in_order_one_at_a_time(shared):
    assert lua(shared, """
      local got, busy, most = {}, 0, 0
      local sub = s.subscribe("c", function(m)
        busy = busy + 1 most = math.max(most, busy)
        medusa.sleep(0.001 * (5 - m % 5)) got[#got + 1] = m
        busy = busy - 1
        if m == 7 then error "seven" end
      end)
      for i = 1, 20 do s.publish("c", i) end
      while #got < 20 do medusa.sleep(0.005) end
      for i = 1, 20 do assert(got[i] == i) end
      sub:cancel() sub:cancel()
      return most, s.publish("c", 1), sub:is_open()""") == [1, 0, False]
    shared.wait_log("eval:7: seven")


def test_cancel_within_its_function(shared):
    assert lua(shared, """
      local n, sub = 0
      sub = s.subscribe("c", function(m) n = n + 1 sub:cancel() medusa.sleep(0.001) n = n + 10 end)
      s.publish("c", 1) s.publish("c", 2)
      medusa.sleep(0.05)
      return n""") == [11]


def test_cancel_before_it_began(shared):
    assert lua(shared, """
      local n = 0
      for i = 1, 50 do
        local sub = s.subscribe("c", function() n = n + 1 end)
        s.publish("c", 1) sub:cancel()
      end
      collectgarbage() medusa.sleep(0.02)
      return n <= 50, s.publish("c", 1)""") == [True, 0]


def test_a_function_that_runs_too_long(shared):
    lua(shared, 'N = 0 SUB = s.subscribe("c", function(m) if m == 1 then while true do end end N = N + 1 end) s.publish("c", 1) s.publish("c", 2)')
    shared.wait_log("time is up")
    until(lambda: lua(shared, "return N") == [1])
    lua(shared, "SUB:cancel()")


def test_a_thousand_subscribers(shared):
    assert lua(shared, """
      local n, subs = 0, {}
      for i = 1, 1000 do subs[i] = s.subscribe("c", function(m) n = n + #m end) end
      local t = medusa.now()
      assert(s.publish("c", ("x"):rep(1000)) == 1000)
      while n < 1000000 do medusa.sleep(0.002) end
      for i = 1, 1000 do subs[i]:cancel() end
      return n, s.publish("c", "")""") == [1000000, 0]


def test_across_units_and_reloads(tmp_path):
    second = 'medusa.shared.subscribe("work", function(m) medusa.shared.push("done", m .. VERSION) end)'
    (tmp_path / "second.lua").write_text('VERSION = "a" ' + second)
    with Script(tmp_path, EVAL + f'DIR = "{tmp_path}"') as script:
        assert lua(script, 'return medusa.unit.add("second", DIR .. "/second.lua")') == [True]
        assert lua(script, 'return s.publish("work", "1")') == [1]
        until(lambda: lua(script, 'return s.length "done"') == [1])
        (tmp_path / "second.lua").write_text('VERSION = "b" ' + second)
        # What was published before the reload goes to the old code, what comes after to the new one.
        lua(script, 'for i = 1, 50 do s.publish("work", "x") end assert(medusa.unit.reload "second") assert(s.publish("work", "2") == 1)')
        until(lambda: lua(script, 'return s.length "done"') == [52])
        assert lua(script, 'return s.index("done", 1), s.get "none"') == ["1a", None]
        assert lua(script, 'local a, b = 0, 0 for _, v in ipairs(s.range "done") do if v == "xa" then a = a + 1 elseif v == "2b" then b = b + 1 end end return a, b') == [50, 1]
        (tmp_path / "second.lua").write_text('VERSION = "c" ' + second + ' medusa.shared.publish("work", "no") error "fails"')
        assert lua(script, 'return medusa.unit.reload "second"')[0] is None
        until(lambda: lua(script, 'return s.length "done"') == [53])
        assert lua(script, 'return s.index("done", -1)') == ["nob"]  # nobody but the version in charge
        lua(script, 'medusa.unit.remove "second"')
        until(lambda: lua(script, 'return s.publish("work", "3")') == [0])
        for i in range(3):  # a listener of the old version goes on
            wire = script.connect()
            text = f'assert(s.listen "go{i}":next() == 1) return "old"'
            wire.ask("/", f"Content-Length: {len(text)}", method="POST", body=text.encode())
            until(lambda: lua(script, f's.set("n", 0) return s.publish("go{i}x", 1)') == [0])
            assert "load.done" in script.reload()
            until(lambda: lua(script, f'return s.publish("go{i}", 1)') == [1])
            assert json.loads(wire.answer().body) == [True, "old"]


def test_ends_with_messages_and_listeners_waiting(tmp_path):
    with Script(tmp_path, EVAL + """
      s.subscribe("c", function(m) medusa.sleep(60) end)
      medusa.spawn(function() s.listen "c":next() end)
      medusa.after(0, function() for i = 1, 100 do s.publish("c", i) end end)
    """) as script:
        lua(script, "medusa.sleep(0.05)")
        assert "load.done" in script.reload()
        lua(script, "medusa.sleep(0.05)")


# ---- The journal ----


def test_journal_survives_a_kill(tmp_path):
    text = 'FOUND = medusa.shared.get "k"\n' + EVAL
    journal = 'medusa.shared.journal {path = "data.journal", prefixes = {"k", "l"}, interval = "1h"}\n'
    with Script(tmp_path, journal + text) as script:
        assert lua(script, "return s.sync()") == [True]
        lua(script, r's.set("k", {1, "\0\xff"}) s.push("l", 2.5) s.set("other", 1) s.set("k2", true, {ttl = 1000})')
        assert lua(script, "return s.sync()") == [True]
        lua(script, 's.set("k3", "not synced")')
        script.process.kill()
        script.process.wait()
        script.is_checked = True
    assert (tmp_path / "data.journal").exists()
    with Script(tmp_path, journal + text) as script:
        assert lua(script, r'return FOUND[2] == "\0\xff", s.index("l", 1), s.get "other", s.ttl "k2" > 900, s.exists "k3"') == \
            [True, 2.5, None, True, False]
        lua(script, 's.set("k", "at the end")')
        assert "load.done" in script.reload()
        assert "load.failed" in script.reload(journal.replace("data", "another") + text)
        script.wait_log("another journal already")
    with Script(tmp_path, journal + text) as script:  # a good end writes all
        assert lua(script, 'return s.get "k"') == ["at the end"]


def test_journal_mistakes(tmp_path):
    def why(text):
        return refused(tmp_path, text)

    assert "path of a file" in why("medusa.shared.journal {}")
    assert "did you mean path" in why('medusa.shared.journal {pth = "x"}')
    assert "a table of options" in why('medusa.shared.journal "x"')
    assert "list of texts" in why('medusa.shared.journal {path = "x", prefixes = "k"}')
    assert "at most 64" in why('local t = {} for i = 1, 65 do t[i] = "k" end medusa.shared.journal {path = "x", prefixes = t}')
    assert "keep nothing" in why('medusa.shared.journal {path = "x", prefixes = {}}')
    assert "before the first key" in why('medusa.shared.set("k", 1) medusa.shared.journal {path = "x"}')
    assert "cannot be opened" in why('medusa.shared.journal {path = "/nowhere/x"}')
    assert "1 to 1023" in why(r'medusa.shared.journal {path = "a\0b"}')
    (tmp_path / "nonsense").write_bytes(b"this is no journal at all, whatever it may be")
    assert "damaged at byte" in why('medusa.shared.journal {path = "nonsense"}')


def test_sync_without_a_journal(shared):
    assert lua(shared, "return s.sync()") == [None, "shared data has no journal (medusa.shared.journal)"]


def test_journal_of_another_process(tmp_path):
    with Script(tmp_path, EVAL + 's.journal {path = "j"}'):
        assert "in use by another process" in refused(tmp_path, 'medusa.shared.journal {path = "j"}')
