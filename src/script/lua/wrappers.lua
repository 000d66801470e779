-- The wrappers of medusa.http: functions that take a handler and give a handler. Part of the program: it runs once in each
-- version of a script, when the first of them is used. What they do and accept is described in l_wrappers.c.
--
-- What a handler returns is passed on untouched, and a handler object (files ...) is called like a function: so wrappers nest.
local native = ... -- credentials(header) -> user, password; equal(a, b); seconds(time); refuse(text)
local now, log = medusa.now, medusa.log
local floor, ceil, max = math.floor, math.ceil, math.max

-- Errors of the caller name the line of the script.
local function refuse(who, text, ...)
  native.refuse("medusa.http." .. who .. ": " .. text:format(...))
end

local function list_of(names)
  local list = {}
  for name in pairs(names) do list[#list + 1] = name end
  table.sort(list)
  return table.concat(list, ", ")
end

local function check_options(who, options, names)
  if type(options) ~= "table" then refuse(who, "a table of options is expected, as in medusa.http.%s{...}", who) end
  for name in pairs(options) do
    if not names[name] then refuse(who, "there is no option %s; there are: %s", tostring(name), list_of(names)) end
  end
end

local function check_count(who, name, value, least)
  if math.type(value) ~= "integer" or value < least or value > 1e9 then
    refuse(who, "%s: a whole number from %d on is expected, not %s", name, least, tostring(value))
  end
  return value
end

-- { GET = f, POST = g }, as in routes.
local function by_method(who, methods)
  local handlers, allowed = {}, {OPTIONS = true}
  for name, handler in pairs(methods) do
    if type(name) ~= "string" or not name:find "^[%u,-]+$" then
      refuse(who, "a table names methods: {GET = function, POST = function}")
    end
    for method in name:gmatch "[^,]+" do
      handlers[method], allowed[method] = handler, true
      if method == "GET" then allowed.HEAD = true end
    end
  end
  local allow = list_of(allowed)
  return function(req)
    local handler = handlers[req.method] or (req.method == "HEAD" and handlers.GET)
    if not handler then
      return {status = req.method == "OPTIONS" and 204 or 405, headers = {Allow = allow}}
    end
    if type(handler) == "string" then return handler end
    return handler(req)
  end
end

-- Whatever a route may lead to, as something that can be called.
local function callable(who, handler)
  local kind = type(handler)
  if kind == "function" or kind == "userdata" then return handler end
  if kind == "string" then return function() return handler end end
  if kind == "table" then return by_method(who, handler) end
  refuse(who, "a handler is expected: a function, a handler, a text or a table of methods, not %s", kind)
end

local M = {}

---- basic_auth ----

-- A name that is not there takes as long as one that is.
local function by_table(who, users)
  for name, password in pairs(users) do
    if type(name) ~= "string" or type(password) ~= "string" then
      refuse(who, "users: names and passwords are texts: {name = \"password\"}")
    end
    if name:find "[:%c]" then refuse(who, "users: the name %q cannot be sent: it holds a colon or a control character", name) end
  end
  return function(name, password)
    local right = users[name]
    local same = native.equal(password, right or "\0")
    return right ~= nil and same
  end
end

function M.basic_auth(options)
  check_options("basic_auth", options, {realm = true, users = true})
  local realm, users = options.realm or "Medusa", options.users
  if type(realm) ~= "string" or realm:find "%c" then refuse("basic_auth", "realm: a text without control characters is expected") end
  if type(users) == "table" then
    users = by_table("basic_auth", users)
  elseif type(users) ~= "function" then
    refuse("basic_auth", "users: {name = \"password\"} or function(name, password, req) is expected, not %s", type(users))
  end
  local ask = {["WWW-Authenticate"] = 'Basic realm="' .. realm:gsub('[\\"]', "\\%0") .. '", charset="UTF-8"'}
  return function(handler)
    local inner = callable("basic_auth", handler)
    return function(req)
      local name, password = native.credentials(req.headers.authorization)
      if not name or not users(name, password, req) then return {status = 401, headers = ask} end
      req.user = name
      return inner(req)
    end
  end
end

---- headers ----

local function check_value(who, name, value)
  if type(value) ~= "string" and type(value) ~= "number" then
    refuse(who, "%s: a text is expected, or a list of texts, not %s", name, type(value))
  end
  if tostring(value):find "[%c]" then refuse(who, "%s: the value holds control characters", name) end
  return tostring(value)
end

function M.headers(fields)
  if type(fields) ~= "table" then refuse("headers", "a table is expected: {[\"X-Name\"] = \"value\"}") end
  local list = {}
  for name, value in pairs(fields) do
    if type(name) ~= "string" or not name:find "^[%w!#$%%&'*+.^_`|~-]+$" then
      refuse("headers", "%s is no name of a header", tostring(name))
    end
    for _, one in ipairs(type(value) == "table" and value or {value}) do
      list[#list + 1] = {name, check_value("headers", name, one)}
    end
  end
  return function(handler)
    local inner = callable("headers", handler)
    return function(req)
      for _, field in ipairs(list) do req:header(field[1], field[2]) end
      return inner(req)
    end
  end
end

---- rate_limit ----

-- Of an IPv6 address the network: whoever has one, has all 2^64 addresses of it.
local function network(address)
  if not address:find ":" then return address end
  local head, tail = address:match "^(.-)::(.*)$"
  local groups = {}
  for group in (head or address):gmatch "[^:]+" do groups[#groups + 1] = group end
  if head then
    local _, count = tail:gsub("[^:]+", "")
    for _ = #groups + count + 1, 8 do groups[#groups + 1] = "0" end
    for group in tail:gmatch "[^:]+" do groups[#groups + 1] = group end
  end
  return table.concat(groups, ":", 1, 4)
end

local function by_peer(req)
  return network(req.peer)
end

-- One number for each key: when all that it has used will be earned again. The keys stand in two tables; when the younger is
-- half full it becomes the older, and the older is forgotten: what is used stays.
local function new_limiter(interval, burst, keys)
  local young, old, count = {}, {}, 0
  local room = interval * (burst - 1)
  return function(key)
    local t = now()
    local due = max(young[key] or old[key] or t, t)
    local wait = due - t - room
    if wait > 1e-6 then return wait end
    if not young[key] then
      count = count + 1
      if count > keys / 2 then young, old, count = {}, young, 1 end
    end
    young[key] = due + interval
  end
end

function M.rate_limit(options)
  check_options("rate_limit", options, {rate = true, per = true, burst = true, key = true, keys = true})
  local rate = check_count("rate_limit", "rate", options.rate, 1)
  local known, per = pcall(native.seconds, options.per or 1)
  if not known or per <= 0 then refuse("rate_limit", "per: a time is expected: seconds (1.5), or text like \"500ms\", \"2m\"") end
  local burst = check_count("rate_limit", "burst", options.burst or rate, 1)
  local keys = check_count("rate_limit", "keys", options.keys or 20000, 2)
  local key_of = options.key or by_peer
  if type(key_of) ~= "function" then refuse("rate_limit", "key: function(req) is expected, not %s", type(key_of)) end
  return function(handler)
    local inner = callable("rate_limit", handler)
    local wait_for = new_limiter(per / rate, burst, keys)
    return function(req)
      local key = key_of(req)
      local wait = key ~= nil and wait_for(tostring(key):sub(1, 200))
      if wait then return {status = 429, headers = {["Retry-After"] = tostring(ceil(wait))}} end
      return inner(req)
    end
  end
end

---- logged ----

local function status_of(first)
  local kind = type(first)
  if kind == "number" then return first end
  if kind == "table" then return first.status or (first.redirect and 302) or 200 end
  if kind == "userdata" then return "file" end -- a handler answers after us
  return 200
end

-- Closed when the handler has ended, however that was; an error keeps its traceback, as it is not caught here.
local Line = {}
Line.__index = Line

function Line:__close(err)
  local status = self.status or (type(err) == "table" and err.status) or (err and 500) or "-"
  log(("%s %s %s %s %d ms%s"):format(self.peer, self.method, self.target, tostring(status), floor((now() - self.began) * 1000 + 0.5),
    self.req.user and (" user=" .. tostring(self.req.user)) or ""))
end

function Line:result(...)
  self.status = status_of((...))
  return ...
end

function M.logged(handler)
  local inner = callable("logged", handler)
  return function(req)
    local line <close> = setmetatable(
      {req = req, peer = req.peer, method = req.method, target = req.target:sub(1, 100), began = now()}, Line)
    return line:result(inner(req))
  end
end

---- redirect ----

local function encode(path)
  return (path:gsub("[^%w%-._~!$&'()*+,;=:@/]", function(c) return ("%%%02X"):format(c:byte()) end))
end

function M.redirect(to, status)
  status = status or 302
  if status ~= 301 and status ~= 302 and status ~= 303 and status ~= 307 and status ~= 308 then
    refuse("redirect", "the status is 301, 302, 303, 307 or 308, not %s", tostring(status))
  end
  if type(to) == "function" then
    return function(req) return {redirect = to(req), status = status} end
  end
  if type(to) ~= "string" or to == "" or to:find "[%c ]" then
    refuse("redirect", "a URL or path is expected, or function(req), not %s", tostring(to))
  end
  local front = to:match "^(.*)%*$"
  if not front then
    return function() return {redirect = to, status = status} end
  end
  return function(req)
    local rest = encode(req.rest):gsub("^/+", "") -- "//" would lead to another host
    local query = req.query_string
    return {redirect = front .. rest .. (query ~= "" and "?" .. query or ""), status = status}
  end
end

---- vhosts ----

function M.vhosts(hosts)
  if type(hosts) ~= "table" then refuse("vhosts", "a table is expected: {[\"a.org\"] = handler, [\"*\"] = handler}") end
  local handlers = {}
  for name, handler in pairs(hosts) do
    if type(name) ~= "string" or name:find "[/%s]" or (name:find ":" and not name:find "^%[") then
      refuse("vhosts", "%s is not the name of a host: it has no scheme, port or path", tostring(name))
    end
    handlers[name:lower():gsub("%.$", "")] = callable("vhosts", handler)
  end
  return function(req)
    local host = req.host:lower():gsub(":%d*$", ""):gsub("%.$", "")
    local inner, above = handlers[host], host
    while not inner and above:find "%." do
      above = above:match "%.(.*)$"
      inner = handlers["*." .. above]
    end
    inner = inner or handlers["*"]
    if not inner then return 421 end
    return inner(req)
  end
end

return M
