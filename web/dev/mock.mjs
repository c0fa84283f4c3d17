// For `npm run dev` only: speaks the API's contract with made-up data, so that pages can be drawn without a server.
// It is not in the build and proves nothing; the tests in tests/web run against the real server.
import { WebSocketServer } from 'ws';

const minute = 60_000, hour = 60 * minute, day = 24 * hour;
const started = Date.now();
const iso = (ms) => new Date(ms).toISOString();
const zero = () => ({ critical: 0, high: 0, medium: 0, low: 0, unacknowledged: 0 });

const sites = [
  { id: 'site_1', name: 'north', display_name: 'North works', time_zone: 'Europe/Berlin', description: 'Bottling, lines 1 to 4', lat: 0 },
  { id: 'site_2', name: 'harbour', display_name: 'Harbour terminal', time_zone: 'Europe/Lisbon', description: 'Cold store', lat: 0 },
  { id: 'site_3', name: 'lakeside', display_name: 'Lakeside mill', time_zone: 'America/Chicago', description: 'Paper mill, two machines', lat: 0 },
];
const dtmi = 'dtmi:penstock:demo:ScrewCompressor;1';
const element = (key, display_name, unit, semantic_type, minimum, maximum, base, swing, noise, extra = {}) =>
  ({ key, display_name, kind: 'telemetry', type: 'double', writable: false, unit, semantic_type, minimum, maximum, enum_values: [], base, swing, noise, ...extra });
const shape = [
  element('discharge_pressure', 'Discharge pressure', 'bar', 'Pressure', 0, 16, 7.4, 0.35, 0.05),
  element('discharge_temperature', 'Discharge temperature', 'degreeCelsius', 'Temperature', -20, 150, 82, 5, 0.4),
  element('oil_temperature', 'Oil temperature', 'degreeCelsius', 'Temperature', -20, 130, 68, 4, 0.3),
  element('motor_current', 'Motor current', 'ampere', 'Current', 0, 400, 142, 22, 1.5),
  element('vibration', 'Vibration', 'millimetrePerSecond', 'Velocity', 0, 50, 2.1, 0.3, 0.15),
  element('power', 'Power', 'kilowatt', 'Power', 0, 250, 78, 12, 0.8),
  element('ambient_temperature', 'Ambient temperature', 'degreeCelsius', 'Temperature', -40, 60, 21, 3, 0.05),
  element('load_state', 'Load state', '', '', null, null, 0, 0, 0, { type: 'text', enum_values: ['loaded', 'idle', 'stopped'] }),
  element('pressure_set_point', 'Pressure set point', 'bar', 'Pressure', 4, 10, 7.5, 0, 0, { kind: 'property', writable: true }),
  element('serial_number', 'Serial number', '', '', null, null, 0, 0, 0, { kind: 'property', type: 'text' }),
];
const commands = [
  { name: 'set_pressure', display_name: 'Set pressure', description: 'The pressure that the compressor holds.', request_schema: { '@type': 'Object', fields: [
    { name: 'pressure', displayName: 'Pressure', schema: 'double', unit: 'bar', minimum: 4, maximum: 10 },
    { name: 'mode', displayName: 'Mode', schema: { '@type': 'Enum', valueSchema: 'string', enumValues: [{ name: 'eco', enumValue: 'eco' }, { name: 'normal', enumValue: 'normal' }] } },
    { name: 'hold', displayName: 'Hold after restart', schema: 'boolean' }] } },
  { name: 'drain', display_name: 'Drain condensate', description: 'Opens the drain for five seconds.', request_schema: null },
];
const twins = [];
let n = 0;
for (const site of sites) for (let i = 1; i <= 4; i++) {
  n++;
  const name = `compressor-${n}`;
  twins.push({ id: `twn_${n}`, name, display_name: `Compressor ${n}`, site: site.name, model: dtmi, device: name, parent: null,
    online: n !== 7, stale: n === 11, phase: n * 1.7, last: Date.now() - (n === 7 ? 47 * minute : n === 11 ? 4 * minute : 0),
    fault: n === 6 ? 'cooler' : n === 2 ? 'bearing' : null, labels: { serial: `SC-2201-${1000 + n}`, vendor: 'Aerzen' } });
}
const find_twin = (id) => twins.find((t) => t.name === id || t.id === id);
const hash = (x) => { const s = Math.sin(x * 127.1) * 43758.5453; return s - Math.floor(s); };
function value_at(twin, e, ms) {
  if (e.key === 'load_state') return hash(Math.floor(ms / (5 * minute)) + twin.phase) > 0.2 ? 'loaded' : 'idle';
  if (e.key === 'serial_number') return twin.labels.serial;
  if (e.key === 'pressure_set_point') return 7.5;
  const s = ms / 1000, k = hash(e.base + twin.phase);
  let v = e.base * (0.96 + 0.08 * k) + e.swing * (0.6 * Math.sin(s / 290 + twin.phase) + 0.4 * Math.sin(s / 61 + k * 9)) + e.swing * 0.5 * Math.sin(s / 43200 * Math.PI + k);
  v += e.noise * (hash(s + e.base + twin.phase) + hash(s * 1.3 + e.base) - 1);
  const since = Math.max(0, (ms - (started - 25 * minute)) / (25 * minute));
  if (twin.fault === 'cooler' && /temperature/.test(e.key) && e.key !== 'ambient_temperature') v += 17 * Math.min(since, 1.3);
  if (twin.fault === 'bearing' && e.key === 'vibration') v += 4.6 * Math.min(since, 1.2) ** 2;
  return v;
}
const now_of = (twin) => (!twin.online || twin.stale ? twin.last : Date.now());
const quality_of = (twin, e) => (twin.name === 'compressor-9' && e.key === 'vibration' ? 'uncertain' : 'good');

