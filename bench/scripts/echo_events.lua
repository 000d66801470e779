medusa.tcp.server {
  listen = "127.0.0.1:@port@",
  idle = "@idle@s",
  on_line = function(conn, line) conn:write(line, "\n") end,
}
