"""medusa.files, medusa.http.files, and the methods of trees."""

import json
import os
import shutil
import signal
import subprocess
import threading
from pathlib import Path

import pytest
from medusa import until
from script import Script, refused

SITE = """
local tree = medusa.files("public", {write = true})
local reading = medusa.files("./public")
local files = medusa.http.files(tree, {listing = true, max_age = "1h", headers = {["X-Extra"] = "yes"}})
local plain = medusa.http.files("public", {index = {"start.txt", "index.html"}, cache_control = "no-cache"})
local none = medusa.http.files("public/sub", {index = false, hidden = true})
medusa.http.server { listen = "127.0.0.1:0", routes = {
  ["/static/"] = files,
  ["/plain/"] = plain,
  ["/sub/"] = none,
  ["/fn/"] = function(req) medusa.sleep(0.001) return files(req) end,
  ["/deep/:a/*rest"] = function(req) return files(req) end,
  ["/one"] = function() return tree:file("a.txt") end,
  ["/fn2"] = function(req) return tree:file("/a.txt")(req) end,
  ["/two"] = function() return {file = "/a.txt", tree = tree, headers = {["X-Own"] = "1"}} end,
  ["/named/*name"] = function(req) return tree:file(req.params.name) end,
  ["/up"] = function() return tree:file("../secret.txt") end,
  ["/nul"] = function() return tree:file("a.txt\\0b") end,
  ["/notree"] = function() return {file = "/a.txt"} end,
  ["/both"] = function() return {file = "/a.txt", tree = tree, status = 201} end,
  ["/same"] = function() return tostring(medusa.http.files(tree) == files) .. tostring(rawequal(tree, reading)) end,
  ["/call"] = function(req)
    local code = assert(load("local tree, reading, A = ... " .. req:body()))
    local t = table.pack(pcall(code, tree, reading, req))
    local out = {}
    for i = 1, t.n do out[i] = t[i] == nil and "nil" or t[i] end
    return {json = out}
  end,
} }
"""


def plant_tree():
    return {
        "public": {
            "a.txt": "0123456789" * 10, "b.txt": "b", "start.txt": "start", ".hidden": "h", "caf\u00e9 %41.txt": "odd",
            "sub": {"index.html": "<p>sub", "s.txt": "s", ".dot": "dot"}, "empty": {},
            "out": Path("../secret.txt"), "outdir": Path(".."), "abs": Path("/etc/passwd"), "in": Path("sub/s.txt"), "loop": Path("loop"),
        },
        "secret.txt": "secret",
    }


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with Script(tmp_path_factory.mktemp("files"), SITE, files=plant_tree()) as script:
        yield script


def call(site, code):
    """pcall's results of the script [code]: nil is "nil"."""
    answer = post(site, code.encode())
    assert answer.status == 200, answer.body
    return json.loads(answer.body)


