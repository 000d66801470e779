"""Runs the real server, and speaks HTTP to it over raw sockets.

Every wait has a deadline and ends when what it waits for has happened. No port is fixed: the server is told to take
any and prints which one it got."""

import json
import os
import re
import select
import signal
import socket
import struct
import subprocess
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BINARY = os.environ.get("MEDUSA", str(ROOT / "build" / "medusa"))
PATIENCE = 30.0  # seconds until what should have happened counts as failed

TROUBLE = re.compile(r"\bBUG\b|runtime error:|ERROR: \w+Sanitizer|Sanitizer:|panic|assert", re.I)


def is_sanitized():
    return "MEDUSA_SANITIZED" in os.environ or "asan" in BINARY


def until(ready, what="it", seconds=PATIENCE, every=0.02):
    """Asks [ready] until it says something true, which is returned."""
    end = time.monotonic() + seconds
    pause = threading.Event()
    while True:
        value = ready()
        if value:
            return value
        assert time.monotonic() < end, f"{what} did not happen within {seconds} s"
        pause.wait(every)


def plant(root, tree):
    """Files (bytes or str), directories (dict), symbolic links (Path) below [root]. Returns [root]."""
    root = os.fsencode(root)
    os.makedirs(root, exist_ok=True)
    for name, what in tree.items():
        path = os.path.join(root, os.fsencode(name))
        if isinstance(what, dict):
            plant(path, what)
        elif isinstance(what, Path):
            os.symlink(os.fsencode(what), path)
        else:
            with open(path, "wb") as file:
                file.write(what.encode() if isinstance(what, str) else what)
    return Path(os.fsdecode(root))


class Lines:
    """What a process writes, read by a thread, so that one can wait for a line."""

    def __init__(self, pipe):
        self.pipe, self.text, self.at_end = pipe, "", False
        self.changed = threading.Condition()
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        while True:
            data = os.read(self.pipe.fileno(), 65536)
            with self.changed:
                self.text += data.decode("utf-8", "replace")
                self.at_end = not data
                self.changed.notify_all()
            if not data:
                return

    def wait(self, pattern, since=0, seconds=PATIENCE):
        """The match of [pattern] in what came after position [since]."""
        wanted = re.compile(pattern, re.M)
        with self.changed:
            self.changed.wait_for(lambda: wanted.search(self.text, since) or self.at_end, seconds)
            found = wanted.search(self.text, since)
        assert found, f"no {pattern!r} in:\n{self.text[since:]}"
        return found


class Response:
    def __init__(self, status, version, fields, body=b"", interim=()):
        self.status, self.version, self.fields, self.body, self.interim = status, version, fields, body, list(interim)

    def get(self, name, default=None):
        values = [value for key, value in self.fields if key.lower() == name.lower()]
        assert len(values) < 2, f"{name} is there {len(values)} times"
        return values[0] if values else default

    def __repr__(self):
        return f"<{self.status} {self.fields} {self.body[:200]!r}>"


class Wire:
    """One connection."""

    def __init__(self, sock, timeout=PATIENCE):
        self.sock, self.buffer, self.timeout = sock, b"", timeout
        sock.settimeout(timeout)

    def send(self, data):
        self.sock.sendall(data.encode("latin-1") if isinstance(data, str) else data)
        return self

    def ask(self, target="/", *lines, method="GET", version="1.1", host="test", body=b""):
        head = [f"{method} {target} HTTP/{version}"] + ([f"Host: {host}"] if host else []) + list(lines)
        self.send("\r\n".join(head).encode("utf-8") + b"\r\n\r\n" + body)
        return self

    def get(self, target="/", *lines, method="GET", **more):
        return self.ask(target, *lines, method=method, **more).answer(method)

    def _more(self):
        data = self.sock.recv(262144)
        self.buffer += data
        return data

    def _take(self, n):
        parts, have = [self.buffer[:n]], min(n, len(self.buffer))
        self.buffer = self.buffer[n:]
        while have < n:
            data = self.sock.recv(min(n - have, 1 << 20))
            assert data, f"the connection ended {n - have} bytes early"
            parts.append(data)
            have += len(data)
        return b"".join(parts)

    def _line_until(self, end):
        while end not in self.buffer:
            assert self._more(), f"the connection ended within {self.buffer!r}"
        line, self.buffer = self.buffer.split(end, 1)
        return line

    def _head(self):
        lines = self._line_until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        version, status, _ = lines[0].split(" ", 2)
        fields = [tuple(line.split(": ", 1)) for line in lines[1:]]
        return Response(int(status), version, fields)

    def answer(self, method="GET"):
        """The next response, whole."""
        interim = []
        response = self._head()
        while response.status < 200:
            interim.append(response)
            response = self._head()
        response.interim = interim
        if method != "HEAD" and response.status not in (204, 304):
            response.body = self._body(response)
        return response

    def _body(self, response):
        if response.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self._line_until(b"\r\n"), 16):
                body += self._take(size)
                assert self._take(2) == b"\r\n"
            assert self._take(2) == b"\r\n"
            return body
        if response.get("Content-Length") is not None:
            return self._take(int(response.get("Content-Length")))
        return self.rest()

    def rest(self):
        """All until the server ends the connection; a reset counts as an end."""
        try:
            while self._more():
                pass
        except ConnectionError:
            pass
        data, self.buffer = self.buffer, b""
        return data

    def has_ended(self):
        """Waits for the end; nothing may come before."""
        return self.rest() == b""

    def is_quiet(self, seconds=0.2):
        """Nothing comes, and the connection stays open, for that long."""
        return not self.buffer and not select.select([self.sock], [], [], seconds)[0]

    def half_close(self):
        self.sock.shutdown(socket.SHUT_WR)
        return self

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self):
        self.sock.close()


