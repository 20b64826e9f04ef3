// What the command is at: one line on a terminal that is written over.

/** Where a command writes. */
export type Io = {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  /** Standard error is a terminal. */
  readonly terminal: boolean;
};

export class Progress {
  readonly #io: Io;
  #shown = false;
  constructor(io: Io) {
    this.#io = io;
  }
  show(task: string): void {
    if (!this.#io.terminal) return;
    this.#io.err(`\r\x1b[K${task} ...`);
    this.#shown = true;
  }
  /** Before anything else is written. */
  clear(): void {
    if (this.#shown) this.#io.err("\r\x1b[K");
    this.#shown = false;
  }
}
