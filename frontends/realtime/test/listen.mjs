// Listens to one assistant with the built client, as a page would, and writes a line for all that it hears.
// Environment: API_URL, WS_URL, TOKEN, INSTANCE. Ends with its standard input.
import WebSocket from "ws";
import { Realtime, SignedOut } from "../dist/src/index.js";

const { API_URL, WS_URL, TOKEN, INSTANCE } = process.env;
const say = (line) => process.stdout.write(JSON.stringify(line) + "\n");

async function ticket() {
  const answer = await fetch(`${API_URL}/auth/ws-ticket`, { method: "POST", headers: { Authorization: `Bearer ${TOKEN}` } });
  if (answer.status === 401) throw new SignedOut();
  if (!answer.ok) throw new Error(`ws-ticket: ${answer.status}`);
  return (await answer.json()).data.ticket;
}

const client = new Realtime({ url: WS_URL, ticket, WebSocket, retryMs: [50, 500], onStatus: (status) => say({ status }) });
client.subscribe(`instance.${INSTANCE}`, {
  state: (state) => say({ state: state.instance.status }),
  event: ({ event, position, data }) => say({ event, position, data }),
  error: (error) => say({ error }),
  ended: () => say({ ended: true }),
});
process.stdin.on("end", () => client.close()).resume();
