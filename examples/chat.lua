-- chat: rooms that telnet and browsers share.
--
--     medusa run examples/chat.lua       then open http://localhost:7070/ and, beside it, telnet localhost 7007
--
-- What is said goes through medusa.shared, which belongs to the process: it is still there when you change this file and
-- load it again (kill -HUP).

local WEB = os.getenv "CHAT_WEB" or ":7070" -- where browsers come
local TELNET = os.getenv "CHAT_TELNET" or ":7007" -- where telnet comes
local KEEP = 50 -- so many messages of each room are shown to who comes later ...
local KEEP_TIME = "1d" -- ... unless nobody has said anything for so long

medusa.drain_timeout "2s" -- when the process ends: people who only listen would keep it waiting

local shared, json = medusa.shared, medusa.json

---- Rooms ----

-- What people type, as text that can be shown everywhere: valid UTF-8, no control characters, not too long.
local function clean(text, most)
  if type(text) ~= "string" or not utf8.len(text) then return nil end
  text = text:gsub("%c", " "):match "^%s*(.-)%s*$"
  return text ~= "" and text:sub(1, (utf8.offset(text, most + 1) or #text + 1) - 1) or nil
end

local function clean_room(text)
  return (clean(text, 30) or "lobby"):lower():gsub("[^%w_-]", "-")
end

local function say(room, name, text)
  local message = {name = name, text = text, time = medusa.time()}
  local history = "chat:history:" .. room
  shared.push(history, message)
  shared.trim(history, -KEEP)
  shared.expire(history, KEEP_TIME)
  shared.publish("chat:room:" .. room, message)
end

-- A subscription, and what was said before: no message is lost between them, because nothing here waits.
local function enter(room)
  return shared.listen("chat:room:" .. room), shared.range("chat:history:" .. room) or {}
end

---- Telnet ----

local function show(conn, message)
  return conn:write(os.date("!%H:%M ", math.floor(message.time)), message.name, ": ", message.text, "\r\n")
end

-- A task for each visitor, beside the one that reads: what others say, in the room where the visitor is.
local function show_all(conn, visitor)
  local _ <close> = conn -- the connection ends with this task, so also when this script is loaded again: people come again
  while true do
    local sub = visitor.sub
    for message in sub:messages() do
      if not show(conn, message) then return end -- gone
    end
    if visitor.sub == sub then return end -- else the visitor is elsewhere now
  end
end

local function visit(conn)
  conn:write "Your name? "
  local name = clean(conn:read_line(200), 20)
  if not name then return end -- the connection is closed when this function returns
  local visitor, before = {}, nil
  local function go(room)
    if visitor.sub then visitor.sub:cancel() end
    visitor.room = room
    visitor.sub, before = enter(room)
    conn:write("* You are in ", room, ". /join ROOM takes you elsewhere, /quit ends.\r\n")
    for _, message in ipairs(before) do show(conn, message) end
    say(room, name, "has come")
  end
  go "lobby"
  medusa.spawn(show_all, conn, visitor)
  for line in conn:lines(2000) do
    local command, rest = line:match "^/(%a+)%s*(.*)$"
    if command == "quit" then break end
    if command == "join" then
      say(visitor.room, name, "goes to " .. clean_room(rest))
      go(clean_room(rest))
    elseif command then
      conn:write("* There is no /", command, "\r\n")
    elseif clean(line, 500) then
      say(visitor.room, name, clean(line, 500))
    end
  end
  visitor.sub:cancel()
  say(visitor.room, name, "has gone")
end

medusa.tcp.server {listen = TELNET, handle = visit, idle = "1h"}

---- Browsers ----

-- Server-sent events: an answer that goes on. It ends when this script is loaded again; the browser connects again by itself.
local function events(req)
  local sub <close>, before = enter(clean_room(req.params.room))
  local stream = req:events()
  for _, message in ipairs(before) do stream:send {data = message} end -- a table becomes JSON
  medusa.spawn(function()
    for message in sub:messages() do stream:send {data = message} end
  end)
  stream:wait() -- until the browser is gone; then sub is closed, and with it the task ends
end

local function post(req)
  local message = json.decode(req:body())
  local name = type(message) == "table" and clean(message.name, 20)
  local text = name and clean(message.text, 500)
  if not text then return 422, "a name and a text are expected" end
  say(clean_room(req.params.room), name, text)
  return 204
end

local page = require "chat_page"

medusa.http.server {
  listen = WEB,
  max_body = "4K",
  routes = {
    ["/"] = function() return {html = page} end,
    ["/events/:room"] = events,
    ["POST /say/:room"] = medusa.http.rate_limit {rate = 5, burst = 10} (post),
  },
}
