import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ago, brief, duration, full_time, long_duration, moment, number, plain, rate, slug, split_decimal, time_of_day, unit_symbol, value_text, zone_name, words } from './format';
import { curve_of, extend, picture_of, usual_step } from './curves';
import { most_telling } from './telling';
import { rule_words } from './rules';
import { payload, snippets } from './snippets';
import type { DeviceCreated, Series } from './api';

test('numbers have digits that suit their size, a real minus and thin spaces', () => {
  assert.equal(number(7.4321), '7.43');
  assert.equal(number(98.6), '98.60');
  assert.equal(number(0.0421), '0.042');
  assert.equal(number(1234567), '1\u2009234\u2009567');
  assert.equal(number(-3.5), '\u22123.50');
  assert.equal(number(NaN), '–');
  assert.equal(plain(95), '95');
  assert.equal(plain(0.25), '0.25');
  assert.equal(plain(6.1), '6.1');
  assert.equal(rate(105_000), '105\u2009k');
  assert.deepEqual(split_decimal('7.43'), ['7', '.43']);
  assert.deepEqual(split_decimal('1200'), ['1200', '']);
});

test('values of every type have a text', () => {
  assert.equal(value_text(null), '–');
  assert.equal(value_text(true), 'on');
  assert.equal(value_text(''), '“”');
  assert.equal(value_text({ a: 1 } as never), '{"a":1}');
  assert.equal(unit_symbol('degreeCelsius'), '°C');
  assert.equal(unit_symbol('furlong'), 'furlong');
  assert.equal(unit_symbol('degreeCelsius/s'), '°C/s');
  assert.equal(unit_symbol('furlong/s'), 'furlong/s');
  assert.equal(unit_symbol(''), '');
});

test('times are told in the zone, on both sides of a change of clocks', () => {
  // In Berlin the clock went back at 2026-10-25T01:00Z: 02:30 comes twice.
  const first = Date.parse('2026-10-25T00:30:00Z'), second = Date.parse('2026-10-25T01:30:00Z');
  assert.equal(time_of_day(first, 'Europe/Berlin'), '02:30:00');
  assert.equal(time_of_day(second, 'Europe/Berlin'), '02:30:00');
  assert.notEqual(zone_name(first, 'Europe/Berlin'), zone_name(second, 'Europe/Berlin'));
  assert.match(full_time(first, 'Europe/Berlin'), /25 Oct 2026.*02:30:00/);
  // The same moment is today in one zone and yesterday in another.
  const now = Date.parse('2026-11-23T08:00:00Z'), late = Date.parse('2026-11-23T03:00:00Z');
  assert.equal(moment(late, 'Europe/Berlin', now), '04:00:00');
  assert.equal(moment(late, 'America/Chicago', now), '22 Nov 21:00:00');
  assert.equal(moment(Date.parse('2025-11-23T03:00:00Z'), 'UTC', now), '23 Nov 2025 03:00:00');
  assert.equal(time_of_day(late, 'Not/AZone'), '03:00:00');
});

test('ages are one figure; a clock that runs ahead is said', () => {
  assert.equal(duration(999), '0\u00a0s');
  assert.equal(duration(61_000), '1\u00a0min');
  assert.equal(duration(47 * 3600e3), '47\u00a0h');
  assert.equal(duration(49 * 3600e3), '2\u00a0d');
  assert.equal(long_duration(3 * 86400e3 + 4 * 3600e3), '3\u00a0d 4\u00a0h');
  assert.equal(ago(1000, 1500), 'now');
  assert.equal(ago(0, 5000), '5\u00a0s ago');
  assert.equal(ago(60_000, 0), '1\u00a0min ahead of the clock');
});

test('slugs are what the server takes', () => {
  assert.equal(slug('Compressor 13'), 'compressor-13');
  assert.equal(slug('  Größe/Höhe  '), 'gro-e-hohe');
  assert.equal(slug('!!!'), '');
});

