// One clock for the whole page: it ticks once a second and runs on the server's time (heartbeats carry it), so that
// ages are right on a computer whose own clock is wrong.

let offset_ms = 0;
let tick = $state(Date.now());
setInterval(() => { tick = Date.now() + offset_ms; }, 1000);

/** A value older than this does not show that its device is there. */
export const recent_ms = 60_000;

export const clock = {
  /** The server's time in epoch milliseconds; changes once a second and redraws what reads it. */
  get now() { return tick; },
  /** The same, exact and without redrawing. */
  exact() { return Date.now() + offset_ms; },
  /** Takes over the server's time from a heartbeat. Differences below a second are the network's, not the clock's. */
  set(server_ms: number) {
    const difference = server_ms - Date.now();
    offset_ms = Math.abs(difference) < 1000 ? 0 : difference;
  },
};
