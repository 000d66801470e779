"""The scripts in examples/, each driven by real clients of its protocol."""

import json
import os
import poplib
import re
import shutil
import smtplib
import subprocess

import medusa
import pytest
from medusa import ROOT, until
from script import Script

EXAMPLES = sorted((ROOT / "examples").glob("*.lua"))


def example(tmp_path, name, *addresses, **more):
    """[addresses]: the variables that say where it listens; any port will do."""
    environment = dict(os.environ, **{variable: "127.0.0.1:0" for variable in addresses}, **more)
    return Script(tmp_path, path=ROOT / "examples" / name, env=environment)


def text_of(script, sent):
    """All that comes, until the server ends the connection."""
    wire = script.connect()
    return wire.send(sent).rest().decode("utf-8")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_at_most_150_lines_and_says_how_it_is_run(path):
    lines = path.read_text().splitlines()
    assert len(lines) <= 150 and max(map(len, lines)) <= 140
    assert lines[0].startswith("-- ")


# ---- chat ----

class Events:
    """A browser's EventSource."""

    def __init__(self, script, room, n):
        self.wire = script.connect(n).ask(f"/events/{room}")
        head = self.wire._head()
        assert head.status == 200 and head.get("Content-Type").startswith("text/event-stream")
        self.text = ""

    def next(self):
        while "\n\n" not in self.text:
            size = int(self.wire._line_until(b"\r\n"), 16)
            self.text += self.wire._take(size).decode()
            self.wire._take(2)
        event, self.text = self.text.split("\n\n", 1)
        return json.loads(event.removeprefix("data: "))

    def said(self):
        event = self.next()
        return f"{event['name']}: {event['text']}"


@pytest.fixture
def chat(tmp_path):
    with example(tmp_path, "chat.lua", "CHAT_WEB", "CHAT_TELNET") as script:
        yield script


TELNET, WEB = 1, 2


def visitor(chat, name):
    wire = chat.connect(TELNET)
    assert wire._take(11) == b"Your name? "
    wire.send(f"{name}\r\n")
    assert wire.line().startswith("* You are in lobby")
    return wire


def said(wire):
    return wire.line().split(" ", 1)[1]


def post(chat, room, name, text):
    body = json.dumps({"name": name, "text": text}).encode()
    return chat.get(f"/say/{room}", f"Content-Length: {len(body)}", n=WEB, method="POST", body=body)


def test_chat_brings_telnet_and_browsers_together(chat):
    ann = visitor(chat, "ann")
    assert said(ann) == "ann: has come"
    page = chat.get("/", n=WEB)
    assert page.status == 200 and page.get("Content-Type") == "text/html; charset=utf-8" and b"EventSource" in page.body
    browser = Events(chat, "lobby", WEB)
    assert browser.said() == "ann: has come"
    assert post(chat, "lobby", "bob", "hello <b> \u00fc").status == 204
    assert said(ann) == "bob: hello <b> \u00fc" and browser.said() == "bob: hello <b> \u00fc"
    ann.send("hi\x07 bob\r\n")
    assert said(ann) == "ann: hi  bob" and browser.said() == "ann: hi  bob"


def test_chat_has_rooms(chat):
    ann, eve = visitor(chat, "ann"), visitor(chat, "eve")
    assert said(ann) == "ann: has come" and said(ann) == "eve: has come"
    assert said(eve) == "ann: has come" and said(eve) == "eve: has come"
    eve.send("/join Tea House\r\nhere?\r\n/dance\r\n")
    assert said(ann) == "eve: goes to tea-house"
    seen = [eve.line() for _ in range(4)]
    assert any(line.startswith("* You are in tea-house") for line in seen) and "* There is no /dance" in seen
    assert Events(chat, "tea-house", WEB).said() == "eve: has come"
    eve.send("/quit\r\n")
    eve.rest()
    ann.send("/quit\r\n")
    ann.rest()
    browser = Events(chat, "lobby", WEB)
    assert [browser.said() for _ in range(4)][2:] == ["eve: goes to tea-house", "ann: has gone"]