let alarm_number = 40;
const alarms = [];
function raise(twin_name, priority, ago, source, more) {
  const twin = find_twin(twin_name);
  const alarm = { id: `alm_${++alarm_number}`, twin: twin.name, twin_display_name: twin.display_name, site: twin.site, source, priority, state: 'active', raised_at: iso(Date.now() - ago),
    acknowledged_at: null, acknowledged_by: null, cleared_at: null, value: null, limit: null, unit: '', element: '', cause: '', consequence: '', action: '', contributions: [], ...more };
  alarm.history = [{ at: alarm.raised_at, who: 'system', what: 'raised', note: '' }];
  alarms.unshift(alarm);
  return alarm;
}
raise('compressor-4', 'low', 3 * day, { kind: 'rule', id: 'rul_4', name: 'Service due' }, { state: 'closed', message: 'Pressure below set point', value: 6.1, limit: 6.5, unit: 'bar', element: 'discharge_pressure', acknowledged_at: iso(Date.now() - 3 * day + 4 * minute), acknowledged_by: 'Ada Keller', cleared_at: iso(Date.now() - 3 * day + 9 * minute) });
raise('compressor-10', 'low', 26 * hour, { kind: 'rule', id: 'rul_3', name: 'Pressure low' }, { state: 'cleared', message: 'Discharge pressure low', value: 6.21, limit: 6.5, unit: 'bar', element: 'discharge_pressure', cleared_at: iso(Date.now() - 25 * hour) });
raise('compressor-7', 'medium', 46 * minute, { kind: 'rule', id: 'rul_2', name: 'No data' }, { message: 'No data for 60 s', value: 61, limit: 60, unit: 'second', cause: 'The device lost its network or its power.', consequence: 'Nobody would notice a fault of this compressor.', action: 'Look at the gateway in the compressor room; the LED tells whether it has a network.', acknowledged_at: iso(Date.now() - 40 * minute), acknowledged_by: 'Ada Keller', state: 'acknowledged' });
raise('compressor-2', 'high', 7 * minute, { kind: 'detector', id: 'det_2', name: 'EWMA + PCA' }, { message: 'Behaves unlike its healthy time', value: 3.42, limit: 1, contributions: [{ element: 'vibration', share: 0.78 }, { element: 'motor_current', share: 0.11 }, { element: 'oil_temperature', share: 0.07 }, { element: 'power', share: 0.04 }], cause: 'Most often bearing wear when vibration leads.', consequence: 'Bearing damage within days; a seized rotor costs the air end.', action: 'Listen at the drive end, plan a bearing inspection this shift.' });
raise('compressor-6', 'critical', 4 * minute, { kind: 'rule', id: 'rul_1', name: 'Discharge temperature high' }, { message: 'Discharge temperature above 95 °C', value: 99.4, limit: 95, unit: 'degreeCelsius', element: 'discharge_temperature', cause: 'Fouled cooler, low oil, or a hot compressor room.', consequence: 'Trips at 110 °C; line 3 loses its air.', action: 'Clean the cooler; until then reduce the load with “Set pressure”.' });

