-- smtp (RFC 5321): takes mail for the mailboxes that there are, and files each message as a text. pop3.lua hands them out.
--
--     mkdir -p examples/mail/ann && medusa run examples/smtp.lua
--     curl smtp://localhost:7025 --mail-from me@example.org --mail-rcpt ann@localhost -T letter.txt
--
-- A mailbox is a directory in MAIL; ann@anything goes to mail/ann. It sends nothing on: what is not for a mailbox here is refused.

local LISTEN = os.getenv "SMTP_LISTEN" or "127.0.0.1:7025" -- the real port is 25
local MAIL = os.getenv "MAIL" or "mail" -- relative to this script
local HOST = os.getenv "MAIL_HOST" or "localhost" -- our name, as other servers shall call us
local SIZE = 10 * 1024 * 1024 -- of a message
local RECIPIENTS = 100

local tree = medusa.files(MAIL, {write = true})

-- The directory of an address; nil when there is none. Only these letters: a name from the network never becomes another path.
local function mailbox(address)
  local name = address:match "^([%w][%w_.-]*)@[%w.%[%]:-]+$"
  if not name or #name > 60 or name:find("..", 1, true) then return nil end
  local path = "/" .. name:lower()
  local found = tree:stat(path)
  return found and found.kind == "directory" and path
end

-- "FROM:<me@here> SIZE=100 BODY=8BITMIME" -> "me@here", {SIZE = "100", ...}
local function address_of(text, word)
  local address, rest = text:match("^" .. word .. ":%s*<([^<>%s]*)>%s*(.*)$")
  if not address then return nil end
  local options = {}
  for name, value in rest:gmatch "([^%s=]+)=?(%S*)" do options[name:upper()] = value end
  return address:match "^@[^:]*:(.*)$" or address, options -- "@relay:ann@here": the way is not looked at
end

-- Up to the line with a dot alone; a dot that was put before others is taken away. nil, "too long": all was read, nothing kept.
-- A line ends with CR LF here and with nothing else: a lone LF could end the message for one server and not for another.
local function read_message(conn)
  local lines, size = {}, 0
  while true do
    local line = conn:read_until("\r\n", SIZE)
    if not line then return nil, "gone" end
    if line == "." then break end
    size = size + #line + 2
    if size <= SIZE then lines[#lines + 1] = line:gsub("^%.", "") end
  end
  if size > SIZE then return nil, "too long" end
  lines[#lines + 1] = ""
  return table.concat(lines, "\r\n")
end

local count = 0

-- The name is new, and sorts by time. Another name first: a mailbox never shows half a message.
local function file(mail, text)
  count = count + 1
  local name = ("%d.%06d.%s"):format(math.floor(medusa.time() * 1000), count % 1000000, medusa.random.hex(4))
  local head = ("Return-Path: <%s>\r\nReceived: from %s (%s)\r\n\tby %s with %s;\r\n\t%s +0000\r\n"):format(mail.from, mail.hello,
    mail.peer, HOST, mail.protocol, os.date "!%a, %d %b %Y %H:%M:%S")
  for path in pairs(mail.to) do
    local ok, why = tree:write(path .. "/" .. name .. ".eml", head .. text, {exclusive = true, sync = true})
    if not ok then return nil, why end
  end
  return true
end

local commands = {}

local function greet(extended)
  return function(mail, rest)
    if not rest:find "^[%w.%[%]:_-]+$" then return "501 Say who you are" end
    mail.hello, mail.protocol, mail.from, mail.to = rest, extended and "ESMTP" or "SMTP", nil, {}
    if not extended then return "250 " .. HOST end
    return "250-" .. HOST .. "\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE " .. SIZE
  end
end
commands.HELO, commands.EHLO = greet(false), greet(true)

function commands.MAIL(mail, rest)
  local from, options = address_of(rest, "[Ff][Rr][Oo][Mm]")
  if not mail.hello then return "503 Say EHLO first" end
  if mail.from then return "503 One message after the other" end
  if not from then return "501 MAIL FROM:<address> is expected" end
  if (tonumber(options.SIZE) or 0) > SIZE then return "552 At most " .. SIZE .. " bytes" end
  mail.from, mail.to, mail.recipients = from, {}, 0
  return "250 OK"
end

function commands.RCPT(mail, rest)
  if not mail.from then return "503 Say MAIL first" end
  local address = address_of(rest, "[Tt][Oo]")
  if not address then return "501 RCPT TO:<address> is expected" end
  if mail.recipients == RECIPIENTS then return "452 Too many recipients" end
  local path = mailbox(address)
  if not path then return "550 There is no such mailbox here" end
  mail.to[path], mail.recipients = true, mail.recipients + 1
  return "250 OK"
end

function commands.DATA(mail, rest, conn)
  if not mail.from or not next(mail.to) then return "503 Say MAIL and RCPT first" end
  conn:write "354 Go on; a dot on a line of its own ends it\r\n"
  local text, why = read_message(conn)
  if not text and why ~= "too long" then return nil end -- the client is gone, or sends lines without end
  local filed = text and file(mail, text)
  mail.from, mail.to = nil, {}
  if not text then return "552 At most " .. SIZE .. " bytes" end
  return filed and "250 It is filed" or "451 It cannot be filed now"
end

function commands.RSET(mail)
  mail.from, mail.to = nil, {}
  return "250 OK"
end

function commands.NOOP() return "250 OK" end
function commands.VRFY() return "252 Send, and you will see" end

medusa.tcp.server {
  listen = LISTEN,
  idle = "5m",
  max_line = 4096,
  handle = function(conn)
    local mail, errors = {peer = conn:peer(), to = {}}, 0
    conn:write("220 ", HOST, " SMTP\r\n")
    for line in conn:lines() do
      local name, rest = line:match "^%s*(%a+)%s*(.-)%s*$"
      name = name and name:upper()
      if name == "QUIT" then
        conn:write "221 Bye\r\n"
        return
      end
      local reply = "500 There is no such command"
      if commands[name] then reply = commands[name](mail, rest, conn) end
      if not reply or not conn:write(reply, "\r\n") then return end
      errors = errors + (reply:find "^5" and 1 or 0)
      if errors > 20 then return end -- whoever guesses addresses shall take longer
    end
  end,
}