@pytest.mark.parametrize("body", [b"", b"[]", b"5", b"{", b'{"name":"a"}', b'{"name":" ","text":"x"}', b'{"name":"a","text":"\\u0000"}'])
def test_chat_refuses_what_it_cannot_show(chat, body):
    assert chat.get("/say/x", f"Content-Length: {len(body)}", n=WEB, method="POST", body=body).status == 422


def test_chat_survives_a_reload(chat):
    browser = Events(chat, "lobby", WEB)
    post(chat, "lobby", "bob", "before")
    assert browser.said() == "bob: before"
    ann = visitor(chat, "ann")
    assert "load.done" in chat.reload()
    assert ann.rest().endswith(b"ann: has come\r\n")
    post(chat, "lobby", "bob", "after")
    late = Events(chat, "lobby", WEB)
    assert [late.said() for _ in range(4)] == ["bob: before", "ann: has come", "ann: has gone", "bob: after"]


def test_chat_slows_down_who_floods(chat):
    wire, body = chat.connect(WEB), b'{"name":"bob","text":"x"}'
    for _ in range(20):
        wire.ask("/say/lobby", f"Content-Length: {len(body)}", method="POST", body=body)
    statuses = [wire.answer().status for _ in range(20)]
    assert statuses[:10] == [204] * 10 and 429 in statuses


# ---- finger, gopher, proxy ----

def test_finger(tmp_path):
    with example(tmp_path, "finger.lua", "FINGER_LISTEN") as script:
        def ask(line):
            return text_of(script, line)

        assert re.search(r"^ann +\d\d \w{3} \d{4}", ask("\r\n"), re.M)
        assert ask("ann\r\n") == "Name: ann\r\nPlan:\r\nLearning Lua.\r\nTomorrow: a server of my own.\r\n"
        assert ask("/W ann\n").startswith("Name: ann")
        assert ask("nobody\x1b\r\n") == "There is no nobody? here.\r\n"
        for name in "../finger/ann", "../finger.lua\0", ".", "ann.plan":
            assert ask(f"{name}\r\n").startswith("There is no ")
        assert "not asked" in ask("ann@elsewhere\r\n")


def test_gopher(tmp_path):
    medusa.plant(tmp_path / "hole", {"a.txt": "one\n.two\nthree", "b.bin": b"\0\1\n.\n", "d": {"c.txt": ""}, ".hidden.txt": "no"})
    with example(tmp_path, "gopher.lua", "GOPHER_LISTEN", GOPHER_ROOT=str(tmp_path / "hole"), GOPHER_HOST="here") as script:
        def ask(line):
            return text_of(script, line)

        menu = ask("\r\n")
        assert menu == ("iIndex of /\t\there\t0\r\n0a.txt\t/a.txt\there\t0\r\n9b.bin\t/b.bin\there\t0\r\n"
                        "1d\t/d/\there\t0\r\n.\r\n")
        assert ask("/d/\r\n") == ask("/d\r\n") == "iIndex of /d/\t\there\t0\r\n1..\t/\there\t0\r\n0c.txt\t/d/c.txt\there\t0\r\n.\r\n"
        assert ask("/a.txt\tsearch\r\n") == "one\r\n..two\r\nthree\r\n.\r\n"
        assert ask("/b.bin\r\n") == "\0\1\n.\n"
        for wrong in "/nowhere", "/../hole/a.txt/x", "../../etc/passwd", "/.hidden.txt":
            assert ask(f"{wrong}\r\n").startswith("3"), wrong
        done = subprocess.run(["curl", "-s", f"gopher://{script.addresses[0]}/0/a.txt"], capture_output=True, timeout=30)
        assert done.stdout.startswith(b"one\r\n")


