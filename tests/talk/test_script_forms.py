"""Scripts: forms, with and without files, by curl and by hand."""

import json
import os
import re
import signal
import subprocess

import pytest
from medusa import until
from script import Script

FORMS = """
local dir, kept = %r, %r
local function show(fields, err)
  if not fields then return {status = 422, text = err} end
  local out = {}
  for name, value in pairs(fields) do
    local function one(value)
      if type(value) == "string" then return value end
      local digest
      return {filename = value.filename, type = value.type, size = value.size, content = value.content,
              path = value.path}
    end
    if type(value) == "table" then
      out[name] = {}
      for i, each in ipairs(value) do out[name][i] = one(each) end
    else
      out[name] = one(value)
    end
  end
  return {json = out}
end
medusa.http.server {
  listen = "127.0.0.1:0",
  max_body = "20M",
  min_rate = 0,
  routes = {
    ["/memory"] = function(req) return show(req:form()) end,
    ["/lists"] = function(req) return show(req:form{lists = true}) end,
    ["/small"] = function(req) return show(req:form{max = 100, max_parts = 3, max_files = 1, max_file = 50}) end,
    ["/disk"] = function(req) return show(req:form{uploads = dir, max_file = "4M", max_files = 3}) end,
    ["/nowhere"] = function(req) return show(req:form{uploads = dir .. "/nowhere"}) end,
    ["/keep"] = function(req)
      local form = assert(req:form{uploads = dir})
      assert(form.a:keep() == form.a.path)
      local again, why = form.a:keep()
      assert(again == nil and why:find("already"), why)
      return form.a.path
    end,
    ["/move"] = function(req)
      local form = assert(req:form{uploads = dir})
      local moved, why = form.a:move_to(kept .. "/missing/x")
      assert(moved == nil and why, "it was moved")
      assert(form.a:move_to(kept .. "/moved"))
      last = form
      return form.a.path
    end,
    ["/after"] = function(req) return select(2, last.a:move_to("x")) end,
    ["/wait"] = function(req)
      local form = assert(req:form{uploads = dir})
      kept_form = form
      medusa.sleep(tonumber(req.query.time))
      return "x"
    end,
    ["/late"] = function(req) local b = req:body() return show(req:form()) end,
    ["/wrong"] = function(req)
      local function why(...) return (select(2, pcall(req.form, req, ...))) end
      return {json = {why(1), why{upload = "x"}, why{uploads = 1}, why{uploads = ""}, why{max = 0}, why{max = "lots"}, why{lists = 1}}}
    end,
    ["/spawned"] = function(req)
      local result
      medusa.spawn(function() result = req:form() end)
      while not result do medusa.sleep(0.005) end
      return show(result)
    end,
    ["/abandoned"] = function(req)
      medusa.spawn(function() local f, why = req:form() medusa.log("abandoned: " .. tostring(why)) end)
      medusa.sleep(0.05)
      return "x"
    end,
    ["/other"] = function(req) return "other" end,
  }
}
"""

BOUNDARY = "----simple"


def lua_string(path):
    return json.dumps(str(path))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = tmp_path_factory.mktemp("forms")
    for name in ("uploads", "kept"):
        (place / name).mkdir()
    return place


@pytest.fixture(scope="module")
def script(place):
    text = FORMS.replace("%r", lua_string(place / "uploads"), 1).replace("%r", lua_string(place / "kept"), 1)
    with Script(place, text) as script:
        yield script


@pytest.fixture(autouse=True)
def nothing_is_left(place):
    yield
    until(lambda: not os.listdir(place / "uploads"), f"no file is left in {os.listdir(place / 'uploads')}")


def part(name, content, filename=None, kind=None, extra=()):
    content = content.encode() if isinstance(content, str) else content
    disposition = f'Content-Disposition: form-data; name="{name}"'
    if filename is not None:
        disposition += f'; filename="{filename}"'
    lines = [f"--{BOUNDARY}", disposition] + ([f"Content-Type: {kind}"] if kind else []) + list(extra)
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content + b"\r\n"


