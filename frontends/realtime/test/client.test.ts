import assert from "node:assert/strict";
import { test } from "node:test";
import { Backoff } from "../src/backoff.js";
import { Realtime, SignedOut, wakeWithPage, type Listener, type Options } from "../src/index.js";
import type { SocketLike } from "../src/client.js";
import { isCovered, parseFrame } from "../src/frames.js";

const ID = "3f2b8c1e-9a4d-4e57-8b0c-6d1e2f3a4b5c";
const TOPIC = `instance.${ID}` as const;

/** The other side: each socket that the client opens, and what it says. */
class FakeSocket implements SocketLike {
  static all: FakeSocket[] = [];
  readyState = 0;
  sent: { event: string; since?: string }[] = [];
  onopen: ((event: never) => void) | null = null;
  onmessage: ((event: never) => void) | null = null;
  onclose: ((event: never) => void) | null = null;
  onerror: ((event: never) => void) | null = null;

  constructor(readonly url: string) {
    FakeSocket.all.push(this);
  }
  send(text: string): void {
    this.sent.push(JSON.parse(text) as { event: string });
  }
  close(): void {
    this.readyState = 3;
  }
  open(): void {
    this.readyState = 1;
    this.onopen?.({} as never);
  }
  say(event: string, n: number, data: unknown = {}, topic: string = TOPIC): void {
    const frame = { event, topic, position: `0a1b2c3d:${n}`, ts: "", trace_id: null, data };
    this.onmessage?.({ data: JSON.stringify(frame) } as never);
  }
  end(code: number): void {
    this.readyState = 3;
    this.onclose?.({ code } as never);
  }
}

/** Waits for what timers and promises bring about. */
async function until(isTrue: () => boolean): Promise<void> {
  for (let i = 0; i < 2000 && !isTrue(); i++) await new Promise((resolve) => setTimeout(resolve, 1));
  assert.ok(isTrue(), "it did not come about");
}

function setUp(more: Partial<Options> = {}) {
  FakeSocket.all = [];
  const heard: string[] = [];
  const client = new Realtime({ url: "wss://x/ws", WebSocket: FakeSocket, retryMs: [2, 8], ...more });
  const listener: Listener = {
    state: (state) => heard.push(`state ${JSON.stringify(state)}`),
    event: (event) => heard.push(`${event.event} ${event.position.split(":")[1]}`),
    error: (error) => heard.push(`error ${error.code}`),
    ended: () => heard.push("ended"),
  };
  const socket = async (n: number): Promise<FakeSocket> => {
    await until(() => FakeSocket.all.length > n);
    return FakeSocket.all[n] as FakeSocket;
  };
  return { client, heard, listener, socket };
}

test("the state comes first, then events, each once", async () => {
  const { client, heard, listener, socket } = setUp();
  client.subscribe(TOPIC, listener);
  const s = await socket(0);
  assert.equal(s.url, "wss://x/ws");
  s.open();
  assert.deepEqual(s.sent, [{ event: `subscribe:${TOPIC}` }]);
  s.say("subscribed", 5, { a: 1 });
  s.say("instance.status", 6);
  s.say("instance.status", 6);
  s.say("instance.status", 4);
  s.say("instance.status", 9);
  s.say("instance.status", 10, {}, "instance.other");
  assert.deepEqual(heard, ['state {"a":1}', "instance.status 6", "instance.status 9"]);
  client.close();
});

test("it comes back with the last position and goes on without the state", async () => {
  const { client, heard, listener, socket } = setUp();
  client.subscribe(TOPIC, listener);
  (await socket(0)).open();
  FakeSocket.all[0]?.say("subscribed", 5);
  FakeSocket.all[0]?.say("instance.status", 6);
  FakeSocket.all[0]?.end(1013);
  assert.equal(client.status, "waiting");
  const s = await socket(1);
  s.open();
  assert.deepEqual(s.sent, [{ event: `subscribe:${TOPIC}`, since: "0a1b2c3d:6" }]);
  s.say("subscribed", 8, { newer: true });
  s.say("instance.status", 7);
  s.say("instance.status", 8);
  assert.deepEqual(heard, ["state {}", "instance.status 6", "instance.status 7", "instance.status 8"]);
  client.close();
});

