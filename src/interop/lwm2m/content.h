#pragma once
// A CoAP payload of any content format to entries and back. No I/O.

#include "base/bytes.h"
#include "interop/lwm2m/value.h"

namespace penstock::interop::lwm2m {

/// Appends what the payload says of `base`, the path that was asked for. kUnsupported: a format
/// that we do not read; kInvalidArgument: broken.
Status decode_content(Format format, ByteView payload, const Path& base, const TypeSource& types,
                      const ContentLimits& limits, std::vector<Entry>& out);

/// Plain text (7.4.1) of one value, and back.
void append_text(std::string& out, const Value& value);
Result<Value> read_text(std::string_view text, DataType type);

/// A payload that writes `entries` below `base`. Text, opaque and CBOR take one entry.
Result<Bytes> encode_content(Format format, std::span<const Entry> entries, const Path& base);

}  // namespace penstock::interop::lwm2m
