// The one live connection (WebSocket /api/v1/live). It never stops in silence: when heartbeats stay away it says since
// when, tries again with growing pauses, subscribes anew, and tells the pages to read again what they missed.
import type { LiveMessage } from './api';
import { clock } from './clock.svelte';

export type LiveState = 'connecting' | 'live' | 'stopped';

/** The server sends a heartbeat every 5 s; two missed ones and a little mean that the stream is dead. */
const silence_ms_max = 12_000;
const pause_ms_first = 500;
const pause_ms_max = 15_000;

type Listener = (message: LiveMessage) => void;

let state = $state<LiveState>('connecting');
let stopped_at = $state<number | null>(null);
let retry_at = $state<number | null>(null);

let socket: WebSocket | null = null;
let wanted = false;
let heard_at = 0;
let pause_ms = pause_ms_first;
let timer: ReturnType<typeof setTimeout> | undefined;
let watchdog: ReturnType<typeof setInterval> | undefined;
let was_live = false;

const listeners = new Set<Listener>();
const resumed = new Set<() => void>();
const twins = new Map<string, number>();
const sites = new Map<string, number>();

// Messages are handed out once a frame, so that a burst costs one redraw.
let queue: LiveMessage[] = [];
let scheduled = false;
function deliver() {
  scheduled = false;
  const batch = queue;
  queue = [];
  for (const message of batch) for (const listener of listeners) listener(message);
}
function hand_out(message: LiveMessage) {
  queue.push(message);
  if (scheduled) return;
  scheduled = true;
  if (document.hidden) setTimeout(deliver, 250); else requestAnimationFrame(deliver);
}

let subscribing = false;
let with_alarms = true;
/** The server refuses a subscription as a whole, for example when one twin was removed a moment ago. Then alarms and
 *  the fleet's figures go on without values, until a page asks for other ones. */
let refused = false;
function subscribe_soon() {
  if (subscribing) return;
  subscribing = true;
  queueMicrotask(() => {
    subscribing = false;
    if (socket?.readyState !== WebSocket.OPEN) return;
    socket.send(JSON.stringify({ subscribe: { twins: refused ? [] : [...twins.keys()], sites: refused ? [] : [...sites.keys()], alarms: with_alarms, overview: true } }));
  });
}

function drop(why_at: number) {
  const old = socket;
  socket = null;
  if (old) { old.onopen = old.onmessage = old.onclose = null; old.close(); }
  if (!wanted) return;
  if (state !== 'stopped') { state = 'stopped'; stopped_at = why_at; }
  // Jitter: after a restart of the server not everybody knocks in the same second.
  const wait = pause_ms * (0.75 + Math.random() / 2);
  pause_ms = Math.min(pause_ms * 2, pause_ms_max);
  retry_at = Date.now() + wait;
  clearTimeout(timer);
  timer = setTimeout(open, wait);
}

function open() {
  clearTimeout(timer);
  retry_at = null;
  if (!wanted || socket) return;
  heard_at = Date.now();
  const next = new WebSocket(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/api/v1/live`);
  socket = next;
  next.onopen = () => { refused = false; subscribe_soon(); };
  next.onmessage = (event) => {
    heard_at = Date.now();
    const message = JSON.parse(String(event.data)) as LiveMessage;
    if (message.type === 'heartbeat') clock.set(Date.parse(message.time));
    if (state !== 'live') {
      state = 'live';
      stopped_at = null;
      pause_ms = pause_ms_first;
      if (was_live) for (const call of resumed) call();
      was_live = true;
    }
    if (message.type === 'error' && !refused) { refused = true; subscribe_soon(); }
    hand_out(message);
  };
  next.onclose = () => drop(was_live && state === 'live' ? heard_at : (stopped_at ?? Date.now()));
}

function count(map: Map<string, number>, names: readonly string[], by: 1 | -1) {
  for (const name of names) {
    const uses = (map.get(name) ?? 0) + by;
    if (uses > 0) map.set(name, uses); else map.delete(name);
  }
  refused = false;
  subscribe_soon();
}

export const live = {
  get state() { return state; },
  /** When the last message was heard before it stopped; epoch ms of this computer. */
  get stopped_at() { return stopped_at; },
  /** When it will be tried again; epoch ms of this computer. */
  get retry_at() { return retry_at; },
  /** `alarms`: whether this person may see them. */
  start(alarms: boolean) {
    if (wanted) return;
    wanted = true;
    with_alarms = alarms;
    state = 'connecting';
    open();
    watchdog = setInterval(() => {
      if (socket && Date.now() - heard_at > silence_ms_max) drop(heard_at);
    }, 1000);
  },
  stop() {
    wanted = false;
    was_live = false;
    clearInterval(watchdog);
    clearTimeout(timer);
    drop(Date.now());
    state = 'connecting';
    stopped_at = null;
  },
  retry() { pause_ms = pause_ms_first; if (!socket) open(); },
  /** Values and presence of these twins, until the returned function is called. */
  twins(names: readonly string[]) { count(twins, names, 1); return () => count(twins, names, -1); },
  /** The same for every twin of these sites. */
  sites(names: readonly string[]) { count(sites, names, 1); return () => count(sites, names, -1); },
  on(listener: Listener) { listeners.add(listener); return () => { listeners.delete(listener); }; },
  /** Called when it is live again after a stop: read anew what may have been missed. */
  on_resume(call: () => void) { resumed.add(call); return () => { resumed.delete(call); }; },
};
addEventListener('online', () => live.retry());
