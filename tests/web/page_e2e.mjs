// The page, end to end: Debian's chromium on the built page, served by the real server, fed by a real MQTT client.
//   node tests/web/page_e2e.mjs build/release/penstock web/dist
// It waits on conditions, never on time; on a failure it keeps a picture of the screen and says where.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { person, stage, wait_ms_max } from './stage.mjs';

const model = {
  '@context': ['dtmi:dtdl:context;3', 'dtmi:dtdl:extension:quantitativeTypes;1'], '@id': 'dtmi:penstock:test:Boiler;1', '@type': 'Interface', displayName: 'Boiler',
  contents: [
    { '@type': ['Telemetry', 'Temperature'], name: 'temperature', displayName: 'Temperature', schema: 'double', unit: 'degreeCelsius' },
    { '@type': ['Telemetry', 'Pressure'], name: 'pressure', displayName: 'Pressure', schema: 'double', unit: 'bar' },
    { '@type': 'Command', name: 'set_fire', displayName: 'Set fire', request: { name: 'level', schema: 'double' } },
  ],
};

const s = stage('page');
const step = (name, run) => s.step(name, run);
step('the one-time link lets the first administrator in', async () => {
  await s.page.goto(s.ready.welcome);
  await s.page.getByLabel('Your name').fill(person.name);
  await s.page.getByLabel('Email').fill(person.email);
  await s.page.getByLabel('Password', { exact: true }).fill(person.password);
  await s.page.getByLabel('Password again').fill(person.password + ' not');
  await s.page.getByRole('button', { name: 'Set password' }).click();
  await s.page.getByText('The two passwords differ.').waitFor();
  await s.page.getByLabel('Password again').fill(person.password);
  await s.inspect('welcome');
  await s.page.getByRole('button', { name: 'Set password' }).click();
  await s.page.getByRole('heading', { name: 'Overview' }).waitFor();
  await s.page.getByText('No site yet').waitFor();
  await s.page.goto(s.ready.welcome);
  await s.page.getByText('This link does not work').waitFor();
});

step('signing out and in', async () => {
  await s.visit('#/settings');
  await s.page.getByRole('button', { name: 'Sign out' }).click();
  await s.page.getByLabel('Email').fill(person.email);
  await s.page.getByLabel('Password').fill('wrong password');
  await s.page.getByRole('button', { name: 'Sign in' }).click();
  await s.page.locator('.wrong').waitFor();
  await s.inspect('sign-in');
  await s.page.getByLabel('Password').fill(person.password);
  await s.page.getByRole('button', { name: 'Sign in' }).click();
  await s.page.getByRole('heading', { name: 'Overview' }).waitFor();
});

step('a model is refused with a reason, then accepted', async () => {
  await s.visit('#/upload-model');
  const text = s.page.getByLabel('DTDL (JSON)');
  await text.fill('{"@id": ');
  await s.page.getByRole('button', { name: 'Upload' }).click();
  await s.page.getByRole('alert').getByText('This is not JSON').waitFor();
  await text.fill(JSON.stringify({ ...model, '@id': 'no-dtmi' }));
  await s.page.getByRole('button', { name: 'Upload' }).click();
  await s.page.getByRole('alert').getByText('The model was not accepted').waitFor();
  await text.fill(JSON.stringify(model, null, 2));
  await s.page.getByRole('button', { name: 'Upload' }).click();
  await s.page.getByRole('heading', { name: 'Boiler' }).waitFor();
});

let token;
step('the wizard connects a device through real MQTT', async () => {
  await s.visit('#/connect');
  await s.page.getByLabel('Site').selectOption({ label: 'New site…' });
  await s.page.getByLabel('Name', { exact: true }).fill('North works');
  await s.page.getByLabel('Model').selectOption({ index: 1 });
  await s.page.getByLabel('Display name').fill('Boiler 1');
  assert.equal(await s.page.getByLabel('Device name').inputValue(), 'boiler-1');
  await s.page.getByRole('button', { name: 'Register' }).click();
  await s.page.getByRole('heading', { name: 'boiler-1 is registered' }).waitFor();
  token = (await s.page.locator('code').first().innerText()).trim();
  const command = await s.page.locator('pre').innerText();
  assert.match(command, /mosquitto_pub/);
  assert.ok(command.includes(token) && command.includes(`-p ${s.port}`), command);
  await s.page.getByText('Waiting for the first message').waitFor();
  await s.inspect('connect, waiting');
  // The very line that the page offers to copy, in a shell: its quoting, its port and its token are right.
  await promisify(execFile)('sh', ['-c', command.replace(/-m '.*'/s, `-m '{"temperature":61.5,"pressure":2.25}'`)]);
  await s.page.locator('[data-received="true"]').waitFor();
  await s.page.getByText('61.50 °C').waitFor();
  await s.page.getByRole('link', { name: 'Open the asset' }).click();
  await s.page.getByRole('heading', { name: 'Boiler 1' }).waitFor();
});

