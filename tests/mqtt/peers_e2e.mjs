// Clients of other makes against the built server, unchanged: mqtt.js, mosquitto_pub and mosquitto_sub, Paho C;
// MQTT 3.1.1 and 5; TCP, TLS and WebSocket.
//   PENSTOCK_BINARY=build/release/penstock PAHO_PEER=build/release/tests/mqtt/paho_peer node --test tests/mqtt/peers_e2e.mjs
// It waits on conditions, never on time. What is not installed is skipped and said.
import assert from 'node:assert/strict';
import { execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import mqtt from 'mqtt';

const binary = resolve(process.env.PENSTOCK_BINARY ?? 'build/release/penstock');
const paho = resolve(process.env.PAHO_PEER ?? 'build/release/tests/mqtt/paho_peer');
const step_ms_max = 60_000;
const run = promisify(execFile);
const installed = (program) => { try { execFileSync('sh', ['-c', `command -v ${program}`]); return true; } catch { return false; } };
const mosquitto = installed('mosquitto_pub') && installed('mosquitto_sub');
const folder = mkdtempSync(join(tmpdir(), 'penstock-peers-'));
const file = (name) => join(folder, name);
const openssl = (...args) => execFileSync('openssl', args, { stdio: 'pipe' });
const ca = file('ca.pem');

let server, ready, token, log = '';

/** A certificate for `name`, signed by our own authority. */
function certificate(name, common_name, extension) {
  openssl('req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', file(`${name}.key`), '-out', file(`${name}.csr`), '-subj', `/CN=${common_name}`);
  writeFileSync(file(`${name}.ext`), extension);
  openssl('x509', '-req', '-in', file(`${name}.csr`), '-CA', ca, '-CAkey', file('ca.key'), '-CAcreateserial', '-days', '3', '-extfile', file(`${name}.ext`), '-out', file(`${name}.pem`));
}

async function call(method, path, body) {
  const reply = await fetch(`http://${ready.http}/api/v1${path}`, {
    method, headers: { authorization: `Bearer ${readFileSync(file('data/admin.token'), 'utf8').trim()}`, 'content-type': 'application/json' },
    body: body && JSON.stringify(body) });
  assert.ok(reply.ok, `${method} ${path}: ${reply.status} ${reply.ok ? '' : await reply.text()}`);
  return reply.status === 204 ? null : reply.json();
}

async function start() {
  const any = '127.0.0.1:0';
  server = spawn(binary, ['serve', '--data', file('data'), '--http', any, '--mqtt', any, '--mqtts', any, '--ws', any, '--wss', any,
    '--tls-certificate', file('server.pem'), '--tls-key', file('server.key'), '--tls-client-ca', ca], { stdio: ['ignore', 'pipe', 'pipe'] });
  server.stderr.on('data', (chunk) => { log = (log + chunk).slice(-8000); });
  const ended = once(server, 'exit').then(([code, signal]) => { throw new Error(`the server ended with ${code ?? signal}:\n${log}`); });
  ended.catch((error) => { if (!server.stopping) console.error(error.message); });
  const said = (async () => {
    for await (const line of createInterface({ input: server.stdout })) if (line.startsWith('{')) return JSON.parse(line);
    return ended;
  })();
  ready = await Promise.race([ended, said]);
}
async function stop(signal) {
  if (!server || server.exitCode !== null || server.signalCode !== null) return;
  const gone = once(server, 'exit');
  server.stopping = true;
  server.kill(signal);
  await gone;
}

before(async () => {
  openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', file('ca.key'), '-out', ca, '-days', '3', '-subj', '/CN=Test authority');
  certificate('server', 'localhost', 'subjectAltName=DNS:localhost,IP:127.0.0.1\n');
  certificate('device', 'peer', 'extendedKeyUsage=clientAuth\n');
  certificate('stranger', 'nobody', 'extendedKeyUsage=clientAuth\n');
  await start();
  const model = { '@context': 'dtmi:dtdl:context;3', '@id': 'dtmi:test:Peer;1', '@type': 'Interface', contents: [{ '@type': 'Telemetry', name: 'x', schema: 'double' }] };
  await call('POST', '/models', model);
  await call('POST', '/sites', { name: 'works', display_name: 'Works', time_zone: 'UTC' });
  token = (await call('POST', '/devices', { id: 'peer', site: 'works', model: model['@id'] })).credentials.token;
});
after(async () => {
  await stop('SIGTERM');
  rmSync(folder, { recursive: true, force: true });
});

const port = (name) => Number(ready[name].split(':').at(-1));
const transports = { tcp: 'mqtt', tls: 'mqtts', ws: 'ws', wss: 'wss' };
const url = (transport) => ({ tcp: `mqtt://127.0.0.1:${port('mqtt')}`, tls: `mqtts://localhost:${port('mqtts')}`, ws: `ws://127.0.0.1:${port('ws')}/mqtt`, wss: `wss://localhost:${port('wss')}/mqtt` })[transport];
const own = (rest) => `devices/peer/${rest}`;
let clients = 0;
const new_id = () => `peer-${++clients}`;

function connect(transport, version, options = {}) {
  return mqtt.connectAsync(url(transport), { username: 'peer', password: token, clientId: new_id(), protocolVersion: version, reconnectPeriod: 0, ca: readFileSync(ca), ...options });
}
/** Collects what a client receives; until(n) resolves when there are n. */
function inbox(client) {
  const got = [];
  let wake = () => {};
  client.on('message', (topic, payload, packet) => { got.push({ topic, text: payload.toString(), packet }); wake(); });
  return { got, until: async (n) => { while (got.length < n) await new Promise((done) => { wake = done; }); return got; } };
}
const step = (name, options, body) => test(name, { timeout: step_ms_max, ...(body ? options : {}) }, body ?? options);

for (const transport of Object.keys(transports)) for (const version of [4, 5]) {
  step(`mqtt.js, ${transport}, version ${version}: every QoS, large and empty messages, both ways`, async () => {
    const c = await connect(transport, version);
    const box = inbox(c);
    const topic = own(`peer/${transport}/${version}`);
    await c.subscribeAsync(topic, { qos: 2 });
    const texts = ['', 'small', 'x'.repeat(300_000)];
    for (const qos of [0, 1, 2]) for (const text of texts) await c.publishAsync(topic, text, { qos });
    const got = await box.until(9);
    assert.deepEqual(got.map((m) => [m.packet.qos, m.text.length]), [0, 1, 2].flatMap((qos) => texts.map((text) => [qos, text.length])));
    await c.endAsync();
  });
}

step('mqtt.js, version 5: properties, subscription identifiers, aliases, request and response', async () => {
  const c = await connect('tcp', 5, { properties: { topicAliasMaximum: 5, receiveMaximum: 3 }, autoUseTopicAlias: true });
  const box = inbox(c);
  await c.subscribeAsync(own('ask/#'), { qos: 1, properties: { subscriptionIdentifier: 1234 } });
  const properties = { payloadFormatIndicator: true, messageExpiryInterval: 500, contentType: 'text/plain', responseTopic: own('answer'), correlationData: Buffer.from([0, 1, 2]), userProperties: { a: ['1', '2'], b: '3' } };
  for (let i = 0; i < 4; ++i) await c.publishAsync(own('ask/x'), String(i), { qos: 1, properties: { ...properties } });
  const got = await box.until(4);
  for (const { topic, packet } of got) {
    assert.equal(topic, own('ask/x'));
    const { topicAlias, ...others } = packet.properties;
    assert.equal(topicAlias, 1);
    assert.deepEqual({ ...others, userProperties: { ...others.userProperties } }, { ...properties, subscriptionIdentifier: 1234 });
  }
  assert.equal(got[1].packet.topic.length, 0, 'the server uses an alias from the second message on');
  await c.endAsync();
});

step('mqtt.js, version 5: retained messages, no local, retain handling', async () => {
  const c = await connect('tcp', 5);
  await c.publishAsync(own('kept/a'), 'one', { qos: 1, retain: true });
  const d = await connect('ws', 5), box = inbox(d);
  await d.subscribeAsync(own('kept/+'), { qos: 1, rh: 2 });
  await d.subscribeAsync(own('kept/+'), { qos: 1, rh: 0, nl: true });
  await box.until(1);
  await d.publishAsync(own('kept/b'), 'mine', { qos: 1 });
  await c.publishAsync(own('kept/b'), 'theirs', { qos: 1 });
  assert.deepEqual((await box.until(2)).map((m) => [m.text, m.packet.retain]), [['one', true], ['theirs', false]]);
  await c.publishAsync(own('kept/a'), '', { qos: 1, retain: true });
  await Promise.all([c.endAsync(), d.endAsync()]);
});

for (const version of [4, 5]) step(`mqtt.js, version ${version}: a will from a client that vanishes`, async () => {
  const watcher = await connect('tcp', version), box = inbox(watcher);
  await watcher.subscribeAsync(own('will'), { qos: 1 });
  const c = await connect('tcp', version, { will: { topic: own('will'), payload: Buffer.from('gone'), qos: 1, retain: false } });
  c.on('error', () => {});
  c.stream.destroy();
  assert.equal((await box.until(1))[0].text, 'gone');
  await watcher.endAsync();
});

for (const version of [4, 5]) step(`mqtt.js, version ${version}: a session survives kill -9, with what waits in it`, async () => {
  const id = new_id();
  const keep = { clientId: id, clean: false, properties: version === 5 ? { sessionExpiryInterval: 3600 } : undefined };
  let c = await connect('tcp', version, keep);
  await c.subscribeAsync(own('later'), { qos: 2 });
  await c.endAsync();
  const p = await connect('tcp', version);
  await p.publishAsync(own('later'), 'first', { qos: 1 });
  await p.publishAsync(own('later'), 'second', { qos: 2 });
  p.on('error', () => {});
  await stop('SIGKILL');
  p.end(true);
  await start();
  c = mqtt.connect(url('tcp'), { username: 'peer', password: token, protocolVersion: version, reconnectPeriod: 0, ...keep });
  const box = inbox(c);
  const [connack] = await once(c, 'connect');
  assert.equal(connack.sessionPresent, true);
  assert.deepEqual((await box.until(2)).map((m) => m.text).sort(), ['first', 'second']);
  await c.endAsync();
});

step('mqtt.js, version 5: shared subscriptions share', async () => {
  const members = await Promise.all([connect('tcp', 5), connect('ws', 5)]);
  const boxes = members.map(inbox);
  for (const m of members) await m.subscribeAsync(`$share/g/${own('work')}`, { qos: 1 });
  const p = await connect('tcp', 4);
  for (let i = 0; i < 10; ++i) await p.publishAsync(own('work'), String(i), { qos: 1 });
  await Promise.all(boxes.map((b) => b.until(5)));
  assert.deepEqual(boxes.flatMap((b) => b.got.map((m) => m.text)).map(Number).sort((a, b) => a - b), [...Array(10).keys()]);
  await Promise.all([...members, p].map((m) => m.endAsync()));
});

step('a packet that is too large is refused with its reason, which arrives', async () => {
  const c = await connect('tcp', 5);
  const said = once(c, 'disconnect');
  c.on('error', () => {});
  c.publish(own('big'), Buffer.alloc(3 << 20), { qos: 0 });
  const [packet] = await said;
  assert.equal(packet.reasonCode, 0x95);
  c.end(true);
});

step('wrong credentials are refused', async () => {
  for (const version of [4, 5]) await assert.rejects(connect('tcp', version, { password: 'wrong' }), (error) => [4, 0x86].includes(error.code));
  await assert.rejects(connect('tcp', 5, { username: undefined, password: undefined }), (error) => error.code === 0x86 || error.code === 0x87);
});

step('a topic that is not its own is refused', async () => {
  const c = await connect('tcp', 5);
  const [granted] = await c.subscribeAsync('devices/other/#', { qos: 1 }).catch((error) => [error]);
  assert.ok(granted instanceof Error || granted.qos >= 128, JSON.stringify(granted));
  await assert.rejects(c.publishAsync('devices/other/telemetry', '{}', { qos: 1 }));
  await c.endAsync();
});

step('a client certificate names its device', async () => {
  const with_certificate = (name) => ({ username: undefined, password: undefined, cert: readFileSync(file(`${name}.pem`)), key: readFileSync(file(`${name}.key`)) });
  for (const transport of ['tls', 'wss']) {
    const c = await connect(transport, 5, with_certificate('device'));
    await c.publishAsync(own('telemetry'), '{"x":1}', { qos: 1 });
    await c.endAsync();
  }
  await assert.rejects(connect('tls', 5, with_certificate('stranger')));
});

step('a renewed server certificate is used without a restart', async () => {
  const seen = async () => {
    const c = await connect('tls', 5), serial = c.stream.getPeerCertificate().serialNumber;
    await c.endAsync();
    return serial;
  };
  const old = await seen(), held = await connect('tls', 5);
  certificate('next', 'localhost', 'subjectAltName=DNS:localhost,IP:127.0.0.1\n');
  copyFileSync(file('next.key'), file('server.key'));
  copyFileSync(file('next.pem'), file('server.pem'));
  server.kill('SIGHUP');
  while (await seen() === old);
  await held.publishAsync(own('telemetry'), '{"x":2}', { qos: 1 });  // what was open stays open
  await held.endAsync();
});

// -- mosquitto's clients

const mosquitto_arguments = (transport, version) => ['-h', transport === 'tls' ? 'localhost' : '127.0.0.1', '-p', String(port(transports[transport] === 'mqtts' ? 'mqtts' : 'mqtt')),
  '-u', 'peer', '-P', token, '-V', version, ...(transport === 'tls' ? ['--cafile', ca] : [])];

for (const transport of ['tcp', 'tls']) for (const version of ['mqttv31', 'mqttv311', 'mqttv5']) {
  step(`mosquitto_pub and mosquitto_sub, ${transport}, ${version}`, { skip: !mosquitto && 'mosquitto-clients is not installed' }, async () => {
    const topic = own(`mosquitto/${transport}/${version}`);
    const sub = spawn('stdbuf', ['-oL', 'mosquitto_sub', ...mosquitto_arguments(transport, version), '-i', new_id(), '-t', topic, '-q', '2', '-C', '3', '-d', '-F', '%q %p'], { stdio: ['ignore', 'pipe', 'inherit'] });
    const lines = [];
    const subscribed = new Promise((done) => createInterface({ input: sub.stdout }).on('line', (line) => { lines.push(line); if (line.startsWith('Subscribed')) done(); }));
    const ended = once(sub, 'close');
    await Promise.race([subscribed, ended.then(([code]) => { throw new Error(`mosquitto_sub ended with ${code}: ${lines}`); })]);
    for (const qos of [0, 1, 2]) await run('mosquitto_pub', [...mosquitto_arguments(transport, version), '-i', new_id(), '-t', topic, '-q', String(qos), '-m', `message ${qos}`]);
    assert.equal((await ended)[0], 0);
    assert.deepEqual(lines.filter((line) => /^\d message/.test(line)), ['0 message 0', '1 message 1', '2 message 2']);
  });
}

step('mosquitto_rr gets its answer from mqtt.js', { skip: !installed('mosquitto_rr') && 'mosquitto_rr is not installed' }, async () => {
  const c = await connect('tcp', 5);
  c.on('message', (_, payload, packet) => c.publish(packet.properties.responseTopic, `re: ${payload}`, { qos: 1, properties: { correlationData: packet.properties.correlationData } }));
  await c.subscribeAsync(own('question'), { qos: 1 });
  const { stdout } = await run('mosquitto_rr', [...mosquitto_arguments('tcp', 'mqttv5'), '-i', new_id(), '-t', own('question'), '-e', own('reply'), '-q', '1', '-m', 'hello', '-W', '30']);
  assert.equal(stdout.trim(), 're: hello');
  await c.endAsync();
});

// -- Paho C

for (const [transport, scheme] of [['tcp', 'tcp'], ['tls', 'ssl'], ['ws', 'ws'], ['wss', 'wss']]) for (const version of ['4', '5']) {
  step(`Paho C, ${transport}, version ${version}`, { skip: !existsSync(paho) && `${paho} is not built` }, async () => {
    const address = url(transport).replace(/^[a-z]+/, scheme);
    const { stdout } = await run(paho, [address, version, new_id(), 'peer', token, own(`paho/${transport}/${version}`), ...(['ssl', 'wss'].includes(scheme) ? [ca] : [])]);
    assert.equal(stdout.trim(), 'ok');
  });
}
