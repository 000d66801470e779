"""Scripts: server-sent events, read as a browser's EventSource reads them."""

import select
import signal
import time

import pytest
from script import Script

EVENTS = """
local all = {}
local function enter(req, options)
  local events = req:events(options)
  all[events] = true
  medusa.log("entered")
  events:wait()
  all[events] = nil
  medusa.log("left, " .. tostring(events:is_open()))
end
medusa.http.server {
  listen = "127.0.0.1:0",
  routes = {
    ["/events"] = function(req) enter(req) end,
    ["/fast"] = function(req) enter(req, {keepalive = "150ms"}) end,
    ["POST /publish"] = function(req)
      local text, n = req:body(), 0
      for events in pairs(all) do if events:send(text) then n = n + 1 end end
      return tostring(n)
    end,
    ["/close"] = function(req) for events in pairs(all) do events:close() end return "closed" end,
    ["/all"] = function(req)
      local events = req:events()
      events:send("one"):send{data = "two\\nlines\\r\\nor\\rmore\\n", event = "name", id = 7, retry = "2s"}
      events:send{data = {a = 1}}:send{id = "x", data = ""}:send{retry = 0.5}:comment("a\\nb"):send("é")
    end,
    ["/flood"] = function(req)
      local events = req:events()
      local n, line = 0, ("x"):rep(10000)
      while events:send(line) do n = n + 1 end
      medusa.log("flooded " .. n)
    end,
    ["/flood2"] = function(req)
      local events = req:events()
      for i = 1, 3 do
        medusa.spawn(function()
          while events:send(("y"):rep(20000)) do end
          medusa.log("flooder ends")
        end)
      end
      events:wait()
    end,
    ["/over"] = function(req)
      local events = req:events()
      medusa.spawn(function()
        medusa.sleep(0.05)
        local ok, why = events:send("x")
        medusa.log("over: " .. tostring(ok) .. " " .. tostring(why) .. " " .. tostring(events:is_open()))
        events:wait()
        events:close()
      end)
    end,
    ["/late"] = function(req) req:write("x") req:events() end,
    ["/wrong"] = function(req)
      local events = req:events()
      local function why(f, ...) events:send((select(2, pcall(f, events, ...)))) end
      why(events.send) why(events.send, true) why(events.send, {data = true}) why(events.send, {event = "a\\nb"})
      why(events.send, {id = "a\\rb"}) why(events.send, {id = "a\\0b"}) why(events.send, {nam = "x"}) why(events.send, {retry = "x"})
      why(events.comment) why(events.send, {event = {}})
    end,
    ["/options"] = function(req) return select(2, pcall(req.events, req, {keepalive = 0})) .. select(2, pcall(req.events, req, {x = 0})) end,
    ["/other"] = function() return "other" end,
  }
}
"""


@pytest.fixture
def script(tmp_path):
    with Script(tmp_path, EVENTS) as script:
        yield script


class EventSource:
    """As WHATWG HTML 9.2.6 reads a stream."""

    def __init__(self, script, target, *lines):
        self.wire = script.connect()
        self.wire.ask(target, "Accept: text/event-stream", *lines)
        self.head = self.wire._head()
        assert self.head.status == 200
        assert self.head.get("Content-Type") == "text/event-stream"
        assert self.head.get("Cache-Control") == "no-store"
        assert self.head.get("X-Accel-Buffering") == "no"
        self.text, self.at_end, self.last_id, self.retry, self.comments = b"", False, "", None, []

    def _more(self):
        size = int(self.wire._line_until(b"\r\n"), 16)
        self.text += self.wire._take(size)
        assert self.wire._take(2) == b"\r\n"
        self.at_end = size == 0

    def _lines(self):
        while True:
            if b"\n" in self.text:
                line, self.text = self.text.split(b"\n", 1)
                yield line.decode()
            elif self.at_end:
                return
            else:
                self._more()

    def next(self):
        """(name, data) of the next event; None at the end."""
        name, data = "message", None
        for line in self._lines():
            if not line:
                if data is not None:
                    return name, "\n".join(data)
                name = "message"
            elif line.startswith(":"):
                self.comments.append(line[1:].strip())
                if self.comments[-1] == "":
                    return None
            else:
                field, _, value = line.partition(":")
                value = value.removeprefix(" ")
                if field == "data":
                    data = (data or []) + [value]
                elif field == "event":
                    name = value
                elif field == "id":
                    self.last_id = value
                elif field == "retry":
                    self.retry = int(value)
        return None


def publish(script, text):
    body = text.encode()
    return script.get("/publish", f"Content-Length: {len(body)}", method="POST", body=body).body.decode()


