"""docs/tutorial.md: its scripts are run, its conversations held, its errors made.

Blocks: ```lua chat.lua is a script; ```dialogue is held with the script above it; ```lua wrong does not load, and ```says is what Medusa says to that.
Lines of a conversation: "ann $ COMMAND" comes (nc: a connection; curl: that command), "ann > TEXT" types, "ann < TEXT" sees, "ann leaves"; "medusa < TEXT"
is in the log."""

import re
import shlex
import subprocess

import pytest
from medusa import ROOT, Lines, until
from script import Script, refused

TEXT = (ROOT / "docs" / "tutorial.md").read_text()
BLOCKS = re.findall(r"^```(\S+)(?: (\S+))?\n(.*?)^```$", TEXT, re.M | re.S)


def pairs(wanted):
    """Each script of that name, with its line in the tutorial, and what follows it."""
    for (kind, name, text), (next_kind, _, then) in zip(BLOCKS, BLOCKS[1:] + [("", "", "")]):
        if kind == "lua" and name == wanted:
            line = TEXT[: TEXT.index(text)].count("\n") + 1
            assert next_kind == ("says" if name == "wrong" else "dialogue"), f"nothing follows the script in line {line}"
            yield pytest.param(text, then, id=f"line{line}")


def without_paths(text):
    return re.sub(r"\S*/(?=[\w.]+\.lua:)", "", text)


class Person:
    def __init__(self, script, ports, command):
        words = shlex.split(command)
        self.wire = self.process = None
        if words[0] == "nc":
            self.wire = script.connect(ports[words[2]])
            return
        assert words[0] == "curl"
        for port, n in ports.items():
            words = [word.replace(f"localhost:{port}", script.addresses[n - 1]) for word in words]
        self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self.out, self.at = Lines(self.process.stdout), 0

    def types(self, text):
        self.wire.send(text + "\r\n")

    def sees(self, text):
        if self.wire:
            assert self.wire.line() == text
            return
        found = self.out.wait(r"^(.+)(?:\n|\Z)", self.at)
        assert found.group(1) == text
        self.at = found.end()

    def leaves(self):
        if self.wire:
            assert self.wire.buffer == b"", f"{self.wire.buffer} was not told"
            self.wire.close()
        else:
            self.process.kill()
            self.process.wait()
            self.out.thread.join()
            self.out.pipe.close()


def hold(script, ports, lines):
    people = {}
    for line in lines:
        name, what, text = re.match(r"(\w+) (\$|>|<|leaves) ?(.*)$", line).groups()
        if name == "medusa":
            until(lambda: text in without_paths(script.log()), f"{text!r} in the log")
        elif what == "$":
            people[name] = Person(script, ports, text)
        elif what == ">":
            people[name].types(text)
        elif what == "<":
            people[name].sees(text)
        else:
            people.pop(name).leaves()
    for person in people.values():
        person.leaves()


GOOD, WRONG = list(pairs("chat.lua")), list(pairs("wrong"))


@pytest.mark.parametrize("text, dialogue", GOOD)
def test_a_step(tmp_path, text, dialogue):
    ports = re.findall(r'listen = ":(\d+)"', text)
    text = re.sub(r'listen = ":\d+"', 'listen = "127.0.0.1:0"', text)
    path = tmp_path / "chat.lua"
    path.write_text(text)
    with Script(tmp_path, path=path) as script:
        hold(script, {port: i + 1 for i, port in enumerate(ports)}, dialogue.splitlines())


@pytest.mark.parametrize("text, says", WRONG)
def test_a_mistake(tmp_path, text, says):
    said = without_paths(refused(tmp_path, text)).replace("refused.lua", "chat.lua")
    for line in says.splitlines():
        assert line in said


def scripts_of(path):
    text = (ROOT / path).read_text()
    for block in re.findall(r"^```lua\n(.*?)^```$", text, re.M | re.S):
        yield pytest.param(block, id=f"{path}:{text[: text.index(block)].count(chr(10)) + 1}")


@pytest.mark.parametrize("text", [*scripts_of("README.md"), *scripts_of("docs/manual.md")])
def test_scripts_of_the_other_documents_load(tmp_path, text):
    for name in "public", "site":
        (tmp_path / name).mkdir()
    text = re.sub(r'":\d+"', '"127.0.0.1:0"', text).replace("/run/", f"{tmp_path}/")
    with Script(tmp_path, text) as script:
        assert script.addresses
        if "/hello/:name" in text:
            assert script.get("/hello/you").body.startswith(b"Hello, you") and script.get("/").status == 200


def test_the_servers_of_the_manual(tmp_path):
    blocks = [param.values[0] for param in scripts_of("docs/manual.md")]
    text = re.sub(r'":\d+"', '"127.0.0.1:0"', "\n".join(block for block in blocks if "http" not in block))
    with Script(tmp_path, text) as script:
        wire = script.connect(1)
        wire.send("3\r\nabc")
        assert [wire.line(), wire.line()] == ["How many bytes?", "Thank you for 3 bytes."]
        assert wire.has_ended()
        wire = script.connect(2)
        wire.send("a\nb\nquit\n")
        assert wire.rest() == b"1: a\r\n2: b\r\n"


def test_there_is_something_to_test():
    assert len(GOOD) >= 6 and len(WRONG) >= 3
    assert "dialogue" in TEXT and re.search(r"\]\(manual\.md#scripts\)", TEXT)


def block_with(word):
    return next(param.values[0] for param in scripts_of("docs/manual.md") if word in param.values[0])


def test_the_services_of_the_manual(tmp_path):
    """Files, shared data, databases, forms and other servers: what its scripts say they do."""
    def run(word):
        text = block_with(word).replace('":8080"', '"127.0.0.1:0"').replace("/var/tmp", str(tmp_path))
        return Script(tmp_path, text.replace("127.0.0.1:3000", "127.0.0.1:1"))

    with run("notes:write") as script:
        assert script.get("/note/a", "Content-Length: 5", method="PUT", body=b"hello").status == 204
        assert script.get("/note/a").body == b"hello"
        assert script.get("/note/a", method="DELETE").status == 204
        assert script.get("/note/a").status == 404
    with run("shared.publish") as script:
        assert [script.get("/visit").body for _ in range(2)] == [b"1\n", b"2\n"]
        script.wait_log("news: visit 2")
    with run("medusa.sqlite") as script:
        assert script.get("/guests/Ann", "Content-Length: 0", method="POST").body == b'[{"name":"Ann"}]'
    with run("uploads =") as script:
        part = b'--b\r\nContent-Disposition: form-data; name="photo"; filename="a.png"\r\n\r\nPNG\r\n--b--\r\n'
        kind = "Content-Type: multipart/form-data; boundary=b"
        answer = script.get("/photo", kind, f"Content-Length: {len(part)}", method="POST", body=part)
        assert b'"size":3' in answer.body and b'"a.png"' in answer.body
        assert script.get("/photo", "Content-Length: 0", method="POST").status == 400
    with run("medusa.http.proxy") as script:
        assert script.get("/up").status == 502 and script.get("/api/x").status == 502
