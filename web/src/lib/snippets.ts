// The first message of a device, ready to be pasted, in the words of its own model.
import type { DeviceCreated } from './api';

interface Shape { key: string; type: string; minimum: number | null; maximum: number | null; enum_values: string[] }
export type Language = 'mosquitto' | 'js' | 'python' | 'settings';
export type Protocol = 'mqtt' | 'sparkplug' | 'lwm2m' | 'opcua' | 'http';

/** A part of a device's name on the wire: what a name may not hold is percent-encoded, as the server does it. */
export function wire_name(...parts: string[]): string {
  return parts.filter(Boolean).map((part) => [...new TextEncoder().encode(part)].map((byte) => {
    const c = String.fromCharCode(byte);
    return byte > 32 && byte < 127 && !'/+#"\\%:'.includes(c) ? c : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }).join('')).join(':');
}

function example(e: Shape): unknown {
  if (e.type === 'boolean') return true;
  if (e.type === 'text') return e.enum_values[0] ?? 'text';
  if (e.type === 'object') return {};
  const low = e.minimum ?? 0, high = e.maximum ?? Math.max(low + 100, 100);
  const middle = low + (high - low) * 0.4;
  return e.type === 'integer' ? Math.round(middle) : Math.round(middle * 10) / 10;
}

/** A nested key (motor.current) goes into a nested object. */
export function payload(shape: readonly Shape[]): Record<string, unknown> {
  const result: Record<string, unknown> = {};
  for (const e of shape.slice(0, 4)) {
    const path = e.key.split('.');
    let at = result;
    for (const part of path.slice(0, -1)) at = (at[part] ??= {}) as Record<string, unknown>;
    at[path.at(-1)!] = example(e);
  }
  return result;
}

export function snippets(made: DeviceCreated, shape: readonly Shape[]): Record<Language, string> {
  const find = (kind: string) => made.endpoints.find((e) => e.transport === kind);
  const tcp = find('tcp') ?? find('tls');
  const secure = tcp?.transport === 'tls';
  const host = tcp?.host || location.hostname, port = tcp?.port ?? 1883;
  const body = JSON.stringify(payload(shape));
  const { username, token } = made.credentials;
  const quoted = `'${body.replace(/'/g, `'\\''`)}'`;
  const socket = find('websocket') ?? find('websocket_tls');
  return {
    mosquitto: `mosquitto_pub -h ${host} -p ${port}${secure ? ' --capath /etc/ssl/certs' : ''} -V 5 -q 1 \\\n  -i ${username} -u ${username} -P '${token}' \\\n  -t ${made.topic} \\\n  -m ${quoted}`,
    js: `// npm install mqtt\nimport mqtt from 'mqtt';\n\nconst client = await mqtt.connectAsync('${secure ? 'mqtts' : 'mqtt'}://${host}:${port}', {\n  clientId: '${username}',\n  username: '${username}',\n  password: '${token}',\n});\nawait client.publishAsync('${made.topic}', JSON.stringify(${body}), { qos: 1 });\nawait client.endAsync();`,
    python: `# pip install paho-mqtt\nimport json\nimport paho.mqtt.publish as publish\n\npublish.single(\n    "${made.topic}",\n    json.dumps(${body.replace(/\btrue\b/g, 'True').replace(/\bfalse\b/g, 'False')}),\n    qos=1, hostname="${host}", port=${port}, client_id="${username}",${secure ? ' tls={},' : ''}\n    auth={"username": "${username}", "password": "${token}"},\n)`,
    settings: [`server     ${host}:${port}${secure ? ' (TLS)' : ''}`, ...(socket ? [`websocket  ${socket.transport === 'websocket_tls' ? 'wss' : 'ws'}://${socket.host || location.hostname}:${socket.port}${socket.path ?? ''}`] : []), `client id  ${username}`, `user name  ${username}`, `password   ${token}`, `topic      ${made.topic}`, `payload    ${body}`].join('\n'),
  };
}

/** The first message over HTTP. */
export function curl(made: DeviceCreated, shape: readonly Shape[]): string {
  const { username, token } = made.credentials;
  const body = JSON.stringify(payload(shape)).replace(/'/g, `'\\''`);
  return `curl -sS --fail-with-body ${location.origin}/api/v1/ingest/${encodeURIComponent(username)} \\\n  -H 'Authorization: Bearer ${token}' \\\n  -H 'Content-Type: application/json' \\\n  -d '${body}'`;
}

/** What to enter at a Sparkplug edge node. */
export function sparkplug_settings(made: DeviceCreated, group: string, node: string, device: string): string {
  const tcp = made.endpoints.find((e) => e.transport === 'tcp') ?? made.endpoints.find((e) => e.transport === 'tls');
  return [`server      ${tcp?.host || location.hostname}:${tcp?.port ?? 1883}${tcp?.transport === 'tls' ? ' (TLS)' : ''}`, `user name   ${made.credentials.username}`, `password    ${made.credentials.token}`,
    `group id    ${group}`, `edge node   ${node}`, ...(device ? [`device      ${device}`] : []), `namespace   spBv1.0`].join('\n');
}
