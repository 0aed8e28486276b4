import { Backoff } from "./backoff.js";
import type { State, Topic } from "./events.js";
import { isCovered, parseFrame, stateOf, type Frame, type RealtimeError, type RealtimeEvent } from "./frames.js";

const PROBE_TOPIC = "instance.00000000-0000-4000-8000-000000000000";
const SIGNED_OUT = 4401;
const TOO_FAST = 1008;
const RETRYABLE = new Set(["SERVICE_UNAVAILABLE", "TIMEOUT", "INTERNAL_ERROR", "RATE_LIMITED"]);

/** Thrown by Options.ticket where there is nobody signed in any more: the client then stops. */
export class SignedOut extends Error {}

/** What one wants to hear of a topic. All calls come in the order in which things happened. */
export interface Listener {
  /** The whole state: at the beginning, and again where what happened meanwhile cannot be told. */
  state?(state: State): void;
  event?(event: RealtimeEvent): void;
  /** The topic is not there (any more), or not one's own. It has ended. */
  error?(error: RealtimeError): void;
  /** The assistant is gone. It has ended. */
  ended?(): void;
}

export type Status = "idle" | "connecting" | "open" | "waiting" | "signed_out" | "closed";

/** What is used of a WebSocket. */
export interface SocketLike {
  readonly readyState: number;
  onopen: ((event: never) => void) | null;
  onmessage: ((event: never) => void) | null;
  onclose: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
  send(text: string): void;
  close(code?: number, reason?: string): void;
}

export interface Options {
  /** wss://HOST/ws, without a query. */
  url: string;
  /** A fresh ticket (POST /auth/ws-ticket) for each connection. Without it the cookie speaks. */
  ticket?: () => Promise<string>;
  onStatus?: (status: Status) => void;
  WebSocket?: new (url: string) => SocketLike;
  /** The first and the longest wait before a new try. */
  retryMs?: [number, number];
  /** So long without a frame, and the connection is tried out; so long for the answer. */
  silenceMs?: [number, number];
  random?: () => number;
}

interface Subscription {
  /** Each with the position of the state that it was told last; null: it waits for its first. */
  listeners: Map<Listener, string | null>;
  /** All up to here was told; null: nothing yet. */
  position: string | null;
  /** Of a `subscribed` that followed `since`: counts only where a `resync` comes behind it. */
  held: State | null;
}

/**
 * The platform's WebSocket. It connects with the first subscription, comes back by itself, resumes each
 * topic by position, and lets through no event twice. It stops at close(), or where nobody is signed in.
 */
export class Realtime {
  private readonly topics = new Map<string, Subscription>();
  private readonly backoff: Backoff;
  private readonly silence: [number, number];
  private socket: SocketLike | null = null;
  private now: Status = "idle";
  private attempt = 0;
  private retryTimer: ReturnType<typeof setTimeout> | undefined;
  private silenceTimer: ReturnType<typeof setTimeout> | undefined;
  private readonly topicTimers = new Set<ReturnType<typeof setTimeout>>();
  /** Topics that were left, and how many answers to that are on their way: what comes before the last of
   * them is not for whoever listens to the topic by now. */
  private readonly leaving = new Map<string, number>();
  private isProbing = false;

  constructor(private readonly options: Options) {
    const [first, most] = options.retryMs ?? [500, 30_000];
    this.backoff = new Backoff(first, most, options.random ?? Math.random);
    this.silence = options.silenceMs ?? [45_000, 10_000];
  }

  get status(): Status {
    return this.now;
  }

  /** Begins with the state. Returns what ends it. */
  subscribe(topic: Topic, listener: Listener): () => void {
    const old = this.topics.get(topic);
    if (old) old.listeners.set(listener, null); // the others miss nothing while the newcomer gets the state
    else this.topics.set(topic, { listeners: new Map([[listener, null]]), position: null, held: null });
    if (this.now === "open") this.ask(topic);
    else if (this.now === "idle") void this.connect();
    return () => this.leave(topic, listener);
  }

