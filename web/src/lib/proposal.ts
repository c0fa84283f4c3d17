// A proposal as a person edits it: elements renamed, left out, given another unit. What is sent back is the interface and the
// binding with those changes, and nothing else of them touched.

export interface EditedElement {
  address: string;
  element: string;
  schema: string;
  unit: string;
  keep: boolean;
}

type Json = Record<string, unknown>;
interface Content extends Json { name?: string; unit?: string; schema?: unknown }

/** The interface with the elements as edited. Contents are found by the name that was proposed. */
export function edited_interface(original: Json, proposed: readonly { element: string }[], edited: readonly EditedElement[], dtmi: string, title: string): Json {
  const contents = (original.contents as Content[] | undefined) ?? [];
  const out: Content[] = [];
  for (const content of contents) {
    const at = proposed.findIndex((p) => p.element === content.name);
    const e = edited[at];
    if (!e) { out.push(content); continue; }
    if (!e.keep) continue;
    const next: Content = { ...content, name: e.element };
    if (e.schema && typeof content.schema === 'string') next.schema = e.schema;
    if (e.unit && content.unit !== undefined) next.unit = e.unit;
    out.push(next);
  }
  return { ...original, '@id': dtmi, ...(title ? { displayName: title } : {}), contents: out };
}

/** The binding with the elements as edited; made where a renamed element needs one; null where none is needed. */
export function edited_binding(original: Json | null, proposed: readonly { element: string; address: string }[], edited: readonly EditedElement[], dtmi: string, name: string, protocol: string): Json | null {
  const kept = edited.filter((e) => e.keep);
  if (!original && kept.every((e) => e.element === e.address)) return null;
  const before = (original?.elements as { element: string; from?: string }[] | undefined) ?? [];
  const elements = kept.map((e) => {
    const at = edited.indexOf(e);
    const had = before.find((b) => b.element === proposed[at]?.element);
    return had ? { ...had, element: e.element } : { element: e.element, from: e.address };
  });
  return { ...(original ?? { name, protocol }), model: dtmi, elements };
}

/** "temp sensor" as a DTDL name: letters, digits and underscores, a letter first (DTDL v3, name). */
export function valid_name(name: string): boolean {
  return /^[A-Za-z](?:[A-Za-z0-9_]{0,62}[A-Za-z0-9])?$/.test(name);
}
