// The same solution on the next site: the compressor package (models, rules, a detector, its pages) runs at one site whose
// devices speak JSON over MQTT; then at sites whose devices speak something else. There only a binding is added, and the
// pages, the alarm and the trend are the same.
//   node tests/web/second_site_e2e.mjs build/release/penstock web/dist
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import sparkplug from 'sparkplug-client';
import { binary, stage } from './stage.mjs';

const solution = join(dirname(fileURLToPath(import.meta.url)), '../../packages/compressor-health');
const model = 'dtmi:penstock:ScrewCompressor;1', rule = 'Vibration above 7.1 mm/s (ISO 10816-3 zone D)';
const s = stage('second-site'), commands = execFileSync(binary, ['--help'], { encoding: 'utf8' });

/** What a healthy compressor's sensors say at a time, and a sick one's. Both sites' machines are of one kind, not in step. */
const readings = (ms, sick, phase) => {
  const wave = (period_s, k = 0) => Math.sin(((ms / 1000 + phase) / period_s + k) * 2 * Math.PI);
  const noise = (k) => Math.sin((ms / 1000 + phase) * (12.9898 + k)) * 0.5;
  return {
    dischargePressure: 7 + 0.3 * wave(40) + 0.02 * noise(1), oilTemperature: 78 + 1.5 * wave(300) + 0.2 * noise(2), motorCurrent: 110 + 12 * wave(40, 0.1) + noise(3),
    vibrationVelocity: (sick ? 8.4 : 1.8) + 0.1 * noise(4), loadState: wave(40) > 0,
  };
};
const elements = Object.keys(readings(0));

/** How the devices of each site speak. `say` sends messages of readings and resolves once they are acknowledged, where they can be. */
const sites = [
  {
    name: 'north', title: 'North plant', device: 'north-compressor', phase: 0,
    connect: async (site) => {
      const client = await s.connect(site.device, site.token);
      return { say: (list) => client.publishAsync(`devices/${site.device}/telemetry`, JSON.stringify(list.map(({ ms, values }) => ({ ts: ms, values }))), { qos: 1 }), end: () => client.endAsync() };
    },
  },
  {
    name: 'harbour', title: 'Harbour works', device: 'acme-4711', phase: 17, needs: ['bridge'],
    // Another make: its topics, its names, millibar and degrees Fahrenheit, microns a second, states as numbers.
    binding: {
      name: 'acme-screw', protocol: 'mqtt', model, topic: 'acme/{line}/{device}/state', payload: { time: '/t', time_format: 'ms' },
      elements: [
        { element: 'dischargePressure', from: '/air/mbar', unit: 'millibar' }, { element: 'oilTemperature', from: '/oil/f', unit: 'degreeFahrenheit' },
        { element: 'motorCurrent', from: '/motor/a' }, { element: 'vibrationVelocity', from: '/motor/um_s', scale: 0.001 }, { element: 'loadState', from: '/state', values: { 2: 'true', 1: 'false' } },
      ],
    },
    connect: async (site) => {
      const client = await s.connect(site.device, site.token);
      const message = ({ ms, values: v }) => ({ t: ms, air: { mbar: v.dischargePressure * 1000 }, oil: { f: v.oilTemperature * 1.8 + 32 }, motor: { a: v.motorCurrent, um_s: v.vibrationVelocity * 1000 }, state: v.loadState ? 2 : 1 });
      return { say: (list) => client.publishAsync(`acme/line-1/${site.device}/state`, JSON.stringify(list.map(message)), { qos: 1 }), end: () => client.endAsync() };
    },
  },
  {
    name: 'quarry', title: 'Quarry', device: 'Quarry:Edge', phase: 31, needs: ['sparkplug', 'bridge'],
    binding: {
      name: 'sparkplug-screw', protocol: 'sparkplug', model,
      elements: [
        { element: 'dischargePressure', from: 'Air/Pressure', unit: 'kilopascal' }, { element: 'oilTemperature', from: 'Oil/Temperature' }, { element: 'motorCurrent', from: 'Motor/Current' },
        { element: 'vibrationVelocity', from: 'Motor/Vibration' }, { element: 'loadState', from: 'State/Loaded' },
      ],
    },
    connect: async (site) => {
      const metrics = ({ ms, values: v }, isHistorical) => [['Air/Pressure', v.dischargePressure * 100], ['Oil/Temperature', v.oilTemperature], ['Motor/Current', v.motorCurrent], ['Motor/Vibration', v.vibrationVelocity], ['State/Loaded', v.loadState]]
        .map(([name, value]) => ({ name, value, type: typeof value === 'boolean' ? 'Boolean' : 'Double', timestamp: ms, ...(isHistorical ? { isHistorical } : {}) }));
      const node = sparkplug.newClient({ serverUrl: `mqtt://${s.host}:${s.port}`, username: site.device, password: site.token, groupId: 'Quarry', edgeNode: 'Edge', clientId: 'Quarry-Edge', version: 'spBv1.0' });
      const ms = Date.now();
      const birth = () => node.publishNodeBirth({ timestamp: ms, metrics: metrics({ ms, values: readings(ms, false, site.phase) }) });
      node.on('ncmd', birth);
      await new Promise((done, wrong) => { node.once('birth', done); node.once('error', wrong); });
      birth();
      return {
        say: async (list) => { const late = list.length > 1; node.publishNodeData({ timestamp: list.at(-1).ms, metrics: list.flatMap((one) => metrics(one, late)) }); },
        end: async () => node.stop(),
      };
    },
  },
].filter((site) => {
  const without = (site.needs ?? []).filter((command) => !new RegExp(`^ +${command} `, 'm').test(commands));
  if (without.length) console.log(`# ${site.title} is left out: this program has no ${without.join(', ')}`);
  return !without.length;
});