  /** The device has woken up, or the network is back: tries at once. */
  wake(): void {
    if (this.now === "open") this.probe();
    else if (this.now === "waiting") void this.connect();
  }

  /** After a new sign-in. */
  resume(): void {
    if (this.now === "signed_out") void this.connect();
  }

  close(): void {
    this.attempt++;
    this.stopTimers();
    this.topics.clear();
    this.drop();
    this.setStatus("closed");
  }

  // ---- connection --------------------------------------------------------------------------------

  private setStatus(status: Status): void {
    if (this.now === status) return;
    this.now = status;
    this.options.onStatus?.(status);
  }

  private stopTimers(): void {
    clearTimeout(this.retryTimer);
    clearTimeout(this.silenceTimer);
    for (const timer of this.topicTimers) clearTimeout(timer);
    this.topicTimers.clear();
  }

  /** Lets go of the socket; what it still says is not heard. */
  private drop(): void {
    const socket = this.socket;
    this.socket = null;
    this.leaving.clear();
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.onerror = () => undefined;
    if (socket.readyState < 2) socket.close(1000);
  }

  private async connect(): Promise<void> {
    const attempt = ++this.attempt;
    this.stopTimers();
    this.drop();
    this.setStatus("connecting");
    this.listen(this.silence[1]); // a ticket may not come either
    try {
      const ticket = await this.options.ticket?.();
      if (attempt === this.attempt) this.open(ticket);
    } catch (error) {
      if (attempt !== this.attempt) return;
      if (error instanceof SignedOut) this.stop();
      else this.retry();
    }
  }

  private open(ticket: string | undefined): void {
    const Socket = this.options.WebSocket ?? (globalThis.WebSocket as unknown as new (url: string) => SocketLike);
    const query = ticket === undefined ? "" : `?ticket=${encodeURIComponent(ticket)}`;
    const socket = new Socket(this.options.url + query);
    this.socket = socket;
    socket.onopen = () => this.onOpen();
    socket.onmessage = (event: { data: unknown }) => this.onMessage(event.data);
    socket.onclose = (event: { code: number }) => this.onClose(event.code);
    socket.onerror = () => undefined; // a close follows
    this.listen(this.silence[1]);
  }

  private retry(): void {
    this.stopTimers();
    this.setStatus("waiting");
    this.retryTimer = setTimeout(() => void this.connect(), this.backoff.next());
  }

  /** Nobody is signed in: until resume(). */
  private stop(): void {
    this.stopTimers();
    this.setStatus("signed_out");
  }

  private onOpen(): void {
    this.setStatus("open");
    this.heard();
    for (const topic of this.topics.keys()) this.ask(topic);
  }

  private onClose(code: number): void {
    this.socket = null;
    this.leaving.clear();
    if (code === TOO_FAST) this.backoff.exhaust();
    // With a ticket it is the next one that tells whether somebody is still signed in.
    if (code === SIGNED_OUT && !this.options.ticket) this.stop();
    else this.retry();
  }

  // ---- is somebody there -------------------------------------------------------------------------

  private listen(ms: number): void {
    clearTimeout(this.silenceTimer);
    this.silenceTimer = setTimeout(() => this.onSilence(), ms);
  }

  private heard(): void {
    this.isProbing = false;
    this.listen(this.silence[0]);
  }

  /** Browsers tell nothing of pings. An answer that costs nothing does as well. */
  private probe(): void {
    this.isProbing = true;
    this.send({ event: `unsubscribe:${PROBE_TOPIC}` });
    this.listen(this.silence[1]);
  }

  private onSilence(): void {
    if (this.now === "open" && !this.isProbing) {
      this.probe();
      return;
    }
    this.attempt++; // a ticket that comes after all is not used
    this.drop();
    this.retry();
  }

  // ---- topics ------------------------------------------------------------------------------------

  private send(frame: { event: string; since?: string }): void {
    if (this.socket?.readyState === 1) this.socket.send(JSON.stringify(frame));
  }

  private ask(topic: string): void {
    const since = this.topics.get(topic)?.position;
    this.send({ event: `subscribe:${topic}`, ...(since ? { since } : {}) });
  }

