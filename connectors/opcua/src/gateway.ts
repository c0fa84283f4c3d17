// The way to Penstock: an MQTT client that empties the durable queue, takes requests and answers
// them. One for all sources.

import mqtt, { type MqttClient } from "mqtt";

import type { GatewayConfiguration } from "./configuration.js";
import type { DurableQueue, Entry } from "./queue.js";

const IN_FLIGHT_MAX = 16;
const ROOT = "connectors/opcua";

export interface Request {
  id: string;
  op: string;
  source?: string;
  arguments: Record<string, unknown>;
}

export class Gateway {
  connected = false;
  acknowledged = 0;
  private client: MqttClient | null = null;
  private inFlight = 0;
  private refused = "";

  constructor(private readonly queue: DurableQueue, private readonly handlers: { request: (request: Request) => Promise<unknown>; changed: () => void; connected: () => void }) {}

  start(to: GatewayConfiguration): void {
    const client = mqtt.connect({
      host: to.host, port: to.port, protocol: "mqtt", protocolVersion: 5, clientId: "penstock-opcua", username: to.username, password: to.password,
      clean: true, keepalive: 15, reconnectPeriod: 500, connectTimeout: 10_000, resubscribe: false,
    });
    this.client = client;
    client.on("connect", () => {
      this.connected = true;
      client.subscribe([`${ROOT}/requests`, `${ROOT}/configuration`], { qos: 0 }, () => {
        this.handlers.connected();
        this.pump();
      });
    });
    client.on("close", () => (this.connected = false));
    client.on("error", (error) => console.error(`gateway: ${error.message}`));
    client.on("message", (topic, payload) => this.take(topic, payload));
  }

  private take(topic: string, payload: Buffer): void {
    if (topic === `${ROOT}/configuration`) return this.handlers.changed();
    let request: Request;
    try {
      request = JSON.parse(payload.toString("utf8")) as Request;
    } catch {
      return console.error("gateway: a request that is no JSON");
    }
    const answer = (message: object): void => {
      this.client?.publish(`${ROOT}/responses`, JSON.stringify({ id: request.id, ...message }), { qos: 1 });
    };
    this.handlers.request(request).then(
      (result) => answer({ ok: true, result: result ?? null }),
      (error: unknown) => answer({ ok: false, error: error instanceof Error ? error.message : String(error) }));
  }

  /** QoS 0: the next one tells all of it again. */
  say(topic: string, message: object): void {
    if (this.connected) this.client?.publish(`${ROOT}/${topic}`, JSON.stringify(message), { qos: 0 });
  }

  /** Sends what the queue has, IN_FLIGHT_MAX at a time; mqtt.js sends them again after a reconnect. */
  pump(): void {
    if (!this.client || !this.connected) return;
    while (this.inFlight < IN_FLIGHT_MAX && this.refused === "") {
      const entry: Entry | null = this.queue.next();
      if (!entry) return;
      ++this.inFlight;
      this.client.publish(entry.topic, entry.payload, { qos: 1 }, (error) => {
        --this.inFlight;
        if (error) this.refused = error.message;
        else {
          this.acknowledged += entry.values;
          this.queue.done(entry);
        }
        if (this.refused === "") return this.pump();
        // What was not taken goes again, with all behind it, once the rest has come back.
        if (this.inFlight > 0) return;
        console.error(`gateway: a batch was refused: ${this.refused}`);
        this.refused = "";
        this.queue.rewind();
        setTimeout(() => this.pump(), 1000).unref();
      });
    }
  }

  async stop(): Promise<void> {
    await new Promise<void>((done) => (this.client ? this.client.end(false, {}, () => done()) : done()));
  }
}