def test_proxy(tmp_path):
    (tmp_path / "server").mkdir()
    text = """medusa.tcp.server { listen = "127.0.0.1:0", handle = function(conn)
      conn:write "name? "
      for line in conn:lines() do conn:write("hello ", line, "\\r\\n") end
      conn:write "bye"
    end }"""
    with Script(tmp_path / "server", text) as server:
        with example(tmp_path, "proxy.lua", "PROXY_LISTEN", PROXY_TO=server.addresses[0]) as proxy:
            wire = proxy.connect()
            assert wire.read(6) == b"name? "
            wire.send("ann\x1b\r\n")
            assert wire.line() == "hello ann\x1b"
            wire.half_close()
            assert wire.rest() == b"bye"
            proxy.wait_log(r"\[1\] is over")
            for line in r"\[1\] > ann\\x1b", r"\[1\] < name\? hello ann\\x1b", r"\[1\] < bye":
                proxy.wait_log(line)
    with example(tmp_path, "proxy.lua", "PROXY_LISTEN", PROXY_TO="127.0.0.1:1") as proxy:
        assert proxy.connect().has_ended()
        proxy.wait_log("cannot be reached")


# ---- redis ----

class Redis:
    def __init__(self, script):
        self.wire = script.connect()

    def send(self, *words):
        words = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        self.wire.send(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words))
        return self

    def reply(self):
        line = self.wire._line_until(b"\r\n")
        kind, rest = line[:1], line[1:]
        if kind == b":":
            return int(rest)
        if kind == b"$":
            if rest == b"-1":
                return None
            return self.wire._take(int(rest) + 2)[:-2]
        if kind == b"*":
            return [self.reply() for _ in range(int(rest))]
        return line.decode()

    def __call__(self, *words):
        return self.send(*words).reply()


@pytest.fixture(scope="module")
def redis(tmp_path_factory):
    with example(tmp_path_factory.mktemp("redis"), "redis.lua", "REDIS_LISTEN") as script:
        yield script


def test_redis_values(redis):
    ask = Redis(redis)
    assert ask("PING") == "+PONG" and ask("ping", "x") == b"x" and ask("ECHO", b"\0\r\n") == b"\0\r\n"
    assert ask("SET", "a", b"\0\xff") == "+OK" and ask("GET", "a") == b"\0\xff" and ask("GET", "nothing") is None
    assert ask("SET", "a", "b", "NX") is None and ask("SET", "new", "b", "XX") is None and ask("SET", "a", "c", "xx") == "+OK"
    assert ask("EXISTS", "a", "a", "nothing") == 2 and ask("DEL", "a", "nothing") == 1 and ask("GET", "a") is None
    for text in "007", "1e3", "0x10", "-0", "9223372036854775808", " 1", "1.5", "":
        assert ask("SET", "text", text) == "+OK" and ask("GET", "text") == text.encode()
        assert ask("INCR", "text").startswith("-ERR value is not an integer")


def test_redis_numbers(redis):
    ask = Redis(redis)
    ask("DEL", "n")
    assert [ask("INCR", "n"), ask("INCRBY", "n", 10), ask("DECR", "n"), ask("DECRBY", "n", 4)] == [1, 11, 10, 6]
    assert ask("GET", "n") == b"6" and ask("INCRBY", "n", "x").startswith("-ERR value")
    assert ask("SET", "n", 2**63 - 1) == "+OK" and "overflow" in ask("INCR", "n") and ask("GET", "n") == str(2**63 - 1).encode()


def test_redis_times(redis):
    ask = Redis(redis)
    assert ask("SET", "t", "x", "EX", 100) == "+OK" and ask("TTL", "t") == 100
    assert ask("SET", "t", "x") == "+OK" and ask("TTL", "t") == -1 and ask("TTL", "nothing") == -2
    assert ask("EXPIRE", "t", 50) == 1 and ask("TTL", "t") == 50 and ask("EXPIRE", "nothing", 5) == 0
    assert ask("SET", "t", "x", "PX", 30) == "+OK"
    until(lambda: ask("GET", "t") is None)
    assert "invalid expire" in ask("SET", "t", "x", "EX", 0) and "syntax" in ask("SET", "t", "x", "EX")
    assert ask("SET", "t", "x") == "+OK" and ask("EXPIRE", "t", -1) == 1
    until(lambda: ask("EXISTS", "t") == 0)


