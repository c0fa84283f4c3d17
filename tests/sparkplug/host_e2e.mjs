// The Sparkplug host of the built server: a scripted 3.0 edge node, npm's sparkplug-client (which predates 3.0)
// unchanged, and both killed at random.
//   PENSTOCK_BINARY=build/release/penstock node --test tests/sparkplug/host_e2e.mjs
// ROUNDS: how often the server and the node are killed. It waits on conditions, never on time.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import mqtt from 'mqtt';
import old from 'sparkplug-client';
import { EdgeNode, codec } from './edge_node.mjs';

const binary = resolve(process.env.PENSTOCK_BINARY ?? 'build/release/penstock');
const rounds = Number(process.env.ROUNDS ?? 4);
const folder = mkdtempSync(join(tmpdir(), 'penstock-sparkplug-'));
let server, ready, log = '';

async function start(http = '127.0.0.1:0', broker = '127.0.0.1:0') {
  server = spawn(binary, ['serve', '--data', join(folder, 'data'), '--http', http, '--mqtt', broker, '--ws', 'off', '--shards', '2',
    '--sparkplug-reorder-timeout', '300ms'], { stdio: ['ignore', 'pipe', 'pipe'] });
  server.stderr.on('data', (chunk) => { log = (log + chunk).slice(-8000); if (process.env.SHOW_LOG) process.stderr.write(chunk); });
  const ended = once(server, 'exit').then(([code, signal]) => { throw new Error(`the server ended with ${code ?? signal}:\n${log}`); });
  ended.catch(() => {});
  const said = (async () => { for await (const line of createInterface({ input: server.stdout })) if (line.startsWith('{')) return JSON.parse(line); return ended; })();
  ready = await Promise.race([ended, said]);
}
async function end(signal) {
  const gone = once(server, 'exit');
  server.kill(signal);
  await gone;
}
const url = () => `mqtt://${ready.mqtt}`;
async function raw(method, path, body) {
  return fetch(`http://${ready.http}/api/v1${path}`, { method, headers: { authorization: `Bearer ${readFileSync(join(folder, 'data/admin.token'), 'utf8').trim()}`,
    'content-type': 'application/json' }, body: body && JSON.stringify(body) });
}
async function call(method, path, body) {
  const reply = await raw(method, path, body);
  assert.ok(reply.ok, `${method} ${path}: ${reply.status} ${reply.ok ? '' : await reply.text()}`);
  const text = await reply.text();
  return text ? JSON.parse(text) : null;
}
async function until(what, truth, seconds = 60) {
  const limit = Date.now() + seconds * 1000;
  for (;;) {
    const value = await truth();
    if (value) return value;
    assert.ok(Date.now() < limit, `not within ${seconds} s: ${what}\n${log}`);
    await new Promise((done) => setTimeout(done, 20));
  }
}
const node_of = async (name) => (await call('GET', '/sparkplug/nodes')).items.find((node) => node.node === name);
const live = async (device, element) => {
  const { twin } = await call('GET', `/devices/${encodeURIComponent(device)}`);
  return (await call('GET', `/twins/${twin}`)).elements.find((each) => each.key === element);
};
async function register(id, model, binding) {
  const made = await call('POST', '/devices', { id, site: 'plant', model, protocol: 'sparkplug', ...(binding && { binding }) });
  return { username: id, password: made.credentials.token };
}
async function samples(device, element) {
  const { twin } = await call('GET', `/devices/${encodeURIComponent(device)}`);
  const reply = await raw('POST', '/query', { series: [{ twin, element }], format: 'csv', from: '2020-01-01T00:00:00Z', to: '2030-01-01T00:00:00Z', limit: 10_000_000 });
  assert.ok(reply.ok, await reply.clone().text());
  const [head, ...rows] = (await reply.text()).trim().split('\n');
  const columns = head.split(',');
  return rows.map((row) => { const cells = row.split(','); return { time: cells[columns.indexOf('time')], value: Number(cells[columns.indexOf('value')]) }; });
}
const settled = () => until('history has all', async () => {
  const text = await (await fetch(`http://${ready.http}/metrics`, { headers: { authorization: `Bearer ${readFileSync(join(folder, 'data/admin.token'), 'utf8').trim()}` } })).text();
  return /^penstock_history_lag_bytes(\{.*\})? 0$/m.test(text);
});

