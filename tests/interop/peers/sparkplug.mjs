// sparkplug-client of Eclipse Tahu, as an edge node. Sparkplug's data are QoS 0, so nobody acknowledges them: the node
// keeps what it sent until the broker has answered two pings behind it, and after each birth sends what it kept as
// historical values, as store-and-forward nodes do.
//   sparkplug.mjs --mqtt HOST:PORT --group G --node N --device NAME --token TOKEN --base MS --first N
import sparkplug from 'sparkplug-client';
import { acked, last_number, options, time_ms, values, period_ms } from './samples.mjs';

const o = options(), base = Number(o.base), state = last_number();
const names = { dischargePressure: 'Air/Discharge pressure', oilTemperature: 'Oil/Temperature' };
let next = Number(o.first), safe = next, settled = [next, next], online = false;

const metrics = (n, historical) => Object.entries(values(n)).map(([element, value]) =>
  ({ name: names[element], type: 'Double', value, timestamp: time_ms(base, n), ...(historical ? { isHistorical: true } : {}) }));
const due = () => Math.min(Math.floor((Date.now() - base) / period_ms), state.until);

let client;
const birth = () => {
  const n = Math.max(0, due());
  client.publishNodeBirth({ timestamp: time_ms(base, n), metrics: metrics(n) });
  for (let k = safe; k < n; k += 50) {
    const some = [];
    for (let i = k; i < Math.min(k + 50, n); ++i) some.push(...metrics(i, true));
    client.publishNodeData({ timestamp: time_ms(base, n), metrics: some });
  }
  next = n + 1;
  settled = [safe, safe];
  online = true;
};
function open() {
  online = false;
  client = sparkplug.newClient({ serverUrl: `mqtt://${o.mqtt}`, username: o.device, password: o.token, groupId: o.group, edgeNode: o.node,
    clientId: `${o.group}-${o.node}`, version: 'spBv1.0', keepalive: 1, mqttOptions: { reconnectPeriod: 200, connectTimeout: 5000, protocolVersion: 4 } });
  // An error while it connects: the library gives up for good, so another takes its place.
  client.once('error', (error) => { process.stderr.write(`${error.message}\n`); setTimeout(open, 300); });
  client.on('birth', birth);
  client.on('ncmd', (payload) => { if (payload.metrics?.some((m) => m.name === 'Node Control/Rebirth' && m.value)) birth(); });
  for (const gone of ['offline', 'close', 'reconnect']) client.on(gone, () => { online = false; });
  // The ping's answer comes behind what was sent before the ping; the second one leaves the server time to sync.
  client.client.on('packetreceive', (packet) => {
    if (packet.cmd !== 'pingresp' || !online) return;
    for (; safe < settled[0]; ++safe) acked(safe);
    settled = [settled[1], next];
  });
}
open();
setInterval(() => {
  for (; online && next <= due(); ++next) client.publishNodeData({ timestamp: time_ms(base, next), metrics: metrics(next) });
}, period_ms);