def test_redis_lists(redis):
    ask = Redis(redis)
    ask("DEL", "l")
    assert ask("RPUSH", "l", "b", "c") == 2 and ask("LPUSH", "l", "a", "z") == 4 and ask("LLEN", "l") == 4
    assert ask("LRANGE", "l", 0, -1) == [b"z", b"a", b"b", b"c"] and ask("LRANGE", "l", 1, 2) == [b"a", b"b"]
    assert ask("LRANGE", "l", -2, 100) == [b"b", b"c"] and ask("LRANGE", "l", -100, 0) == [b"z"] and ask("LRANGE", "l", 3, 1) == []
    assert ask("LPOP", "l") == b"z" and ask("RPOP", "l") == b"c" and ask("LLEN", "l") == 2
    assert ask("GET", "l").startswith("-WRONGTYPE") and ask("INCR", "l").startswith("-WRONGTYPE")
    ask("SET", "s", "x")
    assert ask("LPUSH", "s", "y").startswith("-WRONGTYPE") and ask("LRANGE", "s", 0, 1).startswith("-WRONGTYPE")
    assert ask("LPOP", "nothing") is None and ask("LLEN", "nothing") == 0 and ask("LRANGE", "nothing", 0, 5) == []


def test_redis_keys(redis):
    ask = Redis(redis)
    for key in "k:1", "k:2", "kk":
        ask("SET", key, 1)
    assert ask("KEYS", "k:*") == [b"k:1", b"k:2"] and {b"k:1", b"kk"} <= set(ask("KEYS", "*"))
    assert ask("KEYS", "k?").startswith("-ERR only")


def test_redis_pipelining_and_lines_by_hand(redis):
    ask = Redis(redis)
    for i in range(500):
        ask.send("SET", f"p{i}", i).send("GET", f"p{i}")
    assert [ask.reply() for _ in range(1000)] == [reply for i in range(500) for reply in ("+OK", b"%d" % i)]
    ask.wire.send("\r\nPING\r\nset by hand\r\nget by\r\nquit\r\n")
    assert [ask.reply() for _ in range(4)] == ["+PONG", "+OK", b"hand", "+OK"]
    assert ask.wire.has_ended()


@pytest.mark.parametrize("words, reply", [
    (("FLUSHALL",), "-ERR unknown command 'FLUSHALL'"), (("GET",), "-ERR wrong number of arguments for 'get' command"),
    (("a\r\nb",), "-ERR unknown command 'a??b'"),
])
def test_redis_mistakes(redis, words, reply):
    ask = Redis(redis)
    assert ask(*words) == reply and ask("PING") == "+PONG"


@pytest.mark.parametrize("sent", [b"*x\r\n", b"*1\r\nPING\r\n", b"*1\r\n$-1\r\n", b"*1\r\n$4\r\nPINGxx", b"*1\r\n$99999999\r\n", b"*9999999\r\n"])
def test_redis_ends_with_who_does_not_speak_it(redis, sent):
    wire = redis.connect()
    wire.send(sent)
    assert wire.rest().startswith(b"-ERR Protocol error")


def test_redis_channels(redis):
    hears, says = Redis(redis), Redis(redis)
    assert hears("SUBSCRIBE", "news", "other") == [b"subscribe", b"news", 1] and hears.reply() == [b"subscribe", b"other", 2]
    assert says("PUBLISH", "news", b"\0one") == 1 and says("PUBLISH", "nobody", "x") == 0
    assert hears.reply() == [b"message", b"news", b"\0one"]
    assert hears("UNSUBSCRIBE", "news") == [b"unsubscribe", b"news", 1]
    assert says("PUBLISH", "news", "x") == 0 and says("PUBLISH", "other", "two") == 1
    assert hears.reply() == [b"message", b"other", b"two"]
    hears.wire.close()
    until(lambda: says("PUBLISH", "other", "x") == 0)


def test_redis_cli(redis):
    cli = shutil.which("redis-cli")
    if not cli:
        pytest.skip("redis-cli (redis-tools) is not there")
    host, port = redis.addresses[0].split(":")
    typed = "set cli 5 ex 100\nincr cli\nget cli\nrpush clil a b c\nlrange clil 0 -1\nget clil\n"
    done = subprocess.run([cli, "-h", host, "-p", port], input=typed, capture_output=True, text=True, timeout=30)
    assert done.stdout.split() == "OK 6 6 3 a b c WRONGTYPE Operation against a key holding the wrong kind of value".split()


