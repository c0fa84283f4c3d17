// What people ask of a server: writes and method calls.

import {
  AttributeIds, type ClientSession, DataType, findBasicDataType, type NodeId, StatusCodes, Variant, VariantArrayType,
} from "node-opcua-client";

import type { Namespaces } from "./nodes.js";
import { plain } from "./values.js";

/** JSON as a Variant of the data type that the server wants. Throws where it does not fit. */
export function toVariant(value: unknown, dataType: DataType, array: boolean): Variant {
  const one = (item: unknown): unknown => {
    switch (dataType) {
      case DataType.Boolean:
        if (typeof item !== "boolean") throw new Error("the server wants true or false");
        return item;
      case DataType.SByte: case DataType.Byte: case DataType.Int16: case DataType.UInt16: case DataType.Int32: case DataType.UInt32: {
        const bits = { 2: 8, 3: 8, 4: 16, 5: 16, 6: 32, 7: 32 }[dataType as number]!;
        const signed = dataType === DataType.SByte || dataType === DataType.Int16 || dataType === DataType.Int32;
        const low = signed ? -(2 ** (bits - 1)) : 0;
        const high = signed ? 2 ** (bits - 1) - 1 : 2 ** bits - 1;
        // A binding's scale leaves some dust.
        const whole = typeof item === "number" && Math.abs(item - Math.round(item)) < 1e-6 ? Math.round(item) : NaN;
        if (!(whole >= low && whole <= high)) throw new Error(`the server wants a whole number from ${low} to ${high}`);
        return whole;
      }
      case DataType.Int64: case DataType.UInt64: {
        if (typeof item !== "number" || !Number.isInteger(item)) throw new Error("the server wants a whole number");
        const big = BigInt.asUintN(64, BigInt(item));
        return [Number(big >> 32n), Number(big & 0xffffffffn)];
      }
      case DataType.Float: case DataType.Double:
        if (typeof item !== "number") throw new Error("the server wants a number");
        return item;
      case DataType.String:
        return typeof item === "string" ? item : JSON.stringify(item);
      case DataType.DateTime: {
        const date = new Date(String(item));
        if (Number.isNaN(date.getTime())) throw new Error("the server wants a time, as in 2026-01-31T12:00:00Z");
        return date;
      }
      case DataType.LocalizedText:
        return { text: String(item), locale: null };
      case DataType.ByteString:
        return Buffer.from(String(item), "base64");
      case DataType.Guid:
        return String(item);
      default:
        throw new Error(`values of OPC UA type ${DataType[dataType] ?? dataType} cannot be written from here`);
    }
  };
  if (array) {
    if (!Array.isArray(value)) throw new Error("the server wants a list");
    return new Variant({ dataType, arrayType: VariantArrayType.Array, value: value.map(one) });
  }
  return new Variant({ dataType, value: one(value) });
}

export async function write(session: ClientSession, id: NodeId, value: unknown): Promise<{ status: string }> {
  const [type, rank, current] = await session.read([
    { nodeId: id, attributeId: AttributeIds.DataType }, { nodeId: id, attributeId: AttributeIds.ValueRank }, { nodeId: id, attributeId: AttributeIds.Value },
  ]);
  let dataType = current!.value?.dataType ?? DataType.Null;
  if (type!.value?.value) {
    const basic = await findBasicDataType(session, type!.value.value as NodeId).catch(() => DataType.Null);
    if (basic !== DataType.Null && basic !== DataType.Variant) dataType = basic;
  }
  // Written without time and status: most servers refuse these (Part 4, 5.10.4.1).
  const status = await session.write({
    nodeId: id, attributeId: AttributeIds.Value, value: { value: toVariant(value, dataType, ((rank!.value?.value as number) ?? -1) >= 0) },
  });
  if (status.value >>> 30 >= 2) throw new Error(`the server refused the write: ${status.name}`);
  return { status: status.name };
}

/** Arguments by name, in a list, or one by itself. */
export async function call(session: ClientSession, spaces: Namespaces, objectId: NodeId, methodId: NodeId, payload: unknown): Promise<unknown> {
  const definition = await session.getArgumentDefinition(methodId).catch(() => ({ inputArguments: [], outputArguments: [] }));
  const wanted = definition.inputArguments ?? [];
  const given = (name: string, at: number): unknown => {
    if (Array.isArray(payload) && wanted.length !== 1) return payload[at];
    if (payload !== null && typeof payload === "object" && !Array.isArray(payload) && name in payload) return (payload as Record<string, unknown>)[name];
    return wanted.length === 1 ? payload : undefined;
  };
  const inputArguments: Variant[] = [];
  for (const [at, argument] of wanted.entries()) {
    const value = given(argument.name ?? "", at);
    if (value === undefined || value === null) throw new Error(`the method wants the argument ${argument.name ?? at}`);
    const dataType = await findBasicDataType(session, argument.dataType as NodeId);
    try {
      inputArguments.push(toVariant(value, dataType, (argument.valueRank ?? -1) >= 0));
    } catch (error) {
      throw new Error(`argument ${argument.name ?? at}: ${(error as Error).message}`);
    }
  }
  const result = await session.call({ objectId, methodId, inputArguments });
  if (result.statusCode.isNot(StatusCodes.Good) && result.statusCode.value >>> 30 >= 2) {
    const bad = (result.inputArgumentResults ?? []).findIndex((r) => r.value >>> 30 >= 2);
    throw new Error(`the server refused the call of ${spaces.text(methodId)}: ${result.statusCode.name}${bad >= 0 ? `, argument ${wanted[bad]?.name ?? bad}` : ""}`);
  }
  const names = definition.outputArguments ?? [];
  return {
    status: result.statusCode.name,
    outputs: Object.fromEntries((result.outputArguments ?? []).map((v, at) => [names[at]?.name ?? String(at), plain(v.value)])),
  };
}
