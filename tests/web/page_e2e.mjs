// The page, end to end: Debian's chromium on the built page, served by the real server, fed by a real MQTT client.
//   node tests/web/page_e2e.mjs build/release/penstock web/dist
// It waits on conditions, never on time; on a failure it keeps a picture of the screen and says where.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import mqtt from 'mqtt';
import { chromium } from 'playwright-core';

const binary = resolve(process.env.PENSTOCK_BINARY ?? process.argv[2] ?? 'build/release/penstock');
const web = resolve(process.env.PENSTOCK_WEB ?? process.argv[3] ?? 'web/dist');
const browser_path = process.env.CHROMIUM ?? '/usr/bin/chromium';
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
for (const path of [binary, join(web, 'index.html'), browser_path]) assert.ok(existsSync(path), `${path} is missing: run make setup build web`);

// What nobody waits for when all is well; generous, because a loaded machine is slow and not wrong.
const wait_ms_max = Number(process.env.PENSTOCK_WAIT_MS ?? 60_000), step_ms_max = 600_000;
const folder = mkdtempSync(join(tmpdir(), 'penstock-page-'));
const model = {
  '@context': ['dtmi:dtdl:context;3', 'dtmi:dtdl:extension:quantitativeTypes;1'], '@id': 'dtmi:penstock:test:Boiler;1', '@type': 'Interface', displayName: 'Boiler',
  contents: [
    { '@type': ['Telemetry', 'Temperature'], name: 'temperature', displayName: 'Temperature', schema: 'double', unit: 'degreeCelsius' },
    { '@type': ['Telemetry', 'Pressure'], name: 'pressure', displayName: 'Pressure', schema: 'double', unit: 'bar' },
    { '@type': 'Command', name: 'set_fire', displayName: 'Set fire', request: { name: 'level', schema: 'double' } },
  ],
};
const person = { name: 'Ada Keller', email: 'ada@example.com', password: 'nine green boilers hum' };

let server, ready, browser, context, page;
const trouble = [];

async function start(http = '127.0.0.1:0', mqtt_at = '127.0.0.1:0') {
  server = spawn(binary, ['serve', '--data', join(folder, 'data'), '--http', http, '--mqtt', mqtt_at, '--ws', 'off', '--web', web], { stdio: ['ignore', 'pipe', 'pipe'] });
  let log = '';
  server.stderr.on('data', (chunk) => { log = (log + chunk).slice(-8000); });
  const lines = createInterface({ input: server.stdout });
  const ended = once(server, 'exit').then(([code]) => { throw new Error(`the server ended with ${code}:\n${log}`); });
  ended.catch(() => {});
  ready = await Promise.race([ended, (async () => { for await (const line of lines) { try { const said = JSON.parse(line); if (said.ready) return said; } catch { /* not the ready line */ } } return ended; })()]);
}
async function stop() {
  if (!server || server.exitCode !== null) return;
  const gone = once(server, 'exit');
  server.kill('SIGTERM');
  await gone;
}
const at = (hash) => `http://${ready.http}/${hash}`;
const [host, port] = [() => ready.mqtt.split(':')[0], () => Number(ready.mqtt.split(':').at(-1))];
const connect = (username, password) => mqtt.connectAsync(`mqtt://${host()}:${port()}`, { clientId: username, username, password, protocolVersion: 5, reconnectPeriod: 0 });

/** Loads the page anew at this address: what one sees when a colleague sent it. */
async function visit(hash) {
  await page.goto('about:blank');
  await page.goto(at(hash));
  await page.locator('h1').first().waitFor();
}
/** Checks what a screen must never do; `name` says where. */
async function inspect(name) {
  await page.evaluate(axe);
  const result = await page.evaluate(() => axe.run(document, { resultTypes: ['violations'], runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }));
  for (const v of result.violations) trouble.push(`${name}: ${v.id} (${v.help}): ${v.nodes.map((n) => n.target.join(' ')).slice(0, 3).join(', ')}`);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  if (wide > 0) trouble.push(`${name}: ${wide} px wider than the screen`);
}
let broken = '';
/** The steps are one story: after one that failed the others have nothing to stand on and are left out. */
function step(name, run) {
  test(name, { timeout: step_ms_max }, async (t) => {
    if (broken) return t.skip(`“${broken}” failed`);
    try { await run(t); } catch (error) {
      broken = name;
      const picture = join(tmpdir(), `penstock-page-${name.replace(/\W+/g, '-')}.png`);
      await page?.screenshot({ path: picture }).then(() => console.error(`picture: ${picture}`), () => {});
      throw error;
    }
  });
}