# ---- mail ----

@pytest.fixture
def mail(tmp_path):
    (tmp_path / "mail" / "ann").mkdir(parents=True)
    (tmp_path / "mail" / "bob.b").mkdir()
    (tmp_path / "mail" / "ann.password").write_text("secret\n")
    for name in "smtp", "pop3":
        (tmp_path / name).mkdir()
    with example(tmp_path / "smtp", "smtp.lua", "SMTP_LISTEN", MAIL=str(tmp_path / "mail")) as smtp:
        with example(tmp_path / "pop3", "pop3.lua", "POP3_LISTEN", MAIL=str(tmp_path / "mail")) as pop3:
            yield smtp, pop3, tmp_path / "mail"


LETTER = "Subject: hello\r\nFrom: me@example.org\r\n\r\n.one dot\r\n..two\r\n.\r\nf\u00fcnf\r\n"


def send(smtp, *to, text=LETTER):
    with smtplib.SMTP("127.0.0.1", smtp.port(), timeout=30) as client:
        return client.sendmail("me@example.org", to, text.encode(), mail_options=["BODY=8BITMIME"])


def test_mail_goes_from_smtp_to_pop3(mail):
    smtp, pop3, directory = mail
    assert list(send(smtp, "Ann@localhost", "nobody@localhost", "bob.b@localhost")) == ["nobody@localhost"]
    send(smtp, "ann@localhost", text="Subject: two\r\n\r\n1\r\n2\r\n3\r\n")
    assert len(list((directory / "bob.b").iterdir())) == 1
    client = poplib.POP3("127.0.0.1", pop3.port(), timeout=30)
    assert client.capa()
    client.user("ann")
    with pytest.raises(poplib.error_proto):
        client.pass_("wrong")
    client.user("ann")
    client.pass_("secret")
    count, size = client.stat()
    sizes = [int(line.split()[1]) for line in client.list()[1]]
    assert count == 2 and sum(sizes) == size
    _, lines, _ = client.retr(1)
    text = b"\r\n".join(lines).decode() + "\r\n"
    assert text.endswith(LETTER) and text.startswith("Return-Path: <me@example.org>\r\nReceived: from ")
    assert sizes[0] == len(text.encode())
    assert client.top(2, 2)[1][-3:] == [b"", b"1", b"2"]
    ids = [line.split()[1] for line in client.uidl()[1]]
    assert len(set(ids)) == 2 and client.uidl(2).split()[2] == ids[1]
    client.dele(1)
    with pytest.raises(poplib.error_proto):
        client.retr(1)
    assert client.stat()[0] == 1
    client.rset()
    assert client.stat()[0] == 2
    client.noop()
    client.dele(1)
    client.quit()
    assert len(list((directory / "ann").iterdir())) == 1
    done = subprocess.run(["curl", "-s", "-u", "ann:secret", f"pop3://127.0.0.1:{pop3.port()}/1"], capture_output=True, timeout=30)
    assert b"Subject: two" in done.stdout


def test_a_mailbox_is_open_once(mail):
    _, pop3, _ = mail
    one, two = (poplib.POP3("127.0.0.1", pop3.port(), timeout=30) for _ in range(2))
    one.user("ann")
    one.pass_("secret")
    two.user("ann")
    with pytest.raises(poplib.error_proto, match="Another connection"):
        two.pass_("secret")
    one.close()
    two.user("ann")
    until(lambda: not opens_fail(two))
    two.quit()


def opens_fail(client):
    try:
        client.pass_("secret")
    except poplib.error_proto:
        return True