def post(site, body):
    wire = site.connect()
    wire.send(b"POST /call HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    answer = wire.answer("POST")
    wire.close()
    site.wires.remove(wire)
    return answer


# ---- Serving ----

@pytest.mark.parametrize("target, status, body", [
    ("/static/a.txt", 200, b"0123456789" * 10), ("/fn/a.txt", 200, b"0123456789" * 10), ("/deep/x/a.txt", 200, b"0123456789" * 10),
    ("/static/sub/", 200, b"<p>sub"), ("/fn/sub/", 200, b"<p>sub"), ("/static/in", 200, b"s"),
    ("/static/caf%C3%A9%20%2541.txt", 200, b"odd"),
    ("/static/none", 404, None), ("/static/.hidden", 404, None), ("/static/out", 403, None), ("/static/outdir/secret.txt", 403, None),
    ("/static/abs", 403, None), ("/static/loop", 403, None), ("/static/../secret.txt", 404, None),
    ("/static/%2e%2e/secret.txt", 404, None), ("/static/..%2fsecret.txt", 400, None), ("/static/a.txt%00", 400, None),
    ("/plain/", 200, b"start"), ("/plain/sub/", 200, b"<p>sub"), ("/plain/empty/", 403, None),
    ("/sub/", 403, None), ("/sub/.dot", 200, b"dot"), ("/sub/s.txt", 200, b"s"),
    ("/one", 200, b"0123456789" * 10), ("/fn2", 200, b"0123456789" * 10), ("/two", 200, b"0123456789" * 10),
    ("/named/b.txt", 200, b"b"), ("/named/sub/s.txt", 200, b"s"), ("/named/.hidden", 200, b"h"), ("/named/sub", 404, None),
    ("/named/sub/", 404, None), ("/named/", 404, None), ("/named/none", 404, None), ("/named/out", 403, None),
    ("/up", 404, None), ("/nul", 404, None), ("/notree", 500, None), ("/both", 500, None),
])
def test_served(site, target, status, body):
    answer = site.get(target)
    assert answer.status == status, answer
    if body is not None:
        assert answer.body == body


@pytest.mark.parametrize("target, location", [
    ("/static/sub", "/static/sub/"), ("/static/sub?q=1&r", "/static/sub/?q=1&r"), ("/fn/sub", "/fn/sub/"),
    ("/deep/a%20b/sub", "/deep/a%20b/sub/"), ("/static", "/static/"), ("//static//sub", "/static/sub/"),
    ("//example.org/../static/sub", "/static/sub/"), ("//static", "/static/"),
])
def test_redirects_stay_below_the_prefix(site, target, location):
    answer = site.get(target)
    assert answer.status == 301 and answer.get("Location") == location


def test_listing_below_a_prefix(site):
    page = site.get("/static/").body.decode()
    assert "<title>" in page and "/static/" in page and 'href="a.txt"' in page.replace("href=a.txt", 'href="a.txt"')
    assert "secret" not in page and ".hidden" not in page
    for prefix in ("/static/", "/fn/", "/deep/x/"):
        listing = json.loads(site.get(prefix, "Accept: application/json").body)
        assert listing["path"] == prefix
        names = [entry["name"] for entry in listing["entries"]]
        assert "a.txt" in names and "in" in names and "out" not in names and "abs" not in names
    assert json.loads(site.get("/fn/empty/", "Accept: application/json").body)["path"] == "/fn/empty/"


def test_headers_of_files_only(site):
    answer = site.get("/static/a.txt")
    assert answer.get("Cache-Control") == "max-age=3600" and answer.get("X-Extra") == "yes"
    again = site.get("/static/a.txt", f"If-None-Match: {answer.get('ETag')}")
    assert again.status == 304 and again.get("Cache-Control") == "max-age=3600"
    assert site.get("/static/none").get("Cache-Control") is None
    assert site.get("/plain/a.txt").get("Cache-Control") == "no-cache" and site.get("/plain/a.txt").get("X-Extra") is None
    assert site.get("/two").get("X-Own") == "1"


def curl(site, target, *options):
    done = subprocess.run(["curl", "-s", "-i", "--max-time", "20", *options, f"http://{site.addresses[0]}{target}"],
                          capture_output=True, check=True)
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    return int(head.split()[1]), head.decode().lower(), body


@pytest.mark.parametrize("target", ["/static/a.txt", "/fn/a.txt", "/deep/x/a.txt", "/one", "/two", "/named/a.txt"])
def test_conditions_and_ranges(site, target):
    status, head, body = curl(site, target)
    assert status == 200 and len(body) == 100
    etag = next(line.split(" ", 1)[1] for line in head.split("\r\n") if line.startswith("etag:"))
    assert curl(site, target, "-H", f"If-None-Match: {etag}")[0] == 304
    assert curl(site, target, "-H", 'If-Match: "other"')[0] == 412
    status, head, body = curl(site, target, "-r", "10-14")
    assert status == 206 and body == b"01234" and "content-range: bytes 10-14/100" in head
    assert curl(site, target, "-r", "-3")[2] == b"789"
    assert curl(site, target, "-r", "200-")[0] == 416
    status, head, body = curl(site, target, "-r", "0-1,5-6")
    assert status == 206 and "multipart/byteranges" in head
    status, head, body = curl(site, target, "-I")
    assert status == 200 and "content-length: 100" in head and body == b""
    assert curl(site, target, "-X", "POST", "-d", "x")[0] == 405


def test_the_same_options_are_the_same_handler(site):
    assert site.get("/same").body == b"falsefalse"


# ---- Methods: right ----

def test_read_write(site):
    assert call(site, "return tree:write('w.txt', 'one'), tree:read('w.txt')") == [True, True, "one"]
    assert site.get("/static/w.txt").body == b"one"
    assert call(site, "return tree:write('/w.txt', 'two, longer'), reading:read('/w.txt')") == [True, True, "two, longer"]
    assert site.get("/static/w.txt").body == b"two, longer"  # at once
    assert call(site, "return tree:write('w.txt', '!', {append = true, sync = true}), tree:read('w.txt', '1K')")[2] == "two, longer!"
    assert site.get("/static/w.txt").body == b"two, longer!"
    assert call(site, "return tree:write('w.txt', '', {sync = true}), tree:read('w.txt')") == [True, True, ""]
    assert call(site, "return tree:remove('w.txt'), tree:stat('w.txt')")[1:] == [True, "nil", "/w.txt: No such file or directory"]
    assert site.get("/static/w.txt").status == 404
    assert call(site, "return tree:write('new.txt', 'a\\0b', {exclusive = true}), tree:write('new.txt', 'c', {exclusive = true})") == \
        [True, True, "nil", "/new.txt: File exists"]
    assert (site.dir / "public/new.txt").read_bytes() == b"a\0b"
    assert call(site, "return tree:write('log', 'x', {append = true}), tree:remove('log'), tree:remove('new.txt')") == [True] * 4


def test_the_mode_of_a_replaced_file_stays(site):
    path = site.dir / "public/mode.txt"
    path.write_text("x")
    path.chmod(0o640)
    assert call(site, "return tree:write('mode.txt', 'y'), tree:stat('mode.txt').mode") == [True, True, 0o640]
    path.unlink()


def test_directories(site):
    assert call(site, "return tree:mkdir('d'), tree:write('d/f', '1'), tree:mkdir('d')") == \
        [True, True, True, "nil", "/d: File exists"]
    assert site.get("/static/d/f").body == b"1"
    assert call(site, "return tree:rmdir('d')") == [True, "nil", "/d: Directory not empty"]
    assert call(site, "return tree:rename('d', 'e'), tree:read('e/f')") == [True, True, "1"]
    assert site.get("/static/d/f").status == 404 and site.get("/static/e/f").body == b"1"
    assert call(site, "return tree:rename('e/f', 'a.txt', {exclusive = true})") == [True, "nil", "/e/f: File exists"]
    assert call(site, "return tree:rename('e/f', 'e/g'), tree:remove('e/g'), tree:rmdir('/e/'), tree:stat('e')")[1:4] == [True] * 3


def test_list_and_stat(site):
    ok, entries, cut = call(site, "return tree:list('/')")
    assert ok and cut is False
    by_name = {entry["name"]: entry for entry in entries}
    assert [entry["name"] for entry in entries] == sorted(by_name, key=lambda name: name.encode())
    assert by_name["a.txt"]["size"] == 100 and by_name["a.txt"]["kind"] == "file" and by_name["sub"]["kind"] == "directory"
    assert by_name["a.txt"]["mtime"] == int((site.dir / "public/a.txt").stat().st_mtime)
    assert ".hidden" not in by_name and "out" not in by_name
    hidden = {entry["name"] for entry in call(site, "return tree:list(nil, {hidden = true})")[1]}
    assert ".hidden" in hidden
    assert call(site, "return #tree:list('/', {max = 2}), select(2, tree:list('/', {max = 2}))") == [True, 2, True]
    assert call(site, "return #tree:list('sub/')") == [True, 2]
    assert call(site, "return tree:list('empty')")[2] is False
    assert call(site, "return tree:stat('sub').kind, tree:stat('a.txt').size, tree:stat('in').size, tree:stat('/').kind") == \
        [True, "directory", 100, 1, "directory"]


# ---- Methods: wrong ----

OUT = ["'../secret.txt'", "'sub/../../secret.txt'", "'..'", "'/..'", "'/./a.txt'", "'//a.txt'", "'a.txt\\0'", "'a//b'"]


@pytest.mark.parametrize("path", OUT)
@pytest.mark.parametrize("method", ["read({})", "stat({})", "list({})", "write({}, 'x')", "write({}, 'x', {{append = true}})",
                                    "remove({})", "mkdir({})", "rmdir({})", "rename({}, 'n')", "rename('b.txt', {})"])
def test_no_way_out_by_names(site, method, path):
    ok, value, why = call(site, f"return tree:{method.format(path)}")
    assert ok is True and value == "nil" and "no name within the tree" in why
    assert (site.dir / "secret.txt").read_text() == "secret"
    assert (site.dir / "public/b.txt").read_text() == "b"


@pytest.mark.parametrize("code", ["read('out')", "read('abs')", "stat('out')", "list('outdir')", "read('outdir/secret.txt')",
                                  "write('outdir/x', 'x')", "write('outdir/secret.txt', 'x')", "write('out', 'x', {append = true})",
                                  "remove('outdir/secret.txt')", "mkdir('outdir/m')", "rename('b.txt', 'outdir/b')",
                                  "rename('outdir/secret.txt', 'b2')", "rmdir('outdir/public')"])
def test_no_way_out_by_links(site, code):
    ok, value, why = call(site, f"return tree:{code}")
    assert ok is True and value == "nil" and "leads out of the tree" in why
    assert (site.dir / "secret.txt").read_text() == "secret"
    assert sorted(os.listdir(site.dir)) == ["public", "secret.txt", "site.lua"]


def test_a_link_is_replaced_not_followed(site):
    link = site.dir / "public/link"
    link.symlink_to("../secret.txt")
    assert call(site, "return tree:write('link', 'x'), tree:read('link')") == [True, True, "x"]
    assert (site.dir / "secret.txt").read_text() == "secret" and not link.is_symlink()
    link.unlink()
    link.symlink_to("../secret.txt")
    assert call(site, "return tree:remove('link')") == [True, True]
    assert (site.dir / "secret.txt").read_text() == "secret"


def test_percent_is_no_escape(site):
    assert call(site, "return tree:read('%2e%2e/secret.txt')")[1] == "nil"
    assert call(site, "return tree:write('%2e%2e', 'x'), tree:read('%2e%2e'), tree:remove('%2e%2e')") == [True, True, "x", True]


@pytest.mark.parametrize("code, words", [
    ("read('none')", "/none: No such file"), ("read('sub')", "Is a directory"), ("read('a.txt', 99)", "larger than allowed"),
    ("read('a.txt/x')", "Not a directory"), ("read('a.txt/')", "Not a directory"), ("list('a.txt')", "Not a directory"),
    ("write('sub', 'x')", "Is a directory"), ("write('none/x', 'x')", "No such file"), ("write('new/', 'x')", "Is a directory"),
    ("write('/', 'x')", "Is a directory"), ("remove('sub')", "Is a directory"), ("rmdir('a.txt')", "Not a directory"),
    ("rmdir('/')", "the tree itself"), ("mkdir('/')", "the tree itself"), ("rename('/', 'x')", "the tree itself"),
    ("rename('sub', 'sub/in')", "Invalid|no name"), ("remove(('x'):rep(300))", "too long"), ("read(('x/'):rep(3000) .. 'y')", "too long"),
    ("stat('loop')", "levels of symbolic links"),
])
def test_failures_are_results(site, code, words):
    ok, value, why = call(site, f"return tree:{code}")
    assert ok is True and value == "nil" and any(word in why for word in words.split("|")), why


@pytest.mark.parametrize("code, words", [
    ("reading:write('x', 'x')", "for reading only"), ("reading:remove('a.txt')", "for reading only"),
    ("reading:mkdir('x')", "for reading only"), ("reading:rename('a.txt', 'b')", "for reading only"),
    ("reading:rmdir('empty')", "for reading only"),
    ("tree.read('x')", "tree expected"), ("tree:read()", "string expected"), ("tree:read({})", "string expected"),
    ("tree:read('a', 'many')", "a size is expected"), ("tree:write('x')", "string expected"), ("tree:write('x', {})", "string expected"),
    ("tree:write('x', 'y', {synk = true})", "did you mean sync"), ("tree:write('x', 'y', {append = 1})", "true or false"),
    ("tree:write('x', 'y', {append = true, exclusive = true})", "do not go together"), ("tree:list('/', {maxx = 1})", "did you mean max"),
    ("tree:list('/', {max = 0})", "between"), ("tree:rename('x')", "string expected"), ("tree:file()", "string expected"),
    ("medusa.files()", "string expected"), ("medusa.files('')", "a directory is expected"), ("medusa.files('none')", "no such directory"),
    ("medusa.files('public/a.txt')", "not a directory"), ("medusa.files('a\\0b')", "NUL"), ("medusa.files(('x'):rep(5000))", "too long"),
    ("medusa.files('public', {wirte = true})", "did you mean write"), ("medusa.http.files()", "name of a directory, or a tree"),
    ("medusa.http.files('none')", "no such directory"), ("medusa.http.files(tree, {lsting = true})", "did you mean listing"),
    ("medusa.http.files(tree, {index = 'a/b'})", "names of files"), ("medusa.http.files(tree, {index = true})", "names of files"),
    ("medusa.http.files(tree, {index = {1}})", "names of files"),
    ("medusa.http.files(tree, {headers = {Date = 'x'}})", "cannot be sent"), ("medusa.http.files(tree, {headers = {X = 'a\\r\\nb'}})", "cannot be sent"),
    ("medusa.http.files(tree, {headers = {'x'}})", "table of names"), ("medusa.http.files(tree, {headers = {X = ('x'):rep(5000)}})", "too large"),
    ("medusa.http.files(tree, {max_age = 1, cache_control = 'x'})", "one of them"),
    ("table.sort({2, 1}, function() tree:read('a.txt') end)", "cannot wait here"),
])
def test_mistakes_raise(site, code, words):
    ok, why = call(site, f"return {code}")[:2]
    assert ok is False and words in why, why


def test_too_many_forms_of_one_tree(tmp_path):
    why = refused(tmp_path, "for i = 1, 100 do medusa.http.files('.', {headers = {X = tostring(i)}}) end")
    assert "too many sets of options" in why


def test_a_missing_directory_stops_the_start(tmp_path):
    assert "none cannot be used: there is no such directory" in refused(tmp_path, "medusa.http.files('none')")


# ---- Together ----

def test_writes_to_one_name_do_not_mix(site):
    code = "for i = 1, 20 do assert(tree:write('race', (A.target:sub(1, 0) .. '%s'):rep(20000))) end return true"
    seen = set()
    done = threading.Event()

    def look():
        while not done.is_set():
            try:
                seen.add(frozenset((site.dir / "public/race").read_bytes()))
            except FileNotFoundError:
                pass

    looker = threading.Thread(target=look)
    looker.start()
    writers = [threading.Thread(target=lambda c=c: call(site, code % c)) for c in "abcd"]
    for t in writers:
        t.start()
    for t in writers:
        t.join()
    done.set()
    looker.join()
    assert all(len(one) == 1 for one in seen), "a reader saw parts of two writes"
    assert (site.dir / "public/race").stat().st_size == 20000
    (site.dir / "public/race").unlink()
    assert not [name for name in os.listdir(site.dir / "public") if name.endswith(".tmp")]


def test_appends_do_not_mix(site):
    code = "for i = 1, 50 do assert(tree:write('log', ('%s'):rep(100) .. '\\n', {append = true})) end return true"
    writers = [threading.Thread(target=lambda c=c: call(site, code % c)) for c in "abcd"]
    for t in writers:
        t.start()
    for t in writers:
        t.join()
    lines = (site.dir / "public/log").read_text().splitlines()
    assert len(lines) == 200 and all(len(line) == 100 and len(set(line)) == 1 for line in lines)
    (site.dir / "public/log").unlink()


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system")
def test_full_disk(tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small)], capture_output=True).returncode:
        pytest.skip("no mount allowed here")
    try:
        text = """
        local tree = medusa.files("small", {write = true})
        medusa.http.server { listen = "127.0.0.1:0", routes = { ["/"] = function()
          assert(tree:write("keep", "old"))
          local ok, why = tree:write("keep", ("x"):rep(200000))
          return tostring(ok) .. "|" .. why .. "|" .. tree:read("keep") .. "|" .. #tree:list("/", {hidden = true})
        end } }"""
        with Script(tmp_path, text) as script:
            assert script.get("/").body == b"nil|/keep: No space left on device|old|1"
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)