const rules = [
  { id: 'rul_1', scope: { model: dtmi }, element: 'discharge_temperature', kind: 'threshold', comparison: '>', limit: 95, hysteresis: 3, on_delay_s: 10, off_delay_s: 30, priority: 'critical', message: 'Discharge temperature above 95 °C', enabled: true, cause: 'Fouled cooler, low oil, or a hot compressor room.', consequence: 'Trips at 110 °C.', action: 'Clean the cooler.' },
  { id: 'rul_2', scope: { site: 'harbour' }, element: '', kind: 'stale', comparison: '>', limit: 60, hysteresis: 0, on_delay_s: 0, off_delay_s: 0, priority: 'medium', message: 'No data for 60 s', enabled: true, cause: '', consequence: '', action: '' },
  { id: 'rul_3', scope: { model: dtmi }, element: 'discharge_pressure', kind: 'threshold', comparison: '<', limit: 6.5, hysteresis: 0.2, on_delay_s: 30, off_delay_s: 30, priority: 'low', message: 'Discharge pressure low', enabled: true, cause: '', consequence: '', action: '' },
  { id: 'rul_4', scope: { twin: 'compressor-4' }, element: 'vibration', kind: 'rate', comparison: '>', limit: 0.5, hysteresis: 0, on_delay_s: 5, off_delay_s: 5, priority: 'high', message: 'Vibration rises fast', enabled: false, cause: '', consequence: '', action: '' },
];
const detectors = twins.slice(0, 6).map((t, i) => ({ id: `det_${i + 1}`, twin: t.name, elements: shape.slice(0, 6).map((e) => e.key), kind: 'ewma_pca', state: i === 4 ? 'learning' : 'active', detail: i === 4 ? 'Has 212 of 400 rows.' : 'Learned from 400 healthy rows.', priority: 'high', healthy_from: iso(started - 2 * hour), healthy_to: iso(started - hour), learned_at: i === 4 ? null : iso(started - hour), samples: 400 }));
const dead = [
  ['compressor-9', 'devices/compressor-9/telemetry', 'vibration: 61.2 is above the maximum 50 of its model', '{"vibration":61.2,"power":80.4}'],
  ['compressor-3', 'devices/compressor-3/telemetry', 'no such element in the model: vibratoin', '{"vibratoin":2.2}'],
  ['compressor-3', 'devices/compressor-3/telemetry', 'not JSON: unexpected end at byte 41', '{"discharge_pressure":7.31,"motor_current'],
].map(([device, topic, reason, payload], i) => ({ id: String(99100 - i), time: iso(started - (i * 7 + 3) * minute), device, topic, reason, payload }));
let discovery = [{ device: 'chiller-a3', first_seen: iso(started - 12 * minute), last_seen: iso(started), messages: 143, topic: 'devices/chiller-a3/telemetry', sample_payload: '{"supply_temp":6.4,"return_temp":11.9,"running":true}',
  proposed_interface: { '@context': 'dtmi:dtdl:context;3', '@id': 'dtmi:discovered:chiller_a3;1', '@type': 'Interface', displayName: 'Chiller a3', contents: [{ '@type': 'Telemetry', name: 'supply_temp', schema: 'double' }, { '@type': 'Telemetry', name: 'return_temp', schema: 'double' }, { '@type': 'Telemetry', name: 'running', schema: 'boolean' }] }, known_models: [] }];
const models = [
  { id: 'dtmi:penstock:demo:Machine;1', display_name: 'Machine', description: 'What every machine has: a serial number and a state.', extends: [], elements: 2, commands: 0, twins: 0 },
  { id: dtmi, display_name: 'Screw compressor', description: 'An oil-injected screw compressor with air cooling.', extends: ['dtmi:penstock:demo:Machine;1'], elements: shape.length, commands: 2, twins: 12 },
];
const devices = twins.map((t) => ({ id: t.name, kind: 'device', enabled: true, twin: t.name, display_name: t.display_name, site: t.site, model: t.model, created_at: iso(started - 90 * day), has_token: true, has_password: false, stale_after_s: 60, bindings: [], publish_filters: [], subscribe_filters: [] }));
let tokens = [{ id: 'tok_1', name: 'Grafana', role: 'data_scientist', user: 'Ada Keller', created_at: iso(started - 20 * day), expires_at: null, last_used_at: iso(started - 3 * minute) }];
let users = [
  { id: 'usr_1', name: 'Ada Keller', email: 'ada@example.com', role: 'administrator', sites: [], has_password: true, locked: false, disabled: false, created_at: iso(started - 90 * day), last_login_at: iso(started - hour) },
  { id: 'usr_2', name: 'Jo Marsh', email: 'jo@example.com', role: 'operator', sites: ['harbour'], has_password: true, locked: false, disabled: false, created_at: iso(started - 30 * day), last_login_at: iso(started - 3 * day) },
  { id: 'usr_3', name: 'Kim Osei', email: 'kim@example.com', role: 'technician', sites: [], has_password: false, locked: false, disabled: false, created_at: iso(started - day), last_login_at: null },
];
let joins = [{ id: 'jtk_1', site: 'north', name: 'Commissioning', created_at: iso(started - 2 * day), expires_at: iso(started + 5 * day) }];
const endpoints = [{ transport: 'tcp', host: '127.0.0.1', port: 1883 }, { transport: 'websocket', host: '127.0.0.1', port: 8083, path: '/mqtt' }, { transport: 'http', host: '127.0.0.1', port: 8080 }];
const permissions = ['self', 'token.own', 'twin.read', 'site.write', 'twin.write', 'device.read', 'device.write', 'model.write', 'command.send', 'rule.read', 'rule.write', 'alarm.read', 'alarm.acknowledge', 'history.export', 'user.read', 'user.write', 'metrics.read'];
const user = { ...users[0] };
let signed_in = true;
const session = () => ({ user, role: 'administrator', permissions, csrf: 'mock', expires_at: iso(Date.now() + day), password_required: false });

