// What `make bench` compares the gateway's WebSockets with: Node's `ws`. It takes every socket, and sends each
// line of its standard input to all of them. PORT says where; ends with its standard input.
import { createInterface } from "node:readline";
import { createRequire } from "node:module";

const { WebSocketServer } = createRequire(process.env.WS_FROM + "/")("ws");
const server = new WebSocketServer({ host: "127.0.0.1", port: Number(process.env.PORT), perMessageDeflate: false, backlog: 4096 });

server.on("listening", () => console.log("ready"));
createInterface({ input: process.stdin })
  .on("line", (line) => {
    for (const client of server.clients) client.send(line);
  })
  .on("close", () => process.exit(0));
