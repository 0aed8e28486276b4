export { Realtime, SignedOut } from "./client.js";
export { wakeWithPage } from "./page.js";
export type { Listener, Options, Status } from "./client.js";
export type { RealtimeError, RealtimeEvent } from "./frames.js";
export type * from "./events.js";