async function install(site) {
  await s.api('POST', '/sites', { name: site.name, display_name: site.title });
  const draft = { id: site.device, site: site.name, model, display_name: 'Compressor' };
  if (site.binding) {
    await s.api('POST', '/bindings', { document: site.binding, activate: true });
    Object.assign(draft, { binding: site.binding.name, protocol: site.binding.protocol });
  }
  const made = await s.api('POST', '/devices', draft);
  site.token = made.credentials.token;
  site.twin = made.device.twin;
  site.voice = await site.connect(site);
  // What happened before: the trend begins an hour ago.
  const now = Date.now(), batch = 200;
  for (let k = 3600; k > 0; k -= batch) {
    await site.voice.say(Array.from({ length: batch }, (_, i) => { const ms = now - (k - i) * 1000; return { ms, values: readings(ms, false, site.phase) }; }));
  }
  let speaking = true;
  const speak = (async () => { while (speaking) { const ms = Date.now(); await site.voice.say([{ ms, values: readings(ms, site.sick, site.phase) }]); await new Promise((r) => setTimeout(r, 500)); } })();
  site.end = async () => { speaking = false; await speak; await site.voice.end(); };
}
const count = async (path) => (await s.api('GET', `${path}?limit=500`)).items.length;
const page_of = (site) => `#/twins/${encodeURIComponent(site.twin)}`;

s.step('the solution is installed, and the first site speaks JSON over MQTT', async () => {
  await s.sign_in();
  await s.api('POST', '/models', readdirSync(join(solution, 'models')).sort().flatMap((file) => JSON.parse(readFileSync(join(solution, 'models', file), 'utf8'))));
  for (const one of JSON.parse(readFileSync(join(solution, 'rules.json'), 'utf8'))) await s.api('POST', '/rules', one);
  await install(sites[0]);
});

for (const site of sites.slice(1)) s.step(`the site “${site.title}” (${site.binding.protocol}) comes by adding only a binding`, async () => {
  const before = [await count('/models'), await count('/rules'), await count('/bindings')];
  await install(site);
  assert.deepEqual([await count('/models'), await count('/rules'), await count('/bindings')], [before[0], before[1], before[2] + 1]);
});

