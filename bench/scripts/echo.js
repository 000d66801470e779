const net = require("net");
const server = net.createServer({noDelay: true}, (socket) => {
  let rest = "";
  socket.setEncoding("latin1");
  socket.on("error", () => {});
  socket.on("data", (data) => {
    rest += data;
    for (let end; (end = rest.indexOf("\n")) >= 0; rest = rest.slice(end + 1))
      socket.write(rest.slice(0, end) + "\n", "latin1");
  });
});
server.listen({port: Number(process.argv[2]), host: "127.0.0.1", backlog: 4096});
