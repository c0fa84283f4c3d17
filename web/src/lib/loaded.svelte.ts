// Something read from the server, with all the states a page must show: not yet, there, there but the last reading
// failed, not there because of an error.
import { sentence } from './api';
import { clock } from './clock.svelte';
import { live } from './live.svelte';

export class Loaded<T> {
  data = $state.raw<T | null>(null);
  error = $state<string | null>(null);
  status = $state(0);
  busy = $state(false);
  /** When what is shown was asked for; epoch ms of the server. */
  at = $state(0);
  #run = 0;
  #abort: AbortController | null = null;

  constructor(private readonly ask: (signal: AbortSignal) => Promise<T>) {}

  /** Reads (again). What is shown stays until the new answer is there; an overtaken answer is thrown away. */
  load = async () => {
    const run = ++this.#run;
    this.#abort?.abort();
    const abort = (this.#abort = new AbortController());
    this.busy = true;
    const asked_at = clock.exact();
    try {
      const data = await this.ask(abort.signal);
      if (run !== this.#run) return;
      this.data = data;
      this.at = asked_at;
      this.error = null;
      this.status = 200;
    } catch (error) {
      if (run !== this.#run || (error instanceof DOMException && error.name === 'AbortError')) return;
      this.error = sentence(error);
      this.status = (error as { status?: number }).status ?? 0;
    } finally {
      if (run === this.#run) this.busy = false;
    }
  };

  leave() { this.#run++; this.#abort?.abort(); this.busy = false; }
}

/** Reads now, and again when live comes back or any of what `ask` reads before its first await changes. */
export function loaded<T>(ask: (signal: AbortSignal) => Promise<T>): Loaded<T> {
  const result = new Loaded(ask);
  $effect(() => {
    void result.load();
    const off = live.on_resume(result.load);
    return () => { off(); result.leave(); };
  });
  return result;
}
