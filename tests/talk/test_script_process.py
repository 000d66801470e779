"""The process that a script describes: its settings, status, memory, end; and the help about scripts."""

import os
import pwd
import re
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from medusa import BINARY, ROOT, plant, until
from script import Script, refused

SERVER = """
medusa.http.server {
  listen = "127.0.0.1:0", %s
  routes = {
    ["/"] = function(req) return "hello\\n" end,
    ["/none"] = function() return 404 end,
    ["/slow"] = function(req) medusa.sleep(0.5) return "slow\\n" end,
    ["/long"] = function(req) medusa.sleep("1h") return "long\\n" end,
    ["/body"] = function(req) return {body = req:body()} end,
  }
}
"""
TCP = 'medusa.tcp.server{listen = "127.0.0.1:0", handle = function(conn) for l in conn:lines() do conn:write(l, "\\n") end end}\n'


def site(options="", before=""):
    return before + "\n" + SERVER % (options + "," if options else "")


# ---- the end ----


@pytest.mark.parametrize("signo", [signal.SIGTERM, signal.SIGINT])
def test_requests_in_flight_are_answered(tmp_path, signo):
    with Script(tmp_path, site() + TCP) as script:
        idle, busy, line = script.connect(), script.connect(), script.connect(2)
        assert idle.get("/").body == b"hello\n"
        line.send("a\n")
        assert line.line() == "a"
        busy.ask("/slow")
        until(lambda: script.status()["accepted"] == 3)
        script.signal(signo)
        script.wait_log(r"no new connections; 3 open ones end when their requests are answered \[drain.begin\]")
        assert idle.has_ended()
        assert busy.answer().body == b"slow\n"
        line.send("b\n").half_close()
        assert line.line() == "b" and line.has_ended()
        script.wait_end(10)


def test_the_drain_has_a_limit(tmp_path):
    with Script(tmp_path, site(before='medusa.drain_timeout("200ms")')) as script:
        wire = script.connect().ask("/long")
        until(lambda: script.status()["open"] == 1)
        script.signal(signal.SIGTERM)
        script.wait_log(r"1 connections did not end in time and are closed \[drain.timeout\]")
        script.wait_end(10)
        assert wire.has_ended()


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_asked_twice_it_ends_at_once(tmp_path, second):
    with Script(tmp_path, site(before="medusa.drain_timeout('1h')")) as script:
        wire = script.connect().ask("/long")
        until(lambda: script.status()["open"] == 1)
        script.signal(signal.SIGTERM)
        script.wait_log("no new connections")
        script.signal(second)
        script.wait_end(10)
        assert wire.has_ended()


def test_no_load_takes_effect_while_it_ends(tmp_path):
    with Script(tmp_path, site()) as script:
        wire = script.connect().ask("/slow")
        until(lambda: script.status()["open"] == 1)
        script.signal(signal.SIGTERM)
        script.wait_log("no new connections")
        script.signal(signal.SIGHUP)
        assert wire.answer().body == b"slow\n"
        script.wait_end(10)


# ---- the user ----


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_the_user_of_the_first_load_holds():
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        path = Path(name)
        with Script(path, site(before='medusa.user("nobody")')) as script:
            uids = re.search(r"Uid:\s+(.*)", Path(f"/proc/{script.pid}/status").read_text())[1].split()
            assert set(uids) == {str(pwd.getpwnam("nobody").pw_uid)}
            assert "load.done" in script.reload(site(before='medusa.user("nobody")'))
            assert "user.late" not in script.log()
            assert "load.done" in script.reload(site(before='medusa.user("daemon")'))
            script.wait_log(r"holds from the next start on \[user.late\]")
            assert script.get("/").status == 200
        with Script(path, site()) as script:
            script.wait_log('warning: serving as root. Say medusa.user "www-data" in the script')


# ---- status ----