test("one that is cut before the missed events came asks for them again", async () => {
  const { client, heard, listener, socket } = setUp();
  client.subscribe(TOPIC, listener);
  (await socket(0)).open();
  FakeSocket.all[0]?.say("subscribed", 5);
  FakeSocket.all[0]?.end(1006);
  (await socket(1)).open();
  FakeSocket.all[1]?.say("subscribed", 9);
  FakeSocket.all[1]?.end(1006);
  const s = await socket(2);
  s.open();
  assert.deepEqual(s.sent, [{ event: `subscribe:${TOPIC}`, since: "0a1b2c3d:5" }]);
  assert.deepEqual(heard, ["state {}"]);
  client.close();
});

test("a resync brings the state and its position", async () => {
  const { client, heard, listener, socket } = setUp();
  client.subscribe(TOPIC, listener);
  (await socket(0)).open();
  FakeSocket.all[0]?.say("subscribed", 5);
  FakeSocket.all[0]?.end(1001);
  (await socket(1)).open();
  FakeSocket.all[1]?.say("subscribed", 900, { b: 2 });
  FakeSocket.all[1]?.say("resync", 900, { since: "0a1b2c3d:5" });
  FakeSocket.all[1]?.say("instance.status", 901);
  // And so on an open socket, when the gateway itself has missed something.
  FakeSocket.all[1]?.say("subscribed", 990, { c: 3 });
  FakeSocket.all[1]?.say("resync", 990, {});
  assert.deepEqual(heard, ["state {}", 'state {"b":2}', "instance.status 901", 'state {"c":3}']);
  client.close();
});

test("who comes later begins with the state, and the others miss nothing", async () => {
  const { client, heard, listener, socket } = setUp();
  client.subscribe(TOPIC, listener);
  const s = await socket(0);
  s.open();
  s.say("subscribed", 5);
  const late: string[] = [];
  client.subscribe(TOPIC, { state: () => late.push("state"), event: (e) => late.push(e.position.split(":")[1] ?? "") });
  assert.deepEqual(s.sent[1], { event: `subscribe:${TOPIC}`, since: "0a1b2c3d:5" });
  s.say("instance.status", 6); // on its way before the gateway heard of the newcomer
  s.say("subscribed", 8, { d: 4 });
  for (const n of [6, 7, 8, 9]) s.say("instance.status", n);
  assert.deepEqual(late, ["state", "9"]);
  assert.deepEqual(heard, ["state {}", ...[6, 7, 8, 9].map((n) => `instance.status ${n}`)]);
  // Where what was missed cannot be told it is the state for all, once.
  client.subscribe(TOPIC, { state: () => late.push("third") });
  s.say("subscribed", 500, { e: 5 });
  s.say("resync", 500, {});
  assert.deepEqual(late, ["state", "9", "third", "state"]);
  assert.deepEqual(heard.slice(5), ['state {"e":5}']);
  client.close();
});

test("the last listener's end is told, and the topic is not asked for again", async () => {
  const { client, listener, socket } = setUp();
  const one = client.subscribe(TOPIC, listener);
  const two = client.subscribe(TOPIC, {});
  const s = await socket(0);
  s.open();
  one();
  assert.equal(s.sent.length, 1);
  two();
  two();
  assert.deepEqual(s.sent[1], { event: `unsubscribe:${TOPIC}` });
  s.end(1006);
  (await socket(1)).open();
  assert.deepEqual(FakeSocket.all[1]?.sent, []);
  client.close();
});

test("what is not there ends, what is busy is asked for again", async () => {
  const { client, heard, listener, socket } = setUp();
  client.subscribe(TOPIC, listener);
  const s = await socket(0);
  s.open();
  s.say("error", 0, { code: "SERVICE_UNAVAILABLE", message: "" });
  await until(() => s.sent.length === 2);
  s.say("error", 0, { code: "NOT_FOUND", message: "" });
  s.say("subscribed", 1);
  assert.deepEqual(heard, ["error NOT_FOUND"]);
  client.subscribe(TOPIC, listener);
  s.say("subscribed", 2);
  s.say("instance.deleted", 3);
  s.say("unsubscribed", 0);
  assert.deepEqual(heard.slice(1), ["state {}", "instance.deleted 3", "ended"]);
  client.close();
});