  private leave(topic: string, listener: Listener): void {
    const subscription = this.topics.get(topic);
    if (!subscription?.listeners.delete(listener) || subscription.listeners.size > 0) return;
    this.topics.delete(topic);
    if (this.socket?.readyState !== 1) return;
    this.leaving.set(topic, (this.leaving.get(topic) ?? 0) + 1);
    this.send({ event: `unsubscribe:${topic}` });
  }

  /** Whether a frame is of the time before the topic was left. */
  private isLeft(frame: Frame): boolean {
    const topic = frame.topic ?? "";
    const answers = this.leaving.get(topic);
    if (answers === undefined) return false;
    if (frame.event !== "unsubscribed") return true;
    if (answers > 1) this.leaving.set(topic, answers - 1);
    else this.leaving.delete(topic);
    return true;
  }

  private onMessage(text: unknown): void {
    const frame = parseFrame(text);
    this.heard();
    const subscription = frame?.topic === undefined ? undefined : this.topics.get(frame.topic);
    if (!frame || this.isLeft(frame) || !subscription) return;
    switch (frame.event) {
      case "subscribed":
        this.onSubscribed(subscription, frame);
        break;
      case "resync":
        this.onResync(subscription, frame);
        break;
      case "unsubscribed":
        this.onEnded(frame.topic as string, subscription);
        break;
      case "error":
        this.onError(frame.topic as string, subscription, frame.data as RealtimeError);
        break;
      default:
        this.onEvent(subscription, frame);
    }
  }

  /** Calls those that have a state of this kind; all without it. */
  private tell(
    subscription: Subscription,
    call: (listener: Listener) => void,
    fits: (from: string | null) => boolean = () => true,
  ): void {
    for (const [listener, from] of [...subscription.listeners]) {
      if (!fits(from)) continue;
      try {
        call(listener);
      } catch (error) {
        // One listener's mistake is not the others'.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }

  private tellState(subscription: Subscription, state: State, position: string, fits: (from: string | null) => boolean) {
    const told = [...subscription.listeners].filter(([, from]) => fits(from));
    for (const [listener] of told) subscription.listeners.set(listener, position);
    this.tell({ ...subscription, listeners: new Map(told) }, (listener) => listener.state?.(state));
  }

  private onSubscribed(subscription: Subscription, frame: Frame): void {
    this.backoff.reset();
    if (frame.position === undefined) return;
    // For those that have a state what they missed follows, after the last position; for them this one counts only
    // with a resync.
    if (subscription.position === null) subscription.position = frame.position;
    else subscription.held = stateOf(frame);
    this.tellState(subscription, stateOf(frame), frame.position, (from) => from === null);
  }

  private onResync(subscription: Subscription, frame: Frame): void {
    const state = subscription.held;
    subscription.held = null;
    if (frame.position === undefined) return;
    subscription.position = frame.position;
    if (state) this.tellState(subscription, state, frame.position, (from) => from !== frame.position);
  }

  private onEvent(subscription: Subscription, frame: Frame): void {
    const position = frame.position;
    if (position === undefined || isCovered(subscription.position, position)) return;
    subscription.held = null;
    subscription.position = position;
    // A newcomer has the events before its state in that state.
    this.tell(
      subscription,
      (listener) => listener.event?.(frame as unknown as RealtimeEvent),
      (from) => from !== null && !isCovered(from, position),
    );
  }

  private onEnded(topic: string, subscription: Subscription): void {
    this.topics.delete(topic);
    this.tell(subscription, (listener) => listener.ended?.());
  }

  private onError(topic: string, subscription: Subscription, error: RealtimeError): void {
    if (RETRYABLE.has(error.code)) {
      const timer = setTimeout(() => {
        this.topicTimers.delete(timer);
        if (this.topics.get(topic) === subscription) this.ask(topic);
      }, this.backoff.next());
      this.topicTimers.add(timer);
      return;
    }
    this.topics.delete(topic);
    this.tell(subscription, (listener) => listener.error?.(error));
  }
}
