// The connector's program: node connector.js CONFIGURATION. Started and watched by the server; ends
// with SIGTERM, or when the server is gone.

import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import path from "node:path";

import { coerceNodeId, setLogLevel, LogLevel } from "node-opcua-client";

import * as browse from "./browse.js";
import * as commands from "./commands.js";
import { type Configuration, readConfiguration, type SourceConfiguration } from "./configuration.js";
import { endpoints } from "./discover.js";
import { acknowledge, type ConditionEvent } from "./events.js";
import { Gateway, type Request } from "./gateway.js";
import { resolve } from "./nodes.js";
import { DurableQueue } from "./queue.js";
import { Source, type SourceHost, within } from "./source.js";
import { Trust } from "./trust.js";
import { encodeBatch, type WireValue, Writer } from "./wire.js";

const FLUSH_MS = 100;
const BATCH_VALUES = 3000;
const STATUS_MS = 2000;

class Pending {
  groups = new Map<string, WireValue[]>();
  count = 0;
  seen = 0;
}

class Connector implements SourceHost {
  trust!: Trust;
  private readonly sources = new Map<string, Source>();
  private readonly pending = new Map<string, Pending>();
  private readonly writer = new Writer();
  private readonly seenFile: string;
  private seenAt: Record<string, number> = {};
  private queue!: DurableQueue;
  private gateway!: Gateway;
  private lost = 0;
  private lostWhy = "";
  private applying: Promise<void> = Promise.resolve();

  constructor(private readonly file: string, private configuration: Configuration) {
    this.seenFile = path.join(configuration.directory, "seen.json");
  }

  async start(): Promise<void> {
    mkdirSync(this.configuration.directory, { recursive: true, mode: 0o700 });
    try {
      this.seenAt = JSON.parse(readFileSync(this.seenFile, "utf8")) as Record<string, number>;
    } catch {
      // The first start.
    }
    this.trust = new Trust(path.join(this.configuration.directory, "pki"), "connector");
    await this.trust.open();
    this.queue = new DurableQueue({ directory: path.join(this.configuration.directory, "queue"), bytesMax: this.configuration.queue_bytes_max });
    this.gateway = new Gateway(this.queue, {
      request: (request) => this.request(request), changed: () => this.reload(), connected: () => this.tell(),
    });
    this.gateway.start(this.configuration.gateway);
    this.apply();
    setInterval(() => this.flush(), FLUSH_MS);
    setInterval(() => this.tell(), STATUS_MS);
    setInterval(() => this.saveSeen(), 500);
  }

  // -- SourceHost

  value(source: SourceConfiguration, device: string, value: WireValue): void {
    let pending = this.pending.get(source.id);
    if (!pending) this.pending.set(source.id, (pending = new Pending()));
    const group = pending.groups.get(device);
    if (group) group.push(value);
    else pending.groups.set(device, [value]);
    if (++pending.count >= BATCH_VALUES) this.flushOne(source.id, pending);
  }

  condition(source: SourceConfiguration, device: string, event: ConditionEvent): void {
    this.push(`connectors/opcua/${source.id}/conditions`, Buffer.from(JSON.stringify({ device, ...event })), 1);
  }

  state(): void {
    this.tell();
  }
  async room(): Promise<void> {
    this.flush();
    while (this.queue.bytes > Math.min(this.configuration.queue_bytes_max / 2, 64 << 20)) await new Promise((done) => setTimeout(done, 100));
  }
  seen(id: string): number {
    return this.seenAt[id] ?? 0;
  }
  setSeen(id: string, ms: number): void {
    const pending = this.pending.get(id) ?? new Pending();
    pending.seen = Math.max(pending.seen, ms);
    this.pending.set(id, pending);
  }
  flush(): void {
    for (const [id, pending] of this.pending) this.flushOne(id, pending);
  }

  private push(topic: string, payload: Buffer, values: number): void {
    try {
      this.queue.push(topic, payload, values);
    } catch (error) {
      this.lost += values;
      this.lostWhy = `the queue's disk takes nothing: ${error instanceof Error ? error.message : String(error)}`;
    }
    this.gateway.pump();
  }

  private flushOne(id: string, pending: Pending): void {
    if (pending.count > 0) {
      this.push(`connectors/opcua/${id}/values`, encodeBatch(pending.groups, this.writer), pending.count);
      for (const values of pending.groups.values()) values.length = 0;
      if (pending.groups.size > 2000) pending.groups.clear();
      pending.count = 0;
    }
    if (pending.seen > 0) this.seenAt[id] = pending.seen;
  }

  private seenText = "";
  private saveSeen(): void {
    const text = JSON.stringify(this.seenAt);
    if (text === this.seenText) return;
    try {
      writeFileSync(`${this.seenFile}.new`, text, { mode: 0o600 });
      renameSync(`${this.seenFile}.new`, this.seenFile);
      this.seenText = text;
    } catch {
      // A full disk: a gap read from an older moment has values twice, which the gateway knows.
    }
  }

  // -- configuration

  private reload(): void {
    try {
      this.configuration = readConfiguration(this.file);
    } catch (error) {
      return console.error(`configuration: ${error instanceof Error ? error.message : String(error)}`);
    }
    this.apply();
  }