before(async () => {
  await start();
  await call('POST', '/sites', { name: 'plant', display_name: 'Plant' });
  await call('POST', '/models', { '@context': 'dtmi:dtdl:context;3', '@id': 'dtmi:test:Pump;1', '@type': 'Interface', contents: [
    { '@type': 'Telemetry', name: 'temp', schema: 'double' }, { '@type': 'Telemetry', name: 'count', schema: 'long' },
    { '@type': 'Property', name: 'setpoint', schema: 'double', writable: true }, { '@type': 'Property', name: 'mode', schema: 'string', writable: true },
    { '@type': 'Command', name: 'rebirth' }, { '@type': 'Command', name: 'reboot' }] });
  await call('POST', '/bindings', { activate: true, document: { name: 'pump', protocol: 'sparkplug', model: 'dtmi:test:Pump;1', elements: [
    { element: 'temp', from: 'Inputs/Temp' }, { element: 'count', from: 'count' },
    { element: 'setpoint', from: 'Outputs/SP', scale: 0.1 }, { element: 'mode', from: 'Outputs/Mode', values: { 0: 'off', 1: 'on' } }] } });
});
after(async () => {
  if (server.exitCode === null && server.signalCode === null) await end('SIGTERM');
  rmSync(folder, { recursive: true, force: true });
});

// tck-id-host-topic-phid-birth-message, -qos, -retain, -topic, -payload; -death-payload-timestamp-disconnect-clean.
test('STATE says whether the host is there', async () => {
  const made = await call('POST', '/applications', { id: 'watcher', publish_filters: [], subscribe_filters: ['spBv1.0/#'] });
  const watch = async () => {
    const client = mqtt.connect(url(), { clientId: 'watcher', username: 'watcher', password: made.credentials.token, reconnectPeriod: 0 });
    client.on('error', () => {});
    const heard = [];
    client.on('message', (topic, bytes, packet) => heard.push({ topic, ...JSON.parse(bytes), qos: packet.qos, retain: packet.retain }));
    await client.subscribeAsync('spBv1.0/STATE/#', { qos: 1 });
    return { client, heard };
  };
  const first = await watch();
  await until('STATE', () => first.heard.length);
  assert.deepEqual({ ...first.heard[0], timestamp: 0 }, { topic: 'spBv1.0/STATE/penstock', online: true, timestamp: 0, qos: 1, retain: true });
  await end('SIGTERM');
  await until('STATE offline', () => first.heard.length > 1);
  assert.equal(first.heard[1].online, false);
  assert.ok(first.heard[1].timestamp > first.heard[0].timestamp);
  await start(ready.http, ready.mqtt);
  const again = await watch();
  await until('STATE', () => again.heard.length);
  assert.equal(again.heard[0].online, true);
  assert.ok(again.heard[0].timestamp >= first.heard[1].timestamp);
  await again.client.endAsync();
});

