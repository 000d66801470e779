medusa.tcp.server {
  listen = "127.0.0.1:@port@",
  idle = "@idle@s",
  handle = function(conn)
    for line in conn:lines() do conn:write(line, "\n") end
  end,
}
