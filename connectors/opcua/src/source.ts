// One OPC UA server: connects, subscribes, notices when it is silent, fills the gap, and begins
// anew after any failure. It never gives up and never loops faster than its back-off.
//
// A short break of the connection is mended by node-opcua (session and subscription go on, what
// was not acknowledged is published again). Whatever it cannot mend in MEND_MS ends the session;
// the next one is built from nothing, with the namespaces of that moment.

import {
  AttributeIds, type ClientMonitoredItemBase, ClientMonitoredItemGroup, type ClientSession, ClientSubscription, coerceNodeId, DataChangeFilter,
  DataChangeNotification, DataChangeTrigger, type DataValue, DeadbandType, MessageSecurityMode, type NodeId, type NotificationMessage, OPCUAClient, readNamespaceArray,
  readOperationLimits, SecurityPolicy, StatusCodes, TimestampsToReturn, type UserIdentityInfo, UserTokenType,
} from "node-opcua-client";

import type { NodeConfiguration, SourceConfiguration } from "./configuration.js";
import { type ConditionEvent, watchConditions } from "./events.js";
import { fill, type Gap } from "./history.js";
import { Namespaces, resolve, type Resolved } from "./nodes.js";
import type { Trust } from "./trust.js";
import { severity, toWire } from "./values.js";
import type { WireValue } from "./wire.js";

const MEND_MS = 20_000;
const CONNECT_MS = 20_000;
const FROZEN_MS = 30_000;
const BACKOFF_MS = [500, 1000, 2000, 5000, 10_000, 20_000, 30_000];
const ITEMS_PER_SUBSCRIPTION = 10_000;

export type State = "stopped" | "connecting" | "untrusted" | "online" | "silent" | "waiting";

export interface Item {
  device: string;
  node: NodeConfiguration;
  id: NodeId;
  status: number;
}

export interface SourceHost {
  trust: Trust;
  value(source: SourceConfiguration, device: string, value: WireValue): void;
  condition(source: SourceConfiguration, device: string, event: ConditionEvent): void;
  state(source: Source): void;
  /** Resolves once the queue has room again. */
  room(): Promise<void>;
  /** Everything taken so far is in the durable queue. */
  flush(): void;
  /** The last moment, in the server's clock, up to which values are in the queue; 0: none yet. */
  seen(id: string): number;
  setSeen(id: string, ms: number): void;
}

export class Source {
  state: State = "stopped";
  detail = "";
  since = Date.now();
  sessions = 0;
  values = 0;
  bad = 0;
  lastValue = 0;
  historyValues = 0;
  /** Of the server's clock, against ours. */
  clockOffsetMs = 0;
  lastGap: (Gap & { values: number; without: number; why: string }) | null = null;
  /** Nodes that cannot be had, with the reason; at most 100 are told. */
  readonly missing = new Map<string, string>();
  items: Item[] = [];
  session: ClientSession | null = null;
  spaces: Namespaces | null = null;
  private client: OPCUAClient | null = null;
  private stopping = false;
  /** The gap behind us is not in the queue yet, so nothing after it counts as seen. */
  private filling = false;
  /** The connection broke, and it is not known yet whether the same subscription goes on: a new one of node-opcua's own
   * has not what came in between, so nothing counts as seen. */
  private mending = false;
  /** When the gateway was told that values are uncertain, or may have been; 0: they are not. */
  private lostAt = 0;
  private wake: (() => void) | null = null;
  private end: ((why: string) => void) | null = null;
  private loop: Promise<void> = Promise.resolve();

  constructor(readonly configuration: SourceConfiguration, private readonly host: SourceHost) {}

  start(): void {
    this.loop = this.run();
  }
  async stop(): Promise<void> {
    this.stopping = true;
    this.end?.("the source is being stopped");
    this.wake?.();
    await this.loop;
    this.become("stopped", "");
  }
  /** Tries again at once: somebody trusted a certificate. */
  retry(): void {
    this.wake?.();
  }

  private become(state: State, detail: string): void {
    if (this.state !== state) this.since = Date.now();
    if (this.state === "online" && state !== "online") this.lostAt ||= Date.now();
    if (this.state === state && this.detail === detail) return;
    this.state = state;
    this.detail = detail;
    this.host.state(this);
  }

