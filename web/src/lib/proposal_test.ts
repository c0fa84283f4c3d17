import assert from 'node:assert/strict';
import { test } from 'node:test';
import { edited_binding, edited_interface, valid_name, type EditedElement } from './proposal';

const proposed = [{ element: 'temp_c', address: 'temp_c' }, { element: 'on', address: 'on' }, { element: 'x', address: 'x' }];
const edit = (...changes: Partial<EditedElement>[]): EditedElement[] => proposed.map((p, i) => ({ ...p, schema: 'double', unit: '', keep: true, ...changes[i] }));
const original = { '@id': 'dtmi:discovered:pump;1', '@type': 'Interface', contents: [{ '@type': ['Telemetry', 'Temperature'], name: 'temp_c', schema: 'double', unit: 'degreeCelsius' }, { '@type': 'Telemetry', name: 'on', schema: 'boolean' }, { '@type': 'Telemetry', name: 'x', schema: 'double' }] };

test('renamed, left out, another unit: the rest of the interface stays', () => {
  const made = edited_interface(original, proposed, edit({ element: 'temperature', unit: 'degreeFahrenheit' }, { schema: 'boolean' }, { keep: false }), 'dtmi:acme:Pump;1', 'Pump');
  assert.deepEqual(made, { '@id': 'dtmi:acme:Pump;1', '@type': 'Interface', displayName: 'Pump', contents: [{ '@type': ['Telemetry', 'Temperature'], name: 'temperature', schema: 'double', unit: 'degreeFahrenheit' }, { '@type': 'Telemetry', name: 'on', schema: 'boolean' }] });
});

test('a binding is made only where a name differs', () => {
  assert.equal(edited_binding(null, proposed, edit(), 'dtmi:a;1', 'pump', 'mqtt'), null);
  assert.deepEqual(edited_binding(null, proposed, edit({ element: 'temperature' }, { keep: false }), 'dtmi:a;1', 'pump', 'mqtt'),
    { name: 'pump', protocol: 'mqtt', model: 'dtmi:a;1', elements: [{ element: 'temperature', from: 'temp_c' }, { element: 'x', from: 'x' }] });
});

test('a proposed binding keeps what it says of a renamed element', () => {
  const had = { name: 'pump', protocol: 'sparkplug', model: 'dtmi:discovered:pump;1', elements: [{ element: 'temp_c', from: 'Motor/Temp', unit: 'degreeFahrenheit' }] };
  assert.deepEqual(edited_binding(had, proposed, edit({ element: 'temperature' }, { keep: false }, { keep: false }), 'dtmi:a;1', 'n', 'mqtt'),
    { ...had, model: 'dtmi:a;1', elements: [{ element: 'temperature', from: 'Motor/Temp', unit: 'degreeFahrenheit' }] });
});

test('names are DTDL names', () => {
  for (const good of ['a', 'temp_c', 'T1']) assert.ok(valid_name(good), good);
  for (const bad of ['', '1a', 'a_', 'a b', 'ä', 'a'.repeat(65)]) assert.ok(!valid_name(bad), bad);
});