test("each connection has a ticket of its own; without a session it stops until a sign-in", async () => {
  let number = 0;
  let isSignedIn = true;
  const statuses: string[] = [];
  const ticket = () => {
    if (!isSignedIn) return Promise.reject(new SignedOut());
    number++;
    return number === 2 ? Promise.reject(new Error("busy")) : Promise.resolve(`t/${number}`);
  };
  const { client, listener, socket } = setUp({ ticket, onStatus: (s) => statuses.push(s) });
  client.subscribe(TOPIC, listener);
  (await socket(0)).open();
  FakeSocket.all[0]?.end(4401);
  assert.equal((await socket(1)).url, "wss://x/ws?ticket=t%2F3");
  FakeSocket.all[1]?.open();
  isSignedIn = false;
  FakeSocket.all[1]?.end(4401);
  await until(() => client.status === "signed_out");
  isSignedIn = true;
  client.resume();
  (await socket(2)).open();
  assert.equal(client.status, "open");
  assert.deepEqual(statuses.slice(0, 4), ["connecting", "open", "waiting", "connecting"]);
  client.close();
});

test("with a cookie the end of the session stops it", async () => {
  const { client, listener, socket } = setUp();
  client.subscribe(TOPIC, listener);
  (await socket(0)).open();
  FakeSocket.all[0]?.end(4401);
  assert.equal(client.status, "signed_out");
  client.close();
  assert.equal(client.status, "closed");
});

test("silence is tried out, and a dead connection left", async () => {
  const { client, listener, socket } = setUp({ silenceMs: [10, 30] });
  client.subscribe(TOPIC, listener);
  const s = await socket(0);
  s.open();
  s.say("subscribed", 1);
  await until(() => s.sent.length === 2);
  assert.match(s.sent[1]?.event ?? "", /^unsubscribe:instance\.0/);
  s.say("unsubscribed", 0, {}, "instance.00000000-0000-4000-8000-000000000000");
  await until(() => s.sent.length === 3);
  const next = await socket(1);
  assert.equal(s.readyState, 3);
  next.open();
  assert.deepEqual(next.sent, [{ event: `subscribe:${TOPIC}`, since: "0a1b2c3d:1" }]);
  client.close();
});

test("waking up tries at once", async () => {
  const { client, listener, socket } = setUp({ retryMs: [60_000, 60_000] });
  client.subscribe(TOPIC, listener);
  (await socket(0)).end(1006);
  assert.equal(client.status, "waiting");
  client.wake();
  const s = await socket(1);
  s.open();
  client.wake();
  assert.match(s.sent[1]?.event ?? "", /^unsubscribe:/);
  client.close();
});

test("a connection that never opens is given up", async () => {
  const { client, listener, socket } = setUp({ silenceMs: [10, 10] });
  client.subscribe(TOPIC, listener);
  await socket(2);
  client.close();
  const count = FakeSocket.all.length;
  await new Promise((resolve) => setTimeout(resolve, 40));
  assert.equal(FakeSocket.all.length, count, "nothing goes on after close()");
});

test("a topic that is left and listened to again at once begins anew", async () => {
  const { client, heard, listener, socket } = setUp();
  const leave = client.subscribe(TOPIC, listener);
  const s = await socket(0);
  s.open();
  s.say("subscribed", 5, { a: 1 });
  leave();
  const again = client.subscribe(TOPIC, listener);
  again();
  client.subscribe(TOPIC, listener);
  // Of the first two, on their way when they were left.
  s.say("instance.status", 6);
  s.say("unsubscribed", 0);
  s.say("subscribed", 6, { b: 2 });
  s.say("error", 0, { code: "NOT_FOUND", message: "" });
  s.say("unsubscribed", 0);
  s.say("subscribed", 7, { c: 3 });
  s.say("instance.status", 8);
  assert.deepEqual(heard, ['state {"a":1}', 'state {"c":3}', "instance.status 8"]);
  s.say("unsubscribed", 0);
  assert.equal(heard.at(-1), "ended");
  client.close();
});

test("a connection that ends takes the answers with it that were on their way", async () => {
  const { client, heard, listener, socket } = setUp();
  const leave = client.subscribe(TOPIC, listener);
  (await socket(0)).open();
  leave();
  client.subscribe(TOPIC, listener);
  FakeSocket.all[0]?.end(1006);
  const s = await socket(1);
  s.open();
  s.say("subscribed", 7);
  assert.deepEqual(heard, ["state {}"]);
  client.close();
});