before(async () => {
  await start();
  browser = await chromium.launch({
    executablePath: browser_path,
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
  context = await browser.newContext({ viewport: { width: 1440, height: 900 }, serviceWorkers: 'block' });
  context.setDefaultTimeout(wait_ms_max);
  await context.addInitScript(() => {
    window.shift = 0;
    new PerformanceObserver((list) => { for (const e of list.getEntries()) if (!e.hadRecentInput) window.shift += e.value; }).observe({ type: 'layout-shift', buffered: true });
    addEventListener('securitypolicyviolation', (e) => console.error(`CSP: ${e.violatedDirective} ${e.blockedURI} ${e.sourceFile}:${e.lineNumber}`));
  });
  page = await context.newPage();
  page.on('console', (message) => { if (message.type() === 'error' && /CSP|Content Security Policy/.test(message.text())) trouble.push(message.text()); });
  page.on('pageerror', (error) => trouble.push(`page: ${error.message}`));
});
after(async () => {
  await browser?.close();
  await stop();
  rmSync(folder, { recursive: true, force: true });
});

step('the one-time link lets the first administrator in', async () => {
  await page.goto(ready.welcome);
  await page.getByLabel('Your name').fill(person.name);
  await page.getByLabel('Email').fill(person.email);
  await page.getByLabel('Password', { exact: true }).fill(person.password);
  await page.getByLabel('Password again').fill(person.password + ' not');
  await page.getByRole('button', { name: 'Set password' }).click();
  await page.getByText('The two passwords differ.').waitFor();
  await page.getByLabel('Password again').fill(person.password);
  await inspect('welcome');
  await page.getByRole('button', { name: 'Set password' }).click();
  await page.getByRole('heading', { name: 'Overview' }).waitFor();
  await page.getByText('No site yet').waitFor();
  await page.goto(ready.welcome);
  await page.getByText('This link does not work').waitFor();
});

step('signing out and in', async () => {
  await visit('#/settings');
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByLabel('Email').fill(person.email);
  await page.getByLabel('Password').fill('wrong password');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.locator('.wrong').waitFor();
  await inspect('sign-in');
  await page.getByLabel('Password').fill(person.password);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('heading', { name: 'Overview' }).waitFor();
});

step('a model is refused with a reason, then accepted', async () => {
  await visit('#/upload-model');
  const text = page.getByLabel('DTDL (JSON)');
  await text.fill('{"@id": ');
  await page.getByRole('button', { name: 'Upload' }).click();
  await page.getByRole('alert').getByText('This is not JSON').waitFor();
  await text.fill(JSON.stringify({ ...model, '@id': 'no-dtmi' }));
  await page.getByRole('button', { name: 'Upload' }).click();
  await page.getByRole('alert').getByText('The model was not accepted').waitFor();
  await text.fill(JSON.stringify(model, null, 2));
  await page.getByRole('button', { name: 'Upload' }).click();
  await page.getByRole('heading', { name: 'Boiler' }).waitFor();
});

let token;
step('the wizard connects a device through real MQTT', async () => {
  await visit('#/connect');
  await page.getByLabel('Site').selectOption({ label: 'New site…' });
  await page.getByLabel('Name', { exact: true }).fill('North works');
  await page.getByLabel('Model').selectOption({ index: 1 });
  await page.getByLabel('Display name').fill('Boiler 1');
  assert.equal(await page.getByLabel('Device name').inputValue(), 'boiler-1');
  await page.getByRole('button', { name: 'Register' }).click();
  await page.getByRole('heading', { name: 'boiler-1 is registered' }).waitFor();
  token = (await page.locator('code').first().innerText()).trim();
  const command = await page.locator('pre').innerText();
  assert.match(command, /mosquitto_pub/);
  assert.ok(command.includes(token) && command.includes(`-p ${port()}`), command);
  await page.getByText('Waiting for the first message').waitFor();
  await inspect('connect, waiting');
  // The very line that the page offers to copy, in a shell: its quoting, its port and its token are right.
  await promisify(execFile)('sh', ['-c', command.replace(/-m '.*'/s, `-m '{"temperature":61.5,"pressure":2.25}'`)]);
  await page.locator('[data-received="true"]').waitFor();
  await page.getByText('61.50 °C').waitFor();
  await page.getByRole('link', { name: 'Open the asset' }).click();
  await page.getByRole('heading', { name: 'Boiler 1' }).waitFor();
});

step('the overview follows a device as it speaks, falls silent and goes', async () => {
  const admin = readFileSync(join(folder, 'data', 'admin.token'), 'utf8').trim();
  const made = await (await fetch(at('api/v1/devices'), { method: 'POST', headers: { authorization: `Bearer ${admin}`, 'content-type': 'application/json' },
    body: JSON.stringify({ id: 'boiler-2', site: 'north-works', model: model['@id'], display_name: 'Boiler 2', stale_after_s: 2 }) })).json();
  await visit('#/');
  const row = page.locator('article').filter({ hasText: 'North works' }).getByRole('link', { name: /Boiler 2/ });
  await row.getByText('nothing received yet').waitFor();
  const device = await connect('boiler-2', made.credentials.token);
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
  const device = await connect('boiler-1', token);
  const count = 100_000, step_ms = 30, end = Date.now() - 1000, batch = 1000, pending = [];
  for (let i = 0; i < count; i += batch) {
    const rows = Array.from({ length: batch }, (_, k) => ({ ts: end - (count - i - k) * step_ms, values: { temperature: 60 + 8 * Math.sin((i + k) / 4000) + ((i + k) % 7) / 10 } }));
    pending.push(device.publishAsync('devices/boiler-1/telemetry', JSON.stringify(rows), { qos: 1 }));
    if (pending.length >= 8) await pending.shift();
  }
  await Promise.all(pending);
  await device.endAsync();
  // Acknowledged is durable; history follows the journal. Wait until it has all.
  await page.waitForFunction(async (least) => {
    const from = new Date(Date.now() - 3600e3).toISOString();
    const answer = await (await fetch(`/api/v1/twins/boiler-1/history?elements=temperature&from=${from}&to=now&bucket=1h&functions=count`)).json();
    return (answer.series?.[0]?.count ?? []).reduce((a, b) => a + b, 0) >= least;
  }, count, { polling: 300 });

  await visit('#/twins/boiler-1?show=temperature');
  const canvas = page.locator('.plot canvas').first();
  await canvas.waitFor();
  const inked = () => canvas.evaluate((c) => { const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; let n = 0; for (let i = 3; i < d.length; i += 4) if (d[i]) n++; return n; });
  await page.waitForFunction((c) => { const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; for (let i = 3, n = 0; i < d.length; i += 4) if (d[i] && ++n > 2000) return true; return false; }, await canvas.elementHandle());
  assert.ok((await inked()) > 2000);

  await page.getByLabel('Every sample').check();
  const told = page.getByText(/(every sample|thinned to what the eye can see), [\d,]+ points/);
  await told.waitFor();
  const points = Number(/([\d,]+) points/.exec(await told.innerText())[1].replace(/,/g, ''));
  assert.ok(points >= 99_000, `${points} points`);
  // Smooth: the cursor moves over all those points; how long frames take is told, not judged (a loaded machine is slow).
  const box = await canvas.boundingBox();
  const frames = page.evaluate(() => new Promise((done) => { const times = []; let last = performance.now(); const tick = (now) => { times.push(now - last); last = now; if (times.length < 40) requestAnimationFrame(tick); else done(times.slice(5).sort((a, b) => a - b)); }; requestAnimationFrame(tick); }));
  for (let i = 0; i < 30; i++) await page.mouse.move(box.x + 80 + i * 12, box.y + 40);
  const sorted = await frames;
  const median = sorted[sorted.length >> 1];
  t.diagnostic(`100,000 points: median frame ${median.toFixed(1)} ms, slowest ${sorted.at(-1).toFixed(1)} ms`);
  await page.getByLabel('Every sample').uncheck();
  await page.getByText(/per point/).waitFor();

  await page.mouse.move(box.x + box.width * 0.5, box.y + 40);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.7, box.y + 40, { steps: 8 });
  // Each change of the window asks the server anew, for finer buckets; `before` keeps out an answer that is still on its way.
  const window_after = async (act, before) => {
    const answer = page.waitForResponse((r) => r.url().includes('/history?') && new URL(r.url()).searchParams.get('from') !== before?.get('from'));
    await act();
    const params = new URL((await answer).url()).searchParams;
    return { params, from: Date.parse(params.get('from')), to: Date.parse(params.get('to')), bucket_s: (await (await answer).json()).bucket_s };
  };
  const zoomed = await window_after(() => page.mouse.up());
  const span = zoomed.to - zoomed.from;
  assert.ok(span > 5 * 60e3 && span < 20 * 60e3, `zoomed to ${span} ms`);
  // The same without a mouse: half as wide, then back in time.
  const half = await window_after(async () => { await page.locator('.plot').first().focus(); await page.keyboard.press('+'); }, zoomed.params);
  assert.ok(Math.abs((half.to - half.from) * 2 - span) < 10, `half of ${span} ms, not ${half.to - half.from}`);
  assert.ok(half.bucket_s < zoomed.bucket_s, `buckets of ${half.bucket_s} s after ${zoomed.bucket_s} s`);
  const earlier = await window_after(() => page.getByRole('button', { name: 'Earlier' }).click(), half.params);
  assert.ok(earlier.to < half.to, 'earlier');
  await page.getByRole('button', { name: 'Back to live' }).click();
  await page.getByRole('button', { name: 'Back to live' }).waitFor({ state: 'detached' });
});

step('a rule made on the page raises an alarm that is acknowledged by keyboard', async () => {
  await visit('#/new-rule');
  await page.getByLabel('Applies to').selectOption('twin');
  await page.getByLabel('Asset', { exact: true }).selectOption('boiler-1');
  await page.getByLabel('Element').selectOption('temperature');
  await page.getByLabel(/^Limit/).fill('90');
  await page.getByLabel('On delay (s)').fill('0');
  await page.getByLabel('Off delay (s)').fill('0');
  await page.getByRole('button', { name: 'High' }).click();
  await page.getByLabel('Alarm', { exact: true }).fill('Boiler too hot');
  await page.getByLabel('What to do').fill('Close the gas valve.');
  await page.getByText('Temperature > 90 °C').waitFor();
  await page.getByRole('button', { name: 'Save rule' }).click();
  await page.getByText('Saved. It works from now on.').waitFor();

  await visit('#/alarms');
  const device = await connect('boiler-1', token);
  await device.publishAsync('devices/boiler-1/telemetry', JSON.stringify({ temperature: 97.5 }), { qos: 1 });
  const row = page.locator('[data-alarm]').filter({ hasText: 'Boiler too hot' });
  await row.waitFor();
  await page.getByRole('heading', { name: 'Alarms' }).first().focus();
  await page.keyboard.press('j');
  await page.getByText('Close the gas valve.').waitFor();
  await inspect('alarm, active');
  await page.keyboard.press('a');
  await row.getByText('Acknowledged').waitFor();
  await page.getByText(`by ${person.name}`).waitFor();
  await page.getByLabel('Note').fill('Valve closed, boiler cools.');
  await page.getByRole('button', { name: 'Add note' }).click();
  await page.getByText('Valve closed, boiler cools.').waitFor();
  await page.reload();
  await page.getByText(`by ${person.name}`).first().waitFor();
  await device.publishAsync('devices/boiler-1/telemetry', JSON.stringify({ temperature: 60 }), { qos: 1 });
  await page.locator('.history').getByText('Cleared').waitFor();
  await device.endAsync();
});

step('an asset is watched, learns, and its alarm says which sensor and since when', async () => {
  await visit('#/twins/boiler-2');
  const panel = page.getByRole('region', { name: 'Anomaly detection' });
  await panel.getByRole('button', { name: 'Watch it' }).click();
  await panel.getByText('Learning').waitFor();
  const admin = readFileSync(join(folder, 'data', 'admin.token'), 'utf8').trim();
  const made = await (await fetch(at('api/v1/devices/boiler-2/credentials'), { method: 'POST', headers: { authorization: `Bearer ${admin}`, 'content-type': 'application/json' }, body: '{}' })).json();
  const device = await connect('boiler-2', made.token);
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
  await page.locator('nav.side a[href="#/alarms"]').click();
  const row = page.locator('[data-alarm]').filter({ hasText: 'Boiler 2' });
  await row.getByText(/^Pressure \d+ %/).waitFor();
  await row.getByRole('link').click();
  await page.getByRole('heading', { name: /Why: which sensors since \d\d:\d\d:\d\d/ }).waitFor();
  const leading = page.locator('.bars li').first();
  assert.match(await leading.innerText(), /^Pressure\s+\d+\s%$/);
  await page.locator('.charts canvas').first().waitFor();
  await inspect('alarm of a detector');
});

step('a command reaches the device', async () => {
  const device = await connect('boiler-1', token);
  const got = new Promise((done) => device.on('message', (topic, payload) => done([topic, payload.toString()])));
  await device.subscribeAsync('devices/boiler-1/commands/#', { qos: 1 });
  await visit('#/twins/boiler-1');
  const form = page.locator('form').filter({ hasText: 'Set fire' });
  await form.getByRole('spinbutton').fill('42.5');
  await form.getByRole('button', { name: 'Send' }).click();
  const [topic, payload] = await got;
  assert.equal(topic, 'devices/boiler-1/commands/set_fire');
  assert.match(payload, /42\.5/);
  await form.getByText(/Request/).waitFor();
  await device.endAsync();
});

step('a refused message is in the dead letters with its reason', async () => {
  const device = await connect('boiler-1', token);
  await device.publishAsync('devices/boiler-1/telemetry', '{"temperature": ', { qos: 1 });
  await device.endAsync();
  await visit('#/dead-letters');
  await page.waitForFunction(async () => (await (await fetch('/api/v1/dead-letters')).json()).items?.length > 0, undefined, { polling: 200 });
  await page.getByRole('button', { name: 'Refresh' }).click();
  await page.getByText('devices/boiler-1/telemetry').first().waitFor();
});

step('an unknown device is discovered and accepted', async () => {
  await visit('#/settings');
  const panel = page.getByRole('region', { name: 'Join tokens' });
  await panel.getByLabel('Site').selectOption({ label: 'North works' });
  await panel.getByRole('button', { name: 'Create' }).click();
  const join_token = (await panel.locator('code').innerText()).trim();
  const device = await connect('stranger-7', join_token);
  await device.publishAsync('devices/stranger-7/telemetry', JSON.stringify({ flow: 3.5, running: true }), { qos: 1 });
  await visit('#/discovery');
  await page.getByRole('heading', { name: 'stranger-7' }).waitFor();
  await inspect('discovery, one device');
  await page.getByRole('button', { name: 'Accept' }).click();
  await page.getByLabel('Site').selectOption({ label: 'North works' });
  await page.locator('dialog').getByRole('button', { name: 'Accept' }).click();
  await page.getByText('stranger-7 is accepted').waitFor();
  await device.endAsync(true);
});

step('Ctrl-K finds an asset and goes there', async () => {
  await visit('#/');
  await page.keyboard.press('Control+K');
  await page.getByRole('combobox').fill('boiler');
  await page.getByRole('option', { name: /Boiler 1/ }).first().waitFor();
  await inspect('search');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Boiler 1' }).waitFor();
});

step('every page, light and dark, desk and phone: no accessibility violation, nothing jumps', async (t) => {
  const rule = (await (await page.request.get(at('api/v1/rules'))).json()).items[0].id;
  const alarm = (await (await page.request.get(at('api/v1/alarms'))).json()).items[0].id;
  const pages = ['', 'sites', 'sites/north-works', 'twins', 'twins/boiler-1', 'alarms', `alarms/${alarm}`, 'devices', 'devices/boiler-1', 'connect', 'discovery', 'dead-letters', 'models', 'upload-model', `models/${encodeURIComponent(model['@id'])}`, 'rules', `rules/${rule}`, 'new-rule', 'system', 'settings', 'nowhere'];
  let worst = 0, where = '', looked = 0;
  for (const [size, width, height] of [['desk', 1440, 900], ['phone', 390, 844]]) {
    await page.setViewportSize({ width, height });
    for (const scheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme: scheme });
      for (const hash of pages) {
        await visit('#/' + hash);
        await page.waitForFunction(() => !document.querySelector('main .bones'));
        await inspect(`#/${hash} ${size} ${scheme}`);
        const shift = await page.evaluate(() => window.shift);
        if (shift >= worst) [worst, where] = [shift, `#/${hash} ${size}`];
        if (shift > 0.25) trouble.push(`#/${hash} ${size} ${scheme}: layout shift ${shift.toFixed(3)}`);
        looked++;
      }
    }
  }
  // 320 px wide, which is 400 % zoom of a desk (WCAG 1.4.10): nothing sticks out.
  await page.setViewportSize({ width: 320, height: 640 });
  for (const hash of pages) {
    await visit('#/' + hash);
    await page.waitForFunction(() => !document.querySelector('main .bones'));
    const wide = await page.evaluate(() => (document.documentElement.scrollWidth <= innerWidth ? '' : [...document.querySelectorAll('main *')].filter((e) => e.getBoundingClientRect().right > innerWidth).map((e) => `${e.tagName}.${e.className} “${e.textContent.slice(0, 30)}”`).slice(-3).join(', ')));
    if (wide) trouble.push(`#/${hash} 320 px: wider than the screen: ${wide}`);
  }
  await page.setViewportSize({ width: 1440, height: 900 });
  await page.emulateMedia({ colorScheme: 'light' });
  t.diagnostic(`${looked} screens, worst layout shift ${worst.toFixed(3)} at ${where}`);
  assert.deepEqual(trouble, []);
});

