"""Units that a script adds, reloads and removes."""

from script import Script

MAIN = """
medusa.http.server { listen = "127.0.0.1:0", routes = {
  ["/add"] = function(req) return {json = {medusa.unit.add("second", DIR .. "/second.lua")}} end,
  ["/reload"] = function(req) return {json = {medusa.unit.reload("second")}} end,
  ["/self"] = function(req) return {json = {medusa.unit.reload()}} end,
  ["/remove"] = function(req) medusa.unit.remove "second" return "gone" end,
  ["/suicide"] = function(req) medusa.unit.remove "main" return "gone" end,
  ["/list"] = function(req) return {json = medusa.unit.list()} end,
} }
"""
SECOND = 'medusa.http.server { listen = "unix:" .. DIR .. "/sock", routes = { ["/"] = function() return "second" end } }'


def test_add_reload_remove(tmp_path):
    where = f'DIR = "{tmp_path}"\n'
    second = tmp_path / "second.lua"
    second.write_text(where + SECOND)
    address = f"unix:{tmp_path}/sock"
    with Script(tmp_path, where + MAIN) as script:
        assert script.get("/add").body == b"[true]"
        wire = Script.__mro__[1].connect(script, address)
        assert wire.get("/").body == b"second"
        assert b"already" in script.get("/add").body
        second.write_text(where + SECOND.replace('"second"', '"changed"'))
        assert script.get("/reload").body == b"[true]"
        assert wire.get("/").body == b"changed"
        second.write_text("nonsense")
        assert b"syntax error" in script.get("/reload").body
        assert wire.get("/").body == b"changed"
        assert script.get("/self").body == b"[true]"
        assert b'"second"' in script.get("/list").body
        assert script.get("/remove").body == b"gone"
        assert wire.has_ended()
        assert b'"second"' not in script.get("/list").body
        assert b"no unit" in (script.get("/reload"), script.wait_log("there is no unit second"))[1].group(0).encode()


def test_a_unit_that_does_not_load_is_not_there(tmp_path):
    (tmp_path / "second.lua").write_text("error 'no'")
    with Script(tmp_path, f'DIR = "{tmp_path}"\n' + MAIN) as script:
        assert b"no" in script.get("/add").body
        assert b'"second"' not in script.get("/list").body


def test_a_unit_may_remove_itself(tmp_path):
    with Script(tmp_path, f'DIR = "{tmp_path}"\n' + MAIN) as script:
        wire = script.connect()
        assert wire.get("/suicide").body == b"gone"
        assert wire.has_ended()
