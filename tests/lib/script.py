"""Runs a script with the real program (medusa run), and speaks to its servers.

    with Script(tmp_path, 'medusa.tcp.server{listen = "127.0.0.1:0", handle = ...}') as script:
        wire = script.connect(1)          # to its first address, in the order of the script
        wire.send("hello\\r\\n"); assert wire.line() == "olleh"

Listen on 127.0.0.1:0 and ask .port(n). Errors of the script are expected lines of the log: script.wait_log(pattern)."""

import re
import signal
import subprocess

import medusa
from medusa import PATIENCE, Lines, Server


class ScriptWire(medusa.Wire):
    def line(self):
        """The next line, without its end, as text."""
        return self._line_until(b"\n").rstrip(b"\r").decode("utf-8", "replace")

    def read(self, n):
        return self._take(n)


class Script(Server):
    """One process. [text] is the script, or give path= of one that is there; files= are planted beside it."""

    def __init__(self, tmp_path, text=None, path=None, files=None, **popen):
        self.dir = tmp_path
        self.path = path or tmp_path / "site.lua"
        if text is not None:
            self.path.write_text(text)
        if files:
            medusa.plant(tmp_path, files)
        self.root, self.wires, self.is_checked = tmp_path, [], False
        self.process = subprocess.Popen(
            [medusa.BINARY, "run", str(self.path)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **popen,
        )
        self.pid = self.process.pid
        self.out, self.err = Lines(self.process.stdout), Lines(self.process.stderr)
        try:
            self.out.wait("^Ctrl-C ends it")
        except AssertionError as error:
            self.process.kill()
            raise AssertionError(f"the script did not begin: {self.err.text}") from error
        self.addresses = re.findall(r"^  (?:http://|\w+ )?(\S+?)/?(?:  \(.*)?$", self.out.text, re.M)

    def port(self, n=1):
        return int(self.addresses[n - 1].rsplit(":", 1)[1])

    def connect(self, n=1, **more):
        wire = super().connect(self.addresses[n - 1], **more)
        wire.__class__ = ScriptWire
        return wire

    def get(self, target="/", *lines, n=1, **more):
        """One HTTP request to the [n]th address."""
        wire = self.connect(n)
        try:
            return wire.get(target, *lines, **more)
        finally:
            wire.close()
            self.wires.remove(wire)

    def log(self):
        return self.err.text

    def wait_log(self, pattern, since=0, seconds=PATIENCE):
        return self.err.wait(pattern, since, seconds)

    def reload(self, text=None):
        """Loads it again (with another [text]); the log line that tells how it went."""
        if text is not None:
            self.path.write_text(text)
        since = len(self.err.text)
        self.signal(signal.SIGHUP)
        return self.err.wait(r"^.*\[load\.(done|failed)\]$", since).group(0)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is None:
            self.stop()
            return
        for wire in self.wires:
            wire.close()
        self.process.kill()
        self.process.wait()


def refused(tmp_path, text, seconds=PATIENCE):
    """What the program says of a script that does not load."""
    path = tmp_path / "refused.lua"
    path.write_text(text)
    done = subprocess.run([medusa.BINARY, "run", str(path)], capture_output=True, text=True, timeout=seconds)
    assert done.returncode == 1, f"it was loaded: {done.stdout} {done.stderr}"
    assert not medusa.TROUBLE.search(done.stderr), done.stderr
    return done.stderr