def test_smtp_by_hand_pipelined(mail):
    smtp, _, directory = mail
    wire = smtp.connect()
    wire.send("EHLO me\r\nMAIL FROM:<>\r\nRCPT TO:<ann@x>\r\nDATA\r\n")
    assert wire.line() == "220 localhost SMTP"
    assert [wire.line() for _ in range(7)][4:] == ["250 OK", "250 OK", "354 Go on; a dot on a line of its own ends it"]
    wire.send("x\n.\ny\r\n.\r\nMAIL FROM:<a@b>\r\nRSET\r\nNOOP\r\nVRFY ann\r\nRCPT TO:<ann@x>\r\nDATA\r\nFLY\r\nMAIL now\r\nQUIT\r\n")
    assert [wire.line()[:3] for _ in range(10)] == ["250", "250", "250", "250", "252", "503", "503", "500", "501", "221"]
    assert wire.has_ended()
    (letter,) = (directory / "ann").iterdir()
    assert letter.read_bytes().endswith(b"+0000\r\nx\n.\ny\r\n")


@pytest.mark.parametrize("address", ["../ann@x", "ann/../ann@x", "a..n@x", ".@x", "ann.password@x", "ann", "ann@", "x" * 70 + "@x", "bob@x"])
def test_smtp_takes_mail_for_mailboxes_only(mail, address):
    smtp, _, _ = mail
    with smtplib.SMTP("127.0.0.1", smtp.port(), timeout=30) as client:
        client.helo("me")
        client.mail("me@example.org")
        assert client.rcpt(address)[0] == 550


def test_smtp_refuses_large_mail(mail):
    smtp, _, directory = mail
    with smtplib.SMTP("127.0.0.1", smtp.port(), timeout=30) as client:
        client.ehlo("me")
        assert client.mail("me@example.org", ["SIZE=99999999"])[0] == 552
        client.mail("me@example.org")
        client.rcpt("ann@localhost")
        assert client.data("x" * 70 + "\r\n" + ("y" * 70 + "\r\n") * 150000)[0] == 552
        assert client.noop()[0] == 250
    assert list((directory / "ann").iterdir()) == []


# ---- site ----

@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with example(tmp_path_factory.mktemp("site"), "site.lua", "SITE_WEB", "SITE_TCP") as script:
        yield script


@pytest.mark.parametrize("target, status, words", [
    ("/", 200, b"Medusa"), ("/files/", 200, b"haiku.txt"), ("/files/haiku.txt", 200, b""), ("/nowhere", 404, b"404"),
    ("/try", 200, b"Things to try"), ("/hello/b%C3%A4r", 200, "Hello, b\u00e4r!\n".encode()), ("/secret", 401, b"401"),
])
def test_site_pages(site, target, status, words):
    answer = site.get(target)
    assert answer.status == status and words in answer.body
    assert (answer.get("X-Content-Type-Options") == "nosniff") == (target in ("/", "/files/", "/files/haiku.txt", "/nowhere"))


def test_site_guest_book(site):
    body = b"name=%3Cb%3E+and+co"
    line = "Content-Type: application/x-www-form-urlencoded"
    answer = site.get("/guests", line, f"Content-Length: {len(body)}", method="POST", body=body)
    assert answer.status == 303 and answer.get("Location") == "/try"
    assert b"<li>&lt;b&gt; and co</li>" in site.get("/try").body
    assert site.get("/guests", "Content-Length: 1", method="POST", body=b"x").status == 400
    assert site.get("/guests").status == 404  # to GET it is one of the files
    site.wait_log("POST /guests 303")


def test_site_json_hosts_and_redirects(site):
    here, there = (json.loads(site.get(target, host=host).body) for target, host in (("/status", "x"), ("/", "api.localhost:80")))
    assert set(here) == set(there) == {"visits", "guests", "up_seconds"}
    assert site.get("/old/history/a?b").get("Location") == "/files/history/a?b"
    assert b"Welcome, guest." in site.get("/secret", "Authorization: Basic Z3Vlc3Q6b3Blbg==").body


def test_site_clock(site):
    wire = site.connect().ask("/clock")
    assert wire._head().get("Content-Type") == "text/event-stream"
    for _ in range(2):
        assert re.fullmatch(rb"data: \d\d:\d\d:\d\d UTC\n\n", wire._take(int(wire._line_until(b"\r\n"), 16)))
        wire._take(2)


def test_site_echo(site):
    wire = site.connect(2)
    wire.send("a\r\nquit\r\n")
    assert [wire.line(), wire.line()] == ["This is an echo. quit ends it.", "You said: a"]
    assert wire.has_ended()
