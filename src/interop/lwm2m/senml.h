#pragma once
// SenML (RFC 8428) as LwM2M uses it (Core 1.1.1, 7.4.4 and 7.4.5): JSON, content format 110, and
// CBOR, 112; the JSON of LwM2M 1.0 (11543); a bare CBOR value (60). No I/O.

#include "base/bytes.h"
#include "interop/lwm2m/value.h"

namespace penstock::interop::lwm2m {

/// Appends the records' entries with their absolute paths. Base names and times are resolved;
/// records without a value (a composite read's) come as kNone. Numbers become what `types` says,
/// else integer where they are whole, else float.
Status decode_senml_json(std::string_view text, const Path& base, const TypeSource& types,
                         const ContentLimits& limits, std::vector<Entry>& out);
Status decode_senml_cbor(ByteView bytes, const Path& base, const TypeSource& types,
                         const ContentLimits& limits, std::vector<Entry>& out);
/// {"bn":"/3/0/","e":[{"n":"0","sv":"…"}],"bt":…}
Status decode_old_json(std::string_view text, const Path& base, const TypeSource& types,
                       const ContentLimits& limits, std::vector<Entry>& out);
/// One value (Core 1.2, 7.4.2).
Status decode_cbor(ByteView bytes, const Path& resource, const TypeSource& types,
                   std::vector<Entry>& out);

/// One record an entry, each with its whole path as name; kNone: only the name (composite read).
void encode_senml_json(std::span<const Entry> entries, std::string& out);
void encode_senml_cbor(std::span<const Entry> entries, Bytes& out);

// -- shared by both

/// What one record says; `value.type` kNone: no value. Which number a value came as is kept in its
/// type (kInteger, kUnsigned, kFloat) until it is fitted.
struct SenmlRecord {
  std::string base_name, name;
  double base_time = 0, time = 0;
  double base_value = 0;
  bool has_base_name = false, has_base_time = false, has_base_value = false;
  Value value;
};

/// Resolves records one after the other.
class SenmlResolver {
 public:
  SenmlResolver(const Path& base, const TypeSource& types, const ContentLimits& limits,
                std::vector<Entry>& out)
      : base_(base), types_(types), room_(limits.entries_max), out_(out) {}
  Status add(SenmlRecord& record);

 private:
  const Path& base_;
  const TypeSource& types_;
  size_t room_;
  std::vector<Entry>& out_;
  std::string base_name_, name_;
  double base_time_ = 0, base_value_ = 0;
};

/// Makes `value` one of the resource's type where it fits; keeps it as it came where the type is
/// not known. Text of opaque resources stays as it is.
Status fit_value(Value& value, DataType type, const Path& path);

}  // namespace penstock::interop::lwm2m
