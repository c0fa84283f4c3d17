// Whether a device is there and speaks: what the list said when it was read, and what the live stream said since.
import type { LiveMessage, TwinSummary } from './api';
import { fleet } from './fleet.svelte';

export class Signs {
  #heard = $state<Record<string, number>>({});
  #said = $state<Record<string, boolean>>({});

  /** `read_at`: when the list was asked for; epoch ms of the server. */
  constructor(private readonly read_at: () => number) {}

  take(message: LiveMessage) {
    if (message.type === 'values') {
      // What is there already is sent first, however old: only a value from after the reading shows that it speaks.
      const newest = Math.max(...Object.values(message.values).map((v) => v.t));
      if (newest > (this.#heard[message.twin] ?? 0)) this.#heard[message.twin] = newest;
    } else if (message.type === 'presence') {
      this.#said[message.twin] = message.online;
      if (!message.online) delete this.#heard[message.twin];
    }
  }
  #speaks(name: string) { return (this.#heard[name] ?? 0) > this.read_at(); }
  online(twin: TwinSummary): boolean { return this.#speaks(twin.name) || (this.#said[twin.name] ?? twin.online); }
  /** It is there, but silent for longer than it should be. */
  quiet(twin: TwinSummary): boolean { return twin.stale && !this.#speaks(twin.name); }
}

/** Reads a list again when devices came, went or fell silent; call it while a component is made. */
export function with_fleet(load: () => unknown) {
  let before = '';
  $effect(() => {
    const totals = fleet.overview?.totals;
    if (!totals) return;
    const now = `${totals.twins} ${totals.online} ${totals.offline} ${totals.stale}`;
    if (before && before !== now) void load();
    before = now;
  });
}
