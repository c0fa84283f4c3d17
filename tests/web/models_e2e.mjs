// Models in the page, end to end: Debian's chromium on the built page, served by the real server.
//   node tests/web/models_e2e.mjs build/release/penstock web/dist
// Mistakes beside the source, whom a new version breaks before it is saved, the graph by keyboard, Thing Descriptions, AAS
// submodels and a device-model repository. PENSTOCK_PICTURES=FOLDER keeps a picture of each screen. Waits on conditions only.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { chromium } from 'playwright-core';

const binary = resolve(process.env.PENSTOCK_BINARY ?? process.argv[2] ?? 'build/release/penstock');
const web = resolve(process.env.PENSTOCK_WEB ?? process.argv[3] ?? 'web/dist');
const browser_path = process.env.CHROMIUM ?? '/usr/bin/chromium';
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
for (const path of [binary, join(web, 'index.html'), browser_path]) assert.ok(existsSync(path), `${path} is missing: run make setup build web`);
const wait_ms_max = Number(process.env.PENSTOCK_WAIT_MS ?? 60_000), step_ms_max = 600_000;
const pictures = process.env.PENSTOCK_PICTURES;
const folder = mkdtempSync(join(tmpdir(), 'penstock-models-'));

const context_of = ['dtmi:dtdl:context;4', 'dtmi:dtdl:extension:quantitativeTypes;3', 'dtmi:iotoperations:context;4'];
const motor = { '@context': context_of[0], '@id': 'dtmi:test:Motor;1', '@type': 'Interface', displayName: 'Motor', contents: [{ '@type': 'Telemetry', name: 'current', schema: 'double' }] };
const machine = { '@context': context_of[0], '@id': 'dtmi:test:Machine;1', '@type': 'Interface', displayName: 'Machine', contents: [{ '@type': 'Property', name: 'serialNumber', schema: 'string' }] };
const pump = {
  '@context': context_of, '@id': 'dtmi:test:Pump;1', '@type': 'Interface', displayName: 'Pump', description: 'Moves water.', extends: 'dtmi:test:Machine;1',
  contents: [
    { '@type': ['Telemetry', 'Pressure', 'Limited'], name: 'pressure', displayName: 'Pressure', schema: 'double', unit: 'bar', minimum: 0, maximum: 16 },
    { '@type': ['Telemetry', 'Temperature'], name: 'temperature', displayName: 'Temperature', schema: 'double', unit: 'degreeCelsius' },
    { '@type': 'Command', name: 'stop', displayName: 'Stop' },
    { '@type': 'Component', name: 'motor', schema: 'dtmi:test:Motor;1' },
    { '@type': 'Relationship', name: 'feeds', target: 'dtmi:test:Tank;1' },
  ],
};
const thing = {
  '@context': 'https://www.w3.org/2022/wot/td/v1.1', title: 'Room lamp', id: 'urn:dev:lamp', securityDefinitions: { none: { scheme: 'nosec' } }, security: 'none',
  properties: { power: { type: 'number', unit: 'W', readOnly: true, observable: true, forms: [{ href: '/power' }] }, level: { type: 'integer', minimum: 0, maximum: 100, multipleOf: 5 } },
  actions: { toggle: {} },
};
const repository = join(folder, 'repository');
mkdirSync(join(repository, 'dtmi/com/acme'), { recursive: true });
writeFileSync(join(repository, 'dtmi/com/acme/fan-1.json'), JSON.stringify({ '@context': context_of[0], '@id': 'dtmi:com:acme:Fan;1', '@type': 'Interface', displayName: 'Fan', extends: 'dtmi:com:acme:Base;1', contents: [{ '@type': 'Telemetry', name: 'speed', schema: 'double' }] }));
writeFileSync(join(repository, 'dtmi/com/acme/base-1.json'), JSON.stringify({ '@context': context_of[0], '@id': 'dtmi:com:acme:Base;1', '@type': 'Interface', displayName: 'Acme base' }));

let server, ready, browser, context, page;
const trouble = [];