test('a 3.0 edge node: births, data, death, commands', async () => {
  const node = new EdgeNode({ url: url(), group: 'Plant 1', node: 'Edge', ...await register('Plant%201:Edge', 'dtmi:test:Pump;1', 'pump'),
    metrics: { 'Inputs/Temp': { type: 'Double', value: 20 } },
    devices: { Pump: { 'Inputs/Temp': { type: 'Float', value: 30 }, count: { type: 'Int64', value: 0 }, 'Outputs/SP': { type: 'Int16', value: 150 }, 'Outputs/Mode': { type: 'UInt8', value: 1 } } } });
  await register('Plant%201:Edge:Pump', 'dtmi:test:Pump;1', 'pump');
  await node.connect();
  assert.equal((await node_of('Edge')).state, 'online');
  assert.equal((await live('Plant%201:Edge', 'temp')).value, 20);
  assert.equal((await live('Plant%201:Edge:Pump', 'setpoint')).value, 15);
  assert.equal((await live('Plant%201:Edge:Pump', 'mode')).value, 'on');
  await node.data('Pump', { 'Inputs/Temp': 31.5, count: 1 });
  assert.equal((await live('Plant%201:Edge:Pump', 'temp')).value, 31.5);
  await until('STATE', () => node.states.some((state) => state.online));

  // tck-id-operational-behavior-data-commands-dcmd-verb, -metric-name, -metric-value.
  const { twin } = await call('GET', '/devices/Plant%25201%3AEdge%3APump');
  await call('PUT', `/twins/${twin}/properties/setpoint`, { value: 17.5 });
  await call('PUT', `/twins/${twin}/properties/mode`, { value: 'off' });
  await until('the commands', () => node.commands.length === 2);
  assert.equal(node.commands[0].topic, 'spBv1.0/Plant 1/DCMD/Edge/Pump');
  assert.equal(Number(node.commands[0].metrics[0].alias), node.alias.get('Pump/Outputs/SP'));
  assert.equal(node.commands[0].metrics[0].value, 175);
  assert.equal(node.commands[0].metrics[0].type, 'Int16');
  assert.equal(node.commands[1].metrics[0].value, 0);
  assert.equal((await raw('PUT', `/twins/${twin}/properties/setpoint`, { value: 1e6 })).status, 400, 'not an Int16');

  const births = node.births;
  await call('POST', '/sparkplug/nodes/Plant%201/Edge/rebirth');
  await until('the rebirth', () => node.births === births + 1);
  await until('it arrived', async () => (await node_of('Edge')).births === 2);
  assert.equal((await node_of('Edge')).same_bdseq, 0, 'a rebirth keeps its bdSeq');

  // A gap: the message behind it waits, then goes on, and a birth is asked for.
  node.seq = (node.seq + 2) % 256;
  await node.data('Pump', { count: 7 });
  await until('the gap is over', async () => (await node_of('Edge')).gaps === 1);
  await until('its value is there', async () => (await live('Plant%201:Edge:Pump', 'count')).value === 7);
  await until('the births that were asked for', () => node.births === births + 2);

  node.die();
  await until('the will', async () => (await node_of('Edge')).state === 'offline');
  assert.equal((await live('Plant%201:Edge:Pump', 'temp')).quality, 'uncertain');
  assert.equal((await live('Plant%201:Edge:Pump', 'temp')).value, 31.5);
  await node.connect();
  await until('it holds again', async () => (await live('Plant%201:Edge:Pump', 'temp')).quality === 'good');
  assert.equal((await node_of('Edge')).bdseq, 1);
  await node.stop();
  await until('its death', async () => (await node_of('Edge')).state === 'offline');
});

test('a node may do what is its own, and no more', async () => {
  const mine = await register('G:mine', 'dtmi:test:Pump;1');
  const client = mqtt.connect(url(), { clientId: 'mine', ...mine, protocolVersion: 5, reconnectPeriod: 0 });
  client.on('error', () => {});
  await once(client, 'connect');
  const publish = async (topic) => { try { return (await client.publishAsync(topic, codec.encodePayload({ timestamp: 1, metrics: [] }), { qos: 1 }))?.reasonCode ?? 0; } catch (error) { return error.code; } };
  const subscribe = async (filter) => { try { return (await client.subscribeAsync(filter, { qos: 1 }))[0].qos; } catch (error) { return error.code ?? 128; } };
  for (const topic of ['spBv1.0/G/NDATA/mine', 'spBv1.0/G/DDATA/mine/d', 'spBv1.0/G/NDEATH/mine']) assert.ok(await publish(topic) < 128, topic);
  for (const topic of ['spBv1.0/G/NDATA/other', 'spBv1.0/H/NDATA/mine', 'spBv1.0/G/NCMD/mine', 'spBv1.0/STATE/penstock', 'spBv1.0/G/DDATA/other/d'])
    assert.equal(await publish(topic), 135, topic);
  for (const filter of ['spBv1.0/G/NCMD/mine', 'spBv1.0/G/NCMD/mine/#', 'spBv1.0/G/DCMD/mine/+', 'spBv1.0/STATE/penstock']) assert.equal(await subscribe(filter), 1, filter);
  for (const filter of ['spBv1.0/#', 'spBv1.0/G/NCMD/+', 'spBv1.0/G/NDATA/mine', 'spBv1.0/G/DCMD/other/+']) assert.ok(await subscribe(filter) >= 128, filter);
  await client.endAsync(true);
});