step('the overview follows a device as it speaks, falls silent and goes', async () => {
  const made = await s.api('POST', '/devices', { id: 'boiler-2', site: 'north-works', model: model['@id'], display_name: 'Boiler 2', stale_after_s: 2 });
  await s.visit('#/');
  const row = s.page.locator('article').filter({ hasText: 'North works' }).getByRole('link', { name: /Boiler 2/ });
  await row.getByText('nothing received yet').waitFor();
  const device = await s.connect('boiler-2', made.credentials.token);
  // It speaks until the page shows it, however slow the machine is.
  let speaking = true;
  const speak = (async () => { while (speaking) { await device.publishAsync('devices/boiler-2/telemetry', JSON.stringify({ temperature: 63.75 }), { qos: 1 }); await new Promise((r) => setTimeout(r, 100)); } })();
  await row.getByText('63.75').waitFor();
  speaking = false;
  await speak;
  await row.getByText('silent for').waitFor();
  await device.endAsync();
  await row.getByText('offline for').waitFor();
});

step('a chart shows 100,000 samples, zooms by drag and comes back', async (t) => {
  const device = await s.connect('boiler-1', token);
  const count = 100_000, step_ms = 30, end = Date.now() - 1000, batch = 1000, pending = [];
  for (let i = 0; i < count; i += batch) {
    const rows = Array.from({ length: batch }, (_, k) => ({ ts: end - (count - i - k) * step_ms, values: { temperature: 60 + 8 * Math.sin((i + k) / 4000) + ((i + k) % 7) / 10 } }));
    pending.push(device.publishAsync('devices/boiler-1/telemetry', JSON.stringify(rows), { qos: 1 }));
    if (pending.length >= 8) await pending.shift();
  }
  await Promise.all(pending);
  await device.endAsync();
  // Acknowledged is durable; history follows the journal. Wait until it has all.
  await s.page.waitForFunction(async (least) => {
    const from = new Date(Date.now() - 3600e3).toISOString();
    const answer = await (await fetch(`/api/v1/twins/boiler-1/history?elements=temperature&from=${from}&to=now&bucket=1h&functions=count`)).json();
    return (answer.series?.[0]?.count ?? []).reduce((a, b) => a + b, 0) >= least;
  }, count, { polling: 300 });

  await s.visit('#/twins/boiler-1?show=temperature');
  const canvas = s.page.locator('.plot canvas').first();
  await canvas.waitFor();
  const inked = () => canvas.evaluate((c) => { const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; let n = 0; for (let i = 3; i < d.length; i += 4) if (d[i]) n++; return n; });
  await s.page.waitForFunction((c) => { const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; for (let i = 3, n = 0; i < d.length; i += 4) if (d[i] && ++n > 2000) return true; return false; }, await canvas.elementHandle());
  assert.ok((await inked()) > 2000);

  await s.page.getByLabel('Every sample').check();
  const told = s.page.getByText(/(every sample|thinned to what the eye can see), [\d,]+ points/);
  await told.waitFor();
  const points = Number(/([\d,]+) points/.exec(await told.innerText())[1].replace(/,/g, ''));
  assert.ok(points >= 99_000, `${points} points`);
  // Smooth: the cursor moves over all those points; how long frames take is told, not judged (a loaded machine is slow).
  const box = await canvas.boundingBox();
  const frames = s.page.evaluate(() => new Promise((done) => { const times = []; let last = performance.now(); const tick = (now) => { times.push(now - last); last = now; if (times.length < 40) requestAnimationFrame(tick); else done(times.slice(5).sort((a, b) => a - b)); }; requestAnimationFrame(tick); }));
  for (let i = 0; i < 30; i++) await s.page.mouse.move(box.x + 80 + i * 12, box.y + 40);
  const sorted = await frames;
  const median = sorted[sorted.length >> 1];
  t.diagnostic(`100,000 points: median frame ${median.toFixed(1)} ms, slowest ${sorted.at(-1).toFixed(1)} ms`);
  await s.page.getByLabel('Every sample').uncheck();
  await s.page.getByText(/per point/).waitFor();

  await s.page.mouse.move(box.x + box.width * 0.5, box.y + 40);
  await s.page.mouse.down();
  await s.page.mouse.move(box.x + box.width * 0.7, box.y + 40, { steps: 8 });
  // Each change of the window asks the server anew, for finer buckets; `before` keeps out an answer that is still on its way.
  const window_after = async (act, before) => {
    const answer = s.page.waitForResponse((r) => r.url().includes('/history?') && new URL(r.url()).searchParams.get('from') !== before?.get('from'));
    await act();
    const params = new URL((await answer).url()).searchParams;
    return { params, from: Date.parse(params.get('from')), to: Date.parse(params.get('to')), bucket_s: (await (await answer).json()).bucket_s };
  };
  const zoomed = await window_after(() => s.page.mouse.up());
  const span = zoomed.to - zoomed.from;
  assert.ok(span > 5 * 60e3 && span < 20 * 60e3, `zoomed to ${span} ms`);
  // The same without a mouse: half as wide, then back in time.
  const half = await window_after(async () => { await s.page.locator('.plot').first().focus(); await s.page.keyboard.press('+'); }, zoomed.params);
  assert.ok(Math.abs((half.to - half.from) * 2 - span) < 10, `half of ${span} ms, not ${half.to - half.from}`);
  assert.ok(half.bucket_s < zoomed.bucket_s, `buckets of ${half.bucket_s} s after ${zoomed.bucket_s} s`);
  const earlier = await window_after(() => s.page.getByRole('button', { name: 'Earlier' }).click(), half.params);
  assert.ok(earlier.to < half.to, 'earlier');
  await s.page.getByRole('button', { name: 'Back to live' }).click();
  await s.page.getByRole('button', { name: 'Back to live' }).waitFor({ state: 'detached' });
});