  /** Starts, stops and restarts what changed; one after the other. */
  private apply(): void {
    const { sources } = this.configuration;
    this.applying = this.applying.then(async () => {
      const wanted = new Map(sources.map((source) => [source.id, source]));
      for (const [id, running] of this.sources) {
        const now = wanted.get(id);
        if (now && JSON.stringify(now) === JSON.stringify(running.configuration)) continue;
        await running.stop();
        this.flush();
        this.sources.delete(id);
        if (!now) delete this.seenAt[id];
      }
      for (const [id, configuration] of wanted) {
        if (this.sources.has(id)) continue;
        const source = new Source(configuration, this);
        this.sources.set(id, source);
        source.start();
      }
      this.tell();
    }).catch((error: unknown) => console.error(`configuration: ${String(error)}`));
  }

  // -- what the server is told

  private tell(): void {
    const sources = [...this.sources.values()].map((source) => ({
      id: source.configuration.id, state: source.state, detail: source.detail, since: new Date(source.since).toISOString(), sessions: source.sessions,
      items: source.items.length, values: source.values, bad: source.bad, missing_count: source.missing.size,
      missing: [...source.missing].slice(0, 100).map(([what, why]) => ({ what, why })),
      last_value: source.lastValue > 0 ? new Date(source.lastValue).toISOString() : null, history_values: source.historyValues,
      clock_offset_ms: Math.round(source.clockOffsetMs), namespaces: source.spaces?.uris ?? [],
      gap: source.lastGap && { from: source.lastGap.from.toISOString(), to: source.lastGap.to.toISOString(), values: source.lastGap.values, without_history: source.lastGap.without, why: source.lastGap.why },
    }));
    this.gateway?.say("status", {
      generation: this.configuration.generation, sources,
      queue: { bytes: this.queue.bytes, bytes_max: this.configuration.queue_bytes_max, dropped_values: this.queue.droppedValues, dropped_bytes: this.queue.droppedBytes, last_drop: this.queue.lastDrop },
      acknowledged: this.gateway.acknowledged, lost: this.lost, lost_why: this.lostWhy, memory_bytes: process.memoryUsage.rss(),
    });
  }

  // -- requests

  private async request({ op, source: id, arguments: given }: Request): Promise<unknown> {
    switch (op) {
      case "endpoints":
        return endpoints(String(given.endpoint_url), this.trust);
      case "certificates":
        return this.trust.list();
      case "trust":
        await this.trust.trust(String(given.thumbprint));
        for (const source of this.sources.values()) source.retry();
        return this.trust.list();
      case "reject":
        await this.trust.reject(String(given.thumbprint));
        return this.trust.list();
      case "forget":
        this.trust.forget(String(given.thumbprint));
        return this.trust.list();
      default:
        return this.ask(op, id ?? "", given);
    }
  }

  private async ask(op: string, id: string, given: Record<string, unknown>): Promise<unknown> {
    const source = this.sources.get(id);
    if (!source) throw new Error("the connector does not know the source yet");
    const { session, spaces } = source;
    if (!session || !spaces) throw new Error(source.detail || "the source is not connected yet");
    const text = (name: string): string => String(given[name] ?? "");
    switch (op) {
      case "browse":
        return within(browse.children(session, spaces, text("node")), 15_000);
      case "describe":
        return within(browse.describe(session, spaces, given.nodes as string[]), 25_000);
      case "types":
        return within(browse.types(session, spaces), 25_000);
      case "instances":
        return within(browse.instances(session, spaces, text("type")), 25_000);
      case "acknowledge":
        return acknowledge(session, spaces, text("condition"), text("event_id"), text("comment"));
      case "write":
      case "call": {
        const node = { address: "", node: text("node"), path: given.path as { ns: string; name: string }[] | undefined };
        const [target] = await resolve(session, spaces, [node], 1);
        if (!target?.id) throw new Error(target?.why || "the server has no such node");
        if (op === "write") return within(commands.write(session, target.id, given.value), 10_000);
        return within(commands.call(session, spaces, spaces.parse(text("object")) ?? coerceNodeId("i=85"), target.id, given.payload), 10_000);
      }
      default:
        throw new Error(`the connector does not know ${op}`);
    }
  }

  async stop(): Promise<void> {
    await Promise.all([...this.sources.values()].map((source) => within(source.stop(), 4000).catch(() => undefined)));
    this.flush();
    this.saveSeen();
    await within(this.gateway.stop(), 2000).catch(() => undefined);
    this.queue.close();
  }
}

setLogLevel(LogLevel.Error);
// One stream: the server puts it into its own log.
console.error = (...words: unknown[]) => console.log(...words);
const file = process.argv[2];
if (!file) {
  console.error("usage: connector.js CONFIGURATION");
  process.exit(2);
}
const connector = new Connector(file, readConfiguration(file));
// node-opcua's internals may reject a promise that nobody holds; the sources notice what matters.
process.on("uncaughtException", (error) => console.error(`uncaught: ${error.stack ?? error.message}`));
process.on("unhandledRejection", (error) => console.error(`unhandled: ${error instanceof Error ? error.message : String(error)}`));
let ending = false;
const end = (): void => {
  if (ending) return;
  ending = true;
  void connector.stop().finally(() => process.exit(0));
};
process.on("SIGTERM", end);
process.on("SIGINT", end);
const parent = process.ppid;
setInterval(() => (process.ppid === parent ? undefined : process.exit(0)), 1000).unref();
await connector.start();
console.error("the OPC UA connector runs");
