#pragma once
// The OMA TLV format (Core 1.1.1, 7.4.3), content format 11542. No I/O.

#include "base/bytes.h"
#include "interop/lwm2m/value.h"

namespace penstock::interop::lwm2m {

/// Appends what `bytes` say below `base`, the path that was asked for. Values of resources whose
/// type `types` does not know come as kOpaque. kInvalidArgument: not TLV.
Status decode_tlv(ByteView bytes, const Path& base, const TypeSource& types,
                  const ContentLimits& limits, std::vector<Entry>& out);

/// Writes entries that lie within `base` (an object, an instance or a resource), grouped by
/// instance and resource. REQUIRES: entries of one resource are neighbours. A resource instance
/// (depth 4) makes its resource a multiple one.
Status encode_tlv(std::span<const Entry> entries, const Path& base, Bytes& out);

}  // namespace penstock::interop::lwm2m