test('a curve has a hole where data are missing, and none where they are not', () => {
  const series = { twin: 'a', element: 'x', unit: '', type: 'double', t: [0, 1000, 2000, 60_000, 61_000], avg: [1, 2, 3, 4, 5], min: [0, 1, 2, 3, 4], max: [2, 3, 4, 5, 6] } as Series;
  const curve = curve_of(series, 1);
  assert.deepEqual(curve.t, [0, 1000, 2000, 3000, 60_000, 61_000]);
  assert.deepEqual(curve.v, [1, 2, 3, null, 4, 5]);
  assert.equal(curve.low?.length, curve.t.length);
  assert.equal(usual_step([0, 10, 20, 500], null), 10);
  assert.equal(extend(curve, 61_000, 9), false);
  assert.equal(extend(curve, 62_000, 9), true);
  assert.equal(curve.high?.at(-1), 9);
  const single = curve_of({ ...series, avg: undefined, min: undefined, max: undefined, v: [true, false, 'x', 4, null] } as Series, null);
  assert.deepEqual(single.v, [1, 0, null, null, 4, null]);
  assert.equal(single.low, null);
});

test('a picture asks for whole buckets, and for samples where those are finer', () => {
  assert.deepEqual(picture_of(0, 3_600_000, 800), { bucket: '5s', functions: 'avg,min,max,count' });
  assert.deepEqual(picture_of(0, 30 * 86_400_000, 800), { bucket: '3600s', functions: 'avg,min,max,count' });
  assert.deepEqual(picture_of(0, 3650 * 86_400_000, 800), { bucket: '86400s', functions: 'avg,min,max,count' });
  assert.deepEqual(picture_of(0, 800_000, 800), { bucket: '1s', functions: 'avg,min,max,count' });
  assert.deepEqual(picture_of(0, 60_000, 800), { points: 800 });
});

test('one of each quantity is shown first', () => {
  const of = (key: string, semantic_type: string) => ({ key, semantic_type });
  const all = [of('current', 'Current'), of('hours', 'TimeSpan'), of('oil', 'Temperature'), of('air', 'Temperature'), of('pressure', 'Pressure'), of('count', '')];
  assert.deepEqual(most_telling(all).map((e) => e.key), ['pressure', 'oil', 'current', 'hours', 'count', 'air']);
});

test('computed figures are brief', () => {
  assert.equal(brief(0.4928502390273227), '0.4929');
  assert.equal(brief(7.1), '7.1');
  assert.equal(brief(61), '61');
});

test('a key is said in words', () => {
  assert.equal(words('motor.bearing_temperature'), 'Bearing temperature');
  assert.equal(words('dischargePressure'), 'Discharge pressure');
  assert.equal(words('__'), '__');
});

test('rules read as sentences', () => {
  const element = [{ key: 'temperature', display_name: 'Temperature', unit: 'degreeCelsius' }];
  assert.equal(rule_words({ kind: 'threshold', element: 'temperature', comparison: '>', limit: 95, on_delay_s: 10 }, element), 'Temperature > 95 °C for 10\u00a0s');
  assert.equal(rule_words({ kind: 'rate', element: 'temperature', comparison: '<', limit: 0.5, on_delay_s: 0 }, element), 'Temperature falls faster than 0.5 °C/s');
  assert.equal(rule_words({ kind: 'stale', element: '', comparison: '>', limit: 60, on_delay_s: 0 }), 'Any element silent for 1\u00a0min');
});

test('the first message fits the model and the shell', () => {
  const shape = [{ key: 'motor.current', type: 'double', minimum: 0, maximum: 200, enum_values: [] }, { key: 'state', type: 'text', minimum: null, maximum: null, enum_values: ["it's on"] }];
  assert.deepEqual(payload(shape), { motor: { current: 80 }, state: "it's on" });
  const made = { device: { id: 'b' }, credentials: { username: 'b', token: 'pst_x' }, topic: 'devices/b/telemetry', endpoints: [{ transport: 'tcp', host: 'h', port: 1884 }] } as unknown as DeviceCreated;
  const code = snippets(made, shape);
  assert.match(code.mosquitto, /-h h -p 1884/);
  assert.ok(code.mosquitto.includes(`it'\\''s on`), code.mosquitto);
  assert.match(code.js, /mqtt:\/\/h:1884/);
});