def count_files(script):
    return len(os.listdir(f"/proc/{script.pid}/fd"))


def trees_of(script):
    since = len(script.log())
    script.signal(signal.SIGUSR2)
    script.wait_log(r"status.owner\]$", since)
    return script.log()[since:].count("[status.tree]")


def test_reloads_do_not_pile_up(tmp_path):
    with Script(tmp_path, SITE, files=plant_tree()) as script:
        for target in ("/static/a.txt", "/static/", "/plain/"):
            script.get(target)
        before = count_files(script)
        for i in range(50):
            if i % 5 == 0:
                (tmp_path / f"extra{i}").mkdir()
            text = SITE + f'\nlocal extra = medusa.http.files("extra{i - i % 5}", {{headers = {{N = "{i}"}}}})\n'
            assert "load.done" in script.reload(text)
            assert script.get("/static/a.txt").status == 200
        assert "load.done" in script.reload(SITE)
        until(lambda: trees_of(script) == 2, "the end of the trees")
        until(lambda: count_files(script) <= before + 2, "the end of the descriptors")


def test_a_download_outlives_a_reload(tmp_path):
    files = plant_tree()
    files["public"]["big"] = os.urandom(8 << 20)
    with Script(tmp_path, SITE, files=files) as script:
        wire = script.connect()
        wire.send("GET /static/big HTTP/1.1\r\nHost: x\r\n\r\n")
        assert "load.done" in script.reload("medusa.http.server {listen = '127.0.0.1:0', routes = {['/'] = 'x'}}")
        assert wire.answer("GET").body == files["public"]["big"]
        wire.close()
        script.wires.remove(wire)
        until(lambda: trees_of(script) == 0, "the end of the trees")


