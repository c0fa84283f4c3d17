import assert from "node:assert/strict";
import test from "node:test";

import { DataType, DataValue, StatusCodes, Variant, VariantArrayType } from "node-opcua-client";

import { microseconds, toWire } from "./values.js";
import { encodeBatch, Kind, Writer } from "./wire.js";

test("a batch, byte by byte", () => {
  const value = { address: "a/b", kind: Kind.Double, number: 1.5, text: "", status: 0x40000000, timeUs: 1000 };
  const batch = encodeBatch(new Map([["d", [value, { ...value, address: "a/c", kind: Kind.Integer, number: -3 }]]]), new Writer());
  assert.equal(batch.toString("hex"), "50010164020003612f620100000040d00f000000000000f83f0201630200000040" + "0005");
});

test("numbers of every size", () => {
  const writer = new Writer();
  for (const n of [0, 127, 128, 2 ** 32, 2 ** 52]) writer.unsigned(n);
  writer.bigSigned(-(2n ** 63n));
  assert.equal(writer.take().toString("hex"), "007f8001" + "8080808010" + "8080808080808008" + "ffffffffffffffffff01");
});

test("times are microseconds, and 1601 is none", () => {
  const date = new Date("2026-01-01T00:00:00.123Z");
  assert.equal(microseconds(date, 456_700_000), date.getTime() * 1000 + 456);
  assert.equal(microseconds(new Date("1601-01-01T00:00:00Z"), 0), 0);
  assert.equal(microseconds(null, 0), 0);
});

test("what OPC UA types become", () => {
  const wire = (dataType: DataType, value: unknown, arrayType = VariantArrayType.Scalar) =>
    toWire("x", new DataValue({ value: new Variant({ dataType, value, arrayType }), statusCode: StatusCodes.Good }), "source");
  assert.equal(wire(DataType.Int64, [0xffffffff, 0xfffffffe]).big, -2n);
  assert.equal(wire(DataType.UInt64, [0xffffffff, 0xffffffff]).kind, Kind.Double);
  assert.equal(wire(DataType.Boolean, true).kind, Kind.True);
  assert.equal(wire(DataType.String, "on").text, "on");
  assert.equal(wire(DataType.Double, [1, 2], VariantArrayType.Array).text, "[1,2]");
  assert.equal(wire(DataType.LocalizedText, { text: "zu", locale: "de" }).text, "zu");
  const bad = toWire("x", new DataValue({ statusCode: StatusCodes.BadDeviceFailure }), "source");
  assert.equal(bad.kind, Kind.Null);
  assert.equal(bad.status >>> 30, 2);
});
