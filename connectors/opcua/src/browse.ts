// The address space for people: children of a node, what a type's instances have, and what a
// variable is (data type, unit, access).

import {
  AttributeIds, BrowseDirection, type ClientSession, coerceNodeId, DataType, findBasicDataType, NodeClass, NodeId,
  type ReferenceDescription, StatusCodes,
} from "node-opcua-client";

import { plain } from "./values.js";
import type { Namespaces } from "./nodes.js";

const HIERARCHICAL = "i=33";
const SUBTYPE = "i=45";
const NODES_MAX = 20_000;

export interface BrowsedNode {
  node: string;
  name: string;
  ns: string;
  display_name: string;
  class: string;
  type: string;
}

function described(spaces: Namespaces, reference: ReferenceDescription): BrowsedNode {
  return {
    node: spaces.text(reference.nodeId),
    name: reference.browseName.name ?? "",
    ns: spaces.uriOf(reference.browseName.namespaceIndex),
    display_name: reference.displayName.text ?? reference.browseName.name ?? "",
    class: NodeClass[reference.nodeClass] ?? "",
    type: reference.typeDefinition ? spaces.text(reference.typeDefinition) : "",
  };
}

async function references(session: ClientSession, id: NodeId, type: string, direction: BrowseDirection, classes = 0): Promise<ReferenceDescription[]> {
  let result = await session.browse({
    nodeId: id, browseDirection: direction, referenceTypeId: coerceNodeId(type), includeSubtypes: true, nodeClassMask: classes, resultMask: 63,
  });
  if (result.statusCode.isNot(StatusCodes.Good)) throw new Error(`the server does not show ${id.toString()}: ${result.statusCode.name}`);
  const out = result.references ?? [];
  while (result.continuationPoint && result.continuationPoint.length > 0 && out.length < NODES_MAX) {
    result = await session.browseNext(result.continuationPoint, false);
    out.push(...(result.references ?? []));
  }
  return out;
}

export async function children(session: ClientSession, spaces: Namespaces, node: string): Promise<unknown> {
  const id = spaces.parse(node || "i=85");
  if (!id) throw new Error("the server does not have that namespace");
  const found = await references(session, id, HIERARCHICAL, BrowseDirection.Forward);
  const seen = new Set<string>();
  const items = found.filter((r) => !seen.has(r.nodeId.toString()) && seen.add(r.nodeId.toString())).map((r) => described(spaces, r));
  return { node: spaces.text(id), items: items.slice(0, 5000), more: Math.max(0, items.length - 5000) };
}

/** Data type, unit, access and present value of variables. */
export async function describe(session: ClientSession, spaces: Namespaces, nodes: string[]): Promise<unknown[]> {
  const out: unknown[] = [];
  for (const text of nodes.slice(0, 1000)) {
    const id = spaces.parse(text);
    if (!id) {
      out.push({ node: text, error: "the server does not have that namespace" });
      continue;
    }
    const attribute = (attributeId: AttributeIds) => ({ nodeId: id, attributeId });
    const [value, dataType, access, name, display, description, rank, kind] = await session.read([
      attribute(AttributeIds.Value), attribute(AttributeIds.DataType), attribute(AttributeIds.UserAccessLevel), attribute(AttributeIds.BrowseName),
      attribute(AttributeIds.DisplayName), attribute(AttributeIds.Description), attribute(AttributeIds.ValueRank), attribute(AttributeIds.NodeClass),
    ]);
    let type = "";
    try {
      if (dataType!.value.value) type = DataType[await findBasicDataType(session, dataType!.value.value as NodeId)] ?? "";
    } catch {
      // An abstract or unknown type: the value's own says enough.
    }
    if (!type || type === "Null" || type === "Variant") type = DataType[value!.value?.dataType ?? 0] ?? "";
    out.push({
      node: spaces.text(id),
      class: NodeClass[(kind!.value?.value as number) ?? 0] ?? "",
      name: (name!.value?.value as { name?: string } | null)?.name ?? "",
      display_name: (display!.value?.value as { text?: string } | null)?.text ?? "",
      description: (description!.value?.value as { text?: string } | null)?.text ?? "",
      data_type: type,
      array: ((rank!.value?.value as number) ?? -1) >= 0,
      access: (access!.value?.value as number) ?? 0,
      readable: (((access!.value?.value as number) ?? 1) & 1) !== 0,
      writable: (((access!.value?.value as number) ?? 0) & 2) !== 0,
      history: (((access!.value?.value as number) ?? 0) & 4) !== 0,
      value: plain(value!.value?.value ?? null),
      status: value!.statusCode.name,
      source_time: value!.sourceTimestamp?.toISOString() ?? null,
      ...(await engineering(session, id)),
    });
  }
  return out;
}