def test_status_of_all_servers(tmp_path):
    with Script(tmp_path, site() + TCP) as script:
        script.get("/")
        script.get("/none")
        line = script.connect(2)
        line.send("a\n")
        assert line.line() == "a"
        status = script.status()
        assert status["accepted"] == 3 and status["open"] == 1 and status["owners"]["script main"] > 10000
        http, tcp = script.addresses
        script.wait_log(r"connections: 1 open of \d+, 3 accepted; requests: 2 \(2xx 1, 3xx 0, 4xx 1, 5xx 0, malformed 0\)")
        script.wait_log(rf"http {re.escape(http)}: connections: 0 open of \d+, 2 accepted; requests: 2 ")
        script.wait_log(rf"tcp {re.escape(tcp)}: connections: 1 open of \d+, 1 accepted \[")
        script.wait_log(r"script main \(.*site.lua\): \d+ bytes of heap, .* 0 errors, 1 versions alive")
        script.wait_log(r"loop: \d+ turns")
        script.wait_log(r"session \d+ 127.0.0.1: waiting for input, in 2, out 2, ")


# ---- logs ----


def test_the_log_goes_to_a_file(tmp_path):
    log, other = tmp_path / "log", tmp_path / "other"
    with Script(tmp_path, site(before=f'medusa.log_file("{log}") print("loading")')) as script:
        script.signal(signal.SIGUSR2)
        until(lambda: log.exists() and "status.memory" in log.read_text(), "the report")
        assert "status.memory" not in script.log()
        log.rename(tmp_path / "log.1")
        script.signal(signal.SIGUSR1)
        until(log.exists, "the log's new file")
        script.path.write_text(site(before=f'medusa.log_file("{other}")'))
        script.signal(signal.SIGHUP)
        until(lambda: other.exists() and "load.done" in other.read_text(), "the other log")
        script.path.write_text(site())
        script.signal(signal.SIGHUP)
        script.wait_log("load.done")


def test_a_log_that_cannot_be_opened(tmp_path):
    said = refused(tmp_path, site(before=f'medusa.log_file("{tmp_path}/none/log")'))
    assert "medusa.log_file" in said and "No such file" in said
    said = refused(tmp_path, site(before=f'medusa.access_log("{tmp_path}/none/log")'))
    assert "medusa.access_log" in said and "No such file" in said


