-- finger (RFC 1288): who is here, and what do they say of themselves?
--
--     medusa run examples/finger.lua       then: finger -l ann@localhost, or: echo ann | nc localhost 7079
--
-- Each person is a file in the directory PEOPLE: ann.plan. Put another one there, and it is served at once.

local LISTEN = os.getenv "FINGER_LISTEN" or ":7079" -- the real port is 79, which needs root: see medusa.user
local PEOPLE = os.getenv "FINGER_PEOPLE" or "finger" -- relative to this script

local people = medusa.files(PEOPLE)

local function list(conn)
  conn:write "Name        Plan of\r\n"
  for _, file in ipairs(assert(people:list "/")) do
    local name = file.name:match "^([%w_-]+)%.plan$"
    if name then conn:write(("%-10s  %s\r\n"):format(name, os.date("!%d %b %Y %H:%M", math.floor(file.mtime)))) end
  end
end

local function show(conn, name)
  -- Only these letters: a name from the network never becomes a path of its own. (It could not leave the tree anyway.)
  local plan = name:find "^[%w_-]+$" and people:read("/" .. name:lower() .. ".plan", "64K")
  if not plan then
    conn:write("There is no ", name:sub(1, 40):gsub("[^%g ]", "?"), " here.\r\n")
    return
  end
  conn:write("Name: ", name, "\r\nPlan:\r\n", (plan:gsub("\r?\n", "\r\n")))
end

medusa.tcp.server {
  listen = LISTEN,
  idle = "30s",
  max_line = 512,
  handle = function(conn)
    local line = conn:read_line()
    if not line then return end
    local who = line:gsub("^/[Ww]%s*", ""):match "^%s*(.-)%s*$" -- "/W" asks for more, and all we have is shown anyway
    if who:find "@" then
      conn:write "Other hosts are not asked from here.\r\n" -- RFC 1288 3.2.1: a server may refuse that
    elseif who == "" then
      list(conn)
    else
      show(conn, who)
    end
  end,
}
