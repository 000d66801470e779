-- site: a bit of everything on one page. ./run starts it; change something here, then kill -HUP the process: what was open stays open.
--
--     medusa run examples/site.lua       then open http://localhost:8080/try and talk to port 7007

local WEB = os.getenv "SITE_WEB" or ":8080"
local TCP = os.getenv "SITE_TCP" or ":7007"
local SITE = os.getenv "SITE_ROOT" or "../site" -- relative to this script

local http, html = medusa.http, medusa.html
local started, visits, guests = medusa.time(), 0, {}

-- A page of our own. %s would do for constants; what people typed goes through html.escape.
local function page(title, body)
  return {html = [[
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>]] .. html.escape(title) .. [[</title>
<style>
  :root { color-scheme: light dark }
  body { font: 1rem/1.5 system-ui, sans-serif; max-width: 40rem; margin: 2rem auto; padding: 0 1rem }
  input, button { font: inherit; padding: .3rem .6rem }
</style>
<h1>]] .. html.escape(title) .. "</h1>\n" .. body}
end

-- A text is an answer; so is a table, as above; so is a number (a status), or a number and a text.
local function hello(req)
  return "Hello, " .. req.params.name .. "!\n"
end

local function try()
  visits = visits + 1
  local names = {}
  for i, name in ipairs(guests) do names[i] = "<li>" .. html.escape(name) .. "</li>" end
  return page("Things to try", [[
<p>The clock of this server: <b id="clock">...</b></p>
<script>
  new EventSource("/clock").onmessage = event => document.getElementById("clock").textContent = event.data
</script>
<p>A greeting: <a href="/hello/you">/hello/you</a>. The same in JSON: <a href="/status">/status</a>. Files: <a href="/files/">/files/</a>.
A door: <a href="/secret">/secret</a> (the name is <i>guest</i>, the password <i>open</i>).</p>
<form method="post" action="/guests">
  <input name="name" placeholder="Your name" maxlength="40" required> <button>Write it into the guest book</button>
</form>
<ol>]] .. table.concat(names) .. "</ol>")
end

-- A form: after a POST the browser is sent to a page, so that reloading that does not post again.
local function sign(req)
  local form, why = req:form()
  if not form then return 400, why .. "\n" end
  local name = (form.name or ""):gsub("%c", ""):sub(1, 40)
  if utf8.len(name) and name ~= "" then
    table.insert(guests, 1, name)
    guests[21] = nil -- what comes from outside has a limit
  end
  return {redirect = "/try", status = 303}
end

-- Server-sent events: the answer goes on until the browser leaves. A thousand of these are a thousand tasks, and no threads.
local function clock(req)
  local stream = req:events()
  while stream:is_open() do
    stream:send(os.date "!%H:%M:%S UTC")
    medusa.sleep(1)
  end
end

local function status()
  return {json = {visits = visits, guests = #guests, up_seconds = math.floor(medusa.time() - started)}}
end

-- Wrappers take a handler and give one that does more.
local guarded = http.basic_auth {realm = "The door", users = {guest = "open"}}

local files = http.files(SITE, {listing = true})

http.server {
  listen = WEB,
  routes = {
    ["/"] = http.headers {["X-Content-Type-Options"] = "nosniff"} (files), -- all that nothing else is for
    ["/try"] = try,
    ["/hello/:name"] = http.rate_limit {rate = 20, burst = 50} (hello),
    ["/clock"] = clock,
    ["/status"] = status,
    ["POST /guests"] = http.logged(sign),
    ["/secret"] = guarded(function(req) return page("Behind the door", "<p>Welcome, " .. html.escape(req.user) .. ".</p>") end),
    ["/old/"] = http.redirect("/files/*", 301),
    ["//api.localhost/"] = status, -- another host: http://api.localhost:8080/
  },
}

-- And a server of its own kind: what is said comes back. telnet localhost 7007
medusa.tcp.server {
  listen = TCP,
  idle = "10m",
  handle = function(conn)
    conn:write "This is an echo. quit ends it.\r\n"
    for line in conn:lines() do
      if line == "quit" then break end
      conn:write("You said: ", line, "\r\n")
    end
  end,
}

medusa.drain_timeout "5s" -- after Ctrl-C
