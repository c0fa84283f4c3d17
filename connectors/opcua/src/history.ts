// Filling the gap after an outage: what the server kept of each item while nobody was subscribed.

import { type ClientSession, type DataValue, HistoryReadRequest, type NodeId, ReadRawModifiedDetails, StatusCodes, TimestampsToReturn } from "node-opcua-client";

export interface Gap {
  from: Date;
  to: Date;
}

export interface FillOutcome {
  /** Values read. */
  values: number;
  /** Items that the server keeps no history of. */
  without: number;
  /** Items whose history could not be read, and one reason. */
  failed: number;
  why: string;
}

const VALUES_PER_NODE = 5000;

/** Calls `take` with each value of the gap, oldest first within a node. `pause` is awaited between
 * calls, so that a full queue holds it up. */
export async function fill<T extends { id: NodeId }>(session: ClientSession, items: T[], gap: Gap, nodesPerCall: number,
  take: (item: T, value: DataValue) => void, pause: () => Promise<void>): Promise<FillOutcome> {
  const out: FillOutcome = { values: 0, without: 0, failed: 0, why: "" };
  const details = new ReadRawModifiedDetails({
    isReadModified: false, startTime: gap.from, endTime: gap.to, numValuesPerNode: VALUES_PER_NODE, returnBounds: false,
  });
  for (let at = 0; at < items.length; at += nodesPerCall) {
    let wanted = items.slice(at, at + nodesPerCall).map((item) => ({ item, continuationPoint: undefined as Buffer | undefined }));
    while (wanted.length > 0) {
      await pause();
      const response = await session.historyRead(new HistoryReadRequest({
        historyReadDetails: details,
        nodesToRead: wanted.map(({ item, continuationPoint }) => ({ nodeId: item.id, continuationPoint })),
        releaseContinuationPoints: false,
        timestampsToReturn: TimestampsToReturn.Both,
      }));
      const more: typeof wanted = [];
      (response.results ?? []).forEach((result, i) => {
        const { item } = wanted[i]!;
        const status = result.statusCode;
        if (status.equals(StatusCodes.BadHistoryOperationUnsupported) || status.equals(StatusCodes.BadNotReadable) || status.equals(StatusCodes.BadUserAccessDenied)) {
          ++out.without;
          return;
        }
        if (status.value >>> 30 >= 2) {
          if (!status.equals(StatusCodes.BadNoData)) {
            ++out.failed;
            out.why = status.name;
          }
          return;
        }
        const data = result.historyData as unknown as { dataValues?: DataValue[] } | null;
        for (const value of data?.dataValues ?? []) {
          // Bounds that the server adds without being asked are no samples.
          if (value.statusCode.equals(StatusCodes.BadBoundNotFound) || value.statusCode.equals(StatusCodes.BadNoData)) continue;
          take(item, value);
          ++out.values;
        }
        if (result.continuationPoint && result.continuationPoint.length > 0) more.push({ item, continuationPoint: result.continuationPoint as Buffer });
      });
      wanted = more;
    }
  }
  return out;
}