async function engineering(session: ClientSession, id: NodeId): Promise<{ unit: string; unit_code: string; minimum: number | null; maximum: number | null }> {
  const out = { unit: "", unit_code: "", minimum: null as number | null, maximum: null as number | null };
  const properties = await references(session, id, "i=46", BrowseDirection.Forward).catch(() => []);
  for (const property of properties) {
    const name = property.browseName.name;
    if (name !== "EngineeringUnits" && name !== "EURange") continue;
    const read = await session.read({ nodeId: property.nodeId, attributeId: AttributeIds.Value });
    const value = read.value?.value as Record<string, unknown> | null;
    if (!value) continue;
    if (name === "EURange") {
      out.minimum = Number(value.low);
      out.maximum = Number(value.high);
      continue;
    }
    out.unit = (value.displayName as { text?: string } | null)?.text ?? "";
    const code = Number(value.unitId);
    // UNECE Recommendation 20: the common code's characters, as bytes (Part 8, 5.6.3.3).
    if (code > 0) out.unit_code = [24, 16, 8, 0].map((shift) => (code >>> shift) & 255).filter((c) => c > 0).map((c) => String.fromCharCode(c)).join("");
  }
  return out;
}

/** All variables below a node, by browse path; what a type binding picks from. */
export async function variables(session: ClientSession, spaces: Namespaces, root: NodeId, depthMax = 6): Promise<unknown[]> {
  const out: unknown[] = [];
  const seen = new Set<string>([root.toString()]);
  let level: { id: NodeId; path: { ns: string; name: string }[] }[] = [{ id: root, path: [] }];
  for (let depth = 0; depth < depthMax && level.length > 0 && out.length < 2000; ++depth) {
    const next: typeof level = [];
    for (const at of level) {
      for (const child of await references(session, at.id, HIERARCHICAL, BrowseDirection.Forward).catch(() => [])) {
        const key = child.nodeId.toString();
        if (seen.has(key) || seen.size > NODES_MAX) continue;
        seen.add(key);
        const path = [...at.path, { ns: spaces.uriOf(child.browseName.namespaceIndex), name: child.browseName.name ?? "" }];
        const property = child.referenceTypeId.toString().endsWith("i=46");
        if (child.nodeClass === NodeClass.Variable && !property)
          out.push({ path, address: path.map((step) => step.name).join("/"), node: spaces.text(child.nodeId), type: child.typeDefinition ? spaces.text(child.typeDefinition) : "" });
        if (!property && child.nodeClass !== NodeClass.Method) next.push({ id: new NodeId(child.nodeId.identifierType as never, child.nodeId.value as never, child.nodeId.namespace), path });
      }
    }
    level = next;
  }
  return out;
}

/** Object types with what a person would bind by: companion specifications first. */
export async function types(session: ClientSession, spaces: Namespaces): Promise<unknown[]> {
  const out: (BrowsedNode & { base: string })[] = [];
  const seen = new Set<string>();
  let level: { id: NodeId; base: string }[] = [{ id: coerceNodeId("i=58"), base: "" }];
  while (level.length > 0 && out.length < 5000) {
    const next: typeof level = [];
    for (const { id } of level)
      for (const child of await references(session, id, SUBTYPE, BrowseDirection.Forward).catch(() => [])) {
        if (seen.has(child.nodeId.toString())) continue;
        seen.add(child.nodeId.toString());
        const type = described(spaces, child);
        if (type.ns !== "") out.push({ ...type, base: spaces.text(id) });
        next.push({ id: coerceNodeId(child.nodeId), base: type.node });
      }
    level = next;
  }
  return out;
}

async function isA(session: ClientSession, type: string, wanted: string, known: Map<string, boolean>): Promise<boolean> {
  const before = known.get(type);
  if (before !== undefined) return before;
  known.set(type, type === wanted);
  if (type !== wanted) {
    const bases = await references(session, coerceNodeId(type), SUBTYPE, BrowseDirection.Inverse).catch(() => []);
    for (const base of bases) if (await isA(session, base.nodeId.toString(), wanted, known)) known.set(type, true);
  }
  return known.get(type)!;
}

/** Every object below Objects whose type is `type` or one of its subtypes. */
export async function instances(session: ClientSession, spaces: Namespaces, typeText: string): Promise<unknown> {
  const type = spaces.parse(typeText);
  if (!type) throw new Error("the server does not have the type's namespace");
  const known = new Map<string, boolean>();
  const out: { node: string; name: string; display_name: string; variables: unknown[] }[] = [];
  const seen = new Set<string>(["i=85"]);
  let level: NodeId[] = [coerceNodeId("i=85")];
  for (let depth = 0; depth < 10 && level.length > 0 && seen.size < NODES_MAX; ++depth) {
    const next: NodeId[] = [];
    for (const id of level)
      for (const child of await references(session, id, HIERARCHICAL, BrowseDirection.Forward, NodeClass.Object).catch(() => [])) {
        const key = child.nodeId.toString();
        // The Server object is large and has no machines.
        if (seen.has(key) || key === "ns=0;i=2253") continue;
        seen.add(key);
        const node = coerceNodeId(child.nodeId);
        if (child.typeDefinition && (await isA(session, coerceNodeId(child.typeDefinition).toString(), coerceNodeId(type).toString(), known)))
          out.push({
            node: spaces.text(child.nodeId), name: child.browseName.name ?? "", display_name: child.displayName.text ?? "",
            variables: out.length < 200 ? await variables(session, spaces, node) : [],
          });
        else next.push(node);
      }
    level = next;
  }
  return { type: typeText, instances: out };
}