test('a node that nobody registered waits under discovery, and is accepted as what it is', async () => {
  const join = await call('POST', '/join-tokens', { site: 'plant', name: 'new' });
  const node = new EdgeNode({ url: url(), group: 'New', node: 'N1', password: join.token, username: 'anything', metrics: { temp: { type: 'Double', value: 4 } } });
  node.username = undefined;
  const token = join.token;
  Object.assign(node, { username: '', password: token });
  await node.connect().catch(() => { Object.assign(node, { username: token, password: undefined }); return node.connect(); });
  const found = await until('it is discovered', async () => (await call('GET', '/discovery')).items.find((each) => each.device === 'New:N1'));
  assert.ok(found.topic.startsWith('sparkplug:spBv1.0/New/NBIRTH/N1'), found.topic);
  await call('POST', '/discovery/New%3AN1/accept', { site: 'plant' });
  const device = await call('GET', '/devices/New%3AN1');
  assert.equal(device.protocol, 'sparkplug');
  node.die();
});

test('a binding is tried on a payload', async () => {
  const payload = Buffer.from(codec.encodePayload({ timestamp: 5000, seq: 0, metrics: [{ name: 'Inputs/Temp', type: 'Double', value: 2.5 }, { name: 'Outputs/SP', type: 'Int16', value: 33 }] }));
  const document = (await call('GET', '/bindings/pump')).versions[0].document;
  const tried = await call('POST', '/bindings/try', { document, topic: 'spBv1.0/G/DBIRTH/N/D', payload_hex: payload.toString('hex') });
  assert.equal(tried.device, 'G:N:D');
  assert.equal(tried.values.find((value) => value.element === 'temp').stored, 2.5);
  assert.ok(Math.abs(tried.values.find((value) => value.element === 'setpoint').stored - 3.3) < 1e-9);
  assert.equal((await raw('POST', '/bindings/try', { document, payload: 'nonsense' })).status, 400);
});

test('sparkplug-client, unchanged', async () => {
  const { username, password } = await register('Old:Client', 'dtmi:test:Pump;1', 'pump');
  await register('Old:Client:D', 'dtmi:test:Pump;1', 'pump');
  const client = old.newClient({ serverUrl: url(), username, password, groupId: 'Old', edgeNode: 'Client', clientId: 'old', version: 'spBv1.0', publishDeath: true });
  client.on('error', () => {});
  let births = 0;
  client.on('birth', () => {
    ++births;
    client.publishNodeBirth({ timestamp: Date.now(), metrics: [{ name: 'Node Control/Rebirth', type: 'boolean', value: false }, { name: 'Inputs/Temp', type: 'float', value: 1.5 }] });
    client.publishDeviceBirth('D', { timestamp: Date.now(), metrics: [{ name: 'count', type: 'int', value: 0 }, { name: 'Outputs/SP', type: 'int', value: 100 }] });
  });
  client.on('ncmd', (payload) => { if (payload.metrics.some((metric) => metric.name === 'Node Control/Rebirth' && metric.value)) client.emit('birth'); });
  const commands = [];
  client.on('dcmd', (device, payload) => commands.push({ device, payload }));
  await until('it is born', async () => (await node_of('Client'))?.devices?.[0]?.state === 'online');
  for (let i = 1; i <= 600; ++i) client.publishDeviceData('D', { timestamp: Date.now() + i, metrics: [{ name: 'count', type: 'int', value: i, timestamp: Date.now() + i }] });
  await until('its data', async () => (await live('Old:Client:D', 'count'))?.value === 600);
  const stored = await until('history has it', async () => { const rows = await samples('Old:Client:D', 'count'); return rows.length >= 601 && rows; });
  assert.deepEqual(stored.map((sample) => sample.value).sort((a, b) => a - b), Array.from({ length: 601 }, (_, i) => i));
  assert.equal((await node_of('Client')).out_of_order, 0);
  const { twin } = await call('GET', '/devices/Old%3AClient%3AD');
  await call('PUT', `/twins/${twin}/properties/setpoint`, { value: 12 });
  await until('the command', () => commands.length === 1);
  assert.equal(commands[0].payload.metrics[0].value, 120);
  const before = births;
  await call('POST', '/sparkplug/nodes/Old/Client/rebirth');
  await until('its rebirth', () => births > before);
  client.stop();
  await until('its death', async () => (await node_of('Client')).state === 'offline');
});

