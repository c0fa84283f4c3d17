// Our codec and npm's sparkplug-payload on the same payloads, both ways: what the oracle encodes we read as it
// does; what we write again it decodes as the original.
//   CODEC_PEER=build/release/tests/sparkplug/sparkplug_codec_peer node --test tests/sparkplug/codec_oracle.mjs
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { after, test } from 'node:test';
import payloads from 'sparkplug-payload';

const oracle = payloads.get('spBv1.0');
const peer = spawn(resolve(process.env.CODEC_PEER ?? 'build/release/tests/sparkplug/sparkplug_codec_peer'), [], { stdio: ['pipe', 'pipe', 'inherit'] });
const lines = createInterface({ input: peer.stdout })[Symbol.asyncIterator]();
after(() => peer.stdin.end());

async function ours(bytes) {
  peer.stdin.write(Buffer.from(bytes).toString('hex') + '\n');
  const { value } = await lines.next();
  if (value === 'none') return null;
  const [json, hex] = value.split('\t');
  // JSON.parse would round what is above 2^53; the digits are kept.
  const exact = JSON.parse(json.replace(/([:[,])(-?\d{16,})(?=[,}\]])/g, '$1"$2"'));
  return { json: exact, again: Buffer.from(hex, 'hex') };
}

// A pseudo-random number of [0, n), the same in each run.
let state = Number(process.env.SEED ?? 20261124);
const below = (n) => { state = (Math.imul(state, 1664525) + 1013904223) >>> 0; return Math.floor((state / 2 ** 32) * n); };
const pick = (list) => list[below(list.length)];
const words = ['', 'a', 'Node Control/Rebirth', 'Ünïcode/°C', '"quoted"\\', 'line\nbreak', '日本', 'x'.repeat(300)];
const long = () => payloadLong(below(2 ** 32), below(2 ** 31));
const Long = (await import('long')).default;
const payloadLong = (low, high) => Long.fromBits(low | 0, high | 0, true);

const makers = {
  Int8: () => below(256) - 128, Int16: () => below(65536) - 32768, Int32: () => below(2 ** 32) - 2 ** 31,
  UInt8: () => below(256), UInt16: () => below(65536), UInt32: () => below(2 ** 32),
  Int64: () => (below(2) ? long() : Long.fromNumber(-below(2 ** 31))), UInt64: long, DateTime: () => payloadLong(below(2 ** 32), below(400)),
  Float: () => Math.fround(below(1e6) / 7 - 5e4), Double: () => below(1e9) / 7 - 5e7, Boolean: () => below(2) === 1,
  String: () => pick(words), Text: () => pick(words), UUID: () => '01234567-89ab-cdef-0123-456789abcdef',
  Bytes: () => Uint8Array.from({ length: below(40) }, () => below(256)), File: () => Uint8Array.from({ length: below(9) }, () => below(256)),
};
const scalars = Object.keys(makers);
const cells = ['UInt32', 'Int64', 'Float', 'Double', 'Boolean', 'String'];
const property = (depth) => {
  const kind = depth > 0 ? below(8) : 7;
  if (kind === 0) return { type: 'PropertySet', value: properties(depth - 1) };
  if (kind === 1) return { type: 'PropertySetList', value: Array.from({ length: below(3) }, () => properties(depth - 1)) };
  const type = pick(scalars.filter((name) => name !== 'Bytes' && name !== 'File'));
  return { type, value: below(8) ? makers[type]() : null };
};
const properties = (depth) => Object.fromEntries(Array.from({ length: 1 + below(3) }, (_, i) => [`key ${i}`, property(depth)]));
function dataset() {
  const types = Array.from({ length: 1 + below(4) }, () => pick(cells));
  return { numOfColumns: types.length, columns: types.map((_, i) => `c${i}`), types, rows: Array.from({ length: below(5) }, () => types.map((type) => makers[type]())) };
}
function template(depth) {
  return { version: 'v1', templateRef: pick(['Pump', 'Motor']), isDefinition: below(4) === 0,
    metrics: Array.from({ length: below(3) }, () => metric(depth - 1)),
    parameters: Array.from({ length: below(3) }, (_, i) => { const type = pick(cells); return { name: `p${i}`, type, value: makers[type]() }; }) };
}
function metric(depth) {
  const kind = below(12);
  const made = kind === 0 ? { type: 'DataSet', value: dataset() } : kind === 1 && depth > 0 ? { type: 'Template', value: template(depth) }
    : (() => { const type = pick(scalars); return { type, value: below(12) ? makers[type]() : null }; })();
  made.name = pick(words);
  if (below(2)) made.alias = long();
  if (below(2)) made.timestamp = payloadLong(below(2 ** 32), below(400));
  if (below(4) === 0) made.isHistorical = true;
  if (below(4) === 0) made.isTransient = true;
  if (below(3) === 0) made.properties = properties(2);
  if (below(5) === 0) made.metadata = { contentType: 'text/plain', size: 1 + below(1000), fileName: 'ä.txt', md5: 'ff', description: pick(words.slice(1)), isMultiPart: below(2) === 1 };
  return made;
}