const open_alarms = (f = () => true) => alarms.filter((a) => a.state !== 'closed' && f(a));
function counts(list) {
  const c = zero();
  for (const a of list) { c[a.priority]++; if (!a.acknowledged_at) c.unacknowledged++; }
  return c;
}
const worst = (list) => ['critical', 'high', 'medium', 'low'].find((p) => list.some((a) => a.priority === p)) ?? null;
const summary = (t) => ({ id: t.id, name: t.name, display_name: t.display_name, site: t.site, model: t.model, model_display_name: models.find((m) => m.id === t.model)?.display_name ?? t.model, device: t.device, parent: t.parent, online: t.online, stale: t.stale, last_seen: t.last ? iso(now_of(t)) : null,
  alarms: counts(open_alarms((a) => a.twin === t.name)), worst_priority: worst(open_alarms((a) => a.twin === t.name)),
  key_values: t.fresh ? [] : shape.slice(0, 4).map((e) => ({ element: e.key, display_name: e.display_name, unit: e.unit, value: value_at(t, e, now_of(t)), quality: quality_of(t, e), time: iso(now_of(t)) })) });
const bare = ({ base, swing, noise, ...e }) => e;
const detail = (t) => ({ ...summary(t), key_values: undefined, time_zone: sites.find((s) => s.name === t.site).time_zone, labels: t.labels, commands, children: [], relationships: [{ name: 'feeds', target: t.name === 'compressor-1' ? 'compressor-2' : 'compressor-1' }],
  elements: shape.map((e, i) => ({ ...bare(e), value: t.fresh ? null : value_at(t, e, now_of(t)), quality: t.fresh ? null : quality_of(t, e), time: t.fresh ? null : iso(now_of(t)), series: String(i + 1) })), alarms: open_alarms((a) => a.twin === t.name).map(({ history, ...a }) => a) });
const site_of = (s) => ({ id: s.id, name: s.name, display_name: s.display_name, time_zone: s.time_zone, description: s.description, twins: twins.filter((t) => t.site === s.name).length });
const overview = () => ({
  totals: { twins: twins.length, online: twins.filter((t) => t.online).length, offline: twins.filter((t) => !t.online).length, stale: twins.filter((t) => t.stale).length, alarms: counts(open_alarms()) },
  sites: sites.map((s) => { const list = open_alarms((a) => a.site === s.name), own = twins.filter((t) => t.site === s.name); return { id: s.id, name: s.name, display_name: s.display_name, time_zone: s.time_zone, twins: own.length, online: own.filter((t) => t.online).length, alarms: counts(list), worst_priority: worst(list) }; }),
  ingest: { messages_per_s: 12 + Math.random() * 0.8, samples_per_s: 84 + 4 * Math.sin(Date.now() / 9000) + Math.random() * 3, dead_letters: dead.length, discovery: discovery.length } });
