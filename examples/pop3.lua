-- pop3 (RFC 1939): hands out the mail that smtp.lua has filed, to mail programs, and to: curl -u ann:secret pop3://localhost:7110/
--
--     mkdir -p examples/mail/ann && echo secret > examples/mail/ann.password && medusa run examples/pop3.lua
--
-- Names and passwords are readable on the wire: for this machine, or behind something that encrypts.

local LISTEN = os.getenv "POP3_LISTEN" or "127.0.0.1:7110" -- the real port is 110
local MAIL = os.getenv "MAIL" or "mail" -- relative to this script

local tree = medusa.files(MAIL, {write = true})
local locked = {} -- mailboxes that somebody has open: one at a time, as the RFC demands

---- Mailboxes ----

local function right_password(name, password)
  if not name or not name:find "^[%w][%w_-]*$" then return false end -- only these letters: never another path
  local wanted = tree:read("/" .. name .. ".password", "1K")
  wanted = wanted and wanted:match "^[^\r\n]*"
  return medusa.hash.equal(password, wanted or "\0") and wanted ~= nil
end

-- The messages as they are now; numbers do not change while the mailbox is open.
local function open(name)
  local box = {path = "/" .. name .. "/", messages = {}}
  for _, entry in ipairs(tree:list(box.path) or {}) do
    if entry.name:find "%.eml$" then
      box.messages[#box.messages + 1] = {name = entry.name, size = entry.size, id = entry.name:sub(1, -5)}
    end
  end
  return box
end

local function message_of(box, text)
  local message = box.messages[tonumber(text:match "^%d+")]
  return message and not message.is_deleted and message
end

-- A line of text with each message that is left, or for the one that was asked for.
local function list_of(field)
  return function(box, rest)
    if rest ~= "" then
      local message = message_of(box, rest)
      return message and ("+OK %d %s"):format(tonumber(rest:match "^%d+"), message[field]) or "-ERR There is no such message"
    end
    local lines = {"+OK"}
    for i, message in ipairs(box.messages) do
      if not message.is_deleted then lines[#lines + 1] = i .. " " .. message[field] end
    end
    lines[#lines + 1] = "."
    return table.concat(lines, "\r\n")
  end
end

-- The text between "+OK" and the dot; a line that begins with a dot gets a second. [most]: so many lines of the body.
local function send(box, rest, most)
  local message = message_of(box, rest)
  if not message then return "-ERR There is no such message" end
  local text, why = tree:read(box.path .. message.name, "64M")
  if not text then return "-ERR It cannot be read: " .. why end
  if most then
    local _, at = text:find("\r\n\r\n", 1, true)
    while at and most > 0 do at, most = text:find("\n", at + 1, true), most - 1 end
    text = text:sub(1, at)
  end
  text = ("\n" .. text):gsub("\n%.", "\n.."):sub(2)
  return ("+OK %d octets\r\n%s%s."):format(message.size, text, text:find "\n$" and "" or "\r\n")
end

local commands = {LIST = list_of "size", UIDL = list_of "id", RETR = send}

function commands.STAT(box)
  local count, size = 0, 0
  for _, message in ipairs(box.messages) do
    if not message.is_deleted then count, size = count + 1, size + message.size end
  end
  return ("+OK %d %d"):format(count, size)
end

function commands.TOP(box, rest)
  return send(box, rest, tonumber(rest:match "^%d+%s+(%d+)$" or 0))
end

function commands.DELE(box, rest)
  local message = message_of(box, rest)
  if not message then return "-ERR There is no such message" end
  message.is_deleted = true -- it goes with QUIT: a connection that breaks deletes nothing
  return "+OK"
end

function commands.RSET(box)
  for _, message in ipairs(box.messages) do message.is_deleted = nil end
  return "+OK"
end

function commands.NOOP() return "+OK" end

local function remove_deleted(box)
  local failed
  for _, message in ipairs(box.messages) do
    if message.is_deleted and not tree:remove(box.path .. message.name) then failed = true end
  end
  return failed and "-ERR Some messages could not be deleted" or "+OK Bye"
end

-- USER and PASS; the name, or nil when the client goes.
local function log_in(conn)
  local name
  for _ = 1, 10 do
    local command, rest = (conn:read_line() or "QUIT"):match "^(%a+) ?(.*)$"
    command = command and command:upper()
    local reply = "-ERR Say USER and PASS first"
    if command == "QUIT" then return conn:write "+OK Bye\r\n" and nil end
    if command == "CAPA" then reply = "+OK\r\nUSER\r\nTOP\r\nUIDL\r\nPIPELINING\r\n." end
    if command == "USER" then name, reply = rest:lower(), "+OK" end
    if command == "PASS" and not right_password(name, rest) then
      medusa.sleep(0.5) -- whoever guesses shall take longer
      reply = "-ERR The name or the password is wrong"
    elseif command == "PASS" then
      if not locked[name] then return name end
      reply = "-ERR Another connection has this mailbox open"
    end
    if not conn:write(reply, "\r\n") then return nil end
  end
end

local function serve(conn, name)
  local box = open(name)
  conn:write("+OK ", #box.messages, " messages\r\n")
  for line in conn:lines() do
    local command, rest = line:match "^(%a+)%s*(.-)%s*$"
    command = command and command:upper()
    if command == "QUIT" then return conn:write(remove_deleted(box), "\r\n") end
    local reply = commands[command] and commands[command](box, rest) or "-ERR There is no such command"
    if not conn:write(reply, "\r\n") then return end
  end
end

medusa.tcp.server {
  listen = LISTEN,
  idle = "10m",
  max_line = 512,
  handle = function(conn)
    conn:write "+OK POP3\r\n"
    local name = log_in(conn)
    if not name then return end
    locked[name] = true
    local _ <close> = setmetatable({}, {__close = function() locked[name] = nil end}) -- however this ends
    serve(conn, name)
  end,
}
