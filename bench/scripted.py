"""The servers of the scenarios with scripts: hello and fast-lua (HTTP), echo and tcp-idle (lines).

Their files are in bench/scripts. @names@ in them are replaced when a server starts."""

import os
import socket
import urllib.error
import urllib.request

from common import BenchError, Server

SCRIPTED = ("hello", "fast-lua", "echo", "tcp-idle")
LINE = b"a line that comes back, 32 byte\n"
FIELDS = "User-Agent: bench/1.0\r\nAccept: text/plain"
USER_PATH = "/user/ann?color=red&size=5"
USER_BODY = b"ann text/plain color=red&size=5\n"
NGINX_MODULES = ("/usr/lib/nginx/modules", "/usr/lib64/nginx/modules", "/usr/share/nginx/modules")
LIGHTTPD_MODULES = ("/usr/lib/lighttpd", "/usr/lib64/lighttpd", "/usr/local/lib/lighttpd")


def file_in(folders, name):
    return next((folder for folder in folders if os.path.exists(os.path.join(folder, name))), None)


# ---- does it answer what it should? ----

def fetch(port, path, fields=()):
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=dict(fields))
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.read()
    except urllib.error.HTTPError as error:
        raise BenchError(f"{path} is answered with status {error.code}") from None


def check_http(path, body, fields=()):
    def check(port):
        if fetch(port, path, fields) != body:
            raise BenchError(f"{path} is not answered with the bytes that the script should send")
    return check


def check_line(port):
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        client.sendall(LINE)
        got = b""
        while len(got) < len(LINE):
            piece = client.recv(4096)
            if not piece:
                break
            got += piece
    if got != LINE:
        raise BenchError("a line does not come back as it was sent")


# ---- the servers ----

class Scripted(Server):
    """A server with files of bench/scripts: {file: name in the temporary directory}."""

    def __init__(self, name, family, binary, command, files, scenarios, check, path="/", need=None, version=("-v",)):
        super().__init__(name, binary, command, version=version, scenarios=set(scenarios))
        self.family, self.files, self.check, self.target, self.need = family, files, check, path, need

    def path(self):
        return super().path() if self.need is None or self.need() else None


def http_servers(medusa):
    def has_nginx_lua():
        return file_in(NGINX_MODULES, "ngx_http_lua_module.so")

    def has_magnet():
        return file_in(LIGHTTPD_MODULES, "mod_magnet.so")

    def hello(name, family, binary, command, files, path="/", need=None, version=("-v",)):
        return Scripted(name, family, binary, command, files, ["hello"], check_http(path, b"hello\n"), path, need,
                        version)

    nginx = ["-c", "{dir}/{name}.conf", "-e", "{dir}/{name}.log"]
    haproxy = {"hello.haproxy.conf": "conf", "haproxy.lua": "haproxy.lua"}
    return [
        hello("medusa", "medusa", medusa, ["run", "{dir}/{name}.lua"], {"hello.lua": "lua"}, version=("version",)),
        hello("nginx-lua", "nginx", "nginx", nginx, {"hello.nginx.conf": "conf"}, "/lua", has_nginx_lua),
        hello("nginx", "nginx", "nginx", nginx, {"hello.nginx.conf": "conf"}, "/c", has_nginx_lua),
        hello("lighttpd-magnet", "lighttpd", "lighttpd", ["-D", "-f", "{dir}/{name}.conf"],
              {"hello.lighttpd.conf": "conf", "magnet.lua": "magnet.lua"}, need=has_magnet),
        hello("h2o-mruby", "h2o", "h2o", ["-c", "{dir}/{name}.conf"], {"hello.h2o.conf": "conf"},
              version=("--version",)),
        hello("haproxy-lua", "haproxy", "haproxy", ["-db", "-f", "{dir}/{name}.conf"], haproxy, "/lua"),
        hello("haproxy", "haproxy", "haproxy", ["-db", "-f", "{dir}/{name}.conf"], haproxy, "/return"),
        hello("node", "node", "node", ["{dir}/{name}.js", "{port}"], {"hello.js": "js"}, version=("--version",)),
        *user_servers(medusa, nginx, has_nginx_lua),
    ]


def user_servers(medusa, nginx, has_nginx_lua):
    check = check_http(USER_PATH, USER_BODY, [line.split(": ") for line in FIELDS.split("\r\n")])
    return [
        Scripted("medusa", "medusa", medusa, ["run", "{dir}/{name}.lua"], {"hello.lua": "lua"}, ["fast-lua"], check,
                 USER_PATH, version=("version",)),
        Scripted("nginx-lua", "nginx", "nginx", nginx, {"hello.nginx.conf": "conf"}, ["fast-lua"], check, USER_PATH,
                 has_nginx_lua),
    ]


def line_servers(medusa):
    def lines(name, family, binary, command, files, version, scenarios=("echo", "tcp-idle")):
        return Scripted(name, family, binary, command, files, scenarios, check_line, version=version)

    run = ["run", "{dir}/{name}.lua"]
    return [
        lines("medusa", "medusa", medusa, run, {"echo.lua": "lua"}, ("version",)),
        lines("medusa-events", "medusa", medusa, run, {"echo_events.lua": "lua"}, ("version",)),
        lines("node", "node", "node", ["{dir}/{name}.js", "{port}"], {"echo.js": "js"}, ("--version",)),
        lines("python", "python", "/usr/bin/python3", ["{dir}/{name}.py", "{port}"], {"echo.py": "py"}, ("--version",),
              ["echo"]),
    ]


def scripted_floors(floor, scenario):
    shapes = {"hello": ["--brief", "--body", "6"], "echo": ["--echo"], "fast-lua": ["--brief", "--body", "32"]}
    if scenario not in shapes:
        return []
    return [Scripted("floor", "floor", floor, ["--port", "{port}", *shapes[scenario]], {}, [scenario],
                     check_line if scenario == "echo" else lambda port: fetch(port, "/"), "/", version=None)]


def scripted_servers(medusa):
    return http_servers(medusa) + line_servers(medusa)


# ---- starting them ----

def plant(bench, server, names):
    """Write the server's files into the temporary directory."""
    names = names | {"modules": file_in(NGINX_MODULES, "ngx_http_lua_module.so") or ""}
    for source, end in server.files.items():
        with open(os.path.join(os.path.dirname(__file__), "scripts", source), encoding="utf-8") as file:
            text = file.read()
        for name, value in names.items():
            text = text.replace(f"@{name}@", str(value))
        path = os.path.join(bench.dir, f"{server.name}.{end}")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, 0o644)


def answers(server, port):
    """True when it gave the right answer; False when it does not listen yet."""
    try:
        server.check(port)
    except BenchError as error:
        raise BenchError(f"{server.name}: {error}") from None
    except OSError:
        return False
    return True


def start_scripted(bench, server):
    def prepare(names):
        plant(bench, server, names)
    return bench.start_with(server, prepare, lambda port: answers(server, port))