step('a rule made on the page raises an alarm that is acknowledged by keyboard', async () => {
  await s.visit('#/new-rule');
  await s.page.getByLabel('Applies to').selectOption('twin');
  await s.page.getByLabel('Asset', { exact: true }).selectOption('boiler-1');
  await s.page.getByLabel('Element').selectOption('temperature');
  await s.page.getByLabel(/^Limit/).fill('90');
  await s.page.getByLabel('On delay (s)').fill('0');
  await s.page.getByLabel('Off delay (s)').fill('0');
  await s.page.getByRole('button', { name: 'High' }).click();
  await s.page.getByLabel('Alarm', { exact: true }).fill('Boiler too hot');
  await s.page.getByLabel('What to do').fill('Close the gas valve.');
  await s.page.getByText('Temperature > 90 °C').waitFor();
  await s.page.getByRole('button', { name: 'Save rule' }).click();
  await s.page.getByText('Saved. It works from now on.').waitFor();

  await s.visit('#/alarms');
  const device = await s.connect('boiler-1', token);
  await device.publishAsync('devices/boiler-1/telemetry', JSON.stringify({ temperature: 97.5 }), { qos: 1 });
  const row = s.page.locator('[data-alarm]').filter({ hasText: 'Boiler too hot' });
  await row.waitFor();
  await s.page.getByRole('heading', { name: 'Alarms' }).first().focus();
  await s.page.keyboard.press('j');
  await s.page.getByText('Close the gas valve.').waitFor();
  await s.inspect('alarm, active');
  await s.page.keyboard.press('a');
  await row.getByText('Acknowledged').waitFor();
  await s.page.getByText(`by ${person.name}`).waitFor();
  await s.page.getByLabel('Note').fill('Valve closed, boiler cools.');
  await s.page.getByRole('button', { name: 'Add note' }).click();
  await s.page.getByText('Valve closed, boiler cools.').waitFor();
  await s.page.reload();
  await s.page.getByText(`by ${person.name}`).first().waitFor();
  await device.publishAsync('devices/boiler-1/telemetry', JSON.stringify({ temperature: 60 }), { qos: 1 });
  await s.page.locator('.history').getByText('Cleared').waitFor();
  await device.endAsync();
});