const relative = (text, fallback) => { if (!text) return fallback; if (text === 'now') return Date.now(); const m = /^-(\d+)([smhd])$/.exec(text); return m ? Date.now() - Number(m[1]) * { s: 1000, m: minute, h: hour, d: day }[m[2]] : Date.parse(text); };
function history(list, from, to, points, bucket) {
  const step = bucket ? Number.parseInt(bucket) * { s: 1000, m: minute, h: hour }[bucket.at(-1)] : Math.max(1000, (to - from) / points), bucketed = Boolean(bucket);
  const series = list.map(([t, e]) => {
    const end = Math.min(to, now_of(t));
    const s = { twin: t.name, element: e.key, unit: e.unit, type: e.type, t: [] };
    const numeric = e.type === 'double';
    if (bucketed && numeric) Object.assign(s, { avg: [], min: [], max: [], count: [], quality: [] }); else Object.assign(s, { v: [], quality: [] });
    for (let at = Math.ceil(from / step) * step; at < end; at += step) {
      if (t.name === 'compressor-3' && at > started - 22 * minute && at < started - 17 * minute) continue;
      if (bucketed && !numeric && hash(at) > 0.1) continue;
      const v = value_at(t, e, at);
      s.t.push(Math.round(at)); s.quality.push('good');
      if (s.avg) { const w = e.noise * 1.6 + e.swing * Math.min(1, step / hour); s.avg.push(v); s.min.push(v - w * (0.6 + hash(at))); s.max.push(v + w * (0.6 + hash(at + 1))); s.count.push(Math.round(step / 1000)); } else s.v.push(v);
    }
    return s;
  });
  const gaps = list.filter(([t]) => t.name === 'compressor-3').map(([t, e]) => ({ twin: t.name, element: e.key, from: iso(started - 22 * minute), to: iso(started - 17 * minute) }));
  return { from: iso(from), to: iso(to), bucket_s: bucketed ? step / 1000 : null, series, gaps, truncated: false };
}

class Refusal extends Error { constructor(status, code, detail, about) { super(detail); Object.assign(this, { status, code, about }); } }
const missing = () => { throw new Refusal(404, 'not_found', 'there is no such thing here'); };
const some = (x) => x ?? missing();
const routes = [];
const on = (method, path, run) => routes.push([method, new RegExp('^/api/v1' + path.replace(/\{(\w+)\}/g, '(?<$1>[^/]+)') + '$'), run]);
const list = (items) => ({ items });
on('GET', '/health', () => ({ status: 'ok', version: '0.1.0', uptime_s: (Date.now() - started) / 1000 + 86400 * 3.2, checks: [
  { name: 'journal', status: 'ok', detail: 'Writes; the newest sync took 1.2 ms. 4.2 GB in 34 segments, 212 GB free.' },
  { name: 'history', status: 'ok', detail: 'Up to date: 0.3 s behind the journal.' },
  { name: 'registry', status: 'ok', detail: 'Answers in 0.1 ms.' },
  { name: 'mqtt', status: 'ok', detail: '12 devices connected on 2 shards.' }] }));