def test_a_directory_that_was_replaced(tmp_path):
    with Script(tmp_path, SITE, files=plant_tree()) as script:
        assert script.get("/static/b.txt").body == b"b"
        shutil.move(tmp_path / "public", tmp_path / "before")
        (tmp_path / "public/sub").mkdir(parents=True)
        (tmp_path / "public/b.txt").write_text("other")
        assert "load.done" in script.reload()
        assert script.get("/static/b.txt").body == b"other"


def test_end_while_files_are_used(tmp_path):
    text = """
    local tree = medusa.files("public", {write = true})
    for i = 1, 20 do medusa.spawn(function() while true do tree:write("w" .. i, "x", {sync = true}) tree:list("/") end end) end
    medusa.http.server {listen = "127.0.0.1:0", routes = {["/"] = medusa.http.files(tree)}}"""
    with Script(tmp_path, text, files=plant_tree()) as script:
        assert script.get("/b.txt").body == b"b"
        assert "load.done" in script.reload()
        assert script.get("/b.txt").body == b"b"


# ---- Open files ----

def test_open_files(site):
    code = """
    local f = assert(tree:open("piece.txt", "w"))
    local seen = tree:stat("piece.txt")
    for i = 1, 3 do assert(f:write("line " .. i .. "\\n")) end
    local early = tree:read("piece.txt")
    assert(f:close({sync = true}))
    local again, why = f:close()
    local a = tree:open("/piece.txt", "a") a:write("more") a:close()
    local r = tree:open("piece.txt")
    local first, rest, last = r:read(4), r:read(), r:read()
    r:discard()
    return seen, early, again, why, first, rest, last, tree:open("piece.txt", "x"), tree:remove("piece.txt")"""
    assert call(site, code) == \
        [True, "nil", "nil", "nil", "closed", "line", " 1\nline 2\nline 3\nmore", "nil", "nil", True]
    assert not (site.dir / "public/piece.txt").exists()


