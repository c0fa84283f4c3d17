// The open alarms, for the strip on top, the overview and the list. Read once, then kept by the live stream.
import { api, sentence, type Alarm } from './api';
import { live } from './live.svelte';
import { rank } from './priority';

const limit = 500;
let open = $state.raw<readonly Alarm[] | null>(null);
let error = $state<string | null>(null);
let more = $state(false);
/** Alarms whose acknowledgement was asked for and not yet confirmed, and what went wrong with those that failed. */
const pending = $state<Record<string, true>>({});
const failed = $state<Record<string, string>>({});

/** Unacknowledged first, then the worst, then the newest: the order in which to look at them. */
export function by_need(a: Alarm, b: Alarm): number {
  const seen = Number(a.acknowledged_at !== null) - Number(b.acknowledged_at !== null);
  return seen || rank(a.priority) - rank(b.priority) || Date.parse(b.raised_at) - Date.parse(a.raised_at) || a.id.localeCompare(b.id);
}

/** What the stream said while the list was on its way: it is newer than the list. */
let meanwhile: Alarm[] | null = null;
let reading = 0;
function take(alarm: Alarm) {
  meanwhile?.push(alarm);
  if (!open) return;
  const others = open.filter((other) => other.id !== alarm.id);
  open = (alarm.state === 'closed' ? others : [...others, alarm]).sort(by_need);
}

async function load() {
  const own = ++reading;
  meanwhile = [];
  try {
    const answer = await api('get', '/alarms', { query: { state: 'open', limit } });
    if (own !== reading) return;
    const newer = meanwhile;
    meanwhile = null;
    open = [...answer.items].sort(by_need);
    newer.forEach(take);
    more = Boolean(answer.next_cursor);
    error = null;
  } catch (problem) {
    if (own === reading) { meanwhile = null; error = sentence(problem); }
  }
}

export const alarms = {
  get open() { return open; },
  get error() { return error; },
  /** There are more open ones than were read. */
  get more() { return more; },
  get pending(): Readonly<Record<string, true>> { return pending; },
  get failed(): Readonly<Record<string, string>> { return failed; },
  load,
  take,
  start() {
    void load();
    const off = [live.on((message) => { if (message.type === 'alarm') take(message.alarm); }), live.on_resume(() => void load())];
    return () => { for (const call of off) call(); open = null; };
  },
  /** Never optimistic: the alarm changes when the server has said so. */
  async acknowledge(id: string, note = ''): Promise<Alarm | null> {
    if (pending[id]) return null;
    pending[id] = true;
    delete failed[id];
    try {
      const alarm = await api('post', '/alarms/{id}/acknowledge', { path: { id }, body: note ? { note } : {} });
      take(alarm);
      return alarm;
    } catch (problem) {
      failed[id] = sentence(problem);
      return null;
    } finally {
      delete pending[id];
    }
  },
};