def multipart(*parts):
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def post(script, target, body, kind=f"multipart/form-data; boundary={BOUNDARY}", *lines):
    body = body.encode() if isinstance(body, str) else body
    answer = script.get(target, f"Content-Length: {len(body)}", f"Content-Type: {kind}", *lines, method="POST", body=body)
    if answer.status == 200 and answer.get("Content-Type") == "application/json":
        return json.loads(answer.body)
    return answer.status, answer.body.decode()


URLENCODED = "application/x-www-form-urlencoded"


def test_urlencoded(script):
    body = "a=1&b=x+y%21&a=2&c=%C3%A9&d&=e"
    assert post(script, "/memory", body, URLENCODED) == {"a": "2", "b": "x y!", "c": "é", "d": "", "": "e"}
    assert post(script, "/memory", body, URLENCODED.upper() + "; charset=utf-8")["c"] == "é"
    assert post(script, "/lists", body, URLENCODED)["a"] == ["1", "2"]
    assert post(script, "/memory", "", URLENCODED) == {}
    assert post(script, "/spawned", "a=1", URLENCODED) == {"a": "1"}


def test_urlencoded_limits(script):
    assert post(script, "/small", "a=" + "x" * 98, URLENCODED)["a"] == "x" * 98
    assert post(script, "/small", "a=" + "x" * 99, URLENCODED) == (422, "the form is too large: more than 100 bytes")
    assert post(script, "/small", "a&b&c&d", URLENCODED) == (422, "the form has more than 3 fields")
    wire = script.connect()
    chunks = b"64\r\n" + b"x" * 100 + b"\r\n" + b"1\r\nx\r\n0\r\n\r\n"
    wire.ask("/small", f"Content-Type: {URLENCODED}", "Transfer-Encoding: chunked", method="POST", body=chunks)
    assert wire.answer().body == b"the form is too large: more than 100 bytes"


def test_what_is_no_form(script):
    assert post(script, "/memory", "{}", "application/json") == (422, 'this is no form: its type is "application/json"')
    assert script.get("/memory").body == b'this is no form: its type is ""'
    assert post(script, "/memory", "a=1", "multipart/form-data")[0] == 422
    assert post(script, "/memory", "a=1", 'multipart/form-data; boundary=""')[0] == 422
    assert post(script, "/memory", "a=1", f"multipart/form-data; boundary={'x' * 71}")[0] == 422
    assert post(script, "/late", "a=1", URLENCODED)[0] == 500


def test_wrong_options(script):
    why = post(script, "/wrong", "a=1", URLENCODED)
    for text, wanted in zip(why, ["table of options", "did you mean uploads", "a directory is expected", "a directory is expected",
                                  "max must lie between", "max: a size", "lists: true or false"]):
        assert wanted in text, why
    assert len(why) == 7


def test_multipart_in_memory(script):
    body = multipart(part("a", "1"), part("b", "", "f.txt", "text/plain"), part("c", "x\r\n--" + BOUNDARY[:-1], "g"),
                     part("none", "", ""), part("a", "2"))
    got = post(script, "/memory", body)
    assert got == {"a": "2", "b": {"filename": "f.txt", "type": "text/plain", "size": 0, "content": ""},
                   "c": {"filename": "g", "type": "application/octet-stream", "size": len(BOUNDARY) + 4, "content": "x\r\n--" + BOUNDARY[:-1]}}
    assert post(script, "/lists", body)["a"] == ["1", "2"]
    assert post(script, "/spawned", body) == got


def test_multipart_limits(script):
    assert post(script, "/small", multipart(part("a", "x" * 99)))["a"] == "x" * 99
    assert post(script, "/small", multipart(part("a", "x" * 100))) == (422, "the form is too large: more than 100 bytes")
    assert post(script, "/small", multipart(part("a", "x" * 51, "f"))) == (422, "a file is too large: more than 50 bytes")
    assert post(script, "/small", multipart(part("a", "", "f"), part("b", "", "g"))) == (422, "the form has more than 1 files")
    assert post(script, "/small", multipart(*[part("a", "")] * 3)) == {"a": ""}
    assert post(script, "/small", multipart(*[part("a", "")] * 4))[0] == 422
    status, why = post(script, "/memory", multipart(part("a", "x", extra=["X-Long: " + "x" * 5000])))
    assert status == 422 and "malformed" in why
    status, why = post(script, "/memory", multipart(*[part(str(i), "") for i in range(1001)]))
    assert status == 422