test("whoever comes back after the end is told of it", async () => {
  const { client, heard, listener, socket } = setUp();
  client.subscribe(TOPIC, listener);
  (await socket(0)).open();
  FakeSocket.all[0]?.say("subscribed", 5);
  FakeSocket.all[0]?.end(1006);
  const s = await socket(1);
  s.open();
  s.say("instance.status", 6);
  s.say("instance.deleted", 7);
  s.say("unsubscribed", 0);
  s.end(1006);
  (await socket(2)).open();
  assert.deepEqual(heard, ["state {}", "instance.status 6", "instance.deleted 7", "ended"]);
  assert.deepEqual(FakeSocket.all[2]?.sent, []);
  client.close();
});

test("a ticket that does not come is not waited for, nor used when it comes after all", async () => {
  const given: ((ticket: string) => void)[] = [];
  const ticket = () => new Promise<string>((resolve) => given.push(resolve));
  const { client, listener, socket } = setUp({ ticket, silenceMs: [1000, 20], retryMs: [30, 30] });
  client.subscribe(TOPIC, listener);
  await until(() => given.length === 1 && client.status === "waiting");
  given[0]?.("late");
  await until(() => given.length === 2);
  given[1]?.("good");
  assert.equal((await socket(0)).url, "wss://x/ws?ticket=good");
  assert.equal(FakeSocket.all.length, 1);
  client.close();
});

test("nothing is tried while nobody is signed in", async () => {
  const ticket = () => Promise.reject(new SignedOut());
  const { client, listener } = setUp({ ticket, silenceMs: [5, 5] });
  client.subscribe(TOPIC, listener);
  await until(() => client.status === "signed_out");
  await new Promise((resolve) => setTimeout(resolve, 40));
  client.wake();
  assert.equal(client.status, "signed_out");
  assert.equal(FakeSocket.all.length, 0);
  client.close();
});

test("the page wakes it when it is seen, until that is ended", () => {
  let woken = 0;
  const document = Object.assign(new EventTarget(), { visibilityState: "hidden" });
  const page = Object.assign(new EventTarget(), { document });
  const end = wakeWithPage({ wake: () => woken++ }, page);
  page.dispatchEvent(new Event("online"));
  assert.equal(woken, 0);
  document.visibilityState = "visible";
  document.dispatchEvent(new Event("visibilitychange"));
  page.dispatchEvent(new Event("online"));
  page.dispatchEvent(new Event("pageshow"));
  assert.equal(woken, 3);
  end();
  document.dispatchEvent(new Event("visibilitychange"));
  page.dispatchEvent(new Event("online"));
  assert.equal(woken, 3);
});

test("what is no frame is passed over", async () => {
  const { client, heard, listener, socket } = setUp();
  client.subscribe(TOPIC, listener);
  const s = await socket(0);
  s.open();
  for (const data of ["", "{", "7", "null", "{}", '{"event":7}', new ArrayBuffer(3)])
    s.onmessage?.({ data } as never);
  s.say("subscribed", 1);
  assert.deepEqual(heard, ["state {}"]);
  assert.equal(parseFrame("[]"), null);
  client.close();
});

test("waits grow, are bounded, and differ", () => {
  const waits = (random: number) => {
    const backoff = new Backoff(100, 1000, () => random);
    return [1, 2, 3, 4, 5, 6].map(() => backoff.next());
  };
  assert.deepEqual(waits(0), [50, 100, 200, 400, 500, 500]);
  assert.deepEqual(waits(1), [100, 200, 400, 800, 1000, 1000]);
});

test("positions of one stream have an order, others none", () => {
  assert.ok(isCovered("0a1b2c3d:10", "0a1b2c3d:9"));
  assert.ok(isCovered("0a1b2c3d:10", "0a1b2c3d:10"));
  assert.ok(!isCovered("0a1b2c3d:9", "0a1b2c3d:10"));
  assert.ok(!isCovered("0a1b2c3e:99", "0a1b2c3d:10"));
  assert.ok(!isCovered(null, "0a1b2c3d:10"));
  assert.ok(!isCovered("x", "0a1b2c3d:10"));
});
