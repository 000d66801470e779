"""What bench/run prints: a table for each scenario, and what was promised beside what was measured."""

from common import markdown_table
from measure import median


# ---- tables ----

def relative(rows, row, name):
    """Requests per CPU second as a multiple of those of server [name]."""
    for other in rows:
        if other["server"] == name:
            return f"{other['cpu_per_100k'] / row['cpu_per_100k']:.2f}"
    return "-"


def table_requests(rows, peer="nginx"):
    header = ["server", "requests/s", "CPU s/100k", "spread", f"x {peer}", "x floor", "p50 us", "p99 us",
              "generator", "errors"]
    return markdown_table(header, [
        [r["server"], f"{r['rps']:,.0f}", f"{r['cpu_per_100k']:.3f}", f"{r['spread']:.0%}",
         relative(rows, r, peer), relative(rows, r, "floor"), f"{r['p50_us']:,.0f}", f"{r['p99_us']:,.0f}",
         f"{r['load_busy']:.0%}", str(r["errors"])] for r in rows])


def table_bytes(rows):
    nginx = next((r["bytes_per_cpu"] for r in rows if r["server"] == "nginx"), float("nan"))
    floor = next((r["bytes_per_cpu"] for r in rows if r["server"] == "floor"), float("nan"))
    return markdown_table(["server", "GB/s", "GB per CPU s", "x nginx", "x floor", "generator", "errors"], [
        [r["server"], f"{median([x['bytes'] / x['seconds'] for x in r['rounds']]) / 1e9:.2f}",
         f"{r['bytes_per_cpu'] / 1e9:.2f}", f"{r['bytes_per_cpu'] / nginx:.2f}", f"{r['bytes_per_cpu'] / floor:.2f}",
         f"{r['load_busy']:.0%}", str(r["errors"])] for r in rows])


def table_idle(rows):
    return markdown_table(["server", "bytes/connection", "anonymous", "resident in all", "held", "lost"], [
        [r["server"], f"{r['rss_per_connection']:,.0f}", f"{r['anon_per_connection']:,.0f}",
         f"{r['rss'] / 1e6:.1f} MB", f"{r['held']:,}", str(r["lost"])] for r in rows])


def table_idle_busy(rows):
    header = ["server", "CPU s/100k alone", "beside idle", "cost more", "req/s alone", "beside idle", "loss",
              "held", "lost", "errors"]
    return markdown_table(header, [
        [r["server"], f"{r['alone']['cpu_per_100k']:.3f}", f"{r['beside']['cpu_per_100k']:.3f}",
         f"{r['cost_ratio'] - 1:+.1%}", f"{r['alone']['rps']:,.0f}", f"{r['beside']['rps']:,.0f}",
         f"{1 - r['rps_ratio']:+.1%}", f"{r['held']:,}", str(r["lost"]), str(r["errors"])] for r in rows])


def table_slow(rows):
    header = ["server", "p99 us alone", "beside slow", "ratio", "CPU s/100k alone", "beside slow", "RSS before",
              "beside slow", "held", "senders ended", "after s", "sockets then", "errors"]
    return markdown_table(header, [
        [r["server"], f"{r['alone']['p99_us']:,.0f}", f"{r['beside']['p99_us']:,.0f}", f"{r['p99_ratio']:.2f}",
         f"{r['alone']['cpu_per_100k']:.3f}", f"{r['beside']['cpu_per_100k']:.3f}",
         f"{r['rss_before'] / 1e6:.1f} MB", f"{r['rss_beside'] / 1e6:.1f} MB", f"{r['held']:,}",
         str(r["senders_ended"]), f"{r['last_end_s']:.0f}" if r["last_end_s"] else "-", f"{r['sockets']:,}",
         str(r["errors"])] for r in rows])


TABLES = {"1g": table_bytes, "idle": table_idle, "tcp-idle": table_idle, "idle-busy": table_idle_busy,
          "slow": table_slow}
PEERS = {"hello": "nginx-lua", "fast-lua": "nginx-lua", "echo": "node"}  # beside whom requests are counted


def table_of(scenario, rows):
    if scenario in TABLES:
        return TABLES[scenario](rows)
    return table_requests(rows, PEERS.get(scenario, "nginx"))


# ---- what was promised ----

def by_name(results, scenario):
    return {row["server"]: row for row in results.get(scenario, [])}


def promise_against(results, scenario, figure, others, factor, what, ours="medusa"):
    """Medusa's figure (more is better) against the best of the others times a factor."""
    rows = by_name(results, scenario)
    known = [name for name in others if name in rows]
    if ours not in rows or not known:
        return []
    best = max(known, key=lambda name: figure(rows[name]))
    ratio = figure(rows[ours]) / figure(rows[best])
    return [[what, f"{factor:.2f}", f"{ratio:.2f} ({best})", "kept" if ratio >= factor else "MISSED"]]


def promise_limit(results, scenario, figure, limit, what, ours="medusa"):
    """Medusa's figure (less is better) against a limit."""
    rows = by_name(results, scenario)
    if ours not in rows:
        return []
    value = figure(rows[ours])
    return [[what, f"{limit:g}", f"{value:.4g}", "kept" if value <= limit else "MISSED"]]


def per_cpu(row):
    return 1 / row["cpu_per_100k"]


def promises(results):
    return file_promises(results) + script_promises(results)


def script_promises(results):
    def memory(row):
        return row["rss_per_connection"]
    return (promise_against(results, "hello", per_cpu, ["nginx-lua"], 1.25, "hello: requests per CPU s, x nginx-lua")
            + promise_against(results, "hello", per_cpu, ["lighttpd-magnet"], 1.0, "hello: x lighttpd-magnet")
            + promise_against(results, "hello", per_cpu, ["floor"], 0.85, "hello: x floor")
            + promise_against(results, "echo", per_cpu, ["node"], 3.0, "echo: lines per CPU s, x node")
            + promise_against(results, "echo", per_cpu, ["node"], 3.0, "echo, on_line: x node", "medusa-events")
            + promise_limit(results, "tcp-idle", memory, 2560, "tcp-idle: bytes per connection")
            + promise_limit(results, "tcp-idle", memory, 1024, "tcp-idle, on_line: bytes per connection",
                            "medusa-events"))


def file_promises(results):
    peers = ("nginx", "lighttpd", "h2o", "haproxy")
    return (promise_against(results, "keepalive", per_cpu, peers, 1.0, "keepalive: requests per CPU s, x best peer")
            + promise_against(results, "keepalive", per_cpu, ["floor"], 0.92, "keepalive: x floor")
            + promise_against(results, "pipeline", lambda r: r["rps"], ["lighttpd"], 4.0,
                              "pipeline: requests/s, x lighttpd")
            + promise_against(results, "newconn", per_cpu, ["h2o"], 1.0, "newconn: requests per CPU s, x h2o")
            + promise_against(results, "100k", per_cpu, ["lighttpd"], 1.1, "100k: requests per CPU s, x lighttpd")
            + promise_against(results, "1g", lambda r: r["bytes_per_cpu"], ["nginx"], 1.0,
                              "1g: bytes per CPU s, x nginx")
            + promise_limit(results, "idle", lambda r: r["rss_per_connection"], 256, "idle: bytes per connection")
            + promise_limit(results, "idle-busy", lambda r: (r["cost_ratio"] - 1) * 100, 3,
                            "idle-busy: CPU per request, % more")
            + promise_limit(results, "slow", lambda r: r["p99_ratio"], 1.25, "slow: p99 beside the slow, x alone"))