  private async run(): Promise<void> {
    let failures = 0;
    while (!this.stopping) {
      let why = "";
      const began = Date.now();
      try {
        this.become("connecting", this.detail);
        why = await this.once();
      } catch (error) {
        why = this.explain(error);
      }
      await this.dispose();
      if (this.stopping) return;
      failures = Date.now() - began > 60_000 ? 0 : failures + 1;
      const untrusted = /certificate/i.test(why) && /trust|reject/i.test(why);
      this.become(untrusted ? "untrusted" : "waiting", why);
      const most = BACKOFF_MS[Math.min(failures, BACKOFF_MS.length - 1)]!;
      await this.sleep(most * (0.75 + Math.random() / 4));
    }
  }

  private sleep(ms: number): Promise<void> {
    return new Promise((done) => {
      const timer = setTimeout(done, ms);
      this.wake = () => {
        clearTimeout(timer);
        done();
      };
    });
  }

  private explain(error: unknown): string {
    const text = error instanceof Error ? error.message : String(error);
    const certificate = this.client?.serverCertificate;
    const bytes = Array.isArray(certificate) ? certificate[0] : certificate;
    if (/BadCertificateUntrusted|not trusted|BadCertificateChainIncomplete|BadSecurityChecksFailed.*client/i.test(text))
      return bytes && this.host.trust.isRejected(Buffer.from(bytes as Uint8Array))
        ? "the server's certificate was rejected: trust it under Certificates if that was wrong"
        : "the server's certificate is not trusted yet: look at it under Certificates and trust it";
    if (/BadIdentityTokenRejected|BadIdentityTokenInvalid|BadUserAccessDenied/.test(text)) return "the server refused the user: check name and password of the source";
    if (/BadSecurityChecksFailed|BadSecurityPolicyRejected/.test(text)) return "the server refused our certificate or security policy: trust Penstock's certificate there";
    if (/ECONNREFUSED/.test(text)) return "nobody listens at the address: is the server running?";
    if (/ENOTFOUND|EAI_AGAIN/.test(text)) return "the host name of the address is not known";
    return text.split("\n")[0]!.slice(0, 300);
  }

  private async dispose(): Promise<void> {
    const client = this.client;
    this.client = this.session = this.end = null;
    this.items = [];
    if (!client) return;
    // A server that does not answer must not keep us: the socket is closed under it.
    await within(client.disconnect(), 3000).catch(() => undefined);
    client.removeAllListeners();
  }

  private userIdentity(): UserIdentityInfo {
    const user = this.configuration.user;
    if (user.kind === "password") return { type: UserTokenType.UserName, userName: user.name ?? "", password: user.password ?? "" };
    if (user.kind === "certificate")
      return { type: UserTokenType.Certificate, certificateData: Buffer.from((user.certificate ?? "").replace(/-----[^-]+-----|\s/g, ""), "base64"), privateKey: user.key ?? "" } as UserIdentityInfo;
    return { type: UserTokenType.Anonymous };
  }

  static client(configuration: Pick<SourceConfiguration, "security_mode" | "security_policy">, trust: Trust, retries: number): OPCUAClient {
    return OPCUAClient.create({
      applicationName: "Penstock", applicationUri: trust.applicationUri, clientName: "penstock",
      certificateFile: trust.certificateFile, privateKeyFile: trust.privateKeyFile, clientCertificateManager: trust.manager,
      securityMode: MessageSecurityMode[configuration.security_mode] as MessageSecurityMode,
      securityPolicy: SecurityPolicy[configuration.security_policy as keyof typeof SecurityPolicy],
      endpointMustExist: false, keepSessionAlive: false, requestedSessionTimeout: 120_000, transportTimeout: 15_000, defaultTransactionTimeout: 20_000,
      connectionStrategy: { maxRetry: retries, initialDelay: 500, maxDelay: 3000, randomisationFactor: 0.2 },
      transportSettings: { maxMessageSize: 64 << 20, maxChunkCount: 1000 },
    });
  }

