-- proxy: stands between a client and a server, and prints the lines that go each way.
--
--     PROXY_TO=localhost:25 medusa run examples/proxy.lua       then talk to port 7025 instead of 25
--
-- For looking at how two programs talk. What it prints goes to the log (standard error, unless medusa.log_file says else).

local LISTEN = os.getenv "PROXY_LISTEN" or ":7025"
local TO = os.getenv "PROXY_TO" or "localhost:25"

local number = 0

-- Reads what comes from one side, prints its whole lines, and gives it to the other at once: half a line (a prompt) must not wait.
-- The log shows control characters as \x1b and cuts long lines.
local function copy(from, to, arrow)
  -- However this ends (when the script is loaded again, too): no more comes from this side; the other may still have something to say.
  local _ <close> = setmetatable({}, {__close = function() to:shutdown() end})
  local line = ""
  while true do
    local bytes = from:read()
    if not bytes or not to:write(bytes) then break end
    line = line .. bytes
    for whole in line:gmatch "(.-)\r?\n" do print(arrow .. whole) end
    line = line:match "[^\n]*$":sub(-4096) -- what has no end yet
  end
  if line ~= "" then print(arrow .. line) end
end

medusa.tcp.server {
  listen = LISTEN,
  idle = "1h",
  handle = function(client)
    number = number + 1
    local me = ("[%d] "):format(number)
    local server <close>, why = medusa.tcp.connect(TO, {timeout = "5s", idle = "1h"})
    if not server then
      print(me .. TO .. " cannot be reached: " .. why)
      return -- the client's connection is closed when this function returns
    end
    print(me .. client:peer() .. " is connected to " .. TO)
    -- Two directions, two tasks: each waits for its own side.
    local back = medusa.spawn(copy, server, client, me .. "< ")
    copy(client, server, me .. "> ")
    while back:is_running() do medusa.sleep(0.05) end
    print(me .. "is over")
  end,
}