test('node and server die at random: nothing acknowledged is lost, nothing is there twice', async (t) => {
  const credentials = await register('Crash:Node', 'dtmi:test:Pump;1', 'pump');
  await register('Crash:Node:D', 'dtmi:test:Pump;1', 'pump');
  const node = new EdgeNode({ url: url(), group: 'Crash', node: 'Node', ...credentials, metrics: {}, devices: { D: { count: { type: 'Int64', value: 0 } } } });
  const acknowledged = new Set();
  const stored = [];  // what the node keeps until it is acknowledged: store and forward
  const base = Date.now() - 3_600_000;
  let next = 1, running = true, alive = false;
  const send = (number, historical) => node.data('D', { count: number }, { timestamp: base + number, historical })
    .then(() => acknowledged.add(number), () => stored.push(number));
  const live_again = async () => {
    for (;;) {
      try { node.url = url(); await node.connect(); break; } catch { node.die(); await new Promise((done) => setTimeout(done, 50)); }
    }
    for (const number of stored.splice(0)) send(number, true);
    alive = true;
  };
  await live_again();
  const pump = (async () => {
    while (running) {
      if (alive && node.client.connected) for (let i = 0; i < 20; ++i) send(next++, false);
      else if (alive) { alive = false; node.die(); await live_again(); }
      await new Promise((done) => setTimeout(done, 2));
    }
  })();
  for (let round = 0; round < rounds; ++round) {
    const goal = acknowledged.size + 200 + Math.floor(Math.random() * 600);
    await until(`round ${round}: more is acknowledged`, () => acknowledged.size > goal);
    if (round % 2 === 0) { await end('SIGKILL'); await start(ready.http, ready.mqtt); }
    else node.die();
  }
  const goal = acknowledged.size + 200;
  await until('it goes on', () => acknowledged.size > goal);
  running = false;
  await pump;
  await until('all is acknowledged', async () => {
    if (!node.client.connected) { node.die(); await live_again(); }
    for (const number of stored.splice(0)) send(number, true);
    return acknowledged.size === next - 1;
  });
  await settled();
  const rows = await samples('Crash:Node:D', 'count');
  const times = rows.map((row) => row.time);
  assert.equal(new Set(times).size, times.length, 'one sample an instant');
  const there = new Set(rows.map((row) => row.value));
  const lost = [...acknowledged].filter((number) => !there.has(number));
  assert.deepEqual(lost, [], `lost of ${acknowledged.size}`);
  // A number stands at its own instant; the others are births and deaths that repeat the last value.
  const own = rows.filter((row) => Date.parse(row.time) === base + row.value);
  assert.equal(own.length, acknowledged.size);
  t.diagnostic(JSON.stringify({ sent: next - 1, acknowledged: acknowledged.size, lost: lost.length, duplicated: times.length - new Set(times).size }));
  await node.stop();
});