on('GET', '/endpoints', () => list(endpoints));
on('GET', '/setup', () => ({ required: false }));
on('POST', '/setup', ({ body }) => { if (body.link_token === 'used') throw new Refusal(404, 'not_found', 'this link was used already or has expired; ask for a new one'); signed_in = true; return { ...session(), password_required: true }; });
on('POST', '/setup/password', () => session());
on('POST', '/session', ({ body }) => { if (body.password !== 'correct horse') throw new Refusal(401, 'unauthenticated', 'email or password is wrong'); signed_in = true; return session(); });
on('GET', '/session', () => { if (!signed_in) throw new Refusal(401, 'unauthenticated', 'sign in first'); return session(); });
on('DELETE', '/session', () => { signed_in = false; });
on('POST', '/session/password', () => undefined);
on('GET', '/users', () => list(users)); on('POST', '/users', ({ body }) => { const u = { id: 'usr_' + (users.length + 1), sites: [], has_password: false, locked: false, disabled: false, created_at: iso(Date.now()), last_login_at: null, ...body }; users.push(u); return { user: u, link_token: 'abc', link: 'http://127.0.0.1:8080/#/welcome/Zk3u9s' }; });
on('PATCH', '/users/{id}', ({ p, body }) => Object.assign(some(users.find((u) => u.id === p.id)), body));
on('POST', '/users/{id}/link', ({ p }) => ({ user: some(users.find((u) => u.id === p.id)), link_token: 'abc', link: 'http://127.0.0.1:8080/#/welcome/Zk3u9s' }));
on('DELETE', '/users/{id}', ({ p }) => { users = users.filter((u) => u.id !== p.id); });
on('GET', '/tokens', () => list(tokens)); on('POST', '/tokens', ({ body }) => { const t = { id: 'tok_' + Math.random(), role: 'administrator', user: user.name, created_at: iso(Date.now()), last_used_at: null, name: body.name, expires_at: null }; tokens.push(t); return { ...t, token: 'pst_2mC9yqkJ0F3hUuT6nQeV8xWbZs1LrAa7' }; });
on('DELETE', '/tokens/{id}', ({ p }) => { tokens = tokens.filter((t) => t.id !== p.id); });
on('GET', '/join-tokens', () => list(joins)); on('POST', '/join-tokens', ({ body }) => { const t = { id: 'jtk_' + Math.random(), site: body.site, name: body.name ?? '', created_at: iso(Date.now()), expires_at: null }; joins.push(t); return { ...t, token: 'pst_join_8xWbZs1LrAa72mC9yqkJ0F3hUuT6nQeV' }; });
on('DELETE', '/join-tokens/{id}', ({ p }) => { joins = joins.filter((t) => t.id !== p.id); });
on('GET', '/overview', overview);
on('GET', '/sites', () => list(sites.map(site_of))); on('GET', '/sites/{id}', ({ p }) => site_of(some(sites.find((s) => s.name === p.id || s.id === p.id))));
on('POST', '/sites', ({ body }) => { const s = { id: 'site_' + (sites.length + 1), display_name: body.name, time_zone: 'UTC', description: '', ...body }; sites.push(s); return site_of(s); });
on('PATCH', '/sites/{id}', ({ p, body }) => site_of(Object.assign(some(sites.find((s) => s.name === p.id)), body)));
on('DELETE', '/sites/{id}', () => undefined);
on('GET', '/twins', ({ q }) => list(twins.filter((t) => (!q.get('site') || t.site === q.get('site')) && (!q.get('model') || t.model === q.get('model'))).map(summary)));
on('GET', '/twins/{id}', ({ p }) => detail(some(find_twin(p.id))));
on('GET', '/twins/{id}/history', ({ p, q }) => { const t = some(find_twin(p.id)); const keys = q.get('elements')?.split(',') ?? shape.filter((e) => e.type === 'double').map((e) => e.key); return history(keys.map((k) => [t, shape.find((e) => e.key === k)]).filter(([, e]) => e), relative(q.get('from'), Date.now() - hour), relative(q.get('to'), Date.now()), Number(q.get('points') ?? 1000), q.get('bucket')); });
on('POST', '/query', ({ body }) => history(body.series.map((s) => [find_twin(s.twin), shape.find((e) => e.key === s.element)]).filter(([t, e]) => t && e), relative(body.from, Date.now() - hour), relative(body.to, Date.now()), body.points ?? 500, body.bucket));
on('POST', '/twins/{id}/commands/{name}', async () => { await new Promise((r) => setTimeout(r, 700)); return { request_id: 'req_' + Math.random().toString(36).slice(2, 8), status: 'sent' }; });
const device_of = (d) => { const t = find_twin(d.twin); return { ...d, online: t?.online ?? false, last_seen: t?.last ? iso(now_of(t)) : null }; };
on('GET', '/devices', () => list(devices.map(device_of))); on('GET', '/devices/{id}', ({ p }) => device_of(some(devices.find((d) => d.id === p.id))));
on('GET', '/devices/{id}/connection', ({ p }) => { const t = find_twin(p.id); return { device: p.id, online: t?.online ?? false, connected_at: t?.last ? iso(started - 5 * hour) : null, last_seen: t?.last ? iso(now_of(t)) : null, client_id: p.id, address: '10.20.4.17:51234', detail: t?.online ? '' : 'keep-alive timed out', messages: t?.fresh ? 0 : 18211, samples: t?.fresh ? 0 : 127477, dead_letters: p.id === 'compressor-3' ? 2 : 0, last_rejection: p.id === 'compressor-3' ? 'no such element in the model: vibratoin' : null }; });
on('POST', '/devices', ({ body }) => {
  if (devices.some((d) => d.id === body.id)) throw new Refusal(409, 'already_exists', `there is a device “${body.id}” already; take another name`, 'id');
  const d = { id: body.id, kind: 'device', enabled: true, twin: body.id, display_name: body.display_name ?? body.id, site: body.site, model: body.model, created_at: iso(Date.now()), has_token: true, has_password: false, stale_after_s: 60, bindings: [], publish_filters: [], subscribe_filters: [] };
  devices.push(d);
  const t = { id: 'twn_' + (twins.length + 1), name: d.id, display_name: d.display_name, site: d.site, model: d.model, device: d.id, parent: null, online: false, stale: false, phase: Math.random() * 9, last: 0, fresh: true, labels: {} };
  twins.push(t);
  setTimeout(() => { t.online = true; t.fresh = false; t.last = Date.now(); }, 9000);
  return { device: device_of(d), credentials: { username: d.id, token: 'pst_9yqkJ0F3hUuT6nQeV8xWbZs1LrAa72mC' }, topic: `devices/${d.id}/telemetry`, endpoints };
});
on('PATCH', '/devices/{id}', ({ p, body }) => device_of(Object.assign(some(devices.find((d) => d.id === p.id)), body)));
on('DELETE', '/devices/{id}', ({ p }) => { devices.splice(devices.findIndex((d) => d.id === p.id), 1); });
on('POST', '/devices/{id}/credentials', ({ p }) => ({ username: p.id, token: 'pst_qkJ0F3hUuT6nQeV8xWbZs1LrAa72mC9y' }));
on('GET', '/models', () => list(models));
on('GET', '/models/{id}', ({ p }) => { const m = some(models.find((x) => x.id === p.id)); return { ...m, elements: shape.map(bare), commands, relationships: [{ name: 'feeds', target_model: null }], components: [], document: { '@context': 'dtmi:dtdl:context;3', '@id': m.id, '@type': 'Interface', displayName: m.display_name, contents: shape.map((e) => ({ '@type': ['Telemetry', e.semantic_type].filter(Boolean), name: e.key, schema: 'double', unit: e.unit || undefined })) } }; });
on('POST', '/models', ({ body }) => { const all = [body].flat(); for (const m of all) if (!m['@id']) throw new Refusal(400, 'invalid_argument', 'the interface has no @id; give it a DTMI such as dtmi:com:example:Pump;1', 'line 1'); return list(all.map((m) => { const x = { id: m['@id'], display_name: m.displayName ?? m['@id'], description: '', extends: [], elements: m.contents?.length ?? 0, commands: 0, twins: 0 }; models.push(x); return x; })); });
on('DELETE', '/models/{id}', () => { throw new Refusal(409, 'conflict', '12 twins have this model; move them to another one first'); });
on('GET', '/rules', () => list(rules)); on('GET', '/rules/{id}', ({ p }) => some(rules.find((r) => r.id === p.id)));
on('POST', '/rules', ({ body }) => { const r = { id: 'rul_' + (rules.length + 1), ...body }; rules.push(r); return r; });
on('PUT', '/rules/{id}', ({ p, body }) => Object.assign(some(rules.find((r) => r.id === p.id)), body));
on('DELETE', '/rules/{id}', ({ p }) => { rules.splice(rules.findIndex((r) => r.id === p.id), 1); });
on('GET', '/detectors', ({ q }) => list(detectors.filter((d) => !q.get('twin') || d.twin === q.get('twin'))));
on('POST', '/detectors', ({ body }) => { const d = { id: 'det_' + (detectors.length + 1), elements: shape.slice(0, 6).map((e) => e.key), kind: 'ewma_pca', state: 'learning', detail: 'Has 0 of 400 rows.', priority: 'high', healthy_from: null, healthy_to: null, learned_at: null, samples: 0, ...body }; detectors.push(d); return d; });
on('POST', '/detectors/{id}/learn', ({ p }) => Object.assign(some(detectors.find((d) => d.id === p.id)), { state: 'learning', detail: 'Has 0 of 400 rows.' }));
on('DELETE', '/detectors/{id}', ({ p }) => { detectors.splice(detectors.findIndex((d) => d.id === p.id), 1); });
on('GET', '/alarms', ({ q }) => list(alarms.filter((a) => { const s = q.get('state'); return (!s || (s === 'open' ? a.state !== 'closed' : a.state === s)) && (!q.get('twin') || a.twin === q.get('twin')); }).map(({ history, ...a }) => a)));
on('GET', '/alarms/{id}', ({ p }) => some(alarms.find((a) => a.id === p.id)));
on('POST', '/alarms/{id}/acknowledge', async ({ p, body }) => { await new Promise((r) => setTimeout(r, 400)); const a = some(alarms.find((x) => x.id === p.id)); a.acknowledged_at = iso(Date.now()); a.acknowledged_by = user.name; a.state = a.cleared_at ? 'closed' : 'acknowledged'; a.history.push({ at: a.acknowledged_at, who: user.name, what: 'acknowledged', note: body.note ?? '' }); broadcast({ type: 'alarm', alarm: a }); return a; });
on('POST', '/alarms/{id}/notes', ({ p, body }) => { const a = some(alarms.find((x) => x.id === p.id)); a.history.push({ at: iso(Date.now()), who: user.name, what: 'note', note: body.text }); return a; });
on('GET', '/dead-letters', ({ q }) => list(dead.filter((d) => (!q.get('device') || d.device === q.get('device')) && (!q.get('reason') || d.reason.includes(q.get('reason'))))));
on('GET', '/discovery', () => list(discovery));
on('DELETE', '/discovery/{device}', ({ p }) => { discovery = discovery.filter((d) => d.device !== p.device); });
on('POST', '/discovery/{device}/accept', ({ p, body }) => { discovery = discovery.filter((d) => d.device !== p.device); return { device: { id: p.device, twin: p.device, ...body }, credentials: { username: p.device, token: 'pst_9yqkJ0F3hUuT6nQeV8xWbZs1LrAa72mC' }, topic: `devices/${p.device}/telemetry`, endpoints }; });
on('GET', '/search', ({ q }) => { const text = (q.get('q') ?? '').toLowerCase(); return list([...twins.map((t) => ({ kind: 'twin', id: t.name, title: t.display_name, subtitle: sites.find((s) => s.name === t.site).display_name })), ...sites.map((s) => ({ kind: 'site', id: s.name, title: s.display_name, subtitle: s.time_zone })), ...models.map((m) => ({ kind: 'model', id: m.id, title: m.display_name, subtitle: m.id })), ...alarms.map((a) => ({ kind: 'alarm', id: a.id, title: a.message, subtitle: a.twin_display_name }))].filter((i) => (i.title + i.id).toLowerCase().includes(text)).slice(0, 20)); });

