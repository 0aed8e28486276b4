import type { Realtime } from "./client.js";

/** What is used of a window. */
export interface PageLike extends Pick<EventTarget, "addEventListener" | "removeEventListener"> {
  document: Pick<EventTarget, "addEventListener" | "removeEventListener"> & { visibilityState: string };
}

/**
 * The client tries at once when the network is back, and when the page is shown again: a device that slept may
 * have lost the connection without a word. Returns what ends that.
 */
export function wakeWithPage(client: Pick<Realtime, "wake">, page: PageLike = globalThis as unknown as PageLike) {
  const wake = () => {
    if (page.document.visibilityState !== "hidden") client.wake();
  };
  page.addEventListener("online", wake);
  page.addEventListener("pageshow", wake);
  page.document.addEventListener("visibilitychange", wake);
  return (): void => {
    page.removeEventListener("online", wake);
    page.removeEventListener("pageshow", wake);
    page.document.removeEventListener("visibilitychange", wake);
  };
}
