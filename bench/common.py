"""What bench/run and bench/hang share: the tools they compile, the site they serve, the servers they start.

Everything lives in one temporary directory and every process that is started here is ended here, by its
process id, whatever way the program ends (Workbench is a context manager)."""

import contextlib
import ctypes
import fcntl
import json
import os
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request

BENCH = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(BENCH)
SITE_FILES = {"1k.html": 1024, "100k.bin": 100 * 1024, "1g.bin": 1024 ** 3}
IDLE_SECONDS = 600  # no server may close idle connections during a measurement


class BenchError(Exception):
    """Something the user can do something about: printed without a trace."""


# ---- the network ----

CONGESTION = "/proc/sys/net/ipv4/tcp_congestion_control"
CLONE_NEWNET = 0x40000000
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1


def bring_loopback_up():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        request = fcntl.ioctl(probe, SIOCGIFFLAGS, struct.pack("16sh22x", b"lo", 0))
        flags = struct.unpack("16sh22x", request)[1]
        fcntl.ioctl(probe, SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", flags | IFF_UP))


def own_network():
    """Move into a network namespace of our own, with a loopback as Linux has it by default; says what came of it.

    The setting of the machine is left alone, and nobody else's connections are in ours. It matters: where BBR is
    the machine's default it paces loopback with timers, and large files cost one to four times as much at random."""
    if os.geteuid() != 0:
        return f"the machine's own loopback (not root), congestion control {read_line(CONGESTION)}"
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
        return f"the machine's own loopback (no namespaces here), congestion control {read_line(CONGESTION)}"
    bring_loopback_up()
    for name in ("reno", "cubic"):  # cubic, where it is allowed; without loss they do the same
        with contextlib.suppress(OSError), open(CONGESTION, "w", encoding="ascii") as setting:
            setting.write(name)
    return f"a loopback of its own, congestion control {read_line(CONGESTION)}"


def read_line(path):
    with contextlib.suppress(OSError), open(path, encoding="utf-8") as file:
        return file.readline().strip()
    return "unknown"


# ---- processes ----

def cores():
    """(core of the servers, core of the load generator); (None, None) where there is only one."""
    free = sorted(os.sched_getaffinity(0))
    return (free[1], free[0]) if len(free) > 1 else (None, None)


def prepare_child(core):
    """What a child does before it becomes the program: all descriptors, one core, a signal mask of its own."""
    def prepare():
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        if core is not None:
            os.sched_setaffinity(0, {core})
    return prepare


def descendants(pid):
    """The process and all its living children, theirs too."""
    found = [pid]
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as children:
                for child in children.read().split():
                    found += descendants(int(child))
    return found


def cpu_seconds(pids):
    """CPU used so far, to the nanosecond: the clock of each process, all its threads included, also ended ones.

    The same figure as utime+stime of /proc/PID/stat, which is rounded to 10 ms ticks."""
    return sum(time.clock_gettime(((~pid) << 3) | 2) for pid in pids)


def memory(pids):
    """Resident bytes of the processes: {"rss": all, "anon": what is not backed by a file}."""
    total = {"rss": 0, "anon": 0}
    for pid in pids:
        fields = {}
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as rollup:  # exact, unlike VmRSS
            for line in rollup:
                parts = line.split()
                if len(parts) == 3 and parts[2] == "kB":
                    fields[parts[0]] = int(parts[1]) * 1024
        total["rss"] += fields["Rss:"]
        total["anon"] += fields["Anonymous:"]
    return total


def stop_process(process):
    """End a process that we started and its children; first asked, then made to."""
    pids = descendants(process.pid) if process.poll() is None else []
    if pids:
        process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(2)
    for pid in pids[1:]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    if process.poll() is None:
        process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe:
            with contextlib.suppress(OSError):
                pipe.close()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


# ---- the servers ----

NGINX = """
daemon off; worker_processes 1; worker_rlimit_nofile {files}; pid {dir}/nginx.pid; error_log {dir}/nginx.log warn;
{user}
events {{ worker_connections {connections}; }}
http {{
    access_log off; sendfile on; tcp_nopush on; types {{ text/html html; }}
    keepalive_requests 1000000000; keepalive_timeout {idle}s;
    open_file_cache max=30000 inactive={idle}s; open_file_cache_valid 60s;
    client_body_temp_path {dir}/nb; proxy_temp_path {dir}/np; fastcgi_temp_path {dir}/nf;
    uwsgi_temp_path {dir}/nu; scgi_temp_path {dir}/ns;
    server {{ listen 127.0.0.1:{port} backlog=4096; root {site}; }}
}}
"""

LIGHTTPD = """
server.document-root = "{site}"
server.bind = "127.0.0.1"
server.port = {port}
server.errorlog = "{dir}/lighttpd.log"
server.max-fds = {files}
server.max-connections = {connections}
server.max-keep-alive-requests = 65535
server.max-keep-alive-idle = {idle}
server.listen-backlog = 4096
mimetype.assign = ( ".html" => "text/html", "" => "application/octet-stream" )
"""

H2O = """
{user}
num-threads: 1
max-connections: {connections}
http1-request-timeout: {idle}
error-log: {dir}/h2o.log
pid-file: {dir}/h2o.pid
listen: {{ host: 127.0.0.1, port: {port} }}
hosts:
  default:
    paths:
      "/":
        file.dir: {site}
"""

HAPROXY = """
global
    nbthread 1
    maxconn {connections}
    no strict-limits  # it reserves a second descriptor per connection for a backend that is never used
defaults
    mode http
    timeout client {idle}s
    timeout http-request 60s
    timeout http-keep-alive {idle}s
frontend site
    bind 127.0.0.1:{port} backlog 4096
    http-request return status 200 content-type text/html file {site}/1k.html
"""


class Server:
    """One server: how it is started, which scenarios it takes part in, its version."""

    def __init__(self, name, binary, command, config=None, version=("-v",), scenarios=None):
        self.name, self.binary, self.command, self.config = name, binary, command, config
        self.version_arguments, self.scenarios = version, scenarios
        self.family = name

    def path(self):
        if os.sep in self.binary:
            return self.binary if os.access(self.binary, os.X_OK) else None
        return shutil.which(self.binary, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin:/sbin")

    def takes_part(self, scenario):
        return self.scenarios is None or scenario in self.scenarios

    def version(self):
        if not self.version_arguments:
            return ""
        done = subprocess.run([self.path(), *self.version_arguments], capture_output=True, text=True, check=False)
        return (done.stdout + done.stderr).strip().split("\n")[0]


class Running:
    """A server that answers: its port and its processes; what it is asked for."""

    def __init__(self, name, process, port, max_connections, target):
        self.name, self.process, self.port, self.max_connections = name, process, port, max_connections
        self.target = target
        self.pids = descendants(process.pid)

    def cpu(self):
        self.check()
        return cpu_seconds(self.pids)

    def memory(self):
        self.check()
        return memory(self.pids)

    def sockets(self):
        """How many sockets the server holds, listeners and all. A client does not see it when the server gives up
        one to which bytes are still under way; here it shows."""
        count = 0
        for pid in self.pids:
            for fd in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    count += os.readlink(f"/proc/{pid}/fd/{fd}").startswith("socket:")
        return count

    def check(self):
        if self.process.poll() is not None:
            raise BenchError(f"{self.name} ended in the middle of the measurement (status {self.process.returncode})")

    def wait_quiet(self, limit=5.0):
        """Until what the last client left behind is worked off."""
        end, before = time.monotonic() + limit, self.cpu()
        while time.monotonic() < end:
            time.sleep(0.03)
            now = self.cpu()
            if now - before < 0.001:
                return
            before = now


def known_servers(medusa, medusa_arguments):
    from_memory = {"keepalive", "pipeline", "newconn", "idle", "idle-busy"}  # haproxy holds no large file
    return [
        Server("medusa", medusa, ["serve", "{site}", "--listen", "127.0.0.1:{port}",
                                 "--max-connections", "{connections}", *medusa_arguments],
               version=("version",)),
        Server("nginx", "nginx", ["-c", "{config}", "-e", "{dir}/nginx.log"], NGINX),
        Server("lighttpd", "lighttpd", ["-D", "-f", "{config}"], LIGHTTPD),
        Server("h2o", "h2o", ["-c", "{config}"], H2O, version=("--version",)),
        Server("haproxy", "haproxy", ["-db", "-f", "{config}"], HAPROXY, scenarios=from_memory),
    ]


def floors(floor, site, scenario):
    """The floor in the shapes that this scenario needs: name -> arguments."""
    file = os.path.join(site, "1g.bin" if scenario == "1g" else "100k.bin")
    shapes = {
        "keepalive": {"floor": []}, "idle": {"floor": []}, "idle-busy": {"floor": []},
        "pipeline": {"floor": ["--pipeline"]},
        "newconn": {"floor": ["--close", "--defer", "--eager"], "floor-plain": ["--close"]},
        "100k": {"floor": ["--file", file], "floor-memory": ["--body", str(SITE_FILES["100k.bin"])]},
        "1g": {"floor": ["--file", file]},
    }
    return [Server(name, floor, ["--port", "{port}", *arguments], version=None)
            for name, arguments in shapes.get(scenario, {}).items()]


def gives_file(server, port, file, path):
    """True when the file is answered; False when the server does not listen yet."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            body = answer.read()
    except OSError:
        return False
    with open(file, "rb") as original:
        if body != original.read() and not server.name.startswith("floor"):
            raise BenchError(f"{server.name} answers {path} with other bytes than are in the file")
    return True


# ---- the workbench ----

class Workbench(contextlib.ExitStack):
    """The temporary directory, the compiled tools and all running processes."""

    def __enter__(self):
        super().__enter__()
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that it too runs the clean-up
        self.network = own_network()
        self.dir = tempfile.mkdtemp(prefix="medusa-bench-")
        self.callback(shutil.rmtree, self.dir, ignore_errors=True)
        os.chmod(self.dir, 0o755)  # the peers drop to other users
        self.site = os.path.join(self.dir, "site")
        os.mkdir(self.site)
        self.server_core, self.load_core = cores()
        self.tools = {}
        return self

    def compile(self, name, extra=()):
        """Build bench/NAME.c once; returns the path of the program."""
        if name not in self.tools:
            target = os.path.join(self.dir, name)
            command = [os.environ.get("CC", "cc"), "-std=c17", "-O2", os.path.join(BENCH, name + ".c"), "-o", target]
            try:
                subprocess.run(command + list(extra), check=True)
            except FileNotFoundError:
                raise BenchError("no C compiler: install one (apt install gcc) or set CC") from None
            except subprocess.CalledProcessError:
                raise BenchError(f"bench/{name}.c does not compile, see above") from None
            self.tools[name] = target
        return self.tools[name]

    def need_file(self, name):
        """Make a file of the site, with real blocks on the disk and its pages in the cache."""
        path = os.path.join(self.site, name)
        if os.path.exists(path):
            return
        if SITE_FILES[name] * 2 > shutil.disk_usage(self.site).free:
            raise BenchError(f"not enough room in {self.dir} for {name}: set TMPDIR to a larger disk")
        block = os.urandom(min(SITE_FILES[name], 1 << 20))
        with open(path, "wb") as file:
            for _ in range(SITE_FILES[name] // len(block)):
                file.write(block)
            file.flush()
            os.fsync(file.fileno())  # or it is written back in the middle of a measurement
        os.chmod(path, 0o644)

    def spawn(self, command, core, **options):
        process = subprocess.Popen(command, preexec_fn=prepare_child(core), start_new_session=True, **options)
        self.callback(stop_process, process)
        return process

    def start(self, server, site=None, check="/1k.html"):
        """Start a server and wait until it answers with the right bytes."""
        def prepare(names):
            names |= {"site": site or self.site, "config": os.path.join(self.dir, f"{server.name}.conf")}
            if server.config:
                with open(names["config"], "w", encoding="ascii") as config:
                    config.write(server.config.format(**names))
        file = (site or self.site) + check
        return self.start_with(server, prepare, lambda port: gives_file(server, port, file, check))

    def start_with(self, server, prepare, answers):
        """Start a server: prepare(names) writes its files, answers(port) tells whether it is there."""
        port = free_port()
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        connections = min(16000, limit // 2 if server.family == "lighttpd" else limit - 200)  # it reserves two each
        names = {"dir": self.dir, "site": self.site, "port": port, "files": limit, "idle": IDLE_SECONDS,
                 "connections": connections, "user": "", "name": server.name}
        if os.geteuid() == 0:
            names["user"] = {"nginx": "user root;", "h2o": "user: root"}.get(server.family, "")
        prepare(names)
        log = open(os.path.join(self.dir, f"{server.name}.out"), "w+", encoding="utf-8", errors="replace")
        self.callback(log.close)
        command = [server.path()] + [part.format(**names) for part in server.command]
        process = self.spawn(command, self.server_core, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.wait_answer(server, process, port, log, answers)
        return Running(server.name, process, port, connections, getattr(server, "target", "/1k.html"))

    @staticmethod
    def end(server):
        stop_process(server.process)

    @staticmethod
    def wait_answer(server, process, port, log, answers):
        end = time.monotonic() + 10
        while not answers(port):
            if process.poll() is not None or time.monotonic() > end:
                log.seek(0)
                raise BenchError(f"{server.name} does not answer. It said:\n{log.read().strip()}")
            time.sleep(0.02)

    def load(self, port, *arguments):
        """Run the generator to its end; its report."""
        process = self.spawn([self.compile("load"), "--port", str(port), *map(str, arguments)], self.load_core,
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        output, _ = process.communicate()
        if process.returncode:
            raise BenchError(f"the load generator failed: load {' '.join(map(str, arguments))}")
        return json.loads(output.strip().split("\n")[-1])

    def hold(self, port, *arguments, wait=True):
        """Clients that stay (idle, slow or hanging) until release()."""
        process = self.spawn([self.compile("load"), "--port", str(port), "--hold", *map(str, arguments)],
                             self.load_core, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if wait:
            process.held = json.loads(process.stdout.readline() or '{"held": 0}')["held"]
        return process

    @staticmethod
    def release(process):
        """Let held clients go; their report."""
        output, _ = process.communicate()
        return json.loads(output.strip().split("\n")[-1])


@contextlib.contextmanager
def errors_as_sentences(program):
    try:
        yield
    except BenchError as error:
        sys.exit(f"{program}: {error}")
    except KeyboardInterrupt:
        sys.exit(f"{program}: interrupted; everything that was started has been ended")


def find_servers(known, wanted, program):
    """Those of [wanted] that are installed; says which are not. Medusa must be there if it was asked for."""
    families = list(dict.fromkeys(server.family for server in known))
    unknown = set(wanted) - set(families) - {"floor"}
    if unknown:
        raise BenchError(f"unknown server {', '.join(sorted(unknown))}; there are: floor, " + ", ".join(families))
    found = []
    for server in known:
        if server.family not in wanted:
            continue
        if server.path():
            found.append(server)
        elif server.family == "medusa":
            raise BenchError(f"{server.binary} is missing: run ./run version first, or name it with --medusa PATH,"
                             " or leave it out with --servers floor,nginx,...")
        else:
            print(f"{program}: {server.name} is not installed, it is left out", file=sys.stderr)
    return found


def markdown_table(header, rows):
    """Aligned columns: readable in a terminal and as Markdown."""
    cells = [header] + rows
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    lines = [" | ".join([row[0].ljust(widths[0])] + [c.rjust(w) for c, w in zip(row[1:], widths[1:])])
             for row in cells]
    rule = " | ".join(["-" * widths[0]] + ["-" * (w - 1) + ":" for w in widths[1:]])
    return "\n".join("| " + line + " |" for line in [lines[0], rule] + lines[1:])
