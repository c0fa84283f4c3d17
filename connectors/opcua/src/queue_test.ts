import assert from "node:assert/strict";
import { appendFileSync, mkdtempSync, readdirSync, rmSync, statSync, truncateSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import test from "node:test";

import { DurableQueue } from "./queue.js";

function folder(t: { after: (end: () => void) => void }): string {
  const directory = mkdtempSync(path.join(os.tmpdir(), "penstock-queue-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}
const text = (n: number): Buffer => Buffer.from(`message ${n}`);
function drain(queue: DurableQueue): string[] {
  const out: string[] = [];
  for (let entry = queue.next(); entry; entry = queue.next()) out.push(entry.payload.toString());
  return out;
}

test("what was acknowledged does not come again, the rest does", (t) => {
  const directory = folder(t);
  const queue = new DurableQueue({ directory, bytesMax: 1 << 20, segmentBytes: 100 });
  for (let n = 0; n < 10; ++n) queue.push("a/values", text(n), 3);
  const first = queue.next()!;
  const second = queue.next()!;
  const third = queue.next()!;
  assert.equal(first.topic, "a/values");
  assert.equal(first.values, 3);
  queue.done(third);
  queue.done(first);
  queue.close();
  const again = new DurableQueue({ directory, bytesMax: 1 << 20, segmentBytes: 100 });
  // The second one was not acknowledged, so the third comes again with it.
  assert.deepEqual(drain(again), [1, 2, 3, 4, 5, 6, 7, 8, 9].map((n) => `message ${n}`));
  assert.ok(second);
  again.close();
});

test("a process that is killed leaves no cursor: everything comes again", (t) => {
  const directory = folder(t);
  const queue = new DurableQueue({ directory, bytesMax: 1 << 20 });
  for (let n = 0; n < 3; ++n) queue.push("a", text(n), 1);
  queue.done(queue.next()!);
  const other = new DurableQueue({ directory, bytesMax: 1 << 20 });  // as after kill -9
  assert.deepEqual(drain(other), ["message 0", "message 1", "message 2"]);
  other.close();
});

test("a torn last record is cut off, and what is written after it is read", (t) => {
  const directory = folder(t);
  const queue = new DurableQueue({ directory, bytesMax: 1 << 20 });
  for (let n = 0; n < 3; ++n) queue.push("a", text(n), 1);
  const file = path.join(directory, readdirSync(directory).find((name) => name.endsWith(".seg"))!);
  truncateSync(file, statSync(file).size - 4);
  const other = new DurableQueue({ directory, bytesMax: 1 << 20 });
  other.push("a", text(9), 1);
  assert.deepEqual(drain(other), ["message 0", "message 1", "message 9"]);
  other.close();
});

test("garbage behind the records is cut off", (t) => {
  const directory = folder(t);
  const queue = new DurableQueue({ directory, bytesMax: 1 << 20 });
  queue.push("a", text(0), 1);
  const file = path.join(directory, readdirSync(directory).find((name) => name.endsWith(".seg"))!);
  appendFileSync(file, Buffer.alloc(100, 0xff));
  const other = new DurableQueue({ directory, bytesMax: 1 << 20 });
  assert.deepEqual(drain(other), ["message 0"]);
  other.close();
});

test("a full queue drops the oldest, and counts their values", (t) => {
  const directory = folder(t);
  const queue = new DurableQueue({ directory, bytesMax: 1000, segmentBytes: 200 });
  for (let n = 0; n < 100; ++n) queue.push("a", text(n), 5);
  const left = drain(queue);
  assert.equal(left.at(-1), "message 99");
  assert.equal(queue.droppedValues, 5 * (100 - left.length));
  assert.ok(queue.bytes <= 1200, String(queue.bytes));
  queue.close();
});