def test_access_logs_follow_reloads(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    with Script(tmp_path, site()) as script:
        wire = script.connect()
        wire.get("/")
        assert "load.done" in script.reload(site(before=f'medusa.access_log("{one}")'))
        wire.get("/?1")
        until(lambda: one.read_text().count("\n") == 1, "a line")
        assert "load.done" in script.reload(site(before=f'medusa.access_log("{one}", "json")'))
        wire.get("/?2")
        until(lambda: '"target":"/?2"' in one.read_text(), "a line in JSON")
        assert "load.done" in script.reload(site(before=f'medusa.access_log("{two}")'))
        wire.get("/?3")
        until(lambda: "/?3" in two.read_text(), "a line in the other log")
        assert "load.done" in script.reload(site())
        wire.get("/?4")
        assert one.read_text().count("\n") == 2 and two.read_text().count("\n") == 1


def test_a_load_that_fails_leaves_the_settings(tmp_path):
    log = tmp_path / "log"
    with Script(tmp_path, site(before=f'medusa.access_log("{log}")')) as script:
        taken = f'medusa.tcp.server{{listen = "127.0.0.1:{script.port()}", handle = function() end}}'
        other = site(before=f'medusa.access_log("{tmp_path}/other") medusa.log_file("{tmp_path}/errors") medusa.verbose()')
        assert "load.failed" in script.reload(other + taken)
        script.get("/?1")
        until(lambda: "/?1" in log.read_text(), "a line")
        assert (tmp_path / "other").read_text() == ""


def test_troubles_of_the_access_log_are_told_without_requests(tmp_path):
    with Script(tmp_path, site(before='medusa.access_log("/dev/full")')) as script:
        script.get("/")
        script.wait_log("No space left")


# ---- connections and memory ----


def test_most_connections(tmp_path):
    with Script(tmp_path, site() + TCP + "medusa.max_connections(2)") as script:
        first, second, third = (script.connect() for _ in range(3))
        assert first.get("/").status == second.get("/").status == 200
        third.ask("/")
        assert third.is_quiet()
        line = script.connect(2)
        line.send("a\n")
        assert line.line() == "a"
        first.close()
        assert third.answer().status == 200
        assert "load.done" in script.reload(site() + TCP)
        fourth = script.connect()
        assert fourth.get("/").status == 200
        assert "load.done" in script.reload(site("max_connections = 1") + TCP)
        assert second.get("/").status == 200
        assert script.connect().ask("/").is_quiet()


FILL = """
medusa.memory("10M")
local kept = {}
medusa.http.server {
  listen = "127.0.0.1:0",
  routes = {
    ["/"] = function() return "hello\\n" end,
    ["/fill/:blocks"] = function(req)
      for i = 1, tonumber(req.params.blocks) do
        kept[#kept + 1] = ("x"):rep(16000) .. #kept
        collectgarbage()
      end
      return "ok"
    end,
    ["/free/:time"] = function(req)
      medusa.after(req.params.time, function() kept = {} collectgarbage() end)
      return "ok"
    end,
  }
}
medusa.tcp.server{listen = "127.0.0.1:0", on_line = function(conn, line) conn:write(line, "\\n") end}
"""


def blocks_to(script, percent):
    return (10 * 1024 * 1024 * percent // 100 - script.status()["bytes"]) // 16100


def test_memory_pressure(tmp_path):
    with Script(tmp_path, FILL) as script:
        idle, talker = [script.connect() for _ in range(5)], script.connect(2)
        for wire in idle:
            assert wire.get("/").status == 200
        talker.send("a\n")
        assert talker.line() == "a"
        time.sleep(3.1)  # those that have only just come are spared
        assert script.get(f"/fill/{blocks_to(script, 80)}").status == 200
        assert idle[0].get("/").status == 200
        assert script.get(f"/fill/{blocks_to(script, 88)}").status == 200
        for wire in idle:
            assert wire.has_ended()
        assert talker.has_ended()
        assert script.get("/").status == 200
        worker = script.connect()
        assert worker.get("/free/2s").status == 200
        assert worker.get(f"/fill/{blocks_to(script, 95)}").status == 200
        script.wait_log("new connections wait")
        late = script.connect().ask("/")
        assert late.is_quiet(0.5)
        script.wait_log("memory is free again")
        assert late.answer().status == 200


def test_trees_give_first(tmp_path):
    names = [f"{i}.txt" for i in range(30)]
    plant(tmp_path / "public", {name: "x" * 30000 for name in names})
    text = FILL.replace('["/"] =', '["/files/"] = medusa.http.files("public"),\n["/"] =')
    with Script(tmp_path, text) as script:
        wire = script.connect()
        for name in names:
            assert len(wire.get(f"/files/{name}").body) == 30000

        def content():
            since = len(script.log())
            script.signal(signal.SIGUSR2)
            return int(script.wait_log(r"files of .*, (\d+) bytes of content", since)[1])

        assert content() == 900000
        assert script.get(f"/fill/{blocks_to(script, 72)}").status == 200
        assert content() == 900000
        assert script.get(f"/fill/{blocks_to(script, 77)}").status == 200
        assert content() < 600000
        assert wire.get("/files/0.txt").status == 200


def test_the_budget_follows_reloads(tmp_path):
    with Script(tmp_path, FILL) as script:
        assert script.get("/").status == 200
        assert "load.done" in script.reload(FILL.replace('"10M"', "0"))
        script.signal(signal.SIGUSR2)
        script.wait_log("budget 0, ")
        assert "load.done" in script.reload(FILL.replace('"10M"', '"20M"'))
        script.signal(signal.SIGUSR2)
        script.wait_log("budget 20971520, ")


# ---- limits of the script ----


def test_limits(tmp_path):
    code = """
    medusa.limits{heap = "2M", slice = 0.02, run = "100ms"}
    local big = pcall(string.rep, "x", 3 << 20)
    print("big", big)
    local ok, why = pcall(function() while true do end end)
    """
    said = refused(tmp_path, code)
    assert "too long" in said or "time" in said
    code = 'medusa.limits{heap = "2M"} print("big", (pcall(string.rep, "x", 3 << 20)))' + site()
    with Script(tmp_path, code) as script:
        script.wait_log("big.x09false")
        script.signal(signal.SIGUSR2)
        script.wait_log("limit 2097152;")
        assert "load.done" in script.reload(site())
        since = len(script.log())
        script.signal(signal.SIGUSR2)
        script.wait_log("limit 67108864;", since)


@pytest.mark.parametrize("code, words", [
    ("medusa.limits{heap = '1K'}", "heap must lie between"),
    ("medusa.limits{heep = '1M'}", "did you mean heap?"),
    ("medusa.limits{slice = '2s', run = '1s'}", "at least as long as slice"),
    ("local s = ('x'):rep(1 << 20) medusa.limits{heap = '512K'}", "holds .* bytes already"),
    ("medusa.limits(5)", "a table of options is expected"),
    ("medusa.memory('1M')", "at least"),
    ("medusa.memory('lots')", "a size is expected"),
    ("medusa.max_connections(-1)", "a size is expected|number"),
    ("medusa.max_connections(2000000)", "at most 1000000"),
    ("medusa.drain_timeout('2 days')", "a time is expected"),
    ("medusa.drain_timeout('48h')", "at most a day"),
    ("medusa.access_log('/tmp/x', 'xml')", "invalid option 'xml'"),
    ("medusa.user('')", "a name is expected"),
    ("medusa.user('nobody-of-this-name') " + SERVER % "", "no such user|only root"),
])
def test_settings_that_are_refused(tmp_path, code, words):
    assert re.search(words, refused(tmp_path, code))


def test_settings_are_said_while_loading(tmp_path):
    text = site('hosts = "a"').replace('"hello\\n"', 'select(2, pcall(medusa.memory, "9M")) .. select(2, pcall(medusa.limits, {}))')
    with Script(tmp_path, text) as script:
        said = script.get("/", host="a").body.decode()
        assert "medusa.memory is said while" in said and "medusa.limits is said while" in said


def test_other_units_cannot_set_the_process(tmp_path):
    other = tmp_path / "other.lua"
    other.write_text("medusa.verbose()")
    code = f"local ok, why = medusa.unit.add('other', '{other}') print(why)\n"
    with Script(tmp_path, code + site()) as script:
        script.wait_log("medusa.verbose: the main script says that")
    other.write_text("print('there')")
    with Script(tmp_path, "medusa.memory('9M')" + code + site()) as script:
        script.wait_log("there")
        script.signal(signal.SIGUSR2)
        script.wait_log("budget 9437184, ")


# ---- settings of HTTP servers ----


def test_hosts(tmp_path):
    with Script(tmp_path, site('hosts = {"example.org", "www.example.org."}')) as script:
        for host in ("example.org", "EXAMPLE.org:80", "www.example.org", "example.org."):
            assert script.get("/", host=host).status == 200
        assert script.get("/", host="example.com").status == 421
        assert "load.done" in script.reload(site('hosts = "example.com"'))
        assert script.get("/", host="example.com").status == 200
        assert script.get("/", host="example.org").status == 421


def test_error_pages(tmp_path):
    pages = plant(tmp_path / "pages", {"404.html": "<p>not here", "405.html": "<p>no"})
    with Script(tmp_path, site(f'error_pages = "{pages}"')) as script:
        wire = script.connect()
        for _ in range(2):
            assert wire.get("/none", "Accept: text/html").body == b"<p>not here"
        plant(pages, {"404.html": "<p>gone"})
        assert "load.done" in script.reload()
        assert wire.get("/none", "Accept: text/html").body == b"<p>gone"
        assert "load.done" in script.reload(site())
        assert b"Start page" in wire.get("/none", "Accept: text/html").body


def test_permissions_of_a_unix_socket(tmp_path):
    text = site('unix_mode = "0600"').replace("127.0.0.1:0", f"unix:{tmp_path}/s")
    with Script(tmp_path, text + TCP.replace("127.0.0.1:0", f"unix:{tmp_path}/t")) as script:
        assert os.stat(tmp_path / "s").st_mode & 0o777 == 0o600
        assert os.stat(tmp_path / "t").st_mode & 0o777 == 0o666
        assert script.get("/").status == 200


def test_sizes(tmp_path):
    with Script(tmp_path, site("max_target = 64, max_header = '1K', max_fields = 5, max_body = 10, max_requests = 2")) as script:
        assert script.get("/" + "a" * 80).status == 414
        assert script.get("/", "X: " + "a" * 1024).status == 431
        assert script.get("/", *["X: 1"] * 5).status == 431
        assert script.get("/body", "Content-Length: 11", method="POST", body=b"01234567890").status == 413
        wire = script.connect()
        assert wire.get("/").status == 200 and wire.get("/").get("Connection") == "close" and wire.has_ended()


def test_times(tmp_path):
    with Script(tmp_path, site("keepalive = 0.2, header_timeout = 0.4, rate_window = 1, min_rate = 1000, linger = 0.1")) as script:
        wire = script.connect()
        assert wire.get("/").status == 200 and wire.has_ended()
        assert script.connect().send("GET / HTTP/1.1\r\n").answer().status == 408
        slow = script.connect().ask("/body", "Content-Length: 5000", method="POST", body=b"a")
        assert slow.answer().status == 408


@pytest.mark.parametrize("option, words", [
    ("hosts = {}", "nobody would be answered"),
    ("hosts = 5", "a name or a list of names is expected, not number"),
    ("hosts = {'http://example.org'}", "is not the name of a host"),
    ("hosts = {'example.org:80'}", "is not the name of a host"),
    ("error_pages = '/nowhere/at/all'", "cannot be read: No such file"),
    ("error_pages = '/dev'", "holds none"),
    ("error_pages = true", "the path of a directory is expected"),
    ("unix_mode = '9'", "octal"),
    ("unix_mode = 0x180", "octal"),
    ("unix_mode = '1777'", "octal"),
    ("linger = '2m'", "linger must lie between 0 and 60000"),
    ("rate_window = 0.5", "rate_window must lie between"),
    ("max_header = 100", "max_header must lie between 512 and 1048576"),
    ("keepalives = 1", "did you mean keepalive?"),
])
def test_options_that_are_refused(tmp_path, option, words):
    assert words in refused(tmp_path, site(option))


# ---- help ----


def help_lua(*words):
    return subprocess.run([BINARY, "help", "lua", *words], capture_output=True, text=True, timeout=30)


def test_help_lists_everything():
    done = help_lua()
    assert done.returncode == 0 and done.stderr == ""
    for name in ("medusa.sleep(time)", "medusa.http.server{", "conn:read_line([max])", "req:body()", "req.path"):
        assert f"  {name}" in done.stdout
    assert max(len(line) for line in done.stdout.splitlines()) < 120
    assert "medusa run SCRIPT" in subprocess.run([BINARY, "help"], capture_output=True, text=True).stdout


def test_help_of_one():
    said = help_lua("medusa.sleep").stdout
    assert said.startswith("medusa.sleep(time)\n") and "It waits" in said
    assert help_lua("sleep").stdout == said and help_lua("medusa.sleep()").stdout == said
    said = help_lua("medusa.http.server").stdout
    assert "  Options:" in said and re.search(r"^    keepalive +time +how long", said, re.M)
    assert "conn:read_line" in help_lua("conn:read_line").stdout
    said = help_lua("req").stdout
    assert "req:body" in said and "medusa.sleep" not in said
    said = help_lua("medusa.http").stdout
    assert "medusa.http.server" in said and "medusa.tcp" not in said


@pytest.mark.parametrize("typed, meant", [
    ("medusa.slep", "medusa.sleep"), ("conn:readline", "conn:read_line"), ("medusa.htpp", "medusa.http"), ("spwan", "spawn"),
])
def test_help_of_a_misspelt_name(typed, meant):
    done = help_lua(typed)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr == f"medusa help lua: there is no {typed}: did you mean {meant}?\n"
    assert "lists all" in help_lua("xxxxxxxxxxxxxxxxxx").stderr


def test_the_reference_is_what_the_program_prints():
    assert (ROOT / "docs" / "lua-api.md").read_text() == help_lua("--markdown").stdout, \
        "docs/lua-api.md is old: build/medusa help lua --markdown >docs/lua-api.md"


def test_everything_is_described(tmp_path):
    """What stands in the table medusa is in the reference, and the other way round."""
    code = """
    local function walk(t, name)
      for key, value in pairs(t) do
        if type(value) == "table" then walk(value, name .. "." .. key)
        else print("has " .. name .. "." .. key) end
      end
    end
    walk(medusa, "medusa")
    """
    with Script(tmp_path, code + site()) as script:
        script.stop()
        has = set(re.findall(r"has (medusa\.[\w.]+)", script.log()))
    described = set(re.findall(r"^### (medusa\.[\w.]+)$", help_lua("--markdown").stdout, re.M))
    assert has <= described
    look = "".join(f"if {name} == nil then print('lacks {name}') end\n" for name in sorted(described - has))
    with Script(tmp_path, look + site()) as script:  # what is there only when it is asked for
        script.stop()
        assert "lacks" not in script.log()