class Server:
    """One process. Arguments as on the command line, without "serve DIR"."""

    def __init__(self, root, *args, listen=("127.0.0.1:0",), **popen):
        command = [BINARY, "serve", str(root)]
        for where in listen:
            command += ["--listen", where]
        self.root, self.wires, self.is_checked = Path(root), [], False
        self.process = subprocess.Popen(
            command + list(args), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **popen
        )
        self.pid = self.process.pid
        self.out, self.err = Lines(self.process.stdout), Lines(self.process.stderr)
        try:
            self.out.wait("^Ctrl-C ends it")
        except AssertionError as error:
            self.process.kill()
            raise AssertionError(f"the server did not begin: {self.err.text}") from error
        self.urls = re.findall(r"^  (?:http://)?(\S+?)/?(?:  \(.*)?$", self.out.text, re.M)

    @property
    def port(self):
        return int(next(url for url in self.urls if re.fullmatch(r"[\d.]+:\d+", url)).rsplit(":", 1)[1])

    def connect(self, to=None, timeout=PATIENCE, receive_buffer=None):
        """[to]: host:port, [host]:port or unix:path of one of the URLs; the IPv4 one without."""
        to = to or f"127.0.0.1:{self.port}"
        if to.startswith("unix:"):
            family, address = socket.AF_UNIX, to[5:]
        else:
            host, port = to.rsplit(":", 1)
            family, address = (socket.AF_INET6 if "[" in host else socket.AF_INET), (host.strip("[]"), int(port))
        sock = socket.socket(family, socket.SOCK_STREAM)
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(timeout)
        sock.connect(address)
        wire = Wire(sock, timeout)
        self.wires.append(wire)
        return wire

    def get(self, target="/", *lines, **more):
        """One request on a connection of its own."""
        wire = self.connect()
        try:
            return wire.get(target, *lines, **more)
        finally:
            wire.close()
            self.wires.remove(wire)

    def raw(self, data):
        """Sends [data] on a connection of its own; all that comes until the server ends it."""
        wire = self.connect()
        try:
            return wire.send(data).rest()
        finally:
            wire.close()
            self.wires.remove(wire)

    def signal(self, signo):
        self.process.send_signal(signo)

    def status(self):
        """What SIGUSR2 reports: {"open": n, "accepted": n, "bytes": n, "owners": {name: bytes}, "text": ...}"""
        since = len(self.err.text)
        self.signal(signal.SIGUSR2)
        found = self.err.wait(r"connections: (\d+) open of \d+, (\d+) accepted", since)
        held = self.err.wait(r"memory: (\d+) bytes held[^\n]*\n(?:[^\n]*memory of [^\n]*\n)+", since)
        owners = {}
        for name, n in re.findall(r"memory of (.+?): (\d+) bytes", held.group(0)):
            owners[name] = owners.get(name, 0) + int(n)
        return {"open": int(found[1]), "accepted": int(found[2]), "bytes": int(held[1]), "owners": owners}

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def wait_end(self, seconds=PATIENCE):
        """Waits for the end of the process and checks that it was a good one."""
        self.is_checked = True
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the server does not end:\n{self.err.text}") from None
        for lines in (self.out, self.err):
            lines.thread.join(PATIENCE)
            lines.pipe.close()
        assert status == 0, f"it ended with status {status}:\n{self.err.text}"
        assert not TROUBLE.search(self.err.text), self.err.text

    def stop(self):
        for wire in self.wires:
            wire.close()
        if not self.is_checked:
            if self.process.poll() is None:
                self.signal(signal.SIGTERM)
            self.wait_end()


class Servers:
    """Begins servers, and ends them all."""

    def __init__(self, new_directory):
        self.new_directory, self.all = new_directory, []

    def __call__(self, tree, *args, **more):
        """[tree]: for plant(), or the path of a directory that is there."""
        root = plant(self.new_directory() / "site", tree) if isinstance(tree, dict) else tree
        server = Server(root, *args, **more)
        self.all.append(server)
        return server

    def end(self):
        errors = []
        for server in self.all:
            try:
                server.stop()
            except AssertionError as error:
                errors.append(str(error))
        assert not errors, "\n".join(errors)


def lines_of(path, count, seconds=PATIENCE):
    """The lines of a log file, when there are at least [count]."""

    def enough():
        lines = Path(path).read_text().splitlines(keepends=True) if Path(path).exists() else []
        whole = [line[:-1] for line in lines if line.endswith("\n")]
        return whole if len(whole) >= count else None

    return until(enough, f"{count} lines in {path}", seconds)


def objects_of(path, count):
    return [json.loads(line) for line in lines_of(path, count)]