step('an asset is watched, learns, and its alarm says which sensor and since when', async () => {
  await s.visit('#/twins/boiler-2');
  const panel = s.page.getByRole('region', { name: 'Anomaly detection' });
  await panel.getByRole('button', { name: 'Watch it' }).click();
  await panel.getByText('Learning').waitFor();
  const made = await s.api('POST', '/devices/boiler-2/credentials', {});
  const device = await s.connect('boiler-2', made.token);
  // Two hours of health at one message a second, then a pressure that was never seen before.
  const healthy = 7200, sick = 300, end = Date.now();
  let seed = 7;
  const noise = () => { seed = (seed * 1103515245 + 12345) % 2147483648; return seed / 2147483648 - 0.5; };
  for (let i = 0; i < healthy + sick; i += 100) {
    const rows = Array.from({ length: 100 }, (_, k) => {
      const n = i + k;
      return { ts: end - (healthy + sick - n) * 1000, values: { temperature: 60 + 5 * Math.sin(n / 90) + noise() * 0.4, pressure: 2 + 0.2 * Math.sin(n / 37) + noise() * 0.03 + (n >= healthy ? 1.5 : 0) } };
    });
    await device.publishAsync('devices/boiler-2/telemetry', JSON.stringify(rows), { qos: 1 });
  }
  await device.endAsync();
  await panel.getByText('Watching').waitFor();
  await s.page.locator('nav.side a[href="#/alarms"]').click();
  const row = s.page.locator('[data-alarm]').filter({ hasText: 'Boiler 2' });
  await row.getByText(/^Pressure \d+ %/).waitFor();
  await row.getByRole('link').click();
  await s.page.getByRole('heading', { name: /Why: which sensors since \d\d:\d\d:\d\d/ }).waitFor();
  const leading = s.page.locator('.bars li').first();
  assert.match(await leading.innerText(), /^Pressure\s+\d+\s%$/);
  await s.page.locator('.charts canvas').first().waitFor();
  await s.inspect('alarm of a detector');
});

step('a command reaches the device', async () => {
  const device = await s.connect('boiler-1', token);
  const got = new Promise((done) => device.on('message', (topic, payload) => done([topic, payload.toString()])));
  await device.subscribeAsync('devices/boiler-1/commands/#', { qos: 1 });
  await s.visit('#/twins/boiler-1');
  const form = s.page.locator('form').filter({ hasText: 'Set fire' });
  await form.getByRole('spinbutton').fill('42.5');
  await form.getByRole('button', { name: 'Send' }).click();
  const [topic, payload] = await got;
  assert.equal(topic, 'devices/boiler-1/commands/set_fire');
  assert.match(payload, /42\.5/);
  await form.getByText(/Request/).waitFor();
  await device.endAsync();
});

step('a refused message is in the dead letters with its reason', async () => {
  const device = await s.connect('boiler-1', token);
  await device.publishAsync('devices/boiler-1/telemetry', '{"temperature": ', { qos: 1 });
  await device.endAsync();
  await s.visit('#/dead-letters');
  await s.page.waitForFunction(async () => (await (await fetch('/api/v1/dead-letters')).json()).items?.length > 0, undefined, { polling: 200 });
  await s.page.getByRole('button', { name: 'Refresh' }).click();
  await s.page.getByText('devices/boiler-1/telemetry').first().waitFor();
});

