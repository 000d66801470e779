"""medusa.include and require: files beside the script."""

from pathlib import Path

import pytest
from script import Script, refused

FILES = {
    "lib": {
        "a.lua": "N = (N or 0) + 1 return {n = N, name = (...)}",
        "deep": {"init.lua": "return (...)"},
        "nothing.lua": "X = 1",
        "inc.lua": "COUNT = (COUNT or 0) + 1 return COUNT, 'two'",
        "waits.lua": "medusa.sleep(0.05) W = (W or 0) + 1 return W",
        "c1.lua": "return require 'lib.c2'", "c2.lua": "return require 'lib.c1'",
        "x1.lua": "medusa.sleep(0.05) return require 'lib.x2'", "x2.lua": "medusa.sleep(0.05) return require 'lib.x1'",
        "self.lua": "return require 'lib.self'",
        "bad.lua": "x = = 1", "err.lua": "#!/usr/bin/env medusa\nerror 'oh'", "binary.lua": b"\x1bLua\x54",
        "once.lua": "if not TRIED then TRIED = true error 'first' end return 'second'",
        "dir.lua": {},
    },
    "main.html": "<p>",
}


def run(tmp_path, text, files=FILES):
    """What the script's function returned, joined."""
    text = f"""
    local function join(...)
      local t = table.pack(...)
      for i = 1, t.n do t[i] = tostring(t[i]) end
      return table.concat(t, "|")
    end
    local function check() {text} end
    local early = join(check())
    medusa.http.server {{ listen = "127.0.0.1:0", routes = {{
      ["/early"] = function() return early end, ["/late"] = function() return join(check()) end }} }}
    """
    with Script(tmp_path, text, files=files) as script:
        return script.get("/early").body.decode(), script.get("/late").body.decode()


def test_once(tmp_path):
    assert run(tmp_path, "return require('lib.a').n, require 'lib.a' == require 'lib.a', require('lib.a').name") == \
        ("1|true|lib.a", "1|true|lib.a")


def test_directory_with_init(tmp_path):
    assert run(tmp_path, "return require 'lib.deep'")[0] == "lib.deep"


def test_nothing_returned(tmp_path):
    assert run(tmp_path, "return require 'lib.nothing', X")[0] == "true|1"


def test_include_each_time(tmp_path):
    assert run(tmp_path, "return medusa.include 'lib/inc.lua'") == ("1|two", "2|two")


def test_two_tasks_want_the_same(tmp_path):
    text = """
    local t, n = {}, 0
    for i = 1, 5 do t[i] = medusa.spawn(function() local w = require 'lib.waits' n = n + w end) end
    for i = 1, 5 do while t[i]:is_running() do medusa.sleep(0.005) end end
    return n"""
    assert run(tmp_path, text) == ("5", "5")


def test_a_killed_loader_leaves_nothing(tmp_path):
    text = """
    local t = medusa.spawn(function() require 'lib.waits' end)
    medusa.sleep(0.02) t:cancel()
    return require 'lib.waits'"""
    assert run(tmp_path, text)[0] == "1"


def test_again_after_an_error(tmp_path):
    assert run(tmp_path, "return pcall(require, 'lib.once')")[1] == "true|second"


@pytest.mark.parametrize("call, words", [
    ("require 'lib.c1'", "in a circle"), ("require 'lib.self'", "in a circle"),
    ("require 'nope'", "neither nope.lua nor nope/init.lua"), ("require 'lib.bad'", "lib/bad.lua:1: unexpected symbol"),
    ("require 'lib.err'", "lib/err.lua:2: oh"), ("require '../x'", "a module's name"), ("require '/etc/passwd'", "a module's name"),
    ("require '.a'", "a module's name"), ("require 'a..b'", "a module's name"), ("require 'a.'", "a module's name"),
    ("require ''", "a module's name"), ("require 'a\\0b'", "a module's name"), ("require(('x'):rep(2000))", "a module's name"),
    ("require()", "string expected"), ("require {}", "string expected"), ("require 'lib.binary'", "binary chunk"),
    ("require 'lib.dir'", "cannot be read"),
    ("medusa.include 'none.lua'", "none.lua cannot be read: No such file"),
    ("medusa.include 'lib'", "lib cannot be read"),
    ("medusa.include 'lib/bad.lua'", "lib/bad.lua:1: unexpected symbol"), ("medusa.include 'lib/err.lua'", "lib/err.lua:2: oh"),
    ("medusa.include '../x'", "below the script's own directory"), ("medusa.include 'lib/../../x'", "below the script's own directory"),
    ("medusa.include '/etc/passwd'", "below the script's own directory"), ("medusa.include ''", "below the script's own directory"),
    ("medusa.include 'a\\0b'", "below the script's own directory"), ("medusa.include()", "string expected"),
    ("medusa.include 'lib/binary.lua'", "binary chunk"),
    ("table.sort({2, 1}, function() require 'lib.a' end)", "cannot wait here"),
    ("dofile 'lib/a.lua'", "use medusa.include"),
])
def test_wrong(tmp_path, call, words):
    call = call.replace("'", '"')
    early, late = run(tmp_path, f"return pcall(function() return {call} end)")
    assert early.startswith("false|") and words in early, early
    assert late.startswith("false|") and words in late, late


def test_circle_of_two_tasks(tmp_path):
    text = """
    local whys = {}
    local a = medusa.spawn(function() whys[#whys + 1] = select(2, pcall(require, 'lib.x1')) end)
    local b = medusa.spawn(function() whys[#whys + 1] = select(2, pcall(require, 'lib.x2')) end)
    while a:is_running() or b:is_running() do medusa.sleep(0.01) end
    return table.concat(whys, "|")"""
    assert "in a circle" in run(tmp_path, text)[0]


def test_reload_runs_modules_again(tmp_path):
    text = "local v = require 'lib.v'\nmedusa.http.server {listen = '127.0.0.1:0', routes = {['/'] = function() return v end}}"
    with Script(tmp_path, text, files={"lib": {"v.lua": "return 'one'"}}) as script:
        assert script.get("/").body == b"one"
        Path(tmp_path, "lib/v.lua").write_text("return 'two'")
        assert "load.done" in script.reload()
        assert script.get("/").body == b"two"
        Path(tmp_path, "lib/v.lua").write_text("return = 1")
        assert "lib/v.lua:1:" in script.reload()
        assert script.get("/").body == b"two"


def test_a_bad_module_stops_the_start(tmp_path):
    (tmp_path / "m.lua").write_text("error 'not today'")
    assert "m.lua:1: not today" in refused(tmp_path, "require 'm'")
