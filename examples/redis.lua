-- redis: a part of Redis's protocol (RESP2) over medusa.shared, for redis-cli and the client libraries of all languages.
--
--     medusa run examples/redis.lua       then: redis-cli -p 7379 set greeting hello ex 60
--
-- Shared data stays when this script is loaded again. For data that outlives the process: medusa.shared.journal {path = "redis.db"}

local LISTEN = os.getenv "REDIS_LISTEN" or "127.0.0.1:7379" -- no passwords here: only for this machine
local COMMAND_MAX = 8 * 1024 * 1024 -- bytes of a whole command
local CHANNEL = "redis-channel:" -- other scripts of this process may publish, too

medusa.drain_timeout "2s" -- when the process ends: clients that only keep a connection open would keep it waiting

local data = require "redis_commands"
local commands, list, failure = data.commands, data.list, data.failure

---- Reading commands ----

-- "*2\r\n$3\r\nGET\r\n$1\r\na\r\n" as {"GET", "a"}; what a person types as a line, too. nil at the end, or nil and what is wrong.
local function read_command(conn)
  local line = conn:read_line()
  if not line then return nil end
  local words, left = {}, COMMAND_MAX
  if line:sub(1, 1) ~= "*" then
    for word in line:gmatch "%S+" do words[#words + 1] = word end
    return words
  end
  local count = line:match "^%*(%d%d?%d?%d?%d?)$"
  if not count then return nil, "invalid multibulk length" end
  for i = 1, tonumber(count) do
    line = conn:read_line()
    if not line then return nil end
    local bytes = tonumber(line:match "^%$(%d+)$" or nil)
    if not bytes or bytes > left then return nil, bytes and "the command is too long" or "expected '$'" end
    left = left - bytes
    words[i] = conn:read(bytes)
    if not words[i] or conn:read(2) ~= "\r\n" then return nil, "expected the end of a line" end
  end
  return words
end

---- Channels ----

-- A task for each channel that a client hears.
local function forward(conn, sub, channel)
  -- This task ends, too, when the script is loaded again. Then the client shall notice, and come again.
  local unsubscribed = false
  local _ <close> = setmetatable({}, {__close = function() if not unsubscribed then conn:close() end end})
  for message in sub:messages() do
    -- Who takes so little that another answer waits for room already is cut off, as Redis does.
    local ok, sent = pcall(conn.write, conn, list {"message", channel, message})
    if not (ok and sent) then return end
  end
  unsubscribed = true
end

local function subscribe(client, ...)
  for _, channel in ipairs {...} do
    if channel:find "%*$" then return failure "ERR patterns of channels are not known here" end
    if not client.subs[channel] then
      client.subs[channel], client.count = assert(medusa.shared.listen(CHANNEL .. channel)), client.count + 1
      medusa.spawn(forward, client.conn, client.subs[channel], channel)
    end
    client.conn:write(list {"subscribe", channel, client.count})
  end
end

local function unsubscribe(client, ...)
  local channels = {...}
  if #channels == 0 then
    for channel in pairs(client.subs) do channels[#channels + 1] = channel end
  end
  for _, channel in ipairs(channels) do
    if client.subs[channel] then
      client.subs[channel]:cancel()
      client.subs[channel], client.count = nil, client.count - 1
    end
    client.conn:write(list {"unsubscribe", channel, client.count})
  end
end

commands.PUBLISH = {2, 2, function(channel, message)
  return ":" .. assert(medusa.shared.publish(CHANNEL .. channel, message)) .. "\r\n"
end}
commands.SUBSCRIBE = {1, data.MANY, subscribe, of_client = true}
commands.UNSUBSCRIBE = {0, data.MANY, unsubscribe, of_client = true}

---- Clients ----

local function answer(client, words)
  local name = words[1]:upper()
  local command = commands[name]
  if not command then return failure("ERR unknown command '" .. words[1]:sub(1, 40):gsub("%c", "?") .. "'") end
  if #words - 1 < command[1] or #words - 1 > command[2] then
    return failure("ERR wrong number of arguments for '" .. name:lower() .. "' command")
  end
  if command.of_client then table.insert(words, 2, client) end
  local ok, reply = pcall(command[3], table.unpack(words, 2))
  if ok then return reply or "" end
  if type(reply) == "table" and reply.reply then return failure(reply.reply) end
  medusa.warn(tostring(reply))
  return failure "ERR internal error"
end

medusa.tcp.server {
  listen = LISTEN,
  idle = 0, -- clients keep connections open
  handle = function(conn)
    local client = {conn = conn, subs = {}, count = 0}
    while true do
      local words, why = read_command(conn)
      if why then conn:write(failure("ERR Protocol error: " .. why)) end
      if not words then break end
      if words[1] and words[1]:upper() == "QUIT" then
        conn:write(data.OK)
        break
      end
      -- What is written is sent when this turn of the loop ends: many answers to many commands in one piece.
      if words[1] and not conn:write(answer(client, words)) then break end
    end
    for _, sub in pairs(client.subs) do sub:cancel() end
  end,
}
