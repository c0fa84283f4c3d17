// The fleet in figures, kept by the live stream; and the last minutes of the ingest rate for the strip.
import { api, sentence, type Overview } from './api';
import { clock } from './clock.svelte';
import { live } from './live.svelte';

const points_max = 150;
let overview = $state.raw<Overview | null>(null);
let error = $state<string | null>(null);
let rates = $state.raw<readonly { t: number; v: number }[]>([]);

function take(next: Overview) {
  overview = next;
  const point = { t: clock.exact(), v: next.ingest.samples_per_s };
  // The first reading and the first live message come together: one point is enough.
  rates = point.t - (rates.at(-1)?.t ?? 0) < 500 ? [...rates.slice(0, -1), point] : [...rates.slice(-points_max + 1), point];
}

async function load() {
  try { take(await api('get', '/overview')); error = null; } catch (problem) { error = sentence(problem); }
}

export const fleet = {
  get overview() { return overview; },
  get error() { return error; },
  /** Samples a second since this page was opened. */
  get rates() { return rates; },
  load,
  start() {
    void load();
    const off = [live.on((message) => { if (message.type === 'overview') take(message.overview); }), live.on_resume(() => void load())];
    return () => { for (const call of off) call(); overview = null; rates = []; };
  },
  /** The zone to tell times in where no site is meant: the site's when there is one only, else this computer's. */
  get zone() {
    const zones = new Set(overview?.sites.map((site) => site.time_zone));
    const [only] = zones;
    return zones.size === 1 && only ? only : Intl.DateTimeFormat().resolvedOptions().timeZone;
  },
  zone_of(site: string) {
    return overview?.sites.find((s) => s.name === site || s.id === site)?.time_zone ?? fleet.zone;
  },
  site_title(site: string) {
    return overview?.sites.find((s) => s.name === site || s.id === site)?.display_name ?? site;
  },
};