step('an unknown device is discovered and accepted', async () => {
  await s.visit('#/settings');
  const panel = s.page.getByRole('region', { name: 'Join tokens' });
  await panel.getByLabel('Site').selectOption({ label: 'North works' });
  await panel.getByRole('button', { name: 'Create' }).click();
  const join_token = (await panel.locator('code').innerText()).trim();
  const device = await s.connect('stranger-7', join_token);
  await device.publishAsync('devices/stranger-7/telemetry', JSON.stringify({ flow: 3.5, running: true }), { qos: 1 });
  await s.visit('#/discovery');
  await s.page.getByRole('heading', { name: 'stranger-7' }).waitFor();
  await s.inspect('discovery, one device');
  await s.page.getByRole('link', { name: 'Look and accept' }).click();
  await s.page.getByRole('heading', { name: 'stranger-7' }).waitFor();
  // A name of its own for what is called "flow" on the wire: the binding that this needs is made by itself.
  const element = s.page.getByLabel('Element', { exact: true }).first();
  await element.fill('flow rate');
  await s.page.getByText('A letter first').waitFor();
  await element.fill('flowRate');
  await s.page.getByLabel('Site').selectOption({ label: 'North works' });
  await s.inspect('discovered device');
  await s.page.getByRole('button', { name: 'Accept' }).click();
  await s.page.getByText('stranger-7 is accepted').waitFor();
  // What it had sent before is brought into history.
  await s.page.getByText('Bringing its history back').waitFor();
  await s.page.locator('.job').getByText('done').waitFor();
  const twin = await s.api('GET', '/twins/stranger-7');
  assert.ok(twin.elements.some((e) => e.key === 'flowRate'), JSON.stringify(twin.elements.map((e) => e.key)));
  await device.endAsync(true);
});

step('Ctrl-K finds an asset and goes there', async () => {
  await s.visit('#/');
  await s.page.keyboard.press('Control+K');
  await s.page.getByRole('combobox').fill('boiler');
  await s.page.getByRole('option', { name: /Boiler 1/ }).first().waitFor();
  await s.inspect('search');
  await s.page.keyboard.press('Enter');
  await s.page.getByRole('heading', { name: 'Boiler 1' }).waitFor();
});

step('every page, light and dark, desk and phone: no accessibility violation, nothing jumps', async (t) => {
  const rule = (await (await s.page.request.get(s.at('api/v1/rules'))).json()).items[0].id;
  const alarm = (await (await s.page.request.get(s.at('api/v1/alarms'))).json()).items[0].id;
  const pages = ['', 'sites', 'sites/north-works', 'twins', 'twins/boiler-1', 'alarms', `alarms/${alarm}`, 'devices', 'devices/boiler-1', 'connect', 'discovery', 'connections', 'new-bridge', 'opcua', 'import', 'claim-codes', 'dead-letters', 'models', 'upload-model', `models/${encodeURIComponent(model['@id'])}`, 'rules', `rules/${rule}`, 'new-rule', 'system', 'settings', 'nowhere'];
  t.diagnostic(await s.inspect_everywhere(pages));
  assert.deepEqual(s.trouble, []);
});

step('when the server goes the page says since when, and recovers when it is back', async () => {
  await s.visit('#/twins/boiler-1');
  await s.page.locator('.state.live').waitFor();
  const { http, mqtt: mqtt_at } = s.ready;
  await s.stop();
  await s.page.getByText(/Live stopped at \d\d:\d\d:\d\d/).waitFor();
  await s.start(http, mqtt_at);
  await s.page.locator('.state.live').waitFor();
  await s.page.getByText(/Live stopped at/).waitFor({ state: 'detached' });
  const device = await s.connect('boiler-1', token);
  await device.publishAsync('devices/boiler-1/telemetry', JSON.stringify({ temperature: 58.25 }), { qos: 1 });
  await s.page.getByText('58.25').first().waitFor();
  await device.endAsync();
  // Opened while nobody answers, from what the service worker kept: it says so and comes by itself.
  const kept = await s.browser.newContext({ storageState: await s.context.storageState(), viewport: { width: 390, height: 844 } });
  kept.setDefaultTimeout(wait_ms_max);
  const phone = await kept.newPage();
  await phone.goto(s.at('#/alarms'));
  await phone.evaluate(() => navigator.serviceWorker.ready);
  await phone.waitForFunction(async () => (await caches.keys()).length > 0 && (await caches.match('/')) !== undefined);
  const { http: again, mqtt: mqtt_again } = s.ready;
  await s.stop();
  await phone.reload();
  await phone.getByText('The server cannot be reached').waitFor();
  await s.start(again, mqtt_again);
  await phone.getByRole('heading', { name: 'Alarms' }).first().waitFor();
  await kept.close();
  assert.deepEqual(s.trouble, []);
});
