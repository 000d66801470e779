"""The command line: what it says when all is well, and that each error is a sentence that says what to do."""

import os
import re
import shutil
import socket
import subprocess
import tempfile

import pytest

from medusa import BINARY, Server


def run(*args, timeout=30, program=BINARY, **more):
    return subprocess.run(
        [program, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=timeout, **more
    )


def refused(*args, **more):
    """What is said when these arguments are refused: one line, for people."""
    done = run(*args, **more)
    assert done.returncode in (1, 2), done
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("medusa"), done.stderr
    assert not re.search(r"errno|E[A-Z]{4,}|-\d+$", lines[0])
    return lines[0]


def as_nobody():
    """For preexec_fn: these tests also run as root."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)


@pytest.fixture
def as_user():
    """Arguments for run(): as an ordinary user, from a place where one may execute it (root's home is closed to others)."""
    folder = tempfile.mkdtemp(prefix="medusa-user-")
    os.chmod(folder, 0o755)
    yield {"program": shutil.copy(BINARY, folder), "preexec_fn": as_nobody}
    shutil.rmtree(folder)


@pytest.mark.parametrize("args", [[], ["help"], ["--help"], ["-h"], ["serve", "--help"], ["serve", "x", "-h"]])
def test_help(args):
    done = run(*args)
    assert done.returncode == 0 and done.stderr == ""
    for word in ("serve", "--listen", "--no-listing", "--access-log", "--user", "USR1", "manual"):
        assert word in done.stdout


@pytest.mark.parametrize("args", [["version"], ["--version"]])
def test_version(args):
    done = run(*args)
    assert done.returncode == 0 and re.fullmatch(r"medusa \d+\.\d+\S* \(\S+\)\n", done.stdout)


def test_every_option_is_described_once():
    options = re.findall(r"^  (--[a-z-]+)", run("help").stdout, re.M)
    assert len(options) > 15 and len(set(options)) == len(options)


@pytest.mark.parametrize("word, wanted", [("serv", "serve"), ("hlep", "help"), ("versoin", "version")])
def test_unknown_command(word, wanted):
    assert f"did you mean {wanted}?" in refused(word)


def test_command_like_nothing():
    assert "medusa help" in refused("quetzalcoatl")


@pytest.mark.parametrize(
    "word, wanted", [("--lisen", "--listen"), ("--no-listings", "--no-listing"), ("--acess-log", "--access-log"), ("--users=x", "--user")]
)
def test_unknown_option(word, wanted):
    assert f"did you mean {wanted}?" in refused("serve", word)


def test_option_like_nothing():
    said = refused("serve", "--quetzalcoatl")
    assert "--quetzalcoatl" in said and "medusa help" in said


@pytest.mark.parametrize(
    "args",
    [
        ["--listen"],
        ["--listen", "nowhere:http"],
        ["--listen", ":99999"],
        ["--listen", ":-1"],
        ["--listen", ""],
        ["--listen", "127.0.0.1"],
        ["--listen", "[::1:80"],
        ["--listen", "300.0.0.1:8080"],
        ["--listen", "unix:"],
        ["--listen", "unix:" + "x" * 200],
        ["--max-header", "1"],
        ["--max-header", "lots"],
        ["--max-connections", "-5"],
        ["--max-connections", "99999999999999999999"],
        ["--keepalive", "5 parsecs"],
        ["--keepalive="],
        ["--rate-window", "10ms"],
        ["--linger", "2m"],
        ["--memory", "4M"],
        ["--no-listing=yes"],
        ["--log-format", "xml", "--access-log", "-"],
        ["--access-log", "/nonexistent/dir/log"],
        ["--log", "/nonexistent/dir/log"],
        ["--error-pages", "/nonexistent"],
        ["--error-pages", "/usr/bin"],
        ["--user", "nobody-has-this-name", "--listen", "127.0.0.1:0"],
    ],
)
def test_bad_values(tmp_path, args):
    said = refused("serve", str(tmp_path), *args)
    assert any(arg and arg.split("=")[0] in said for arg in args), said


def test_too_often(tmp_path):
    assert "at most" in refused("serve", str(tmp_path), *["--host", "x"] * 1000)


def test_directories(tmp_path):
    (tmp_path / "file").write_text("")
    assert "No such file or directory" in refused("serve", str(tmp_path / "missing"))
    assert "not a directory" in refused("serve", str(tmp_path / "file"))
    said = refused("serve", str(tmp_path), "/tmp")
    assert str(tmp_path) in said and "/tmp" in said


def test_port_in_use(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        where = f"127.0.0.1:{other.getsockname()[1]}"
        said = refused("serve", str(tmp_path), "--listen", where)
    assert where in said and "in use" in said and "--listen" in said


def test_port_of_another_server(serve):
    server = serve({})
    assert "in use" in refused("serve", "/tmp", "--listen", f"127.0.0.1:{server.port}")


def test_foreign_address(tmp_path):
    assert "not an address of this machine" in refused("serve", str(tmp_path), "--listen", "192.0.2.1:0")


def low_ports_are_free():
    with open("/proc/sys/net/ipv4/ip_unprivileged_port_start", encoding="ascii") as file:
        return int(file.read()) <= 80


@pytest.mark.skipif(low_ports_are_free(), reason="anybody may listen on port 80 here")
def test_port_80_without_root(as_user):
    said = refused("serve", "/tmp", "--listen", "127.0.0.1:80", **as_user)
    assert "needs root" in said and "sudo" in said and "--listen" in said


def test_user_without_root(as_user):
    said = refused("serve", "/tmp", "--listen", "127.0.0.1:0", "--user", "root", **as_user)
    assert "only root" in said and "--user root" in said


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_user_with_root(serve):
    server = serve({"a.txt": "a"}, "--user", "nobody")
    with open(f"/proc/{server.pid}/status", encoding="ascii") as file:
        status = file.read()
    assert re.search(r"^Uid:\s+65534\s+65534\s+65534\s+65534$", status, re.M)
    assert re.search(r"^CapEff:\s+0+$", status, re.M)
    assert "root" not in server.err.text


@pytest.mark.skipif(os.geteuid() != 0, reason="there is nothing to warn of")
def test_warns_of_root(serve):
    serve({}).err.wait("serving as root")


def test_serves_the_current_directory(tmp_path):
    (tmp_path / "here.txt").write_text("here")
    server = Server(".", cwd=tmp_path)
    try:
        assert server.get("/here.txt").body == b"here"
    finally:
        server.stop()


def test_announces_each_listener(serve, tmp_path):
    path = tmp_path / "socket"
    server = serve({"a.txt": "a"}, listen=("127.0.0.1:0", "[::1]:0", f"unix:{path}", ":0", "127.0.0.1:0,proxy"))
    assert f"unix:{path}" in server.urls
    assert any(url.startswith("[::1]:") for url in server.urls)
    assert any(url.startswith("localhost:") for url in server.urls)
    for url in server.urls:
        assert not url.endswith(":0")
