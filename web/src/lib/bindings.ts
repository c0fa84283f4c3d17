// Binding documents as the editor holds them. docs/bindings.md describes the members; the server is the judge.

export interface BindingEntry {
  element: string;
  from?: string;
  unit?: string;
  scale?: number;
  offset?: number;
  bits?: { first?: number; count?: number };
  values?: Record<string, unknown>;
  bytes?: { offset?: number; type: string; order?: string };
  deadband?: { absolute?: number; percent?: number; heartbeat_s?: number };
}

export interface BindingDocument {
  name: string;
  description?: string;
  protocol?: string;
  model: string;
  topic?: string;
  device?: string;
  payload?: { format?: string; messages?: string; value?: string; time?: string; time_format?: string; quality?: string; [other: string]: unknown };
  others?: string;
  elements?: BindingEntry[];
  [other: string]: unknown;
}

/** What a payload holds: a JSON Pointer (RFC 6901) for each value that is no object or array, with the value. */
export function leaves(payload: string, limit = 200): { pointer: string; value: unknown }[] {
  let root: unknown;
  try { root = JSON.parse(payload); } catch { return []; }
  const found: { pointer: string; value: unknown }[] = [];
  const walk = (value: unknown, pointer: string, depth: number) => {
    if (found.length >= limit || depth > 20) return;
    if (value !== null && typeof value === 'object')
      for (const [key, inner] of Object.entries(value)) walk(inner, `${pointer}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`, depth + 1);
    else if (pointer) found.push({ pointer, value });
  };
  walk(root, '', 0);
  return found;
}

/** "temp" and "motor.current" are short for "/temp" and "/motor/current". */
export function as_pointer(address: string): string {
  return address.startsWith('/') ? address : '/' + address.replaceAll('.', '/');
}

const bare = (text: string) => text.toLowerCase().replaceAll(/[^a-z0-9]/g, '');

/** The element that an address most likely means: the same letters and digits, else the same ending. */
export function likely_element(address: string, elements: readonly { key: string }[]): string {
  const parts = as_pointer(address).split('/').filter(Boolean);
  const last = bare(parts.at(-1) ?? ''), all = bare(parts.join(''));
  const exact = elements.find((e) => bare(e.key) === all) ?? elements.find((e) => bare(e.key) === last);
  if (exact) return exact.key;
  return elements.find((e) => last.length > 2 && (bare(e.key).endsWith(last) || last.endsWith(bare(e.key))))?.key ?? '';
}

/** The document without members that say nothing, so that a version's difference shows only what was meant. */
export function tidy(document: BindingDocument): BindingDocument {
  const clean = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(clean);
    if (value === null || typeof value !== 'object') return value;
    const out: Record<string, unknown> = {};
    for (const [key, inner] of Object.entries(value)) {
      const kept = clean(inner);
      const empty = kept === '' || kept === null || kept === undefined || (typeof kept === 'object' && !Array.isArray(kept) && Object.keys(kept).length === 0);
      if (!empty) out[key] = kept;
    }
    return out;
  };
  const out = clean(document) as BindingDocument;
  if (out.protocol !== 'mqtt' && out.protocol !== undefined) { delete out.topic; delete out.device; }
  if (out.protocol !== 'mqtt' && out.protocol !== 'http' && out.protocol !== undefined) delete out.payload;
  for (const entry of out.elements ?? []) {
    if (out.payload?.format !== 'bytes') delete entry.bytes;
    if (entry.scale === 1) delete entry.scale;
    if (entry.offset === 0) delete entry.offset;
  }
  return out;
}

/** "0 = off" on a line each, to and from an object. Numbers and true, false stay what they are. */
export function map_text(values: Record<string, unknown> | undefined): string {
  return Object.entries(values ?? {}).map(([wire, stored]) => `${wire} = ${String(stored)}`).join('\n');
}
export function map_of(text: string): Record<string, unknown> {
  const out: Record<string, unknown> = {};
  for (const line of text.split('\n')) {
    const at = line.indexOf('=');
    if (at < 0 || !line.slice(0, at).trim()) continue;
    const stored = line.slice(at + 1).trim();
    out[line.slice(0, at).trim()] = stored === 'true' ? true : stored === 'false' ? false : stored !== '' && Number.isFinite(Number(stored)) ? Number(stored) : stored;
  }
  return out;
}

/** The entry that an error is about: "elements[3].unit" is 3, and "temperature: furlong" the entry of temperature. */
export function entry_of(about: string | undefined, entries: readonly { element: string }[]): number | null {
  const match = /^elements\[(\d+)\]/.exec(about ?? '');
  if (match) return Number(match[1]);
  const named = entries.findIndex((e) => e.element && about?.startsWith(`${e.element}: `));
  return named < 0 ? null : named;
}