s.step('the pages of all sites show live values in the same units', async () => {
  for (const site of sites) {
    await s.visit(page_of(site));
    await s.page.getByRole('heading', { name: 'Compressor', exact: true }).waitFor();
    const row = s.page.locator('table.values tr').filter({ hasText: 'Discharge pressure' });
    await row.getByText(/^(6\.[6-9]|7\.[0-4])/).first().waitFor();
    await row.getByText('bar', { exact: true }).waitFor();
    await s.page.locator('table.values tr').filter({ hasText: 'Oil temperature' }).getByText(/^7[5-9]\.|^8[01]\./).first().waitFor();
    // Live: the number moves while one looks.
    const cell = row.locator('.figure'), first = await cell.innerText();
    await s.page.waitForFunction(([element, text]) => element.innerText !== text, [await cell.elementHandle(), first]);
  }
});

s.step('the trend is the same hour, drawn', async () => {
  for (const site of sites) {
    await s.page.waitForFunction(async (twin) => {
      const from = new Date(Date.now() - 3600e3).toISOString();
      const answer = await (await fetch(`/api/v1/twins/${encodeURIComponent(twin)}/history?elements=dischargePressure&from=${from}&to=now&bucket=1h&functions=count`)).json();
      return (answer.series?.[0]?.count ?? []).reduce((a, b) => a + b, 0) >= 3550;
    }, site.twin, { polling: 300 });
    await s.visit(`${page_of(site)}?show=dischargePressure`);
    const canvas = s.page.locator('.plot canvas').first();
    await canvas.waitFor();
    await s.page.waitForFunction((c) => { const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; for (let i = 3, n = 0; i < d.length; i += 4) if (d[i] && ++n > 2000) return true; return false; }, await canvas.elementHandle());
  }
});

s.step('one rule raises the alarm at each site', async () => {
  for (const site of sites) site.sick = true;
  for (const site of sites) {
    await s.visit(page_of(site));
    await s.page.getByRole('region', { name: 'Alarms' }).getByText(rule).first().waitFor();
    await s.visit(`#/sites/${site.name}`);
    await s.page.getByText(rule).first().waitFor();
  }
  const open = (await s.api('GET', '/alarms?state=open&limit=500')).items.filter((alarm) => alarm.message === rule);
  assert.deepEqual(new Set(open.map((alarm) => alarm.site)), new Set(sites.map((site) => site.name)));
  assert.equal(new Set(open.map((alarm) => alarm.source?.id ?? alarm.source)).size, 1, 'all by one rule');
});

s.step('the same detector learns at each site from the same hour', async () => {
  const from = new Date(Date.now() - 3500e3).toISOString(), to = new Date(Date.now() - 300e3).toISOString();
  for (const site of sites) await s.api('POST', '/detectors', { twin: site.twin, elements: elements.filter((e) => e !== 'loadState'), from, to, priority: 'high' });
  for (const site of sites) {
    const find = async () => (await s.api('GET', '/detectors?limit=500')).items.find((one) => one.twin === site.twin);
    const end = Date.now() + 60_000;
    let detector = await find();
    for (; detector?.state === 'learning' && Date.now() < end; detector = await find()) await new Promise((r) => setTimeout(r, 200));
    assert.equal(detector?.state, 'active', `${site.title}: ${detector?.detail}`);
  }
  // Each has something to say, of the bearing that is sick now.
  const end = Date.now() + 120_000;
  const silent = async () => { const open = (await s.api('GET', '/alarms?state=open&limit=500')).items; return sites.filter((site) => !open.some((alarm) => alarm.twin === site.twin && alarm.source.kind === 'detector')); };
  let left = await silent();
  for (; left.length && Date.now() < end; left = await silent()) await new Promise((r) => setTimeout(r, 300));
  assert.deepEqual(left.map((site) => site.title), [], 'no alarm of the detector');
});

s.step('on the desk and on the phone, light and dark, nothing is wrong with these pages', async (t) => {
  const pages = sites.flatMap((site) => [`sites/${site.name}`, page_of(site).slice(2)]).concat('', 'alarms');
  t.diagnostic(await s.inspect_everywhere(pages));
  for (const site of sites) await site.end();
  assert.deepEqual(s.trouble, []);
});
