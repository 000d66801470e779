const http = require("http");
const server = http.createServer((request, response) => {
  response.setHeader("Content-Type", "text/plain");
  response.end("hello\n");
});
server.keepAliveTimeout = 0;
server.listen({port: Number(process.argv[2]), host: "127.0.0.1", backlog: 4096});