def test_files_on_disk(script, place):
    data = os.urandom(3 << 20)
    got = post(script, "/disk", multipart(part("a", data, "../../etc/passwd", "x/y"), part("b", "small", "b"), part("t", "text"), part("no", "", "")))
    assert set(got) == {"a", "b", "t"} and got["t"] == "text"
    for name, size in (("a", len(data)), ("b", 5)):
        assert got[name]["size"] == size and "content" not in got[name]
        assert re.fullmatch(re.escape(str(place / "uploads")) + r"/\.upload-[0-9a-f]{32}", got[name]["path"])
    assert got["a"]["filename"] == "../../etc/passwd" and got["a"]["type"] == "x/y"


def test_limits_on_disk(script, place):
    assert post(script, "/disk", multipart(part("a", b"x" * (4 << 20), "f")))["a"]["size"] == 4 << 20
    assert post(script, "/disk", multipart(part("b", b"x", "g"), part("a", b"x" * ((4 << 20) + 1), "f"))) == (
        422, "a file is too large: more than 4194304 bytes")
    assert post(script, "/disk", multipart(*[part("a", "x", "f")] * 4)) == (422, "the form has more than 3 files")
    status, why = post(script, "/nowhere", multipart(part("a", "x", "f")))
    assert status == 422 and "cannot be written: No such file" in why


def test_files_that_stay(script, place):
    data = os.urandom(200000)
    answer = post(script, "/keep", multipart(part("a", data, "f")))
    assert answer[0] == 200
    with open(answer[1], "rb") as file:
        assert file.read() == data
        assert os.fstat(file.fileno()).st_mode & 0o777 == 0o600
    os.unlink(answer[1])
    assert post(script, "/move", multipart(part("a", data, "f"))) == (200, str(place / "kept/moved"))
    assert (place / "kept/moved").read_bytes() == data
    assert b"request is over" in script.get("/after").body


def test_cut_connections_leave_no_file(script, place):
    body = multipart(part("a", b"x" * 300000, "f"), part("t", "text"), part("b", b"y" * 1000, "g"))
    for cut in [0, 10, 100, 1000, 65536, 200000, 300150, 300300, len(body) - 1]:
        wire = script.connect()
        wire.ask("/disk", f"Content-Length: {len(body)}", f"Content-Type: multipart/form-data; boundary={BOUNDARY}", method="POST",
                 body=body[:cut])
        if cut > 100000:
            until(lambda: os.listdir(place / "uploads"), "a file")
        (wire.reset if cut % 2 else wire.close)()
        script.wires.remove(wire)
    until(lambda: not os.listdir(place / "uploads"), "no file")


def test_a_client_that_leaves_while_its_file_is_there(script, place):
    body = multipart(part("a", b"x" * 100000, "f"))
    wire = script.connect()
    wire.ask("/wait?time=0.3", f"Content-Length: {len(body)}", f"Content-Type: multipart/form-data; boundary={BOUNDARY}", method="POST", body=body)
    until(lambda: os.listdir(place / "uploads"), "a file")
    wire.close()
    script.wires.remove(wire)
    assert script.get("/other").body == b"other"


def test_every_cut(script):
    """The result does not depend on how it comes."""
    body = multipart(part("a", "1"), part("f", "x" * 30 + "\r\n", "f.txt"))
    want = post(script, "/memory", body)
    for step in (1, 7):
        wire = script.connect()
        wire.ask("/memory", f"Content-Length: {len(body)}", f"Content-Type: multipart/form-data; boundary={BOUNDARY}", method="POST")
        for at in range(0, len(body), step):
            wire.send(body[at:at + step])
        assert json.loads(wire.answer().body) == want


