// Sample n of a site, as tests/interop/samples.py has it, and the loop that all peers in JavaScript share.
import { createInterface } from 'node:readline';

export const period_ms = 20;
export const time_ms = (base_ms, n) => base_ms + n * period_ms;
export const values = (n) => ({ dischargePressure: (6000 + (n % 1000)) / 1000, oilTemperature: (700 + (n % 97)) / 10 });
export const message = (base_ms, n) => JSON.stringify({ ts: time_ms(base_ms, n), values: values(n) });

/** --name value … as an object; numbers stay text. */
export function options() {
  const out = {};
  for (let i = 2; i + 1 < process.argv.length; i += 2) out[process.argv[i].replace(/^--/, '')] = process.argv[i + 1];
  return out;
}
export const acked = (n) => process.stdout.write(`acked ${n}\n`);

/** The last number, once the run has said "until N"; Infinity before. Ends the process when the run goes away. */
export function last_number() {
  const state = { until: Infinity };
  const input = createInterface({ input: process.stdin });
  input.on('line', (line) => { const said = /^until (\d+)$/.exec(line); if (said) state.until = Number(said[1]); });
  input.on('close', () => process.exit(0));
  return state;
}

/** Calls send(n) for each sample when its time has come, `window` of them open at most. send() resolves once it is safe. */
export async function pump({ first, base, window = 50, state = last_number(), send }) {
  let open = 0, wake = () => {};
  for (let n = first; ; ++n) {
    while (open >= window) await new Promise((done) => { wake = done; });
    const wait = time_ms(base, n) - Date.now();
    if (wait > 0) await new Promise((done) => setTimeout(done, wait));
    while (n > state.until) await new Promise((done) => setTimeout(done, 100));
    ++open;
    send(n).then(() => { acked(n); --open; wake(); }, (error) => { process.stderr.write(`${error?.message ?? error}\n`); process.exit(1); });
  }
}
