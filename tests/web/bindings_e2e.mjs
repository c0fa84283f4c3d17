// Bindings on the page: made from what a device sent, tried while typing, activated, compared, rolled back.
//   node tests/web/bindings_e2e.mjs build/release/penstock web/dist
import assert from 'node:assert/strict';
import { stage } from './stage.mjs';

const model = {
  '@context': ['dtmi:dtdl:context;3', 'dtmi:dtdl:extension:quantitativeTypes;1'], '@id': 'dtmi:penstock:test:Pump;1', '@type': 'Interface', displayName: 'Pump',
  contents: [
    { '@type': ['Telemetry', 'Temperature'], name: 'temperature', displayName: 'Temperature', schema: 'double', unit: 'degreeCelsius' },
    { '@type': 'Telemetry', name: 'running', displayName: 'Running', schema: 'boolean' },
    { '@type': 'Telemetry', name: 'starts', displayName: 'Starts', schema: 'integer' },
  ],
};
const s = stage('bindings');

s.step('sign in; a model is there', async () => {
  await s.sign_in();
  await s.api('POST', '/models', model);
});

s.step('a binding is made from a payload, and tells what becomes of each value while one types', async () => {
  const { page } = s;
  await s.visit('#/bindings');
  await page.getByText('No binding yet').waitFor();
  await page.getByRole('link', { name: 'New binding' }).click();
  await page.getByLabel('Binding', { exact: true }).fill('acme-pump');
  await page.getByLabel('Model').selectOption('dtmi:penstock:test:Pump;1');
  await page.getByLabel('Topic', { exact: true }).fill('plant/{device}/data');
  await page.getByLabel('Topic it came on').fill('plant/pump-7/data');
  await page.getByLabel('Payload', { exact: true }).last().fill('{"d": {"Temperature": 215, "on": "yes", "n": 12}}');
  await page.getByRole('button', { name: 'Bind /d/Temperature' }).click();
  // The same letters: the page found the element itself.
  assert.equal(await page.getByLabel('Element', { exact: true }).first().inputValue(), 'temperature');
  await page.getByLabel('Scale').first().fill('0.1');
  await page.locator('.result').getByText('21.50 °C').waitFor();
  await page.locator('.result').getByText('It is of pump-7').waitFor();
  await page.getByRole('button', { name: 'Bind /d/on' }).click();
  await page.getByLabel('Element', { exact: true }).nth(1).selectOption('running');
  await page.locator('.result').getByText('wrong_type').waitFor();
  await page.getByRole('button', { name: 'More' }).nth(1).click();
  await page.getByLabel('Values').fill('yes = true\nno = false');
  await page.getByLabel('Values').blur();
  await page.locator('.result').getByText('wrong_type').waitFor({ state: 'detached' });
  await s.inspect('a new binding');
});

s.step('what is wrong stands at its line', async () => {
  const { page } = s;
  await page.getByLabel('Unit on the wire').first().fill('furlong');
  await page.locator('.entries li').first().getByRole('alert').waitFor();
  await page.getByLabel('Unit on the wire').first().fill('');
  await page.locator('.entries li').first().getByRole('alert').waitFor({ state: 'detached' });
});

s.step('saved as a draft, activated, changed, compared, rolled back', async () => {
  const { page } = s;
  await page.getByLabel('Why (for the record)').fill('First of its kind');
  await page.getByRole('button', { name: 'Save draft' }).click();
  await page.getByText('Version 1 is saved as a draft.').waitFor();
  const versions = page.getByRole('region', { name: 'Versions' });
  await versions.getByText('First of its kind').waitFor();
  await versions.getByRole('button', { name: 'Activate' }).click();
  await page.getByText('Version 1 is active').waitFor();
  await page.getByLabel('Scale').first().fill('0.01');
  await page.getByText('Not saved yet').waitFor();
  await page.getByRole('button', { name: 'Save and activate' }).click();
  await page.getByText('Version 2 is active').waitFor();
  await versions.getByRole('button', { name: 'Compare with active' }).click();
  await page.locator('dialog').getByText('/elements/0/scale').waitFor();
  await s.inspect('two versions compared');
  await page.keyboard.press('Escape');
  await versions.getByRole('button', { name: 'Activate' }).click();
  await page.getByText('Version 1 is active').waitFor();
  const kept = await s.api('GET', '/bindings/acme-pump');
  assert.equal(kept.active_version, 1);
  assert.deepEqual(kept.versions.find((v) => v.version === 1).document.elements[1].values, { yes: true, no: false });
});

s.step('as JSON and back', async () => {
  const { page } = s;
  await page.getByRole('button', { name: 'JSON', exact: true }).click();
  const source = page.getByLabel('JSON', { exact: true });
  await source.fill((await source.inputValue()) + 'x');
  await page.getByText('This is not JSON').waitFor();
  await source.fill((await source.inputValue()).slice(0, -1).replace('"0.01"', '0.01'));
  await page.getByRole('button', { name: 'Form', exact: true }).click();
  await page.getByLabel('Scale').first().waitFor();
});

s.step('every size and theme', async (t) => {
  t.diagnostic(await s.inspect_everywhere(['bindings', 'bindings/acme-pump', 'new-binding']));
  assert.deepEqual(s.trouble, []);
});
