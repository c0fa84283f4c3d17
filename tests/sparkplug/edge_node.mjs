// A Sparkplug 3.0 edge node on mqtt.js, scripted by the tests: bdSeq that moves with each CONNECT, births with
// aliases, seq over all of a node's messages, STATE of the primary host, store and forward.
// Beyond 3.0 it publishes data at QoS 1, so that what was acknowledged can be counted.
import { once } from 'node:events';
import mqtt from 'mqtt';
import payloads from 'sparkplug-payload';

export const codec = payloads.get('spBv1.0');

export class EdgeNode {
  /** @param metrics {name: {type, value}} of the node, `devices` {id: metrics} of those behind it */
  constructor({ url, group, node, username, password, metrics = {}, devices = {}, host = 'penstock', qos = 1 }) {
    Object.assign(this, { url, group, node, username, password, metrics, devices, host, qos });
    this.bdseq = -1;
    this.seq = 0;
    this.births = 0;
    this.commands = [];
    this.states = [];
    this.alias = new Map();
    let next = 1;
    for (const [device, list] of [['', metrics], ...Object.entries(devices)])
      for (const name of Object.keys(list)) this.alias.set(`${device}/${name}`, next++);
  }
  topic(type, device) { return `spBv1.0/${this.group}/${type}/${this.node}${device ? `/${device}` : ''}`; }
  encode(metrics, { seq = true, timestamp = Date.now() } = {}) {
    const payload = { timestamp, metrics };
    if (seq) { payload.seq = this.seq; this.seq = (this.seq + 1) % 256; }
    return Buffer.from(codec.encodePayload(payload));
  }
  /** Resolves once its births are acknowledged. */
  async connect() {
    this.bdseq = (this.bdseq + 1) % 256;
    const will = { topic: this.topic('NDEATH'), qos: 1, retain: false,
      payload: this.encode([{ name: 'bdSeq', type: 'UInt64', value: this.bdseq }], { seq: false }) };
    this.client = mqtt.connect(this.url, { clientId: `${this.group}-${this.node}`, clean: true, protocolVersion: 5, reconnectPeriod: 0,
      username: this.username, password: this.password, will, connectTimeout: 5000 });
    this.client.on('error', () => {});
    this.client.on('message', (topic, bytes) => this.hear(topic, bytes));
    await Promise.race([once(this.client, 'connect'), once(this.client, 'close').then(() => { throw new Error('refused'); })]);
    await this.client.subscribeAsync({ [this.topic('NCMD')]: { qos: 1 }, [`spBv1.0/STATE/${this.host}`]: { qos: 1 } });
    await this.client.subscribeAsync(this.topic('DCMD') + '/+', { qos: 1 }).catch(() => {});  // not before it is registered
    await this.birth();
  }
  described(device, list) {
    return Object.entries(list).map(([name, { type, value, timestamp }]) =>
      ({ name, type, value, alias: this.alias.get(`${device}/${name}`), timestamp: timestamp ?? Date.now() }));
  }
  async birth() {
    this.seq = 0;
    const own = [{ name: 'bdSeq', type: 'UInt64', value: this.bdseq }, { name: 'Node Control/Rebirth', type: 'Boolean', value: false }];
    const sent = [this.publish('NBIRTH', undefined, [...own, ...this.described('', this.metrics)])];
    for (const [id, list] of Object.entries(this.devices)) sent.push(this.publish('DBIRTH', id, this.described(id, list)));
    await Promise.all(sent);
    ++this.births;
  }
  publish(type, device, metrics, options) {
    return this.client.publishAsync(this.topic(type, device), this.encode(metrics, options), { qos: this.qos });
  }
  /** Data by alias, as 3.0 wants it once the birth told the names. */
  data(device, values, { timestamp = Date.now(), historical = false } = {}) {
    const list = device ? this.devices[device] : this.metrics;
    const metrics = Object.entries(values).map(([name, value]) => {
      list[name].value = value;
      list[name].timestamp = timestamp;
      const metric = { alias: this.alias.get(`${device ?? ''}/${name}`), type: list[name].type, value, timestamp };
      if (historical) metric.isHistorical = true;
      return metric;
    });
    return this.publish(device ? 'DDATA' : 'NDATA', device, metrics, { timestamp: Date.now() });
  }
  hear(topic, bytes) {
    if (topic.includes('/STATE/')) { this.states.push(JSON.parse(bytes)); return; }
    const metrics = codec.decodePayload(bytes).metrics;
    this.commands.push({ topic, metrics });
    if (topic === this.topic('NCMD') && metrics.some((m) => m.name === 'Node Control/Rebirth' && m.value === true)) this.birth().catch(() => {});
  }
  /** As a node that loses its power: the server sends the will. */
  die() { this.client?.stream?.destroy(); this.client?.end(true); }
  async stop() {
    await this.client.publishAsync(this.topic('NDEATH'), this.encode([{ name: 'bdSeq', type: 'UInt64', value: this.bdseq }], { seq: false }), { qos: 1 });
    await this.client.endAsync();
  }
}