// The oracle's decoding in the shape of ours.
const big = (value) => { const text = String(value); return text.length >= 16 && /^-?\d+$/.test(text) ? text : Number(text); };
function value_of(type, value, decoded = value) {
  if (value === null || value === undefined) return null;
  switch (type) {
    case 'Float': return Math.fround(decoded);
    case 'Int8': return value << 24 >> 24;
    case 'Int16': return value << 16 >> 16;
    case 'UInt32': return typeof value === 'object' ? value.low >>> 0 : value >>> 0;
    case 'Int64': return big(BigInt.asIntN(64, BigInt(String(value))));  // it has the bits, not always their sign
    case 'UInt64': return big(value);
    case 'DateTime': return Number(value);
    case 'Bytes': case 'File': return Buffer.from(value).toString('base64');
    case 'DataSet': return { columns: value.columns ?? [], types: value.types, rows: value.rows.map((row) => row.map((cell, i) => value_of(value.types[i], cell))) };
    case 'Template': return shape_template(value);
    case 'PropertySet': return shape_properties(value);
    case 'PropertySetList': return value.map(shape_properties);
    default: return value;
  }
}
const shape_properties = (set) => Object.fromEntries(Object.entries(set).map(([key, { type, value }]) => [key, { type, value: value_of(type, value) }]));
function shape_template(made) {
  const out = { is_definition: !!made.isDefinition, metrics: (made.metrics ?? []).map(shape_metric),
    parameters: (made.parameters ?? []).map(({ name, type, value }) => ({ name, type, value: value_of(type, value) })) };
  if (made.version) out.version = made.version;
  if (made.templateRef) out.template_ref = made.templateRef;
  return out;
}
function shape_metric(made) {
  const out = { name: made.name, type: made.type, value: value_of(made.type, made.value) };
  if (made.alias !== undefined) out.alias = big(made.alias);
  if (made.timestamp !== undefined) out.timestamp = big(made.timestamp);
  if (made.isHistorical) out.is_historical = true;
  if (made.isTransient) out.is_transient = true;
  if (made.value === null) out.is_null = true;
  if (made.properties && Object.keys(made.properties).length) out.properties = shape_properties(made.properties);
  if (made.metadata) {
    const { contentType, size, fileName, md5, description, isMultiPart } = made.metadata;
    out.metadata = { content_type: contentType, file_name: fileName, md5, description, size: big(size) };
    if (isMultiPart) out.metadata.is_multi_part = true;
  }
  return out;
}
// Floats and dates of ours as numbers that compare.
function compared(json) {
  const walk = (node, type) => {
    if (node === null) return null;
    if (typeof node === 'number' && type === 'Float') return Math.fround(node);
    if (typeof node === 'string' && type === 'DateTime') return Date.parse(node);
    if (Array.isArray(node)) return node.map((each) => walk(each, type));
    if (typeof node !== 'object') return node;
    if (node.columns) return { ...node, rows: node.rows.map((row) => row.map((cell, i) => walk(cell, node.types[i]))) };
    const out = {};
    for (const [key, child] of Object.entries(node)) out[key] = walk(child, key === 'value' ? node.type : undefined);
    return out;
  };
  return json.metrics.map((each) => walk(each));
}

test('what the oracle encodes is read as the oracle reads it, and written again as it was', async () => {
  for (let round = 0; round < 3000; ++round) {
    const made = { timestamp: payloadLong(below(2 ** 32), below(400)), seq: payloadLong(below(256), 0), metrics: Array.from({ length: below(6) }, () => metric(3)) };
    if (below(9) === 0) made.uuid = 'f00d';
    if (below(9) === 0) made.body = Uint8Array.from([1, 2, 3]);
    const bytes = oracle.encodePayload(made);
    const decoded = oracle.decodePayload(bytes);
    const read = await ours(bytes);
    assert.ok(read, `round ${round}: refused ${Buffer.from(bytes).toString('hex')}`);
    assert.deepEqual(compared(read.json), (decoded.metrics ?? []).map(shape_metric), `round ${round}`);
    assert.equal(String(read.json.seq), String(made.seq));
    assert.deepEqual(oracle.decodePayload(read.again), decoded, `round ${round}: written again`);
  }
});

test('what the oracle refuses or reads otherwise is no more to us', async () => {
  // Bytes cut and changed at random: whatever we accept, the oracle does not fall over it either.
  let refused = 0;
  for (let round = 0; round < 2000; ++round) {
    const bytes = Buffer.from(oracle.encodePayload({ timestamp: 1, seq: 2, metrics: [metric(2), metric(2)] }));
    for (let i = below(3); i >= 0; --i) bytes[below(bytes.length)] = below(256);
    const read = await ours(bytes.subarray(0, below(3) ? bytes.length : below(bytes.length)));
    if (!read) ++refused;
  }
  assert.ok(refused > 100, `${refused} refused`);
});
