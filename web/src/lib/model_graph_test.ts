import assert from 'node:assert/strict';
import { test } from 'node:test';
import { box, columns, neighbour, next_version, picture } from './model_graph';

const node = (id: string) => ({ id, display_name: id, known: true, elements: 1, twins: 0 });
const edge = (from: string, to: string, kind: 'extends' | 'component' | 'relationship' = 'extends') => ({ from, to, kind, name: kind === 'extends' ? null : 'x' });

test('models stand to the right of what they build on; relationships move nobody', () => {
  const graph = { nodes: ['base', 'motor', 'pump', 'station'].map(node), edges: [edge('pump', 'base'), edge('pump', 'motor', 'component'), edge('station', 'pump', 'component'), edge('base', 'station', 'relationship')] };
  assert.deepEqual([...columns(graph)].sort(), [['base', 0], ['motor', 0], ['pump', 1], ['station', 2]]);
  const drawn = picture(graph);
  assert.equal(drawn.nodes.length, 4);
  assert.equal(drawn.edges.length, 4);
  for (const a of drawn.nodes) for (const b of drawn.nodes)
    if (a !== b) assert.ok(Math.abs(a.x - b.x) >= box.width || Math.abs(a.y - b.y) >= box.height, 'no two overlap');
  for (const placed of drawn.nodes) assert.ok(placed.x >= 0 && placed.x + box.width <= drawn.width && placed.y + box.height <= drawn.height);
  assert.equal(neighbour(drawn.nodes, 'pump', 'ArrowRight'), 'station');
  assert.equal(neighbour(drawn.nodes, 'base', 'ArrowDown') ?? neighbour(drawn.nodes, 'base', 'ArrowUp'), 'motor');
  assert.equal(neighbour(drawn.nodes, 'station', 'ArrowRight'), null);
});

test('circles and models that point at themselves are drawn', () => {
  const graph = { nodes: ['a', 'b'].map(node), edges: [edge('a', 'b'), edge('b', 'a'), edge('a', 'a', 'relationship'), edge('a', 'gone', 'relationship')] };
  const drawn = picture(graph);
  assert.equal(drawn.nodes.length, 2);
  assert.equal(drawn.edges.length, 3);
  assert.ok(drawn.edges.every((one) => !one.path.includes('NaN')));
  assert.equal(picture({ nodes: [], edges: [] }).nodes.length, 0);
});

test('the next version is one higher', () => {
  assert.equal(next_version('dtmi:a:B;9'), 'dtmi:a:B;10');
  assert.equal(next_version('dtmi:a:B'), 'dtmi:a:B;1');
});