  /** One session, from connecting to its end. Gives why it ended; throws why it never was. */
  private async once(): Promise<string> {
    const { configuration } = this;
    this.mending = false;
    const client = (this.client = Source.client(configuration, this.host.trust, 5));
    const ended = new Promise<string>((done) => (this.end = done));
    client.on("close", () => this.end?.("the connection was closed"));
    client.on("backoff", () => this.become("connecting", "the server does not answer yet; trying again"));
    await within(client.connect(configuration.endpoint_url), CONNECT_MS, "the server did not answer: is it running, and is the address right?");
    const session = (this.session = await within(client.createSession(this.userIdentity()), CONNECT_MS, "the server did not open a session in time"));
    session.on("session_closed", () => this.end?.("the server closed the session"));
    ++this.sessions;
    const uris = await within(readNamespaceArray(session), configuration.time_out_ms, "the server did not tell its namespaces");
    this.spaces = new Namespaces(uris);
    const from = this.host.seen(configuration.id);
    const subscribedAt = await this.serverTime(session);
    this.filling = configuration.history && from > 0;
    const resolved = await this.subscribe(session);
    this.watchReconnects(client, session, uris);
    if (from > 0) this.lostAt ||= Date.now();
    const stop = this.watch(session);
    void this.confirm(session);
    this.become("online", this.missing.size > 0 ? `${this.missing.size} nodes are not there` : "");
    try {
      if (this.filling) void this.fillGap(session, resolved, from, subscribedAt);
      return await ended;
    } finally {
      stop();
      this.host.flush();
    }
  }

  private async serverTime(session: ClientSession): Promise<number> {
    const read = await within(session.read({ nodeId: coerceNodeId("i=2258"), attributeId: AttributeIds.Value }), this.configuration.time_out_ms, "silent");
    const time = read.value?.value instanceof Date ? read.value.value.getTime() : Date.now();
    this.clockOffsetMs = time - Date.now();
    return time;
  }

  private async subscribe(session: ClientSession): Promise<Item[]> {
    const { configuration } = this;
    const limits = await readOperationLimits(session).catch(() => null);
    const perCall = Math.min(limits?.maxMonitoredItemsPerCall || 1000, 1000);
    const pathsPerCall = Math.min(limits?.maxNodesPerTranslateBrowsePathsToNodeIds || 500, 500);
    this.missing.clear();
    const items: Item[] = [];
    for (const asset of configuration.assets) {
      const found: Resolved[] = await resolve(session, this.spaces!, asset.nodes, pathsPerCall);
      for (const { node, id, why } of found)
        if (id) items.push({ device: asset.device, node, id, status: 0 });
        else this.miss(asset.device, node, why);
    }
    this.items = items;
    let events: ClientSubscription | null = null;
    for (let at = 0; at < Math.max(items.length, 1); at += ITEMS_PER_SUBSCRIPTION) {
      const subscription = await this.openSubscription(session);
      events ??= subscription;
      for (const group of byParameters(items.slice(at, at + ITEMS_PER_SUBSCRIPTION)))
        for (let first = 0; first < group.length; first += perCall) await this.monitor(subscription, group.slice(first, first + perCall));
    }
    if (configuration.events && events)
      await watchConditions(session, events, this.spaces!, (event) => this.takeCondition(event)).catch((error: unknown) =>
        this.missing.set("events", `conditions are not watched: ${error instanceof Error ? error.message : String(error)}`));
    return items;
  }

  private miss(device: string, node: NodeConfiguration, why: string): void {
    this.missing.set(`${device} ${node.address}`, why);
  }

  private async openSubscription(session: ClientSession): Promise<ClientSubscription> {
    const { configuration } = this;
    const keepAlives = Math.max(1, Math.ceil(configuration.keep_alive_ms / configuration.publishing_ms));
    const subscription = await within(session.createSubscription2({
      requestedPublishingInterval: configuration.publishing_ms, requestedMaxKeepAliveCount: keepAlives,
      requestedLifetimeCount: Math.max(keepAlives * 3, Math.ceil(120_000 / configuration.publishing_ms)),
      maxNotificationsPerPublish: 5000, publishingEnabled: true, priority: 10,
    }), CONNECT_MS, "the server did not make a subscription in time");
    // Per message, so that what is told as seen has been handed on: see received().
    subscription.on("received_notifications", (message: NotificationMessage) => this.received(message));
    subscription.on("terminated", () => this.end?.("the server ended the subscription"));
    subscription.on("subscriptionId_changed", () => this.restarted());
    subscription.on("error", () => undefined);
    return subscription;
  }

  /** Stays mending until the next session. */
  private restarted(): void {
    this.mending = true;
    this.spaces = null;
    this.end?.("the server was restarted");
  }

