import assert from 'node:assert/strict';
import { test } from 'node:test';
import { as_pointer, entry_of, leaves, likely_element, map_of, map_text, tidy } from './bindings';

test('a payload\'s leaves are JSON Pointers, escaped as RFC 6901 says', () => {
  assert.deepEqual(leaves('{"a":{"b/c":1,"d~e":[true,null]},"f":"x"}'), [
    { pointer: '/a/b~1c', value: 1 }, { pointer: '/a/d~0e/0', value: true }, { pointer: '/a/d~0e/1', value: null }, { pointer: '/f', value: 'x' }]);
  assert.deepEqual(leaves('{"a":'), []);
  assert.deepEqual(leaves('12'), []);
  assert.equal(leaves(JSON.stringify(Array.from({ length: 1000 }, (_, i) => i)), 10).length, 10);
});

test('member names are short for pointers', () => {
  assert.equal(as_pointer('motor.current'), '/motor/current');
  assert.equal(as_pointer('/motor/current'), '/motor/current');
});

test('an address means the element of the same letters', () => {
  const elements = [{ key: 'oilTemperature' }, { key: 'dischargePressure' }];
  assert.equal(likely_element('/d/Oil-Temperature', elements), 'oilTemperature');
  assert.equal(likely_element('/d/pressure', elements), 'dischargePressure');
  assert.equal(likely_element('/x', elements), '');
});

test('a tidy document says nothing twice', () => {
  assert.deepEqual(tidy({ name: 'b', model: 'm', topic: '', payload: { format: 'json', time: '' }, elements: [{ element: 'a', from: '', scale: 1, offset: 0, deadband: {} }] }),
    { name: 'b', model: 'm', payload: { format: 'json' }, elements: [{ element: 'a' }] });
  assert.deepEqual(tidy({ name: 'b', model: 'm', protocol: 'sparkplug', topic: 'x', payload: { format: 'json' } }), { name: 'b', model: 'm', protocol: 'sparkplug' });
});

test('value maps are lines', () => {
  assert.deepEqual(map_of('0 = off\n1=on\n\nyes = true\nn = 3'), { 0: 'off', 1: 'on', yes: true, n: 3 });
  assert.equal(map_text({ 0: 'off', yes: true }), '0 = off\nyes = true');
});

test('an error names its entry', () => {
  assert.equal(entry_of('elements[12].unit', []), 12);
  assert.equal(entry_of('flow: furlong', [{ element: 'flow2' }, { element: 'flow' }]), 1);
  assert.equal(entry_of('topic', []), null);
});