step('when the server goes the page says since when, and recovers when it is back', async () => {
  await visit('#/twins/boiler-1');
  await page.locator('.state.live').waitFor();
  const { http, mqtt: mqtt_at } = ready;
  await stop();
  await page.getByText(/Live stopped at \d\d:\d\d:\d\d/).waitFor();
  await start(http, mqtt_at);
  await page.locator('.state.live').waitFor();
  await page.getByText(/Live stopped at/).waitFor({ state: 'detached' });
  const device = await connect('boiler-1', token);
  await device.publishAsync('devices/boiler-1/telemetry', JSON.stringify({ temperature: 58.25 }), { qos: 1 });
  await page.getByText('58.25').first().waitFor();
  await device.endAsync();
  // Opened while nobody answers, from what the service worker kept: it says so and comes by itself.
  const kept = await browser.newContext({ storageState: await context.storageState(), viewport: { width: 390, height: 844 } });
  kept.setDefaultTimeout(wait_ms_max);
  const phone = await kept.newPage();
  await phone.goto(at('#/alarms'));
  await phone.evaluate(() => navigator.serviceWorker.ready);
  await phone.waitForFunction(async () => (await caches.keys()).length > 0 && (await caches.match('/')) !== undefined);
  const { http: again, mqtt: mqtt_again } = ready;
  await stop();
  await phone.reload();
  await phone.getByText('The server cannot be reached').waitFor();
  await start(again, mqtt_again);
  await phone.getByRole('heading', { name: 'Alarms' }).first().waitFor();
  await kept.close();
  assert.deepEqual(trouble, []);
});