async function start() {
  server = spawn(binary, ['serve', '--data', join(folder, 'data'), '--http', '127.0.0.1:0', '--mqtt', '127.0.0.1:0', '--ws', 'off', '--web', web, '--model-repository', `acme=${repository}`], { stdio: ['ignore', 'pipe', 'pipe'] });
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
async function call(method, path, body) {
  const token = readFileSync(join(folder, 'data', 'admin.token'), 'utf8').trim();
  const reply = await fetch(at('api/v1' + path), { method, headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' }, body: body === undefined ? undefined : JSON.stringify(body) });
  assert.ok(reply.ok, `${method} ${path}: ${reply.status} ${await reply.clone().text()}`);
  return reply.status === 204 ? null : reply.json();
}
async function visit(hash) {
  await page.goto('about:blank');
  await page.goto(at(hash));
  await page.locator('h1').first().waitFor();
}
async function inspect(name) {
  await page.evaluate(() => scrollTo(0, 0));
  await page.evaluate(axe);
  const result = await page.evaluate(() => axe.run(document, { resultTypes: ['violations'], runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }));
  for (const v of result.violations) trouble.push(`${name}: ${v.id} (${v.help}): ${v.nodes.map((n) => n.target.join(' ')).slice(0, 3).join(', ')}`);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  if (wide > 0) trouble.push(`${name}: ${wide} px wider than the screen`);
  if (pictures) await page.screenshot({ path: join(pictures, `${name.replace(/\W+/g, '-')}.png`), fullPage: true });
}
let broken = '';
/** The steps are one story: after one that failed the others are left out. */
function step(name, run) {
  test(name, { timeout: step_ms_max }, async (t) => {
    if (broken) return t.skip(`“${broken}” failed`);
    try { await run(t); } catch (error) {
      broken = name;
      const picture = join(tmpdir(), `penstock-models-${name.replace(/\W+/g, '-')}.png`);
      await page?.screenshot({ path: picture }).then(() => console.error(`picture: ${picture}`), () => {});
      throw error;
    }
  });
}

before(async () => {
  if (pictures) mkdirSync(pictures, { recursive: true });
  await start();
  browser = await chromium.launch({ executablePath: browser_path, args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'] });
  context = await browser.newContext({ viewport: { width: 1440, height: 900 }, serviceWorkers: 'block' });
  context.setDefaultTimeout(wait_ms_max);
  await context.addInitScript(() => addEventListener('securitypolicyviolation', (e) => console.error(`CSP: ${e.violatedDirective} ${e.blockedURI} ${e.sourceFile}:${e.lineNumber}`)));
  page = await context.newPage();
  page.on('console', (message) => { if (message.type() === 'error' && /CSP|Content Security Policy/.test(message.text())) trouble.push(message.text()); });
  page.on('pageerror', (error) => trouble.push(`page: ${error.message}`));
  await page.goto(ready.welcome);
  await page.getByLabel('Your name').fill('Ada Keller');
  await page.getByLabel('Email').fill('ada@example.com');
  await page.getByLabel('Password', { exact: true }).fill('nine green boilers hum');
  await page.getByLabel('Password again').fill('nine green boilers hum');
  await page.getByRole('button', { name: 'Set password' }).click();
  await page.getByRole('heading', { name: 'Overview' }).waitFor();
});
after(async () => {
  await browser?.close();
  await stop();
  rmSync(folder, { recursive: true, force: true });
});

step('mistakes stand beside the source with line, rule and remedy', async () => {
  await visit('#/upload-model');
  const source = page.getByLabel('DTDL (JSON)');
  const wrong = JSON.stringify({ ...machine, contents: [{ '@type': 'Telemetri', name: 'serial Number', schema: 'string' }] }, null, 2);
  await source.fill(wrong);
  await page.getByText(/\d+ mistakes?$/).waitFor();
  const lines = wrong.split('\n');
  const line = lines.findIndex((one) => one.includes('Telemetri')) + 1;
  const place = page.locator('.errors').getByRole('button', { name: new RegExp(`line ${line}, column`) }).first();
  await place.waitFor();
  assert.ok((await page.locator('.gutter .wrong').allInnerTexts()).some((text) => text.includes(String(line))), 'the line is marked in the margin');
  await inspect('upload, mistakes');
  await place.click();
  const cursor = await source.evaluate((area) => area.value.slice(0, area.selectionStart).split('\n').length);
  assert.equal(cursor, line, 'the click goes there');
  await source.fill('{\n  "@id": ');
  await page.locator('.errors').getByRole('button', { name: 'line 2, column 10' }).waitFor();
  await source.fill(JSON.stringify([machine, motor, pump], null, 2));
  await page.getByText('no mistake').waitFor();
  await page.getByText('New, 4 elements.').waitFor();
  await inspect('upload, three models');
  await page.getByRole('button', { name: 'Upload', exact: true }).click();
  await page.getByRole('heading', { name: 'Models' }).waitFor();
  await page.getByRole('link', { name: 'Pump' }).waitFor();
});

step('where a model is used: models, assets, bindings, rules', async () => {
  await call('POST', '/sites', { name: 'north', display_name: 'North works', time_zone: 'Europe/Berlin' });
  await call('POST', '/devices', { id: 'pump-1', site: 'north', model: 'dtmi:test:Pump;1', display_name: 'Pump 1' });
  await call('POST', '/rules', { scope: { model: 'dtmi:test:Pump;1' }, element: 'pressure', kind: 'threshold', limit: 12, priority: 'high', message: 'Pressure above 12 bar' });
  await call('POST', '/bindings', { document: { name: 'acme-pumps', model: 'dtmi:test:Pump;1', topic: 'plant/{device}/data', elements: [{ element: 'pressure', from: '/p' }, { element: 'temperature', from: '/t' }] }, activate: true });
  await visit('#/models/dtmi:test:Pump;1');
  const usage = page.getByRole('region', { name: 'Where it is used' });
  await usage.getByRole('link', { name: 'Pump 1' }).waitFor();
  await usage.getByRole('link', { name: 'acme-pumps' }).waitFor();
  await usage.getByRole('link', { name: 'Pressure above 12 bar' }).waitFor();
  await page.getByText('This is the only version that is here.').waitFor();
  await visit('#/models/dtmi:test:Motor;1');
  await page.getByRole('region', { name: 'Where it is used' }).getByRole('link', { name: 'Pump' }).waitFor();
});

step('a new version says whom it breaks before it is saved, and compares after', async () => {
  await visit('#/models/dtmi:test:Pump;1');
  await page.getByRole('link', { name: 'New version 2' }).click();
  const source = page.getByLabel('DTDL (JSON)');
  await page.waitForFunction(() => document.querySelector('textarea')?.value.includes('dtmi:test:Pump;2'));
  const next = JSON.parse(await source.inputValue());
  next.contents = next.contents.filter((one) => one.name !== 'pressure');
  next.contents.push({ '@type': 'Telemetry', name: 'flow', displayName: 'Flow', schema: 'double' });
  await source.fill(JSON.stringify(next, null, 2));
  const checked = page.getByRole('region', { name: 'Checked' });
  await checked.getByText('Compared with version 1').waitFor();
  await checked.getByText('Whom it breaks when they move on').waitFor();
  await checked.getByRole('link', { name: 'Pump 1' }).waitFor();
  await checked.getByRole('link', { name: 'acme-pumps' }).first().waitFor();
  await checked.getByRole('link', { name: 'Pressure above 12 bar' }).first().waitFor();
  await inspect('upload, new version');
  await page.getByRole('button', { name: 'Upload', exact: true }).click();
  await page.waitForURL(/models\/dtmi/);
  await page.getByLabel('Compare with').selectOption({ label: 'Version 1' });
  await page.getByText('What changes from version 1 to version 2').waitFor();
  await page.getByText('is gone').first().waitFor();
  assert.match(page.url(), /with=/, 'it can be sent to a colleague');
  await inspect('model, compared');
});

step('the graph is walked by keyboard', async () => {
  await visit('#/models');
  await page.getByRole('button', { name: 'Graph' }).click();
  const first = page.locator('svg a.node').first();
  await first.waitFor();
  await first.focus();
  const label = () => page.evaluate(() => document.activeElement?.textContent.replace(/\s+/g, ' ').trim());
  const before = await label();
  await page.keyboard.press('ArrowRight');
  const next = await label();
  assert.notEqual(next, before);
  assert.match(next, /^Pump\s*v\d · /);
  await page.getByText('named, and not known here').waitFor();
  await page.getByText('The same in words').click();
  await page.locator('.words').getByText('Pump v2 contains Motor as motor').waitFor();
  await inspect('graph');
  await page.locator('svg a.node').filter({ hasText: 'Motor' }).focus();
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Motor', exact: true }).waitFor();
});

step('a Thing Description becomes a model, and what was left out is listed', async () => {
  await visit('#/upload-model');
  await page.getByRole('button', { name: 'Thing Description' }).click();
  await page.getByLabel('Thing Description (JSON)').fill('{"a":1}');
  await page.getByRole('button', { name: 'Convert to DTDL' }).click();
  await page.getByRole('alert').getByText('This is no Thing Description').waitFor();
  await inspect('upload, thing refused');
  await page.getByLabel('Thing Description (JSON)').fill(JSON.stringify(thing, null, 2));
  await page.getByLabel('Identifier (optional)').fill('dtmi:test:Lamp;1');
  await page.getByRole('button', { name: 'Convert to DTDL' }).click();
  await page.getByText('properties.level.multipleOf').waitFor();
  await page.getByText('no mistake').waitFor();
  await inspect('upload, thing converted');
  await page.getByRole('button', { name: 'Upload', exact: true }).click();
  await page.getByRole('heading', { name: 'Room lamp' }).waitFor();
});

step('a model leaves as an AAS submodel and comes back', async () => {
  await visit('#/models/dtmi:test:Pump;1');
  await page.getByRole('button', { name: 'AAS submodel' }).click();
  await page.getByText('Everything was carried over.').waitFor();
  const saved = page.waitForEvent('download');
  await page.getByRole('button', { name: 'Download' }).click();
  const file = await saved;
  assert.equal(file.suggestedFilename(), 'test-Pump-1.aas.json');
  const path = await file.path();
  await inspect('model, exported');
  await visit('#/upload-model');
  await page.locator('input[type=file]').setInputFiles({ name: 'pump.aas.json', mimeType: 'application/json', buffer: readFileSync(path) });
  await page.getByLabel('AAS submodel or environment (JSON)').waitFor();
  await page.getByLabel('Identifier (optional)').fill('dtmi:test:PumpAgain;1');
  await page.getByRole('button', { name: 'Convert to DTDL' }).click();
  await page.getByText('Everything was carried over.').waitFor();
  await page.getByText('New, 4 elements.').waitFor();
});

step('a repository that the server allows is read, with what the model needs', async () => {
  await visit('#/upload-model');
  await page.getByRole('button', { name: 'Repository' }).click();
  await page.getByLabel('Identifiers').fill('dtmi:com:acme:Nothing;1');
  await page.getByRole('button', { name: 'Read' }).click();
  await page.getByRole('alert').getByText('The repository has no such file').waitFor();
  await inspect('upload, repository');
  await page.getByLabel('Identifiers').fill('dtmi:com:acme:Fan;1');
  await page.getByRole('button', { name: 'Read' }).click();
  await page.getByText('New, 1 element.').waitFor();
  await page.getByText('Acme base').first().waitFor();
  await page.getByRole('button', { name: 'Upload', exact: true }).click();
  await page.getByRole('link', { name: 'Fan' }).waitFor();
});

step('every screen, light and dark, desk and phone: no accessibility violation', async () => {
  const pages = ['models', 'models?view=graph', 'upload-model', 'models/dtmi:test:Pump;2?with=' + encodeURIComponent('dtmi:test:Pump;1'), 'models/dtmi:test:Motor;1', 'upload-model?base=' + encodeURIComponent('dtmi:test:Pump;2')];
  for (const [size, width, height] of [['desk', 1440, 900], ['phone', 390, 844], ['narrow', 320, 640]]) {
    await page.setViewportSize({ width, height });
    for (const scheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme: scheme });
      for (const hash of pages) {
        await visit('#/' + hash);
        await page.waitForFunction(() => !document.querySelector('main .bones'));
        if (hash.includes('base=')) await page.getByText('no mistake').waitFor();
        await inspect(`${hash} ${size} ${scheme}`);
      }
    }
  }
  assert.deepEqual(trouble, []);
});