def test_what_is_sent(script):
    source = EventSource(script, "/all")
    assert source.next() == ("message", "one")
    assert source.next() == ("name", "two\nlines\nor\nmore\n")
    assert source.last_id == "7" and source.retry == 2000
    assert source.next() == ("message", '{"a":1}')
    assert source.next() == ("message", "") and source.last_id == "x"
    assert source.next() == ("message", "é")
    assert source.retry == 500 and source.comments == ["a", "b"]
    assert source.next() is None and source.at_end
    source.wire.ask("/other")  # the connection goes on
    assert source.wire.answer().body == b"other"


def test_others_send(script):
    sources = [EventSource(script, "/events") for _ in range(3)]
    assert publish(script, "hello\nall") == "3"
    for source in sources:
        assert source.next() == ("message", "hello\nall")
    script.get("/close")
    for source in sources:
        assert source.next() is None and source.at_end
    assert publish(script, "x") == "0"


def test_wrong_arguments(script):
    source = EventSource(script, "/wrong")
    for wanted in ["string expected", "string expected", "must be a string, or a table", "event must be one line", "id must be one line",
                   "id must be one line", "there is no option nam", "a time", "string expected", "event must be a string"]:
        assert wanted in source.next()[1]
    script.connect().ask("/late").rest()
    script.wait_log("the answer has begun already")
    body = script.get("/options").body
    assert b"keepalive must lie between" in body and b"no option x" in body


def test_a_client_that_closes_is_noticed_at_once(script):
    for how in ("close", "reset", "half_close"):
        since = len(script.log())
        source = EventSource(script, "/events")
        script.wait_log("entered", since)
        began = time.monotonic()
        getattr(source.wire, how)()
        script.wait_log("left, false", since)
        assert time.monotonic() - began < 5  # the comment would come after 15


def test_a_comment_is_sent_by_itself(script):
    source = EventSource(script, "/fast")
    began = time.monotonic()
    for _ in range(3):
        assert source.next() is None and not source.at_end
    assert time.monotonic() - began > 0.4
    assert publish(script, "x") == "1"
    assert source.next() == ("message", "x")


def test_a_client_that_pipelined_is_noticed_when_it_is_written_to(script):
    since = len(script.log())
    source = EventSource(script, "/fast")
    source.wire.ask("/other")
    script.wait_log("entered", since)
    assert publish(script, "x") == "1"
    assert source.next() == ("message", "x")
    source.wire.reset()
    script.wait_log("left, false", since)


def test_a_pipelined_request_is_answered_afterwards(script):
    source = EventSource(script, "/events")
    source.wire.ask("/other")
    assert publish(script, "x") == "1"
    script.get("/close")
    assert source.next() == ("message", "x")
    assert source.next() is None and source.at_end
    assert source.wire.answer().body == b"other"


def test_a_slow_client_makes_the_sender_wait(script):
    for target, pattern, times in (("/flood", r"flooded (\d+)", 1), ("/flood2", "flooder ends", 3)):
        since = len(script.log())
        source = EventSource(script, target)
        for _ in range(200):
            data = source.next()[1]
            assert len(data) in (10000, 20000)
        time.sleep(0.2)
        at = len(script.log())
        script.signal(signal.SIGUSR2)
        assert int(script.wait_log(r"memory of streams: (\d+)", at)[1]) < 2 << 20
        assert script.get("/other").body == b"other"
        source.wire.close()
        script.wait_log("(?s)" + ".*".join([pattern] * times), since)


def test_events_of_a_request_that_is_over(script):
    since = len(script.log())
    source = EventSource(script, "/over")
    assert source.next() is None and source.at_end
    script.wait_log("over: nil the client is gone false", since)


def test_head(script):
    answer = script.get("/events", method="HEAD")
    assert answer.status == 200 and answer.get("Content-Type") == "text/event-stream"


def test_old_http(script):
    wire = script.connect()
    wire.ask("/all", version="1.0")
    assert b"data: one\n\n" in wire.rest()


def test_a_reload_ends_them(script):
    source = EventSource(script, "/events")
    assert "load.done" in script.reload()
    assert source.next() is None and source.at_end
    assert publish(script, "x") == "0"


def test_the_end_of_the_process_ends_them(script):
    sources = [EventSource(script, "/events") for _ in range(3)]
    began = time.monotonic()
    script.signal(signal.SIGTERM)
    for source in sources:
        assert source.next() is None and source.at_end
    script.wait_end()
    assert time.monotonic() - began < 10


def test_many_at_once(script):
    sources = [EventSource(script, "/events") for _ in range(200)]
    assert publish(script, "x" * 1000) == "200"
    for source in sources[::2]:
        source.wire.close()
    assert int(publish(script, "y")) >= 100
    for source in sources[1::2]:
        assert source.next() == ("message", "x" * 1000)
        assert source.next() == ("message", "y")
    assert not select.select([source.wire.sock for source in sources[1::2]], [], [], 0.05)[0]
