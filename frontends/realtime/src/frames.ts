import type { EventData, State } from "./events.js";

/** An event, told apart by its name: after `e.event === "instance.status"` its data has that type. */
export type RealtimeEvent = {
  [K in keyof EventData]: {
    event: K;
    topic: string;
    position: string;
    ts: string;
    trace_id: string | null;
    data: EventData[K];
  };
}[keyof EventData];

/** What the gateway answers where something is wrong. */
export interface RealtimeError {
  code: string;
  message: string;
  field?: string;
}

/** Any frame, as far as it is looked at here. */
export interface Frame {
  event: string;
  topic?: string;
  position?: string;
  data?: unknown;
}

export function parseFrame(text: unknown): Frame | null {
  if (typeof text !== "string") return null;
  try {
    const frame: unknown = JSON.parse(text);
    const isFrame = typeof frame === "object" && frame !== null && "event" in frame && typeof frame.event === "string";
    return isFrame ? (frame as Frame) : null;
  } catch {
    return null;
  }
}

export function stateOf(frame: Frame): State {
  return frame.data as State;
}

/** A place in the stream of events: "<8 hex of the stream's birth>:<number>". */
interface Position {
  stream: string;
  number: number;
}

function parsePosition(text: string): Position | null {
  const match = /^([0-9a-f]{8}):(\d{1,18})$/.exec(text);
  return match ? { stream: match[1] as string, number: Number(match[2]) } : null;
}

/** Whether whoever has had all up to `last` has had this one. Nothing of another stream is: it was made anew. */
export function isCovered(last: string | null, position: string): boolean {
  const a = last === null ? null : parsePosition(last);
  const b = parsePosition(position);
  return a !== null && b !== null && a.stream === b.stream && b.number <= a.number;
}
