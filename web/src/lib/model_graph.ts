// Where each model stands in the picture: what others build on is to the left, what builds on it to the right.
// Pure: nodes and edges in, rectangles and paths out.
import type { ModelGraph } from './api';

export type GraphNode = ModelGraph['nodes'][number];
export type GraphEdge = ModelGraph['edges'][number];
export interface Placed { node: GraphNode; x: number; y: number }
export interface Drawn { edge: GraphEdge; path: string; label: { x: number; y: number } }
export interface Picture { nodes: Placed[]; edges: Drawn[]; width: number; height: number }

export const box = { width: 208, height: 52, across: 104, down: 20, edge: 28 };

/** How many steps of "extends" and "contains" lead to the simplest model. Circles end where they began. */
export function columns(graph: Pick<ModelGraph, 'nodes' | 'edges'>): Map<string, number> {
  const needs = new Map<string, string[]>();
  for (const edge of graph.edges) if (edge.kind !== 'relationship' && edge.from !== edge.to) needs.set(edge.from, [...(needs.get(edge.from) ?? []), edge.to]);
  const column = new Map<string, number>();
  const open = new Set<string>();
  function of(id: string): number {
    const known = column.get(id);
    if (known !== undefined) return known;
    if (open.has(id)) return 0;
    open.add(id);
    const mine = Math.max(-1, ...(needs.get(id) ?? []).map(of)) + 1;
    open.delete(id);
    column.set(id, mine);
    return mine;
  }
  for (const node of graph.nodes) of(node.id);
  return column;
}

/** Orders each column so that lines cross less: by the middle of the neighbours to the left. */
function rows(graph: Pick<ModelGraph, 'nodes' | 'edges'>, column: Map<string, number>): GraphNode[][] {
  const all: GraphNode[][] = [];
  for (const node of graph.nodes) (all[column.get(node.id) ?? 0] ??= []).push(node);
  const filled = Array.from(all, (nodes) => nodes ?? []);
  const place = new Map<string, number>();
  const remember = () => { for (const nodes of filled) nodes.forEach((node, i) => place.set(node.id, i - nodes.length / 2)); };
  for (const nodes of filled) nodes.sort((a, b) => a.display_name.localeCompare(b.display_name) || a.id.localeCompare(b.id));
  remember();
  for (let round = 0; round < 4; round++) {
    for (const nodes of filled) {
      const middle = new Map(nodes.map((node) => {
        const near = graph.edges.flatMap((edge) => (edge.from === node.id ? [edge.to] : edge.to === node.id ? [edge.from] : [])).filter((id) => id !== node.id);
        const sum = near.reduce((total, id) => total + (place.get(id) ?? 0), 0);
        return [node.id, near.length ? sum / near.length : (place.get(node.id) ?? 0)] as const;
      }));
      nodes.sort((a, b) => middle.get(a.id)! - middle.get(b.id)!);
    }
    remember();
  }
  return filled;
}

interface End { x: number; y: number }

/** A curve from who names to who is named; its label stands near who names. */
function line(from: End, to: End, bend: number, nth: number): Omit<Drawn, 'edge'> {
  const [a, b] = [from.x + bend, bend > 0 && from.x <= to.x && Math.abs(from.x - to.x) < 1 ? to.x + bend : to.x - bend];
  const at = (t: number, p0: number, p1: number, p2: number, p3: number) => (1 - t) ** 3 * p0 + 3 * (1 - t) ** 2 * t * p1 + 3 * (1 - t) * t ** 2 * p2 + t ** 3 * p3;
  const near = Math.abs(from.x - to.x) < 1 ? 0.5 : 0.2 + 0.14 * (nth % 3);
  return { path: `M${from.x} ${from.y}C${a} ${from.y} ${b} ${to.y} ${to.x} ${to.y}`, label: { x: at(near, from.x, a, b, to.x), y: at(near, from.y, from.y, to.y, to.y) } };
}

/** Where each line meets its two boxes: spread over a side, in the order of where they lead, so that they cross less. */
function draw(edges: GraphEdge[], by_id: Map<string, Placed>): Drawn[] {
  interface Port { placed: Placed; right: boolean; other: Placed; y: number; nth: number }
  const ports: Port[] = [];
  const lines = edges.flatMap((edge) => {
    const from = by_id.get(edge.from), to = by_id.get(edge.to);
    if (!from || !to) return [];
    // Within a column lines go around the outside.
    const out: Port = { placed: from, right: from.x <= to.x, other: to, y: 0, nth: 0 };
    const into: Port = { placed: to, right: from.x >= to.x, other: from, y: 0, nth: 0 };
    ports.push(out, into);
    return [{ edge, out, into }];
  });
  const sides = new Map<string, Port[]>();
  for (const port of ports) { const key = `${port.placed.node.id} ${port.right}`; sides.set(key, [...(sides.get(key) ?? []), port]); }
  for (const side of sides.values()) {
    side.sort((a, b) => a.other.y - b.other.y);
    const apart = Math.min(13, (box.height - 12) / Math.max(1, side.length - 1));
    side.forEach((port, i) => { port.y = port.placed.y + box.height / 2 + (i - (side.length - 1) / 2) * apart; port.nth = i; });
  }
  const end = (port: Port): End => ({ x: port.placed.x + (port.right ? box.width : 0), y: port.y });
  return lines.map(({ edge, out, into }) => ({ edge, ...line(end(out), end(into), (out.right ? 1 : -1) * 48, out.nth) }));
}

export function picture(graph: Pick<ModelGraph, 'nodes' | 'edges'>): Picture {
  const filled = rows(graph, columns(graph));
  const tallest = Math.max(1, ...filled.map((nodes) => nodes.length));
  const height = tallest * (box.height + box.down) - box.down + 2 * box.edge;
  const nodes: Placed[] = filled.flatMap((column, i) => {
    const tall = column.length * (box.height + box.down) - box.down;
    return column.map((node, k) => ({ node, x: box.edge + i * (box.width + box.across), y: (height - tall) / 2 + k * (box.height + box.down) }));
  });
  const by_id = new Map(nodes.map((placed) => [placed.node.id, placed]));
  const edges = draw(graph.edges, by_id);
  return { nodes, edges, width: filled.length * (box.width + box.across) - box.across + 2 * box.edge + 24, height };
}

/** The nearest model in a direction, for the arrow keys. */
export function neighbour(nodes: Placed[], id: string, key: string): string | null {
  const here = nodes.find((placed) => placed.node.id === id);
  if (!here) return null;
  const side = key === 'ArrowLeft' || key === 'ArrowRight';
  const sign = key === 'ArrowLeft' || key === 'ArrowUp' ? -1 : 1;
  const ahead = nodes.filter((placed) => placed !== here && (side ? (placed.x - here.x) * sign > 0 : placed.x === here.x && (placed.y - here.y) * sign > 0));
  const far = (placed: Placed) => Math.abs(placed.x - here.x) * 4 + Math.abs(placed.y - here.y);
  return ahead.sort((a, b) => far(a) - far(b))[0]?.node.id ?? null;
}

/** "dtmi:com:example:Pump;2" with its version one higher. */
export function next_version(dtmi: string): string {
  const [stem = dtmi, version = '0'] = dtmi.split(';');
  return `${stem};${(Number.parseInt(version, 10) || 0) + 1}`;
}
