medusa.http.server {
  listen = "127.0.0.1:@port@",
  max_requests = 0,
  keepalive = "@idle@s",
  routes = {
    ["/"] = function(req) return "hello\n" end,
    ["/user/:name"] = function(req)
      local headers = req.headers
      return {
        headers = {["X-Seen"] = headers["user-agent"]},
        text = req.params.name .. " " .. headers["accept"] .. " " .. req.query_string .. "\n",
      }
    end,
  },
}
