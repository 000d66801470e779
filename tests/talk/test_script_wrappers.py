"""The wrappers of medusa.http: handlers around handlers."""

import base64

import pytest
from medusa import until
from script import Script, refused

TEXT = """
local http = medusa.http
local auth = http.basic_auth {realm = 'the "house"', users = {ann = "secret", eve = ""}}
local asked = http.basic_auth {users = function(name, password, req)
  medusa.sleep(0.01)
  return name == "bob" and password == "a:b" and req.path == "/asked"
end}
local function who(req) return "hello " .. req.user end
medusa.http.server { listen = "127.0.0.1:0", routes = {
  ["/auth"] = auth(who),
  ["/asked"] = asked(who),
  ["/post"] = auth(function(req) return #req:body() .. "" end),
  ["/headers"] = http.headers {["X-A"] = "one", ["X-B"] = {"1", "2"}, Vary = "Cookie"} (function(req)
    return req.query_string == "no" and 404 or "yes"
  end),
  ["/nested"] = http.headers {["X-A"] = "one"} (auth(http.logged(who))),
  ["/methods"] = auth {GET = who, ["POST,PUT"] = function(req) return req.method end, DELETE = "gone"},
  ["/plain-methods"] = http.headers {} {GET = who},
  ["/limit"] = http.rate_limit {rate = 3, per = "1h"} "ok",
  ["/limit-key"] = http.rate_limit {rate = 1, per = "1h", burst = 2, keys = 10, key = function(req)
    return req.headers.x_key
  end} "ok",
  ["/limit-soon"] = http.rate_limit {rate = 20, burst = 1} "ok",
  ["/logged"] = http.logged(function(req) return 202, "done" end),
  ["/logged-table"] = http.logged(function(req) return {redirect = "/"} end),
  ["/logged-thrown"] = http.logged(function(req) error {status = 410} end),
  ["/logged-error"] = http.logged(function(req) local x; return x.y end),
  ["/away"] = http.redirect("https://example.org/x?y=1", 308),
  ["/old/"] = http.redirect("/new/*", 301),
  ["/root/"] = http.redirect "/*",
  ["/computed"] = http.redirect(function(req) return "/for/" .. req.query_string end),
  ["/"] = http.vhosts {["a.org"] = "a", ["*.a.org"] = "below a", ["*.b.a.org"] = "below b", ["[::1]"] = "six"},
  ["/any"] = http.vhosts {["a.org"] = function(req) return req.host end, ["*"] = "other"},
} }
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with Script(tmp_path_factory.mktemp("wrappers"), TEXT) as script:
        yield script


def basic(name, password, scheme="Basic"):
    return f"Authorization: {scheme} " + base64.b64encode(f"{name}:{password}".encode()).decode()


@pytest.mark.parametrize("line, status", [
    (basic("ann", "secret"), 200),
    (basic("ann", "secret", "bAsIc"), 200),
    (basic("ann", "secret", "Basic   "), 200),
    (basic("eve", ""), 200),
    (basic("ann", "secre"), 401),
    (basic("ann", "secret\0"), 401),
    (basic("ann", ""), 401),
    (basic("nobody", "\0"), 401),
    (basic("", ""), 401),
    (basic("ann", "secret", "Bearer"), 401),
    ("Authorization: Basic", 401),
    ("Authorization: Basic !!!!", 401),
    ("Authorization: Basic YW5u", 401),
    ("Authorization: Basic " + "YW5u" * 1000, 401),
    ("X: y", 401),
])
def test_passwords(site, line, status):
    answer = site.get("/auth", line)
    assert answer.status == status
    if status == 401:
        assert answer.get("WWW-Authenticate") == 'Basic realm="the \\"house\\"", charset="UTF-8"'
        assert b"401" in answer.body
    else:
        assert answer.body.startswith(b"hello ") and answer.get("WWW-Authenticate") is None


def test_passwords_by_a_function_that_waits(site):
    assert site.get("/asked", basic("bob", "a:b")).body == b"hello bob"
    assert site.get("/asked", basic("bob", "a")).status == 401


def test_a_body_behind_a_password(site):
    assert site.get("/post", basic("ann", "secret"), "Content-Length: 5", method="POST", body=b"12345").body == b"5"
    wire = site.connect()
    assert wire.get("/post", "Content-Length: 5", method="POST", body=b"12345").status == 401
    assert wire.get("/away").status == 308


def test_headers(site):
    for target, status in ("/headers", 200), ("/headers?no", 404):
        answer = site.get(target)
        assert answer.status == status and answer.get("X-A") == "one"
        assert [value for name, value in answer.fields if name == "X-B"] == ["1", "2"]


def test_nested(site):
    answer = site.get("/nested", basic("ann", "secret"))
    assert answer.body == b"hello ann" and answer.get("X-A") == "one"
    site.wait_log(r"127\.0\.0\.1 GET /nested 200 \d+ ms user=ann")
    answer = site.get("/nested")
    assert answer.status == 401 and answer.get("X-A") == "one"


def test_tables_of_methods(site):
    line = basic("ann", "secret")
    assert site.get("/methods", line).body == b"hello ann"
    assert site.get("/methods", line, method="HEAD").status == 200
    assert site.get("/methods", line, method="PUT").body == b"PUT"
    assert site.get("/methods", line, method="DELETE").body == b"gone"
    assert site.get("/methods", method="PATCH").status == 401
    answer = site.get("/methods", line, method="PATCH")
    assert answer.status == 405 and answer.get("Allow") == "DELETE, GET, HEAD, OPTIONS, POST, PUT"
    answer = site.get("/plain-methods", method="OPTIONS")
    assert answer.status == 204 and answer.get("Allow") == "GET, HEAD, OPTIONS"


def test_a_rate_by_address(site):
    wire = site.connect()
    answers = [wire.get("/limit") for _ in range(5)]
    assert [answer.status for answer in answers] == [200, 200, 200, 429, 429]
    assert 1100 <= int(answers[3].get("Retry-After")) <= 1200


def test_a_rate_by_key(site):
    wire = site.connect()
    assert [wire.get("/limit-key", "X-Key: a").status for _ in range(3)] == [200, 200, 429]
    assert [wire.get("/limit-key", "X-Key: b").status for _ in range(3)] == [200, 200, 429]
    assert [wire.get("/limit-key").status for _ in range(5)] == [200] * 5
    for i in range(20):  # only so many keys are remembered, those that were asked for last
        assert wire.get("/limit-key", f"X-Key: many{i}").status == 200
    assert wire.get("/limit-key", "X-Key: a").status == 200


def test_a_rate_comes_back(site):
    wire = site.connect()
    assert wire.get("/limit-soon").status == 200
    answer = wire.get("/limit-soon")
    assert answer.status in (200, 429)
    until(lambda: wire.get("/limit-soon").status == 200)


def test_a_rate_by_network(tmp_path):
    text = """
    medusa.http.server { listen = "127.0.0.1:0,proxy", routes = {["/"] = medusa.http.rate_limit {rate = 1, per = "1h"} "ok"} }
    """
    with Script(tmp_path, text) as script:
        def ask(address):
            wire = script.connect()
            family = "TCP6" if ":" in address else "TCP4"
            to = "::1" if family == "TCP6" else "127.0.0.1"
            return wire.send(f"PROXY {family} {address} {to} 1000 80\r\n").get("/").status
        assert [ask("2001:db8::1"), ask("2001:db8::2"), ask("2001:db8:0:0:1:2:3:4")] == [200, 429, 429]
        assert [ask("2001:db8:0:1::1"), ask("2001:db8:0:1:2:3:4:5")] == [200, 429]
        assert [ask("::1"), ask("1::"), ask("::2"), ask("1::5")] == [200, 200, 429, 429]
        assert [ask("10.0.0.1"), ask("10.0.0.2"), ask("10.0.0.1")] == [200, 200, 429]


@pytest.mark.parametrize("target, status, line", [
    ("/logged", 202, "GET /logged 202 "),
    ("/logged-table", 302, "GET /logged-table 302 "),
    ("/logged-thrown", 410, "GET /logged-thrown 410 "),
    ("/logged-error", 500, "GET /logged-error 500 "),
])
def test_logged(site, target, status, line):
    assert site.get(target).status == status
    site.wait_log(f"127.0.0.1 {line}\\d+ ms")


def test_logged_keeps_the_place_of_an_error(site):
    site.get("/logged-error")
    site.wait_log(r"site\.lua:\d+: attempt to index a nil value")


@pytest.mark.parametrize("target, status, location", [
    ("/away", 308, "https://example.org/x?y=1"),
    ("/old/a/b%20c?d=%20", 301, "/new/a/b%20c?d=%20"),
    ("/old/", 301, "/new/"),
    ("/root/%2Fevil.org/", 302, None),
    ("/root//evil.org/", 302, None),
    ("/computed?7", 302, "/for/7"),
])
def test_redirects(site, target, status, location):
    answer = site.get(target)
    assert answer.status == status or (location is None and answer.status in (400, 404))
    if location:
        assert answer.get("Location") == location
    elif answer.status == 302:
        assert not answer.get("Location").startswith("//")


@pytest.mark.parametrize("host, body", [
    ("a.org", b"a"), ("A.ORG:80", b"a"), ("a.org.", b"a"), ("x.a.org", b"below a"), ("y.x.a.org", b"below a"),
    ("x.b.a.org", b"below b"), ("[::1]:99", b"six"), ("b.org", None), ("aa.org", None),
])
def test_hosts(site, host, body):
    answer = site.get("/", host=host)
    assert (answer.status, answer.body) == (200, body) if body else answer.status == 421
    assert site.get("/any", host="b.org").body == b"other"


@pytest.mark.parametrize("call, words", [
    ("basic_auth()", "a table of options is expected"),
    ("basic_auth {user = {}}", "there is no option user; there are: realm, users"),
    ("basic_auth {users = 1}", "users: {name"),
    ("basic_auth {users = {a = 1}}", "texts"),
    ("basic_auth {users = {['a:b'] = 'x'}}", "colon"),
    ("basic_auth {users = {}, realm = 'a\\nb'}", "realm"),
    ("basic_auth {users = {}} (5)", "a handler is expected"),
    ("basic_auth {users = {}} {[1] = print}", "a table names methods"),
    ("headers 'x'", "a table is expected"),
    ("headers {['a b'] = 'x'}", "is no name of a header"),
    ("headers {a = 'x\\r\\ny'}", "control characters"),
    ("headers {a = print}", "a text is expected"),
    ("rate_limit {rate = 0}", "rate: a whole number from 1 on"),
    ("rate_limit {rate = 5, per = 'soon'}", "per: a time"),
    ("rate_limit {rate = 5, key = 'x'}", "key: function(req)"),
    ("redirect()", "a URL or path is expected"),
    ("redirect('/a\\r\\nb')", "a URL or path is expected"),
    ("redirect('/', 200)", "the status is 301"),
    ("vhosts {['http://a.org'] = 'x'}", "is not the name of a host"),
    ("vhosts {['a.org:80'] = 'x'}", "is not the name of a host"),
    ("vhosts {['a.org'] = 5}", "a handler is expected"),
])
def test_mistakes_name_the_line_of_the_script(tmp_path, call, words):
    said = refused(tmp_path, f"local x = 1\nlocal y = medusa.http.{call}\n")
    assert words in said and "refused.lua:2: medusa.http." in said


def test_a_name_that_is_no_wrapper(tmp_path):
    said = refused(tmp_path, "assert(medusa.http.auth == nil and medusa.http[1] == nil)\nmedusa.http.basic_aut {}")
    assert "attempt to call a nil value (field 'basic_aut')" in said
