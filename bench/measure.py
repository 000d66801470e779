"""What bench/run measures: rounds of load, memory of idle clients, load beside others; medians of it all."""

import statistics
import sys
import time

from common import BenchError
from scripted import FIELDS, LINE

LOADS = {
    "keepalive": ["--path", "/1k.html"],
    "pipeline": ["--path", "/1k.html", "--depth", "16"],
    "newconn": ["--path", "/1k.html", "--close"],
    "100k": ["--path", "/100k.bin"],
    "1g": ["--path", "/1g.bin"],
    "idle": ["--path", "/1k.html"],
    "hello": [],  # the path is the server's own
    "fast-lua": ["--field", FIELDS],
    "echo": ["--echo", len(LINE)],
    "tcp-idle": ["--echo", len(LINE)],
}


def progress(text):
    if sys.stderr.isatty():
        print(f"\r\033[K  {text}", end="", file=sys.stderr, flush=True)


def median(values):
    return statistics.median(values) if values else float("nan")


def measure(bench, server, arguments):
    """One round: the generator's report, with the server's CPU time."""
    server.wait_quiet()
    before = server.cpu()
    report = bench.load(server.port, *arguments)
    report["server_cpu"] = server.cpu() - before
    if not report["requests"] and not report["bytes"]:
        raise BenchError(f"{server.name} answered none of {report['unanswered']} requests in {report['seconds']:.1f} s")
    return report


def summarize(server, rounds):
    """The medians of some rounds."""
    per_100k = [r["server_cpu"] * 1e5 / r["requests"] for r in rounds if r["requests"]]
    row = {"server": server.name, "rounds": rounds,
           "errors": sum(r["errors"] for r in rounds),
           "cpu_per_100k": median(per_100k),
           "spread": (max(per_100k) - min(per_100k)) / median(per_100k) if per_100k else 0.0,
           "bytes_per_cpu": median([r["bytes"] / r["server_cpu"] for r in rounds]),
           "load_busy": median([r["cpu_seconds"] / r["seconds"] for r in rounds])}
    for name in ("rps", "p50_us", "p99_us"):
        row[name] = median([r[name] for r in rounds])
    return row


def interleaved(servers, rounds, one_round):
    """A, B, C, A, B, C, ...: what disturbs the machine disturbs all of them alike. A server that fails is left out.

    Returns [(server, its results)]."""
    results = {server: [] for server in servers}
    for number in range(rounds):
        for server in list(results):
            progress(f"round {number + 1} of {rounds}: {server.name}")
            try:
                results[server].append(one_round(server))
            except BenchError as error:
                del results[server]
                progress("")
                print(f"bench/run: {server.name} is left out here: {error}", file=sys.stderr)
    return list(results.items())


def load_of(scenario, server):
    """What the generator asks of this server."""
    return [*LOADS[scenario], "--path", server.target] if scenario in ("hello", "fast-lua") else LOADS[scenario]


def run_requests(bench, scenario, servers):
    connections = 4 if scenario == "1g" else bench.options.connections

    def load_for(server, seconds):
        return ["--connections", connections, *load_of(scenario, server), "--seconds", seconds]
    for server in servers:
        bench.load(server.port, *load_for(server, 0.2))
    results = interleaved(servers, bench.options.rounds,
                          lambda server: measure(bench, server, load_for(server, bench.options.seconds)))
    return [summarize(server, rounds) for server, rounds in results]


def measure_idle(bench, scenario, server):
    bench.load(server.port, "--connections", 64, "--seconds", 0.3, *LOADS[scenario])
    few, many = 1000, bench.options.idle
    first = bench.hold(server.port, "--idle", few, *LOADS[scenario])
    server.wait_quiet()
    before = server.memory()
    second = bench.hold(server.port, "--idle", many - few, *LOADS[scenario])
    server.wait_quiet()
    after = server.memory()
    lost = sum(bench.release(process)["idle_lost"] for process in (first, second))
    return {"server": server.name, "held": first.held + second.held, "lost": lost, "rss": after["rss"],
            "rss_per_connection": (after["rss"] - before["rss"]) / max(second.held, 1),
            "anon_per_connection": (after["anon"] - before["anon"]) / max(second.held, 1)}


def run_idle(bench, scenario, servers):
    """Once per server: memory is the same in every round, and a second one would find it already grown."""
    return [rows[0] for _, rows in interleaved(servers, 1, lambda server: measure_idle(bench, scenario, server))]


def pair_of_rounds(bench, server, arguments, holding):
    """The same load alone and beside clients that are held; also what became of these."""
    alone = measure(bench, server, arguments)
    memory_before = server.memory()["rss"]
    held = bench.hold(server.port, *holding)
    beside = measure(bench, server, arguments)
    memory_beside = server.memory()["rss"]
    watch_slow(bench, holding)
    sockets = server.sockets()
    report = bench.release(held)
    return {"alone": alone, "beside": beside, "held": held.held, "report": report, "sockets": sockets,
            "rss_before": memory_before, "rss_beside": memory_beside}


def watch_slow(bench, holding):
    """--watch: keep the slow clients longer, to see the server's deadlines end them."""
    if bench.options.watch and "--slow-senders" in holding:
        time.sleep(bench.options.watch)


def summarize_pairs(server, pairs):
    alone = summarize(server, [p["alone"] for p in pairs])
    beside = summarize(server, [p["beside"] for p in pairs])
    cost = [(p["beside"]["server_cpu"] / p["beside"]["requests"]) / (p["alone"]["server_cpu"] / p["alone"]["requests"])
            for p in pairs]
    last = pairs[-1]["report"]
    return {"server": server.name, "alone": alone, "beside": beside, "cost_ratio": median(cost),
            "rps_ratio": median([p["beside"]["rps"] / p["alone"]["rps"] for p in pairs]),
            "p99_ratio": median([p["beside"]["p99_us"] / p["alone"]["p99_us"] for p in pairs]),
            "held": min(p["held"] for p in pairs), "sockets": pairs[-1]["sockets"],
            "errors": alone["errors"] + beside["errors"],
            "lost": last["idle_lost"], "readers_ended": last["readers_ended"],
            "senders_ended": last["senders_ended"], "first_end_s": last["first_end_s"],
            "last_end_s": last["last_end_s"],
            "rss_before": median([p["rss_before"] for p in pairs]),
            "rss_beside": median([p["rss_beside"] for p in pairs])}


def run_pairs(bench, scenario, servers):
    options = bench.options
    busy = 8 if scenario == "slow" else options.connections

    def one_round(server):
        arguments = ["--connections", busy, "--path", "/1k.html", "--seconds", options.seconds]
        holding = ["--idle", min(options.idle, server.max_connections - busy - 100), "--path", "/1k.html"]
        if scenario == "slow":
            holding = ["--slow-readers", options.slow, "--slow-senders", options.slow, "--slow-path", "/1g.bin"]
        return pair_of_rounds(bench, server, arguments, holding)
    return [summarize_pairs(server, pairs) for server, pairs in interleaved(servers, options.rounds, one_round)]
