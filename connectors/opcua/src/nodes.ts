// Node ids with the URI of their namespace in place of its index: the index is the server's to
// change at any restart.

import { type ClientSession, coerceNodeId, makeBrowsePath, NodeId, StatusCodes } from "node-opcua-client";

import type { NodeConfiguration } from "./configuration.js";

export class Namespaces {
  private readonly index = new Map<string, number>();
  constructor(readonly uris: readonly string[]) {
    uris.forEach((uri, at) => this.index.set(uri, at));
  }
  indexOf(uri: string): number | undefined {
    return uri === "" ? 0 : this.index.get(uri);
  }
  uriOf(index: number): string {
    return index === 0 ? "" : (this.uris[index] ?? "");
  }
  /** "nsu=http://x;s=Pump"; "i=85" in the namespace of OPC UA itself. */
  text(id: NodeId): string {
    const tail = id.toString().replace(/^ns=\d+;/, "");
    return id.namespace === 0 ? tail : `nsu=${this.uriOf(id.namespace)};${tail}`;
  }
  /** Null: the server does not have the namespace now. Throws where the text is no node id. */
  parse(text: string): NodeId | null {
    const match = /^nsu=(.*);([isgb]=[^]*)$/.exec(text);
    if (!match) return coerceNodeId(text);
    const at = this.indexOf(match[1]!);
    if (at === undefined) return null;
    const id = coerceNodeId(match[2]!);
    return new NodeId(id.identifierType as never, id.value as never, at);
  }
  same(other: readonly string[]): boolean {
    return this.uris.length === other.length && this.uris.every((uri, at) => uri === other[at]);
  }
}

// Part 4, A.2: what a relative path's text must escape.
function escape(name: string): string {
  return name.replace(/[/.<>:#!&]/g, (c) => `&${c}`);
}

export interface Resolved {
  node: NodeConfiguration;
  id: NodeId | null;
  why: string;
}

/** The node ids of today; paths are asked of the server, `perCall` at a time. */
export async function resolve(session: ClientSession, spaces: Namespaces, nodes: NodeConfiguration[], perCall: number): Promise<Resolved[]> {
  const out: Resolved[] = [];
  const paths: { resolved: Resolved; text: string; root: NodeId }[] = [];
  for (const node of nodes) {
    const resolved: Resolved = { node, id: null, why: "" };
    out.push(resolved);
    try {
      resolved.id = spaces.parse(node.node);
      if (!resolved.id) resolved.why = "the server no longer has the node's namespace";
    } catch {
      resolved.why = `${node.node} is no node id`;
    }
    if (!resolved.id || !node.path?.length) continue;
    const indexes = node.path.map((step) => spaces.indexOf(step.ns));
    if (indexes.includes(undefined)) {
      resolved.id = null;
      resolved.why = "the server no longer has a namespace of the path";
      continue;
    }
    const text = node.path.map((step, at) => `/${indexes[at]}:${escape(step.name)}`).join("");
    paths.push({ resolved, text, root: resolved.id });
  }
  for (let at = 0; at < paths.length; at += perCall) {
    const some = paths.slice(at, at + perCall);
    const results = await session.translateBrowsePath(some.map((p) => makeBrowsePath(p.root, p.text)));
    results.forEach((result, i) => {
      const { resolved } = some[i]!;
      const target = result.targets?.[0]?.targetId;
      if (result.statusCode.equals(StatusCodes.Good) && target) resolved.id = new NodeId(target.identifierType as never, target.value as never, target.namespace);
      else {
        resolved.id = null;
        resolved.why = `the server has no such path: ${result.statusCode.name}`;
      }
    });
  }
  return out;
}
