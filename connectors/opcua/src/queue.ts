// The durable queue between the OPC UA servers and the gateway: segment files that are only
// appended to. A record that push() has taken survives the death of this process at once (it is in
// the page cache), and of the machine within SYNC_MS. It leaves when the gateway has acknowledged
// it, which it does once it is durable there.
//
// Record: u32 length of what follows the 8 bytes, u32 CRC-32 of that, u16 length of the topic, u32
// number of values, topic, payload. All little-endian.

import {
  closeSync, existsSync, fdatasync, fdatasyncSync, fstatSync, ftruncateSync, mkdirSync, openSync, readdirSync, readFileSync, readSync,
  renameSync, rmSync, statSync, writeFileSync, writeSync,
} from "node:fs";
import { crc32 } from "node:zlib";
import path from "node:path";

const HEAD = 8;
const META = 6;
const RECORD_MAX = 8 << 20;
const SYNC_MS = 1000;

export interface QueueOptions {
  directory: string;
  bytesMax: number;
  segmentBytes?: number;
}

export interface Entry {
  topic: string;
  payload: Buffer;
  values: number;
  /** For done(). */
  end: Position;
}

export interface Position {
  segment: number;
  offset: number;
}

interface Segment {
  number: number;
  bytes: number;
}

function before(a: Position, b: Position): boolean {
  return a.segment < b.segment || (a.segment === b.segment && a.offset < b.offset);
}

export class DurableQueue {
  /** Values that the limit or a damaged file cost, since the folder was made. */
  droppedValues = 0;
  droppedBytes = 0;
  lastDrop = "";
  private segments: Segment[] = [];
  private fd = -1;
  private readFd = -1;
  private readSegment = -1;
  /** All before it is acknowledged. */
  private cursor: Position = { segment: 0, offset: 0 };
  private reading: Position = { segment: 0, offset: 0 };
  private flying: { end: Position; done: boolean }[] = [];
  private savedAt = 0;
  private dirty = false;
  private syncing = false;
  private readonly timer: NodeJS.Timeout;

  constructor(private readonly options: QueueOptions) {
    mkdirSync(options.directory, { recursive: true, mode: 0o700 });
    this.open();
    this.timer = setInterval(() => this.settle(), SYNC_MS / 2);
    this.timer.unref();
  }

  private file(segment: number): string {
    return path.join(this.options.directory, `${String(segment).padStart(12, "0")}.seg`);
  }
  private get cursorFile(): string {
    return path.join(this.options.directory, "cursor.json");
  }

  private open(): void {
    for (const name of readdirSync(this.options.directory).sort())
      if (/^\d{12}\.seg$/.test(name))
        this.segments.push({ number: Number(name.slice(0, 12)), bytes: statSync(path.join(this.options.directory, name)).size });
    if (existsSync(this.cursorFile)) {
      try {
        const saved = JSON.parse(readFileSync(this.cursorFile, "utf8"));
        this.cursor = { segment: Number(saved.segment), offset: Number(saved.offset) };
        this.droppedValues = Number(saved.dropped_values) || 0;
        this.droppedBytes = Number(saved.dropped_bytes) || 0;
        this.lastDrop = String(saved.last_drop ?? "");
      } catch {
        // Without it everything is sent again: the gateway knows what it has.
      }
    }
    while (this.segments.length > 0 && this.segments[0]!.number < this.cursor.segment) this.removeFirst();
    const last = this.segments.at(-1);
    if (last) {
      const offset = last.number === this.cursor.segment ? this.cursor.offset : 0;
      const good = this.goodUntil(last, Math.min(offset, last.bytes));
      if (good < last.bytes) {
        const fd = openSync(this.file(last.number), "r+");
        ftruncateSync(fd, good);
        closeSync(fd);
        last.bytes = good;
      }
      if (this.cursor.segment < this.segments[0]!.number) this.cursor = { segment: this.segments[0]!.number, offset: 0 };
      if (this.cursor.segment === last.number) this.cursor.offset = Math.min(this.cursor.offset, last.bytes);
      this.fd = openSync(this.file(last.number), "a");
    } else {
      this.addSegment(Math.max(1, this.cursor.segment + 1));
      this.cursor = { segment: this.segments[0]!.number, offset: 0 };
    }
    this.reading = { ...this.cursor };
  }

  /** Where the whole records from `offset` on end: what follows was torn by a crash. */
  private goodUntil(segment: Segment, offset: number): number {
    const fd = openSync(this.file(segment.number), "r");
    try {
      for (;;) {
        const record = this.read(fd, offset, segment.bytes);
        if (!record) return offset;
        offset += HEAD + record.length;
      }
    } finally {
      closeSync(fd);
    }
  }

  private read(fd: number, offset: number, size: number): Buffer | null {
    if (offset + HEAD > size) return null;
    const head = Buffer.allocUnsafe(HEAD);
    if (readSync(fd, head, 0, HEAD, offset) !== HEAD) return null;
    const length = head.readUInt32LE(0);
    if (length < META || length > RECORD_MAX || offset + HEAD + length > size) return null;
    const body = Buffer.allocUnsafe(length);
    if (readSync(fd, body, 0, length, offset + HEAD) !== length) return null;
    return crc32(body) === head.readUInt32LE(4) ? body : null;
  }

  private addSegment(number: number): void {
    if (this.fd >= 0) {
      fdatasyncSync(this.fd);
      closeSync(this.fd);
    }
    this.fd = openSync(this.file(number), "a", 0o600);
    this.segments.push({ number, bytes: 0 });
  }

