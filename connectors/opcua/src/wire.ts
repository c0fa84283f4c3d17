// The batch of values that goes to the gateway, byte by byte as docs/opcua.md describes it.

export const enum Kind {
  Null = 0,
  Double = 1,
  Integer = 2,
  False = 3,
  True = 4,
  Text = 5,
  Json = 6,
}

export interface WireValue {
  address: string;
  kind: Kind;
  /** Of Double; of Integer where it is safe. */
  number: number;
  /** Of Integer beyond 2^53. */
  big?: bigint;
  /** Of Text and Json. */
  text: string;
  /** OPC UA StatusCode, 32 bits. */
  status: number;
  /** Microseconds since 1970; 0: none. */
  timeUs: number;
}

export class Writer {
  private buffer = Buffer.allocUnsafe(65_536);
  private size = 0;

  private room(bytes: number): void {
    if (this.size + bytes <= this.buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.buffer.length * 2, this.size + bytes));
    this.buffer.copy(larger, 0, 0, this.size);
    this.buffer = larger;
  }
  byte(value: number): void {
    this.room(1);
    this.buffer[this.size++] = value;
  }
  /** LEB128 of an integer from 0 to 2^53. */
  unsigned(value: number): void {
    this.room(10);
    while (value >= 0x80) {
      this.buffer[this.size++] = (value % 0x80) + 0x80;
      value = Math.floor(value / 0x80);
    }
    this.buffer[this.size++] = value;
  }
  /** Zigzag: 0, -1, 1, -2, … as 0, 1, 2, 3, … */
  signed(value: number): void {
    if (Math.abs(value) < 2 ** 51) this.unsigned(value < 0 ? -2 * value - 1 : 2 * value);
    else this.bigSigned(BigInt(value));
  }
  bigSigned(value: bigint): void {
    let rest = value < 0n ? -2n * value - 1n : 2n * value;
    this.room(10);
    while (rest >= 0x80n) {
      this.buffer[this.size++] = Number(rest & 0x7fn) + 0x80;
      rest >>= 7n;
    }
    this.buffer[this.size++] = Number(rest);
  }
  u32(value: number): void {
    this.room(4);
    this.size = this.buffer.writeUInt32LE(value >>> 0, this.size);
  }
  double(value: number): void {
    this.room(8);
    this.size = this.buffer.writeDoubleLE(value, this.size);
  }
  text(value: string): void {
    const bytes = Buffer.byteLength(value);
    this.unsigned(bytes);
    this.room(bytes);
    this.size += this.buffer.write(value, this.size);
  }
  length(): number {
    return this.size;
  }
  take(): Buffer {
    const out = Buffer.from(this.buffer.subarray(0, this.size));
    this.size = 0;
    return out;
  }
}

function sharedPrefix(a: string, b: string): number {
  const most = Math.min(a.length, b.length);
  let at = 0;
  // Only ASCII is shared, so that characters and bytes are the same count.
  while (at < most && a.charCodeAt(at) === b.charCodeAt(at) && a.charCodeAt(at) < 0x80) ++at;
  return at;
}

/** One message from the values of some devices. */
export function encodeBatch(groups: Map<string, WireValue[]>, out: Writer): Buffer {
  out.byte(0x50);
  out.byte(1);
  let time = 0;
  for (const [device, values] of groups) {
    if (values.length === 0) continue;
    out.text(device);
    out.unsigned(values.length);
    let previous = "";
    for (const value of values) {
      const shared = sharedPrefix(previous, value.address);
      out.unsigned(shared);
      out.text(value.address.slice(shared));
      previous = value.address;
      out.byte(value.kind);
      out.u32(value.status);
      out.signed(value.timeUs - time);
      time = value.timeUs;
      if (value.kind === Kind.Double) out.double(value.number);
      else if (value.kind === Kind.Integer) {
        if (value.big === undefined) out.signed(value.number);
        else out.bigSigned(value.big);
      } else if (value.kind === Kind.Text || value.kind === Kind.Json) out.text(value.text);
    }
  }
  return out.take();
}
