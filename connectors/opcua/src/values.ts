// OPC UA DataValues as the gateway's values. What has no number or word of its own (arrays,
// structures) goes as JSON.

import { DataType, type DataValue, type Variant, VariantArrayType } from "node-opcua-client";

import { Kind, type WireValue } from "./wire.js";

const TEXT_BYTES_MAX = 65_536;

/** Microseconds since 1970, of a Date and the picoseconds within its millisecond; 0: none. */
export function microseconds(date: Date | null | undefined, picoseconds: number | null | undefined): number {
  if (!date) return 0;
  const ms = date.getTime();
  // OPC UA's "no time" is 1601.
  if (!Number.isFinite(ms) || ms < -11_644_473_600_000 + 86_400_000) return 0;
  return ms * 1000 + Math.floor((picoseconds ?? 0) / 1_000_000);
}

/** What JSON can say of any value of OPC UA. */
export function plain(value: unknown): unknown {
  if (value === null || value === undefined) return null;
  if (typeof value === "bigint") return Number(value);
  if (typeof value !== "object") return value;
  if (value instanceof Date) return value.toISOString();
  if (Buffer.isBuffer(value)) return value.toString("base64");
  if (ArrayBuffer.isView(value)) return Array.from(value as unknown as ArrayLike<number>);
  if (Array.isArray(value)) return value.map(plain);
  const name = value.constructor?.name ?? "";
  if (name === "LocalizedText") return (value as { text: string | null }).text;
  if (name === "NodeId" || name === "ExpandedNodeId" || name.endsWith("StatusCode")) return String(value);
  if (name === "QualifiedName") return (value as { name: string | null }).name;
  if (name === "Variant") return plain((value as Variant).value);
  const out: Record<string, unknown> = {};
  for (const [key, member] of Object.entries(value))
    if (!key.startsWith("_") && key !== "schema" && typeof member !== "function") out[key] = plain(member);
  return out;
}

function integer64(pair: unknown, signed: boolean): bigint {
  if (Array.isArray(pair)) {
    const all = (BigInt((pair[0] as number) >>> 0) << 32n) | BigInt((pair[1] as number) >>> 0);
    return signed ? BigInt.asIntN(64, all) : all;
  }
  return BigInt(pair as number);
}

export function setValue(out: WireValue, variant: Variant | null | undefined): void {
  out.kind = Kind.Null;
  if (!variant || variant.dataType === DataType.Null) return;
  const value: unknown = variant.value;
  if (value === null || value === undefined) return;
  const asText = (text: string, kind: Kind): void => {
    // Longer ones would crowd the others out; the status says that it is cut.
    if (Buffer.byteLength(text) > TEXT_BYTES_MAX) {
      out.status = 0x80b80000 | 0; // BadResponseTooLarge
      return;
    }
    out.kind = kind;
    out.text = text;
  };
  if (variant.arrayType !== VariantArrayType.Scalar) return asText(JSON.stringify(plain(value)), Kind.Json);
  switch (variant.dataType) {
    case DataType.Boolean:
      out.kind = value ? Kind.True : Kind.False;
      return;
    case DataType.SByte:
    case DataType.Byte:
    case DataType.Int16:
    case DataType.UInt16:
    case DataType.Int32:
    case DataType.UInt32:
      out.kind = Kind.Integer;
      out.number = value as number;
      return;
    case DataType.Int64:
    case DataType.UInt64: {
      const number = integer64(value, variant.dataType === DataType.Int64);
      if (number > 0x7fffffffffffffffn) {
        out.kind = Kind.Double;
        out.number = Number(number);
        return;
      }
      out.kind = Kind.Integer;
      out.big = number;
      return;
    }
    case DataType.Float:
    case DataType.Double:
      out.kind = Kind.Double;
      out.number = value as number;
      return;
    case DataType.String:
    case DataType.XmlElement:
    case DataType.Guid:
      return asText(String(value), Kind.Text);
    default: {
      const simple = plain(value);
      return typeof simple === "string" ? asText(simple, Kind.Text) : asText(JSON.stringify(simple), Kind.Json);
    }
  }
}

export function toWire(address: string, data: DataValue, timeFrom: "source" | "server" | "arrival"): WireValue {
  const out: WireValue = { address, kind: Kind.Null, number: 0, text: "", status: data.statusCode.value, timeUs: 0 };
  if (timeFrom === "source") out.timeUs = microseconds(data.sourceTimestamp, data.sourcePicoseconds);
  if (timeFrom === "server" || (timeFrom === "source" && out.timeUs === 0))
    out.timeUs = microseconds(data.serverTimestamp, data.serverPicoseconds);
  if (timeFrom === "arrival") out.timeUs = Date.now() * 1000;
  setValue(out, data.value);
  return out;
}

/** 0 good, 1 uncertain, 2 bad: the severity bits of a StatusCode (Part 4, 7.39.1). */
export function severity(status: number): 0 | 1 | 2 {
  const bits = (status >>> 30) & 3;
  return bits === 0 ? 0 : bits === 1 ? 1 : 2;
}