  private removeFirst(): void {
    const gone = this.segments.shift()!;
    if (this.readSegment === gone.number) {
      closeSync(this.readFd);
      this.readFd = this.readSegment = -1;
    }
    rmSync(this.file(gone.number), { force: true });
  }

  get bytes(): number {
    let sum = -this.cursor.offset;
    for (const segment of this.segments) sum += segment.bytes;
    return Math.max(0, sum);
  }

  /** Throws where the disk does: the caller counts. */
  push(topic: string, payload: Buffer, values: number): void {
    const topicBytes = Buffer.from(topic);
    const body = Buffer.allocUnsafe(META + topicBytes.length + payload.length);
    body.writeUInt16LE(topicBytes.length, 0);
    body.writeUInt32LE(values, 2);
    topicBytes.copy(body, META);
    payload.copy(body, META + topicBytes.length);
    const record = Buffer.allocUnsafe(HEAD + body.length);
    record.writeUInt32LE(body.length, 0);
    record.writeUInt32LE(crc32(body), 4);
    body.copy(record, HEAD);
    const last = this.segments.at(-1)!;
    const written = writeSync(this.fd, record);
    if (written !== record.length) {
      ftruncateSync(this.fd, last.bytes);
      throw new Error("the disk took only a part of a record");
    }
    last.bytes += record.length;
    this.dirty = true;
    if (last.bytes >= (this.options.segmentBytes ?? 8 << 20)) this.addSegment(last.number + 1);
    while (this.bytes > this.options.bytesMax && this.segments.length > 1) this.dropOldest();
  }

  /** The limit is reached: the oldest go, for the newest are what people act on. */
  private dropOldest(): void {
    const first = this.segments[0]!;
    let offset = this.cursor.segment === first.number ? this.cursor.offset : 0;
    const fd = openSync(this.file(first.number), "r");
    for (let body = this.read(fd, offset, first.bytes); body; body = this.read(fd, offset, first.bytes)) {
      this.droppedValues += body.readUInt32LE(2);
      offset += HEAD + body.length;
    }
    closeSync(fd);
    this.droppedBytes += first.bytes;
    this.lastDrop = new Date().toISOString();
    this.removeFirst();
    const next: Position = { segment: this.segments[0]!.number, offset: 0 };
    this.flying = this.flying.filter((flight) => !before(flight.end, next));
    if (before(this.cursor, next)) this.cursor = { ...next };
    if (before(this.reading, next)) this.reading = { ...next };
    this.save();
  }

  /** The next one to send; null: none. */
  next(): Entry | null {
    for (;;) {
      const segment = this.segments.find((s) => s.number === this.reading.segment);
      if (!segment) return null;
      if (this.reading.offset >= segment.bytes) {
        if (segment === this.segments.at(-1)) return null;
        this.reading = { segment: segment.number + 1, offset: 0 };
        continue;
      }
      if (this.readSegment !== segment.number) {
        if (this.readFd >= 0) closeSync(this.readFd);
        this.readFd = openSync(this.file(segment.number), "r");
        this.readSegment = segment.number;
      }
      const body = this.read(this.readFd, this.reading.offset, segment.bytes);
      if (!body) {  // damaged in the middle: what follows in this segment cannot be found
        this.droppedBytes += segment.bytes - this.reading.offset;
        this.lastDrop = new Date().toISOString();
        this.reading.offset = segment.bytes;
        if (segment === this.segments.at(-1)) this.addSegment(segment.number + 1);
        continue;
      }
      this.reading = { segment: segment.number, offset: this.reading.offset + HEAD + body.length };
      const topicEnd = META + body.readUInt16LE(0);
      this.flying.push({ end: { ...this.reading }, done: false });
      return {
        topic: body.toString("utf8", META, topicEnd),
        payload: body.subarray(topicEnd),
        values: body.readUInt32LE(2),
        end: { ...this.reading },
      };
    }
  }

  /** The gateway has it. */
  done(entry: Entry): void {
    const flight = this.flying.find((f) => f.end.segment === entry.end.segment && f.end.offset === entry.end.offset);
    if (flight) flight.done = true;
    while (this.flying.length > 0 && this.flying[0]!.done) this.cursor = this.flying.shift()!.end;
    while (this.segments.length > 1 && this.segments[0]!.number < this.cursor.segment) this.removeFirst();
  }

  /** What was handed out and not acknowledged is handed out again. */
  rewind(): void {
    this.flying = [];
    this.reading = { ...this.cursor };
  }

  private save(): void {
    const text = JSON.stringify({
      ...this.cursor, dropped_values: this.droppedValues, dropped_bytes: this.droppedBytes, last_drop: this.lastDrop,
    });
    writeFileSync(`${this.cursorFile}.new`, text, { mode: 0o600 });
    renameSync(`${this.cursorFile}.new`, this.cursorFile);
    this.savedAt = Date.now();
  }

  private settle(): void {
    try {
      this.save();
    } catch {
      // The disk is full: push() says so.
    }
    if (!this.dirty || this.syncing) return;
    this.dirty = false;
    this.syncing = true;
    const fd = this.fd;
    try {
      fstatSync(fd);
      fdatasync(fd, () => (this.syncing = false));
    } catch {
      this.syncing = false;
    }
  }

  close(): void {
    clearInterval(this.timer);
    if (Date.now() - this.savedAt > 0) this.save();
    if (this.readFd >= 0) closeSync(this.readFd);
    closeSync(this.fd);
  }
}
