// mqtt.js at QoS 1. Its own reconnecting and its own store of unacknowledged messages do the rest.
//   mqttjs.mjs --mqtt HOST:PORT --device NAME --token TOKEN --base MS --first N
import mqtt from 'mqtt';
import { message, options, pump } from './samples.mjs';

const o = options();
const client = mqtt.connect(`mqtt://${o.mqtt}`, { clientId: o.device, username: o.device, password: o.token, protocolVersion: 5, clean: false, properties: { sessionExpiryInterval: 3600 }, reconnectPeriod: 200, connectTimeout: 5000 });
client.on('error', (error) => process.stderr.write(`${error.message}\n`));
await pump({ first: Number(o.first), base: Number(o.base), send: (n) => client.publishAsync(o.topic ?? `devices/${o.device}/telemetry`, message(Number(o.base), n), { qos: 1 }) });
