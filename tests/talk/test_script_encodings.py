"""Scripts: encodings, digests, random numbers, queries and cookies."""

import base64
import hashlib
import hmac
import html
import json

import pytest
from script import Script

EVAL = """
medusa.http.server {
  listen = "127.0.0.1:0",
  max_body = "40M",
  routes = {
    ["POST /eval"] = function(req)
      local f = assert(load(req:body()))
      local out = table.pack(pcall(f, req))
      for i = 1, out.n do if out[i] == nil then out[i] = medusa.json.null end end
      return {json = medusa.json.array({table.unpack(out, 1, out.n)})}
    end,
    ["/query"] = function(req) return {json = {query = req.query, all = medusa.json.array(req:query_all("a")), same = req.query == req.query}} end,
    ["/cookies"] = function(req) return {json = req.cookies} end,
    ["POST /set"] = function(req) return assert(load(req:body()))(req) end,
  }
}
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    with Script(tmp_path_factory.mktemp("encodings"), EVAL) as script:
        yield script


def post(script, target, body):
    body = body.encode("latin-1") if isinstance(body, str) else body
    return script.get(target, f"Content-Length: {len(body)}", method="POST", body=body)


def call(script, code):
    """The results of the code, as JSON has them; an error is [False, message]."""
    answer = post(script, "/eval", code)
    assert answer.status == 200, answer
    return json.loads(answer.body)


def lua(data):
    """Bytes as a Lua string."""
    return '"' + "".join(f"\\{byte:03d}" for byte in data) + '"'


def value(script, code):
    ok, *rest = call(script, "return " + code)
    assert ok, rest
    return rest[0] if len(rest) == 1 else rest


def error(script, code):
    ok, message = call(script, "return " + code)
    assert not ok
    return message


SAMPLES = [b"", b"a", b"ab", b"abc", bytes(range(256)), b"\xff\xfe\xfd" * 100]


@pytest.mark.parametrize("data", SAMPLES)
def test_base64_and_hex(script, data):
    for form, text in [("standard", base64.b64encode(data)), ("url_padded", base64.urlsafe_b64encode(data)),
                       ("url", base64.urlsafe_b64encode(data).rstrip(b"="))]:
        assert value(script, f'medusa.base64.encode({lua(data)}, "{form}")') == text.decode()
        assert value(script, f'medusa.base64.decode({lua(text)}, "{form}") == {lua(data)}') is True
    assert value(script, f"medusa.base64.encode({lua(data)})") == base64.b64encode(data).decode()
    assert value(script, f"medusa.hex.encode({lua(data)})") == data.hex()
    assert value(script, f'medusa.hex.decode("{data.hex().upper()}") == {lua(data)}') is True


@pytest.mark.parametrize("code, why", [
    ('medusa.base64.decode("a")', "not base64"),
    ('medusa.base64.decode("YQ")', "not base64"),
    ('medusa.base64.decode("YQ==", "url")', "not base64"),
    ('medusa.base64.decode("Y Q==")', "not base64"),
    ('medusa.hex.decode("abc")', "not hexadecimal"),
    ('medusa.hex.decode("zz")', "not hexadecimal"),
    ('medusa.url.decode("%4")', "without two"),
    ('medusa.url.decode("a%gg")', "without two"),
    ('medusa.url.parse("nonsense")', ""),
    ('medusa.url.parse("http://user@host/")', ""),
])
def test_what_cannot_be_decoded_is_nil_and_why(script, code, why):
    nothing, message = value(script, code)
    assert nothing is None and why in message


@pytest.mark.parametrize("code, why", [
    ("medusa.base64.encode()", "string expected"),
    ('medusa.base64.encode("a", "b")', "invalid option 'b'"),
    ("medusa.base64.decode({})", "string expected"),
    ("medusa.hex.encode(nil)", "string expected"),
    ("medusa.html.escape(true)", "string expected"),
    ("medusa.url.encode()", "string expected"),
    ('medusa.url.build_query("x")', "table expected"),
    ("medusa.url.build_query({1})", "names must be strings"),
    ("medusa.url.build_query({a = {{}}})", "a must be a string"),
    ('medusa.hex.encode(("x"):rep(17 << 20))', "at most 16 MiB"),
    ("medusa.hash.sha256()", "string expected"),
    ('medusa.hash.hmac("sha3", "k", "t")', "invalid option 'sha3'"),
    ('medusa.hash.hmac("sha256", "k")', "string expected"),
    ('medusa.hash.new("x")', "invalid option"),
    ('medusa.hash.new("md5").update({}, "x")', "hash expected"),
    ('medusa.hash.new("md5"):update()', "string expected"),
    ('(function() local h = medusa.hash.new("md5"); h:digest(); return h:update("x") end)()', "has given its digest"),
    ('medusa.hash.equal("a")', "string expected"),
    ("medusa.random.bytes(-1)", "a number of bytes"),
    ("medusa.random.bytes(2000000)", "a number of bytes"),
    ("medusa.random.hex()", "number expected"),
    ("medusa.random.number(0)", "less than the first"),
    ("medusa.random.number(2, 1)", "less than the first"),
    ("medusa.random.number(1.5)", "no integer representation"),
])
def test_wrong_arguments(script, code, why):
    assert why in error(script, code)


def test_html(script):
    text = "<a href=\"x\" id='y'>&é☃😀" * 100
    escaped = html.escape(text).replace("&#x27;", "&#39;")
    assert value(script, f"medusa.html.escape({lua(text.encode())})") == escaped
    for at in range(505, 516):  # where pieces end
        text = "x" * at + "😀☃é" * 3
        assert value(script, f"medusa.html.escape({lua(text.encode())})") == text
    assert value(script, "medusa.html.escape(\"a\\255b\\0\")") == "a\ufffdb\ufffd"


def test_url(script):
    assert value(script, 'medusa.url.encode("a b/c?d&e=é~")'.encode().decode("latin-1")) == "a%20b%2Fc%3Fd%26e%3D%C3%A9~"
    assert value(script, 'medusa.url.decode("a%20b+c%c3%A9")') == "a b+cé"
    assert value(script, 'medusa.url.encode(("\\0"):rep(5000)) == ("%00"):rep(5000)') is True
    assert value(script, 'medusa.url.parse("https://example.org:8443/a%20b?x=1&x=2&y=%41+b#f")') == {
        "scheme": "https", "host": "example.org", "authority": "example.org:8443", "port": 8443, "path": "/a%20b",
        "query_string": "x=1&x=2&y=%41+b", "query": {"x": "2", "y": "A b"}}
    assert value(script, 'medusa.url.parse("http://[::1]")') == {
        "scheme": "http", "host": "::1", "authority": "[::1]", "port": 80, "path": "/"}
    assert value(script, 'medusa.url.parse("unix:/run/x.sock")')["scheme"] == "unix"
    assert value(script, 'medusa.url.build_query{b = 1, a = "x y&", c = {"p", "q"}, d = true}') == "a=x%20y%26&b=1&c=p&c=q&d=true"
    assert value(script, "medusa.url.build_query{}") == ""
    assert value(script, 'medusa.url.parse_query("a=1&&b&c=%zz&a=2")') == {"a": "2", "b": "", "c": "%zz"}


@pytest.mark.parametrize("name", ["sha256", "sha512", "sha1", "md5"])
@pytest.mark.parametrize("data", SAMPLES[:5])
def test_digests(script, name, data):
    assert value(script, f"medusa.hash.{name}({lua(data)})") == hashlib.new(name, data).hexdigest()
    raw = hashlib.new(name, data).digest()
    assert value(script, f"medusa.hash.{name}({lua(data)}, true) == {lua(raw)}") is True
    for key in [b"", b"k", b"key" * 100]:
        mac = hmac.new(key, data, name).hexdigest()
        assert value(script, f'medusa.hash.hmac("{name}", {lua(key)}, {lua(data)})') == mac
        assert value(script, f'medusa.hash.new("{name}", {lua(key)}):update({lua(data[:1])}):update({lua(data[1:])}):digest()') == mac
    assert value(script, f'medusa.hash.new("{name}"):update({lua(data)}):digest(true) == {lua(raw)}') is True


def test_a_long_text_is_digested_while_others_go_on(script):
    code = """
      local turns = 0
      local other = medusa.every(0.001, function() turns = turns + 1 end)
      local text = ("0123456789abcdef"):rep(%d << 16)
      local digest, keyed = medusa.hash.sha256(text), medusa.hash.hmac("sha256", "k", text)
      other:cancel()
      return digest, keyed, turns
    """
    for size in (1, 2, 12):
        data = b"0123456789abcdef" * (size << 16)
        ok, digest, keyed, turns = call(script, code % size)
        assert ok and digest == hashlib.sha256(data).hexdigest()
        assert keyed == hmac.new(b"k", data, "sha256").hexdigest()
        assert size < 12 or turns >= 2
    assert "cannot wait here" in error(script, """(function()
      local text = ("x"):rep(3 << 20)
      table.sort({1, 2, 3}, function() medusa.hash.sha1(text) return false end) end)()""")
    busy = """(function()
      local h, text = medusa.hash.new("md5"), ("x"):rep(8 << 20)
      local has_begun
      medusa.spawn(function() has_begun = true h:update(text) end)
      repeat medusa.sleep(0) until has_begun
      return h:digest() end)()"""
    assert "another task" in error(script, busy)


def test_equal(script):
    assert value(script, 'medusa.hash.equal("abc", "abc"), medusa.hash.equal("abc", "abd"), medusa.hash.equal("abc", "ab"), '
                         'medusa.hash.equal("", "")') == [True, False, False, True]


def test_random(script):
    assert value(script, "#medusa.random.bytes(100000), #medusa.random.bytes(0), #medusa.random.hex(16)") == [100000, 0, 32]
    assert value(script, "medusa.random.hex(16) ~= medusa.random.hex(16)") is True
    counts = value(script, """(function()
      local t = {0, 0, 0, 0, 0, 0}
      for i = 1, 6000 do local n = medusa.random.number(6) t[n] = t[n] + 1 end
      return t end)()""")
    assert all(800 < count < 1200 for count in counts)
    assert value(script, """(function()
      for i = 1, 1000 do
        local f, n = medusa.random.number(), medusa.random.number(-3, 3)
        if f < 0 or f >= 1 or n < -3 or n > 3 or math.type(n) ~= "integer" then return false end
      end
      return medusa.random.number(5, 5) == 5 and math.type(medusa.random.number(math.mininteger, math.maxinteger)) == "integer" end)()""") is True


def test_the_seed_of_math_random_differs(tmp_path):
    seen = set()
    with Script(tmp_path, 'medusa.tcp.server{listen = "127.0.0.1:0", handle = function(c) c:write(seed, "\\n") end}\n'
                          "seed = math.random(0)") as script:
        for _ in range(3):
            seen.add(script.connect().line())
            assert "load.done" in script.reload()
    assert len(seen) == 3


# ---- Queries and cookies ----

def test_query(script):
    got = json.loads(script.get("/query?a=1&b=x%20y+z&a=%C3%A9&c&=d&%zz=1").body)
    assert got == {"query": {"a": "é", "b": "x y z", "c": "", "": "d", "%zz": "1"}, "all": ["1", "é"], "same": True}
    assert json.loads(script.get("/query").body) == {"query": {}, "all": [], "same": True}


def test_cookies_that_come(script):
    got = json.loads(script.get("/cookies", 'Cookie: a=1; b="two"; a=3; =x; novalue', "Cookie: c=4; b=5").body)
    assert got == {"a": "1", "b": "two", "c": "4"}
    assert json.loads(script.get("/cookies").body) == {}


def set_cookies(script, code):
    answer = post(script, "/set", "local req = ... " + code)
    assert answer.status == 200, answer
    return [value for name, value in answer.fields if name == "Set-Cookie"]


def test_cookies_that_are_set(script):
    assert set_cookies(script, 'return {text = "", cookies = {a = "1"}}') == ["a=1; Path=/"]
    assert set_cookies(script, 'return {text = "", cookies = {a = {value = 2, path = "/x", max_age = "1h", http_only = true, '
                               'secure = true, same_site = "strict", domain = "example.org"}}}') == [
        "a=2; Path=/x; Domain=example.org; Max-Age=3600; SameSite=Strict; Secure; HttpOnly"]
    assert set_cookies(script, 'req:set_cookie("a", "1"):set_cookie("b", nil):set_cookie("c", 3, {max_age = 1.5, same_site = "Lax"}) return "x"') == [
        "a=1; Path=/", "b=; Path=/; Max-Age=0", "c=3; Path=/; Max-Age=2; SameSite=Lax"]
    assert set_cookies(script, 'return {text = "", cookies = {a = false}}') == ["a=; Path=/; Max-Age=0"]
    assert set_cookies(script, 'req:set_cookie("a", "1") req:write("x")') == ["a=1; Path=/"]


@pytest.mark.parametrize("code, why", [
    ('req:set_cookie("a", "b c")', "must be encoded"),
    ('req:set_cookie("a", "b\\r\\nX: y")', "must be encoded"),
    ('req:set_cookie("a\\r\\nb", "c")', "name of a cookie"),
    ('req:set_cookie("a", "b", {path = "x"})', "not the path"),
    ('req:set_cookie("a", "b", {path = 1})', "path must be a string"),
    ('req:set_cookie("a", "b", {domain = "a;b"})', "not the domain"),
    ('req:set_cookie("a", "b", {same_site = "none"})', "needs Secure"),
    ('req:set_cookie("a", "b", {same_site = "often"})', 'same_site is '),
    ('req:set_cookie("a", "b", {maxage = 1})', "did you mean max_age"),
    ('req:set_cookie("a", "b", {max_age = -1})', "a time"),
    ('req:set_cookie("a", {})', "its value must be a string"),
    ('req:set_cookie("a", ("x"):rep(5000))', "at most 4096"),
    ('req:set_cookie("__Host-a", "x")', "needs Secure"),
    ("req:set_cookie()", "string expected"),
    ('req:write("x") req:set_cookie("a", "b")', "comes too late"),
])
def test_cookies_that_cannot_be_set(script, code, why):
    since = len(script.log())
    post(script, "/set", f"local req = ... local ok, why = pcall(function() {code} end) medusa.log(why) return 'x'")
    assert why in script.wait_log(r"\[script\.log\]", since).string[since:]


def test_wrong_tables_of_cookies(script):
    for code in ["cookies = 1", "cookies = {1}", "cookies = {a = true}", 'cookies = {a = {valu = "x"}}', "cookie = {}"]:
        since = len(script.log())
        assert post(script, "/set", f'return {{text = "", {code}}}').status == 500
        script.wait_log(r"cookie", since)
