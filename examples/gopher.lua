-- gopher (RFC 1436): a directory as menus, for lynx, or: curl gopher://localhost:7070/
--
--     medusa run examples/gopher.lua
--
-- The web before the web: the client sends one line, a selector, and gets a menu or a file; then the connection ends.
-- A line of a menu is a type, a title, a selector, a host and a port, with tabs between them.

local LISTEN = os.getenv "GOPHER_LISTEN" or ":7070" -- the real port is 70, which needs root: see medusa.user
local ROOT = os.getenv "GOPHER_ROOT" or "../site" -- relative to this script
local HOST = os.getenv "GOPHER_HOST" or "localhost" -- how clients reach us: menus name it
local PORT = LISTEN:match ":(%d+)$"

local tree = medusa.files(ROOT)
local types = {txt = "0", md = "0", lua = "0", css = "0", html = "h", gif = "g", png = "I", jpg = "I", svg = "I", gz = "9", zip = "5"}

local function type_of(entry)
  if entry.kind == "directory" then return "1" end
  return types[entry.name:match "%.(%w+)$"] or "9" -- "9": bytes
end

local function item(conn, kind, title, selector)
  conn:write(kind, (title:gsub("%c", "?")), "\t", selector, "\t", HOST, "\t", PORT, "\r\n")
end

local function menu(conn, path)
  local entries, why = tree:list(path)
  if not entries then
    item(conn, "3", why, "") -- "3": an error
  else
    item(conn, "i", "Index of " .. path, "") -- "i": a line of text
    if path ~= "/" then item(conn, "1", "..", path:match "^(.*/)[^/]+/$") end
    for _, entry in ipairs(entries) do
      item(conn, type_of(entry), entry.name, path .. entry.name .. (entry.kind == "directory" and "/" or ""))
    end
  end
  conn:write ".\r\n"
end

-- Text ends with a line of its own, ".": lines that begin with one get a second.
local function send_text(conn, text)
  text = ("\n" .. text):gsub("\r?\n", "\n"):gsub("\n%.", "\n.."):sub(2)
  conn:write((text:gsub("\n", "\r\n")), text:find "\n$" and "" or "\r\n", ".\r\n")
end

local function answer(conn, selector)
  local path = selector:match "^[^\t]*" -- what follows a tab are words to search for
  if path:sub(1, 1) ~= "/" then path = "/" .. path end
  local found = not path:find "/%." and tree:stat(path) -- menus do not show names with a dot in front: they are not given away
  if not found then
    item(conn, "3", "There is no " .. path, "")
    conn:write ".\r\n"
  elseif found.kind == "directory" then
    menu(conn, path:find "/$" and path or path .. "/")
  else
    local content, why = tree:read(path)
    if not content then
      item(conn, "3", why, "")
    elseif types[path:match "%.(%w+)$"] == "0" then
      send_text(conn, content)
    else
      conn:write(content) -- until the connection ends
    end
  end
end

medusa.tcp.server {
  listen = LISTEN,
  idle = "30s",
  max_line = 1024,
  handle = function(conn)
    local selector = conn:read_line()
    if selector then answer(conn, selector) end
  end,
}