  private received(message: NotificationMessage): void {
    const time = publishedAt(message, Date.now() + this.clockOffsetMs);
    // An item's value may have waited for a publishing interval or two.
    if (time > 0 && !this.filling && !this.mending) this.host.setSeen(this.configuration.id, time - 2 * this.configuration.publishing_ms - 1000);
  }

  private async monitor(subscription: ClientSubscription, items: Item[], withFilter = true): Promise<void> {
    const { node } = items[0]!;
    const filter = withFilter ? deadbandFilter(node) : undefined;
    const group = ClientMonitoredItemGroup.create(subscription, items.map(({ id }) => ({ nodeId: id, attributeId: AttributeIds.Value })), {
      samplingInterval: node.sampling_ms ?? this.configuration.sampling_ms, queueSize: node.queue ?? this.configuration.queue, discardOldest: true, filter,
    }, TimestampsToReturn.Both);
    group.on("changed", (_item: ClientMonitoredItemBase, value: DataValue, index: number) => this.take(items[index]!, value));
    await within(new Promise<void>((done, failed) => {
      group.on("initialized", () => done());
      group.on("err", (message: string) => failed(new Error(message)));
      group.on("terminated", (error: Error | undefined) => failed(error ?? new Error("the subscription ended")));
    }), CONNECT_MS, "the server did not take the items in time");
    const unfiltered: Item[] = [];
    group.monitoredItems.forEach((made, index) => {
      const status = made.statusCode;
      if (!status || status.value >>> 30 < 2) return;
      const item = items[index]!;
      if (filter && (status.equals(StatusCodes.BadFilterNotAllowed) || status.equals(StatusCodes.BadMonitoredItemFilterUnsupported) || status.equals(StatusCodes.BadDeadbandFilterInvalid))) unfiltered.push(item);
      else this.miss(item.device, item.node, `the server does not take it: ${status.name}`);
    });
    // The binding's own deadband still holds.
    if (unfiltered.length > 0) await this.monitor(subscription, unfiltered, false);
  }

  private take(item: Item, data: DataValue): void {
    const value = toWire(item.node.address, data, this.configuration.time_from);
    const wasBad = severity(item.status) === 2;
    const isBad = severity(value.status) === 2;
    if (isBad !== wasBad) this.bad += isBad ? 1 : -1;
    item.status = value.status;
    ++this.values;
    this.lastValue = Date.now();
    this.host.value(this.configuration, item.device, value);
  }

  private takeCondition(event: ConditionEvent): void {
    for (const asset of this.configuration.assets)
      if (asset.root === event.source_node || asset.nodes.some((node) => !node.path?.length && node.node === event.source_node))
        return this.host.condition(this.configuration, asset.device, event);
    this.host.condition(this.configuration, "", event);
  }

  /** A session that node-opcua mended is only the same one where namespaces and session are. */
  private watchReconnects(client: OPCUAClient, session: ClientSession, uris: string[]): void {
    const id = session.sessionId.toString();
    client.on("start_reconnection", () => (this.mending = true));
    client.on("after_reconnection", () => {
      if (session.sessionId.toString() !== id) return this.restarted();
      readNamespaceArray(session).then(
        (now) => {
          if (!this.spaces) return;  // restarted() ended it already
          if (this.spaces.same(now)) this.mending = false;
          else this.end?.("the server's namespaces changed");
        },
        () => this.end?.("the server did not tell its namespaces"));
      void uris;
    });
  }

  /** Asks for the server's time every keep_alive_ms: a server that is frozen keeps its sockets open. */
  private watch(session: ClientSession): () => void {
    let silentSince = 0;
    let brokenSince = 0;
    let asking = false;
    const timer = setInterval(() => {
      if (this.client?.isReconnecting) {
        brokenSince ||= Date.now();
        this.become("silent", "the connection broke; trying to go on with the same session");
        if (Date.now() - brokenSince > MEND_MS) this.end?.("the connection broke");
        return;
      }
      brokenSince = 0;
      if (silentSince > 0 && Date.now() - silentSince > FROZEN_MS) this.end?.("the server does not answer any more");
      if (asking) return;
      asking = true;
      const asked = Date.now();
      this.serverTime(session).then(
        () => {
          silentSince = 0;
          if (this.state !== "online") void this.confirm(session);
          this.become("online", this.missing.size > 0 ? `${this.missing.size} nodes are not there` : "");
        },
        () => {
          silentSince ||= asked;
          if (!this.client?.isReconnecting) this.become("silent", `the server has not answered for ${Math.round((Date.now() - silentSince) / 1000)} s`);
        }).finally(() => (asking = false));
    }, this.configuration.keep_alive_ms);
    return () => clearInterval(timer);
  }