def test_hostile_forms(script, place):
    """Forms that end anywhere are refused, on the same connection, and leave nothing."""
    body = multipart(part("a", "1"), part("f", "x" * 20, "f.txt", "text/plain"), part("g", "y", "g"))
    end = len(body) - 2
    for target in ("/memory", "/disk"):
        wire = script.connect()
        for cut in range(0, end, 3):
            wire.ask(target, f"Content-Length: {cut}", f"Content-Type: multipart/form-data; boundary={BOUNDARY}", method="POST", body=body[:cut])
            answer = wire.answer()
            assert answer.status == 422 and b"malformed" in answer.body, cut
    for bad in [body.replace(b"simple", b"other"), b"junk" + body, body.replace(b"form-data", b"attachment"), body.replace(b'name="a"', b"x"),
                body.replace(b"\r\n\r\n", b"\r\n"), b"\0" * 1000, b"--" * 1000]:
        assert post(script, "/disk", bad)[0] == 422


def test_expect_continue(script):
    body = multipart(part("a", "1"))
    wire = script.connect()
    wire.ask("/memory", f"Content-Length: {len(body)}", f"Content-Type: multipart/form-data; boundary={BOUNDARY}", "Expect: 100-continue", method="POST")
    assert wire._head().status == 100
    wire.send(body)
    assert json.loads(wire.answer().body) == {"a": "1"}
    wire = script.connect()
    wire.ask("/memory", "Content-Length: 2000000", f"Content-Type: {URLENCODED}", "Expect: 100-continue", method="POST")
    answer = wire.answer()
    assert answer.status == 422 and not answer.interim


def test_a_task_that_reads_on_after_the_end(script):
    since = len(script.log())
    wire = script.connect()
    wire.ask("/abandoned", "Content-Length: 10", f"Content-Type: {URLENCODED}", method="POST", body=b"a=1")
    assert wire.answer().status == 200
    script.wait_log("abandoned: the client is gone", since)


def test_a_file_comes_no_faster_than_it_is_written(script):
    """While a large file is taken, others are answered, and no memory is filled."""
    data = b"z" * (4 << 20)
    body = multipart(part("a", data, "f"))
    wire = script.connect()
    wire.ask("/disk", f"Content-Length: {len(body)}", f"Content-Type: multipart/form-data; boundary={BOUNDARY}", method="POST")
    for at in range(0, len(body), 1 << 18):
        wire.send(body[at:at + (1 << 18)])
        assert script.get("/other").body == b"other"
    assert json.loads(wire.answer().body)["a"]["size"] == len(data)
    since = len(script.log())
    script.signal(signal.SIGUSR2)
    assert int(script.wait_log(r"memory of script main: (\d+) bytes, at most (\d+)", since)[2]) < 4 << 20


def test_curl(script, place, tmp_path):
    data = os.urandom(500000)
    (tmp_path / "one file.bin").write_bytes(data)
    (tmp_path / "two.txt").write_text("two\n")
    url = f"http://127.0.0.1:{script.port()}"
    run = ["curl", "-sS", "--max-time", "20"]
    done = subprocess.run(run + ["-F", "t=some text;type=text/plain", "-F", f"f=@{tmp_path}/one file.bin", "-F", f"g=@{tmp_path}/two.txt",
                                 url + "/disk"], capture_output=True, check=True)
    got = json.loads(done.stdout)
    assert got["t"] == "some text" and got["f"]["filename"] == "one file.bin" and got["f"]["size"] == len(data)
    assert got["g"]["type"] == "text/plain" and got["g"]["size"] == 4
    done = subprocess.run(run + ["-F", f"a=@{tmp_path}/one file.bin", url + "/keep"], capture_output=True, check=True, text=True)
    with open(done.stdout, "rb") as file:
        assert file.read() == data
    os.unlink(done.stdout)
    done = subprocess.run(run + ["-d", "a=1", "--data-urlencode", "b=x y&", url + "/memory"], capture_output=True, check=True)
    assert json.loads(done.stdout) == {"a": "1", "b": "x y&"}
