-- The commands of redis.lua that work on data: medusa.shared in the words of Redis. Each is {least arguments, most arguments,
-- function(...)}, which returns the answer as it goes over the wire.

local PREFIX = "redis:" -- other scripts of this process may have data of their own
local shared = medusa.shared

---- Answers ----

local function number(n) return ":" .. n .. "\r\n" end
local function failure(text) return "-" .. text .. "\r\n" end
local function bulk(value)
  if value == nil then return "$-1\r\n" end
  value = tostring(value)
  return "$" .. #value .. "\r\n" .. value .. "\r\n"
end
local function list(values) -- of texts; one that is a number already stands for itself
  local parts = {"*" .. #values .. "\r\n"}
  for i, value in ipairs(values) do parts[i + 1] = type(value) == "number" and number(value) or bulk(value) end
  return table.concat(parts)
end
local OK = "+OK\r\n"
local NOT_INTEGER = "ERR value is not an integer or out of range"

-- What medusa.shared refuses becomes an error of Redis.
local function refused(why)
  if why:find "list" or why:find "kind" then return failure "WRONGTYPE Operation against a key holding the wrong kind of value" end
  return failure("ERR " .. why)
end

local function integer(text)
  return math.tointeger(tostring(text):match "^-?%d+$" and tonumber(text)) or error {reply = NOT_INTEGER}
end

---- Commands ----

-- A whole number is stored as a number, so that it can be counted up.
local function stored(text)
  local n = math.tointeger(tonumber(text))
  return n and tostring(n) == text and n or text
end

local function add(key, by)
  local value, why = shared.get(PREFIX .. key)
  if why then return refused(why) end
  if value ~= nil and math.type(value) ~= "integer" then return failure(NOT_INTEGER) end
  local result = shared.incr(PREFIX .. key, by)
  return result and number(result) or failure "ERR increment or decrement would overflow"
end

local function push(side)
  return function(key, ...)
    local length, why
    for _, value in ipairs {...} do
      length, why = shared.push(PREFIX .. key, value, side)
      if not length then return refused(why) end
    end
    return number(length)
  end
end

local function pop(side)
  return function(key)
    local value, why = shared.pop(PREFIX .. key, side)
    return why and refused(why) or bulk(value)
  end
end

local function count_keys(change)
  return function(...)
    local count = 0
    for _, key in ipairs {...} do count = count + (change(PREFIX .. key) and 1 or 0) end
    return number(count)
  end
end

local function set(key, value, ...)
  local options, words, i = {}, {...}, 1
  while words[i] do
    local word = words[i]:upper()
    if word == "NX" or word == "XX" then
      options.only_if = word == "NX" and "absent" or "present"
    elseif (word == "EX" or word == "PX") and words[i + 1] then
      i = i + 1
      options.ttl = integer(words[i]) / (word == "EX" and 1 or 1000)
      if options.ttl <= 0 then return failure "ERR invalid expire time in 'set' command" end
    else
      return failure "ERR syntax error"
    end
    i = i + 1
  end
  local done, why = shared.set(PREFIX .. key, stored(value), options)
  return done and OK or why and refused(why) or bulk(nil)
end

local function keys(pattern)
  local prefix = pattern:match "^([^*?%[\\]*)%*$"
  if not prefix then return failure "ERR only patterns like prefix* are known here" end
  local found = {}
  for key in shared.keys(PREFIX .. prefix) do found[#found + 1] = key:sub(#PREFIX + 1) end
  return list(found)
end

local function ttl(key)
  local left = shared.ttl(PREFIX .. key)
  return number(left == nil and -2 or left == math.huge and -1 or math.floor(left + 0.5))
end

local MANY = 100000
local commands = {
  PING = {0, 1, function(text) return text and bulk(text) or "+PONG\r\n" end},
  ECHO = {1, 1, function(text) return bulk(text) end},
  COMMAND = {0, MANY, function() return list {} end}, -- redis-cli asks what there is
  SET = {2, 7, set},
  GET = {1, 1, function(key)
    local value, why = shared.get(PREFIX .. key)
    return why and refused(why) or bulk(value)
  end},
  DEL = {1, MANY, count_keys(shared.delete)},
  EXISTS = {1, MANY, count_keys(shared.exists)},
  INCR = {1, 1, function(key) return add(key, 1) end},
  DECR = {1, 1, function(key) return add(key, -1) end},
  INCRBY = {2, 2, function(key, by) return add(key, integer(by)) end},
  DECRBY = {2, 2, function(key, by) return add(key, -integer(by)) end},
  EXPIRE = {2, 2, function(key, seconds)
    return number(shared.expire(PREFIX .. key, math.max(integer(seconds), 0)) and 1 or 0)
  end},
  TTL = {1, 1, ttl},
  KEYS = {1, 1, keys},
  LPUSH = {2, MANY, push "left"},
  RPUSH = {2, MANY, push "right"},
  LPOP = {1, 1, pop "left"},
  RPOP = {1, 1, pop "right"},
  LLEN = {1, 1, function(key)
    local length, why = shared.length(PREFIX .. key)
    return length and number(length) or refused(why)
  end},
  LRANGE = {3, 3, function(key, from, to)
    from, to = integer(from), integer(to) -- places count from 0 there, from 1 here
    local values, why = shared.range(PREFIX .. key, from < 0 and from or from + 1, to < 0 and to or to + 1)
    return values and list(values) or refused(why)
  end},
}

return {commands = commands, OK = OK, MANY = MANY, list = list, failure = failure}
