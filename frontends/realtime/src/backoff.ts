/** How long to wait before the next try: longer each time, and never two clients alike. */
export class Backoff {
  private failures = 0;

  constructor(
    private readonly firstMs: number,
    private readonly mostMs: number,
    private readonly random: () => number,
  ) {}

  next(): number {
    const most = Math.min(this.mostMs, this.firstMs * 2 ** this.failures);
    this.failures = Math.min(this.failures + 1, 30);
    return Math.round(most / 2 + (this.random() * most) / 2);
  }

  reset(): void {
    this.failures = 0;
  }

  /** The next wait is among the longest. */
  exhaust(): void {
    this.failures = 30;
  }
}
