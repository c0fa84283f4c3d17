// Alarms & Conditions (Part 9): the conditions of a server, as the gateway's alarms.

import {
  AttributeIds, type ClientMonitoredItem, type ClientSession, type ClientSubscription, coerceNodeId, constructEventFilter, DataType, type NodeId,
  ofType, SimpleAttributeOperand, StatusCodes, TimestampsToReturn, Variant,
} from "node-opcua-client";

import type { Namespaces } from "./nodes.js";
import { plain } from "./values.js";

const FIELDS = [
  "EventId", "EventType", "SourceNode", "SourceName", "Time", "Message", "Severity", "ConditionName", "BranchId", "Retain", "ActiveState.Id",
  "AckedState.Id", "EnabledState.Id",
];

export interface ConditionEvent {
  condition: string;
  /** Hexadecimal: an acknowledgement names it. */
  event_id: string;
  source_node: string;
  source_name: string;
  name: string;
  message: string;
  severity: number;
  active: boolean;
  acknowledged: boolean;
  time: string;
}

/** Subscribes to the conditions of the whole server and asks for their present states. */
export async function watchConditions(session: ClientSession, subscription: ClientSubscription, spaces: Namespaces,
  take: (event: ConditionEvent) => void): Promise<ClientMonitoredItem> {
  const filter = constructEventFilter(FIELDS, ofType(coerceNodeId("i=2782")));
  // The condition itself: its NodeId, by no path (Part 9, 5.5.2.13).
  filter.selectClauses!.push(new SimpleAttributeOperand({ typeDefinitionId: coerceNodeId("i=2782"), browsePath: [], attributeId: AttributeIds.NodeId }));
  const item = await subscription.monitor({ nodeId: coerceNodeId("i=2253"), attributeId: AttributeIds.EventNotifier }, { samplingInterval: 0, queueSize: 10_000, discardOldest: true, filter }, TimestampsToReturn.Both);
  item.on("changed", (fields: unknown) => {
    const values = fields as Variant[];
    const at = (name: string): unknown => values[FIELDS.indexOf(name)]?.value ?? null;
    const condition = values[FIELDS.length]?.value as NodeId | null;
    // Events that are no conditions, branches of earlier states, and the bounds of a refresh.
    if (!condition || typeof condition !== "object" || (condition.isEmpty?.() ?? false)) return;
    const branch = at("BranchId") as NodeId | null;
    if (branch && !branch.isEmpty()) return;
    const enabled = at("EnabledState.Id");
    take({
      condition: spaces.text(condition),
      event_id: (at("EventId") as Buffer | null)?.toString("hex") ?? "",
      source_node: at("SourceNode") ? spaces.text(at("SourceNode") as NodeId) : "",
      source_name: String(at("SourceName") ?? ""),
      name: String(at("ConditionName") ?? ""),
      message: String(plain(at("Message")) ?? ""),
      severity: Number(at("Severity") ?? 0),
      // A condition without an active state is on as long as it is to be kept.
      active: (at("ActiveState.Id") === null ? at("Retain") === true : at("ActiveState.Id") === true) && enabled !== false,
      acknowledged: at("AckedState.Id") === true,
      time: (at("Time") as Date | null)?.toISOString() ?? new Date().toISOString(),
    });
  });
  // A server that cannot refresh still tells of every change from now on.
  await refreshConditions(session, subscription.subscriptionId).catch((error: unknown) => console.error(String(error)));
  return item;
}

export async function refreshConditions(session: ClientSession, subscriptionId: number): Promise<void> {
  const result = await session.call({
    objectId: coerceNodeId("i=2782"), methodId: coerceNodeId("i=3875"), inputArguments: [new Variant({ dataType: DataType.UInt32, value: subscriptionId })],
  });
  if (result.statusCode.isNot(StatusCodes.Good) && !/NotSupported|NotImplemented|MethodInvalid|NodeIdUnknown/.test(result.statusCode.name))
    throw new Error(`the server refused a refresh of its conditions: ${result.statusCode.name}`);
}

/** Throws with the server's reason where it does not permit it. */
export async function acknowledge(session: ClientSession, spaces: Namespaces, condition: string, eventId: string, comment: string): Promise<void> {
  const id = spaces.parse(condition);
  if (!id) throw new Error("the server no longer has the condition's namespace");
  const result = await session.call({
    objectId: id, methodId: coerceNodeId("i=9111"),
    inputArguments: [
      new Variant({ dataType: DataType.ByteString, value: Buffer.from(eventId, "hex") }),
      new Variant({ dataType: DataType.LocalizedText, value: { text: comment, locale: null } }),
    ],
  });
  if (result.statusCode.isNot(StatusCodes.Good)) throw new Error(`the server did not take the acknowledgement: ${result.statusCode.name}`);
}