const clients = new Set();
const send = (client, message) => client.socket.readyState === 1 && client.socket.send(JSON.stringify(message));
const broadcast = (message) => { for (const c of clients) send(c, message); };
function tick() {
  for (const c of clients) {
    if (c.overview) send(c, { type: 'overview', overview: overview() });
    for (const t of twins) if ((c.twins?.has(t.name) || c.sites?.has(t.site)) && t.online && !t.stale && !t.fresh)
      send(c, { type: 'values', twin: t.name, values: Object.fromEntries(shape.filter((e) => e.kind === 'telemetry').map((e) => [e.key, { v: value_at(t, e, Date.now()), q: quality_of(t, e), t: Date.now() }])) });
  }
}

async function answer(request, response) {
  const url = new URL(request.url, 'http://x');
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const reply = (status, body) => { response.statusCode = status; response.setHeader('content-type', status >= 400 ? 'application/problem+json' : 'application/json'); response.end(body === undefined ? '' : JSON.stringify(body)); };
  for (const [method, pattern, run] of routes) {
    const match = request.method === method && pattern.exec(url.pathname);
    if (!match) continue;
    try {
      const p = Object.fromEntries(Object.entries(match.groups ?? {}).map(([k, v]) => [k, decodeURIComponent(v)]));
      const body = await run({ p, q: url.searchParams, body: chunks.length ? JSON.parse(Buffer.concat(chunks).toString()) : {} });
      return reply(body === undefined ? 204 : 200, body);
    } catch (e) { return reply(e.status ?? 500, { type: 'about:blank', title: e.message, status: e.status ?? 500, detail: e.message, instance: 'req', code: e.code ?? 'internal', about: e.about }); }
  }
  reply(404, { type: 'about:blank', title: 'Not found', status: 404, detail: 'there is no such address', instance: 'req', code: 'not_found' });
}

/** For `vite` and, with the built files and the server's own content security policy, for `vite preview`. */
export function mock() {
  const serve = (server) => {
    server.middlewares.use((request, response, next) => (request.url.startsWith('/api/') ? void answer(request, response) : next()));
    const sockets = new WebSocketServer({ noServer: true });
    server.httpServer?.on('upgrade', (request, socket, head) => {
      if (request.url !== '/api/v1/live') return;
      sockets.handleUpgrade(request, socket, head, (ws) => {
        const client = { socket: ws };
        clients.add(client);
        ws.on('close', () => clients.delete(client));
        ws.on('message', (text) => { const s = JSON.parse(text).subscribe; Object.assign(client, { twins: new Set(s.twins), sites: new Set(s.sites), overview: s.overview }); send(client, { type: 'heartbeat', time: iso(Date.now()) }); tick(); });
      });
    });
    setInterval(tick, 1000);
    setInterval(() => broadcast({ type: 'heartbeat', time: iso(Date.now()) }), 5000);
  };
  return { name: 'penstock-mock', configureServer: serve, configurePreviewServer: serve };
}
