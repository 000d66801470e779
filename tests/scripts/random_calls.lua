-- Calls every function that Medusa gives to scripts, again and again, with whatever arguments chance brings. Nothing that comes of it
-- may hurt the process: errors are expected, crashes and leaks are not. Driven by tests/talk/test_script_random.py.
local seed = tonumber(os.getenv "RANDOM_SEED" or "1")
math.randomseed(seed)
local random = math.random

-- What would end the test, or wait for nothing: not called.
local left_out = {
  ["medusa.user"] = true, ["medusa.log_file"] = true, ["medusa.access_log"] = true, ["medusa.memory"] = true,
  ["medusa.unit.reload"] = true, ["medusa.unit.remove"] = true, ["medusa.unit.add"] = true,
  ["medusa.drain_timeout"] = true, ["medusa.verbose"] = true, ["medusa.max_connections"] = true, ["medusa.limits"] = true,
}

local functions, names = {}, {}
assert(medusa.http.basic_auth) -- the wrappers are there when one was asked for
local function collect(t, prefix, seen)
  if seen[t] then return end
  seen[t] = true
  for name, value in pairs(t) do
    local full = prefix .. "." .. tostring(name)
    if type(value) == "function" and not left_out[full] then
      functions[#functions + 1] = value
      names[value] = full
    elseif type(value) == "table" then
      collect(value, full, seen)
    end
  end
end
for _, library in ipairs {"medusa", "string", "table", "math", "utf8", "coroutine", "os"} do
  collect(_G[library], library, {})
end
for _, name in ipairs {"load", "setmetatable", "collectgarbage", "tostring", "tonumber", "pcall", "select", "rawset", "next", "type", "require"} do
  if _G[name] then functions[#functions + 1] = _G[name] names[_G[name]] = name end
end
if medusa.sqlite then
  local function open(_, options) return medusa.sqlite(":memory:", options) end
  functions[#functions + 1] = open
  names[open] = "medusa.sqlite"
end
table.sort(functions, function(a, b) return names[a] < names[b] end) -- the same seed, the same calls

local methods = {
  "body", "read", "header", "start", "write", "is_open", "read_line", "lines", "read_until", "deadline", "close", "peer", "cancel",
  "is_running", "send", "comment", "wait", "receive", "next", "messages", "query", "row", "value", "exec", "transaction", "list",
  "stat", "remove", "rename", "mkdir", "open", "form", "set_cookie", "events", "query_all", "pipe_to", "shutdown", "address", "dropped", "file", "keep",
  "move_to", "rmdir", "discard", "nosuchmethod",
}
local fields = {"method", "path", "query", "headers", "cookies", "params", "peer", "host", "user", "status", "x"}

local kept = {} -- objects that calls returned, to be arguments and selves of later ones
local function keep(...)
  for i = 1, select("#", ...) do
    local v = select(i, ...)
    local kind = type(v)
    if kind == "userdata" or kind == "thread" or kind == "table" or kind == "function" then
      kept[random(1, 60)] = v
    end
  end
end

local texts = {
  "", "a", "127.0.0.1:1", "unix:/nowhere/x", "/", "/a/../b", "..", "hello\n", "\0", "\255\254", "GET /x", ":name", "//*.org/", "http://127.0.0.1:1/",
  "select 1", "2m", "-1", "64K", "{}", "[1,", "%s%d", "(.-)(a*)*b", ("x"):rep(3000), "text/html", "a=b&c=%41", "X-Name", "text\r\nX: y", "r", "w",
}
local function value(depth)
  local k = random(1, 13)
  if k == 1 then return nil end
  if k == 2 then return random(2) == 1 end
  if k == 3 then return random(-3, 40) end
  if k == 4 then return ({0, -1, math.maxinteger, math.mininteger, 1 << 32, 65536})[random(6)] end
  if k == 5 then return ({0.5, -0.0, 1 / 0, -1 / 0, 0 / 0, 1e308, 0.001})[random(7)] end
  if k <= 8 then return texts[random(#texts)] end
  if k == 9 then return function(...) if random(4) == 1 then error(texts[random(#texts)]) end return ... end end
  if k == 10 then return coroutine.create(function() coroutine.yield(1) end) end
  if k <= 12 and depth < 3 then
    local t = {}
    for _ = 1, random(0, 4) do
      local key = random(3) == 1 and texts[random(#texts)] or random(1, 4)
      t[key] = value(depth + 1)
    end
    if random(8) == 1 then t.self = t end
    if random(6) == 1 then setmetatable(t, {__index = function(_, name) return name end, __tostring = function() error "no" end}) end
    return t
  end
  return kept[random(1, 60)]
end

local function one()
  local k = random(10)
  local n = random(0, 4)
  local a, b, c, d = value(0), value(0), value(0), value(0)
  if k <= 6 then
    local f = functions[random(#functions)]
    if f == string.rep then b = random(0, 1000) end
    if f == table.concat or f == table.unpack or f == table.move or f == table.insert then return end -- their sizes are issue enough elsewhere
    if n == 0 then keep(f()) elseif n == 1 then keep(f(a)) elseif n == 2 then keep(f(a, b)) elseif n == 3 then keep(f(a, b, c)) else keep(f(a, b, c, d)) end
  elseif k <= 9 then
    local self = kept[random(1, 60)]
    if self ~= nil then
      local f = self[methods[random(#methods)]]
      if f then keep(f(random(5) == 1 and a or self, b, c, d)) end
    end
  else
    local self = kept[random(1, 60)]
    if type(self) == "userdata" then
      local name = fields[random(#fields)]
      keep(self[name])
      if random(3) == 1 then self[name] = a end
    end
  end
end

-- Calls of a task that is ended before long: many wait for what never comes.
local done = 0
local function attempt(count)
  local task = medusa.spawn(function()
    for _ = 1, count do
      pcall(one)
      done = done + 1
    end
  end)
  medusa.after(random() / 20, function() task:cancel() end)
end

-- While the script is loaded servers may be declared: calls then, too.
for _ = 1, 30 do attempt(10) end
medusa.sleep(0.1)

medusa.http.server {
  listen = "127.0.0.1:0",
  routes = {
    ["/burst"] = function()
      for _ = 1, 50 do attempt(20) end
      medusa.sleep(0.1)
      return {json = {done = done, heap = collectgarbage "count"}}
    end,
    ["/object"] = function(req)
      keep(req)
      attempt(20)
      medusa.sleep(random() / 100)
      return "ok"
    end,
    ["/alive"] = function() return "alive" end,
  },
}
medusa.tcp.server {
  listen = "127.0.0.1:0",
  handle = function(conn)
    keep(conn)
    attempt(20)
    conn:read_line()
  end,
}