def test_a_file_that_is_given_up(site):
    code = """
    assert(tree:write("keep.txt", "old"))
    do local f <close> = assert(tree:open("keep.txt", "w")) f:write("new") end
    local g = assert(tree:open("keep.txt", "w")) g:write("new") g:discard()
    local t = medusa.spawn(function() local f = tree:open("keep.txt", "w") for i = 1, 1000 do f:write(("x"):rep(100000)) end end)
    medusa.sleep(0.01) t:cancel()
    for i = 1, 3 do tree:open("keep.txt", "w"):write("lost") end
    collectgarbage() collectgarbage()
    return tree:read("keep.txt"), tree:remove("keep.txt")"""
    assert call(site, code) == [True, "old", True]
    until(lambda: not [name for name in os.listdir(site.dir / "public") if name.endswith(".tmp")], "the end of what was given up")


@pytest.mark.parametrize("code, words", [
    ("tree:open('none')", "No such file"), ("tree:open('sub')", "Is a directory"), ("tree:open('sub', 'w')", "Is a directory"),
    ("tree:open('a.txt', 'x')", "File exists"), ("tree:open('../secret.txt')", "no name within"), ("tree:open('outdir/x', 'w')", "leads out"),
    ("tree:open('out', 'a')", "leads out"), ("tree:open('out')", "leads out"), ("tree:open('new/', 'w')", "Is a directory"),
    ("tree:open('none/x', 'w')", "No such file"),
])
def test_open_failures(site, code, words):
    ok, value, why = call(site, f"return {code}")
    assert ok is True and value == "nil" and words in why
    assert (site.dir / "secret.txt").read_text() == "secret"


