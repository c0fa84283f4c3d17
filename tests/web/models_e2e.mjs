// Models in the page, end to end: Debian's chromium on the built page, served by the real server.
//   node tests/web/models_e2e.mjs build/release/penstock web/dist
// Mistakes beside the source, whom a new version breaks before it is saved, the graph by keyboard, Thing Descriptions, AAS
// submodels and a device-model repository. PENSTOCK_PICTURES=FOLDER keeps a picture of each screen. Waits on conditions only.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { stage } from './stage.mjs';

const pictures = process.env.PENSTOCK_PICTURES;
const folder = mkdtempSync(join(tmpdir(), 'penstock-repository-'));
after(() => rmSync(folder, { recursive: true, force: true }));

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

const s = stage('models', ['--model-repository', `acme=${repository}`]);
const call = (method, path, body) => s.api(method, path, body);
/** The checks of every screen, from its top; a picture of it where one is wanted. */
async function inspect(name) {
  await s.page.evaluate(() => scrollTo(0, 0));
  await s.inspect(name);
  if (pictures) await s.page.screenshot({ path: join(pictures, `${name.replace(/\W+/g, '-')}.png`), fullPage: true });
}
if (pictures) mkdirSync(pictures, { recursive: true });

s.step('the administrator signs in', () => s.sign_in());

s.step('mistakes stand beside the source with line, rule and remedy', async () => {
  const { page } = s;
  await s.visit('#/upload-model');
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

s.step('where a model is used: models, assets, bindings, rules', async () => {
  const { page } = s;
  await call('POST', '/sites', { name: 'north', display_name: 'North works', time_zone: 'Europe/Berlin' });
  await call('POST', '/devices', { id: 'pump-1', site: 'north', model: 'dtmi:test:Pump;1', display_name: 'Pump 1' });
  await call('POST', '/rules', { scope: { model: 'dtmi:test:Pump;1' }, element: 'pressure', kind: 'threshold', limit: 12, priority: 'high', message: 'Pressure above 12 bar' });
  await call('POST', '/bindings', { document: { name: 'acme-pumps', model: 'dtmi:test:Pump;1', topic: 'plant/{device}/data', elements: [{ element: 'pressure', from: '/p' }, { element: 'temperature', from: '/t' }] }, activate: true });
  await s.visit('#/models/dtmi:test:Pump;1');
  const usage = page.getByRole('region', { name: 'Where it is used' });
  await usage.getByRole('link', { name: 'Pump 1' }).waitFor();
  await usage.getByRole('link', { name: 'acme-pumps' }).waitFor();
  await usage.getByRole('link', { name: 'Pressure above 12 bar' }).waitFor();
  await page.getByText('This is the only version that is here.').waitFor();
  await s.visit('#/models/dtmi:test:Motor;1');
  await page.getByRole('region', { name: 'Where it is used' }).getByRole('link', { name: 'Pump' }).waitFor();
});

s.step('a new version says whom it breaks before it is saved, and compares after', async () => {
  const { page } = s;
  await s.visit('#/models/dtmi:test:Pump;1');
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

s.step('the graph is walked by keyboard', async () => {
  const { page } = s;
  await s.visit('#/models');
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

s.step('a Thing Description becomes a model, and what was left out is listed', async () => {
  const { page } = s;
  await s.visit('#/upload-model');
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

s.step('a model leaves as an AAS submodel and comes back', async () => {
  const { page } = s;
  await s.visit('#/models/dtmi:test:Pump;1');
  await page.getByRole('button', { name: 'AAS submodel' }).click();
  await page.getByText('Everything was carried over.').waitFor();
  const saved = page.waitForEvent('download');
  await page.getByRole('button', { name: 'Download' }).click();
  const file = await saved;
  assert.equal(file.suggestedFilename(), 'test-Pump-1.aas.json');
  const path = await file.path();
  await inspect('model, exported');
  await s.visit('#/upload-model');
  await page.locator('input[type=file]').setInputFiles({ name: 'pump.aas.json', mimeType: 'application/json', buffer: readFileSync(path) });
  await page.getByLabel('AAS submodel or environment (JSON)').waitFor();
  await page.getByLabel('Identifier (optional)').fill('dtmi:test:PumpAgain;1');
  await page.getByRole('button', { name: 'Convert to DTDL' }).click();
  await page.getByText('Everything was carried over.').waitFor();
  await page.getByText('New, 4 elements.').waitFor();
});

s.step('a repository that the server allows is read, with what the model needs', async () => {
  const { page } = s;
  await s.visit('#/upload-model');
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

s.step('every screen, light and dark, desk and phone: no accessibility violation, nothing jumps', async (t) => {
  t.diagnostic(await s.inspect_everywhere(['models', 'models?view=graph', 'upload-model', 'models/dtmi:test:Pump;2?with=' + encodeURIComponent('dtmi:test:Pump;1'), 'models/dtmi:test:Motor;1', 'upload-model?base=' + encodeURIComponent('dtmi:test:Pump;2')]));
  assert.deepEqual(s.trouble, []);
});