  /** After a loss: what has not changed meanwhile is told again at the server's time, for else it would stay uncertain
   * until it changes. */
  private async confirm(session: ClientSession): Promise<void> {
    if (this.lostAt === 0) return;
    const before = this.lostAt + this.clockOffsetMs;
    this.lostAt = 0;
    const items = this.items;
    for (let at = 0; at < items.length && this.session === session; at += 500) {
      const some = items.slice(at, at + 500);
      const read = await session.read(some.map(({ id }) => ({ nodeId: id, attributeId: AttributeIds.Value }))).catch(() => null);
      read?.forEach((data, i) => {
        if (!data.sourceTimestamp || data.sourceTimestamp.getTime() > before) return;
        const value = toWire(some[i]!.node.address, data, this.configuration.time_from);
        if (this.configuration.time_from === "source") value.timeUs = Math.round((Date.now() + this.clockOffsetMs) * 1000);
        this.host.value(this.configuration, some[i]!.device, value);
      });
    }
  }

  private async fillGap(session: ClientSession, items: Item[], fromMs: number, toMs: number): Promise<void> {
    const most = this.configuration.history_hours_max * 3_600_000;
    // A clock that jumped gives no gap that can be read.
    if (toMs <= fromMs) {
      this.filling = false;
      return;
    }
    const gap: Gap = { from: new Date(Math.max(fromMs, toMs - most)), to: new Date(toMs + this.configuration.publishing_ms) };
    const limits = await readOperationLimits(session).catch(() => null);
    try {
      const outcome = await fill(session, items, gap, Math.min(limits?.maxNodesPerHistoryReadData || 100, 100),
        (item, data) => {
          ++this.historyValues;
          this.host.value(this.configuration, item.device, toWire(item.node.address, data, this.configuration.time_from === "arrival" ? "source" : this.configuration.time_from));
        }, () => this.host.room());
      this.lastGap = { ...gap, values: outcome.values, without: outcome.without, why: outcome.failed > 0 ? `${outcome.failed} items: ${outcome.why}` : "" };
      this.filling = false;
    } catch (error) {
      // A session that ended in the middle: the next one begins at the same place.
      if (this.session === session) this.filling = false;
      this.lastGap = { ...gap, values: 0, without: items.length, why: error instanceof Error ? error.message.slice(0, 200) : String(error) };
    }
    this.host.state(this);
  }
}

/** When a message was published, in the server's clock; 0: not known. Some servers leave the time out (node-opcua's
 * does, which reads as the year 1601): then it is that of its newest value, and no later than it came. */
function publishedAt(message: NotificationMessage, cameMs: number): number {
  const told = message.publishTime?.getTime() ?? 0;
  if (told > 0) return told;
  let newest = 0;
  for (const part of message.notificationData ?? []) {
    if (!(part instanceof DataChangeNotification)) continue;
    for (const { value } of part.monitoredItems ?? []) newest = Math.max(newest, (value.serverTimestamp ?? value.sourceTimestamp)?.getTime() ?? 0);
  }
  return Math.min(newest, cameMs);
}

function deadbandFilter(node: NodeConfiguration): DataChangeFilter | undefined {
  if (!node.deadband && !node.deadband_percent) return undefined;
  return new DataChangeFilter({
    trigger: DataChangeTrigger.StatusValue, deadbandType: node.deadband ? DeadbandType.Absolute : DeadbandType.Percent,
    deadbandValue: node.deadband || node.deadband_percent,
  });
}

/** Items that are asked for alike, so that one request makes many. */
function byParameters(items: Item[]): Item[][] {
  const groups = new Map<string, Item[]>();
  for (const item of items) {
    const { sampling_ms, queue, deadband, deadband_percent } = item.node;
    const key = `${sampling_ms} ${queue} ${deadband} ${deadband_percent}`;
    const group = groups.get(key);
    if (group) group.push(item);
    else groups.set(key, [item]);
  }
  return [...groups.values()];
}

export function within<T>(work: Promise<T>, ms: number, message = "it took too long"): Promise<T> {
  let timer: NodeJS.Timeout;
  const late = new Promise<never>((_, failed) => (timer = setTimeout(() => failed(new Error(message)), ms)));
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}