@pytest.mark.parametrize("code, words", [
    ("reading:open('a.txt', 'w')", "for reading only"), ("tree:open('a.txt', 'rw')", "invalid option"), ("tree:open()", "string expected"),
    ("tree:open('a.txt'):write('x')", "opened for reading"), ("tree:open('a.txt', 'a'):read()", "opened for writing"),
    ("tree:open('a.txt'):read(0)", "from 1 byte"), ("tree:open('a.txt'):read('20M')", "from 1 byte"),
    ("tree:open('a.txt').read(tree)", "file expected"), ("tree:open('a.txt'):close({snyc = true})", "did you mean sync"),
])
def test_open_mistakes(site, code, words):
    ok, why = call(site, f"return {code}")
    assert ok is False and words in why


def test_one_task_at_a_time(site):
    code = """
    local f, said = tree:open("a.txt"), {}
    local function try() local ok, text = pcall(f.read, f, 10) said[#said + 1] = text end
    local a, b = medusa.spawn(try), medusa.spawn(try)
    while a:is_running() or b:is_running() do medusa.sleep(0.001) end
    table.sort(said)
    return said[1], said[2], f:read(5), f:close()"""
    ok, first, second, third, closed = call(site, code)
    assert first == "0123456789" and "another task is using this file" in second and third == "01234" and closed is True


def test_end_with_open_files(tmp_path):
    text = """
    local tree = medusa.files("public", {write = true})
    kept = {tree:open("a.txt"), tree:open("n1", "w"), tree:open("n2", "a")}
    medusa.spawn(function() local f = tree:open("n3", "w") while true do f:write(("x"):rep(1000)) end end)
    medusa.http.server {listen = "127.0.0.1:0", routes = {["/"] = medusa.http.files(tree)}}"""
    with Script(tmp_path, text, files=plant_tree()) as script:
        before = count_files(script)
        for _ in range(5):
            assert "load.done" in script.reload()
        until(lambda: count_files(script) <= before + 3, "the end of the descriptors")
    assert not (tmp_path / "public/n1").exists() and not (tmp_path / "public/n3").exists()
    assert not [name for name in os.listdir(tmp_path / "public") if name.endswith(".tmp")]
