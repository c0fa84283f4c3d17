#include "interop/sparkplug/command.h"

#include <cmath>
#include <string>

#include "base/json.h"

namespace penstock::interop::sparkplug {
namespace {

constexpr std::string_view kRebirthMetric = "Node Control/Rebirth";

tl::unexpected<Error> no_fit(const KnownMetric& metric, std::string_view wanted) {
  return fail(ErrorCode::kInvalidArgument,
              "the metric's datatype is " + std::string(name(metric.type)) + ", so it takes " +
                  std::string(wanted),
              metric.address);
}

struct IntegerRange {
  int bits = 0;
  bool is_signed = false;
};

IntegerRange range_of(DataType type) {
  switch (type) {
    case DataType::kInt8:
      return {8, true};
    case DataType::kInt16:
      return {16, true};
    case DataType::kInt32:
      return {32, true};
    case DataType::kInt64:
      return {64, true};
    case DataType::kUInt8:
      return {8, false};
    case DataType::kUInt16:
      return {16, false};
    case DataType::kUInt32:
      return {32, false};
    case DataType::kUInt64:
      return {64, false};
    default:
      return {};
  }
}

// 6.4.17: up to 32 bits in int_value, in two's complement, else in long_value. UInt32 goes into
// long_value, as Tahu's encoders have it and all decoders read it.
Result<WireScalar> integer_of(const KnownMetric& metric, const Json& value) {
  const IntegerRange range = range_of(metric.type);
  bool negative = false;
  uint64_t magnitude = 0;
  if (value.is_number_unsigned()) {
    magnitude = value.get<uint64_t>();
  } else if (value.is_number_integer()) {
    const auto number = value.get<int64_t>();
    negative = number < 0;
    magnitude = negative ? ~static_cast<uint64_t>(number) + 1 : static_cast<uint64_t>(number);
  } else if (value.is_number_float() && value.get<double>() == std::floor(value.get<double>()) &&
             std::fabs(value.get<double>()) < 9e15) {
    const auto number = static_cast<int64_t>(value.get<double>());
    negative = number < 0;
    magnitude = static_cast<uint64_t>(negative ? -number : number);
  } else {
    return no_fit(metric, "a whole number");
  }
  const int free = range.bits - (range.is_signed ? 1 : 0);
  const uint64_t max = free == 64 ? ~0ULL : (1ULL << free) - 1;
  if (negative && (!range.is_signed || magnitude > max + 1))
    return no_fit(metric, "no number as low");
  if (!negative && magnitude > max) return no_fit(metric, "no number as high");
  const uint64_t bits = negative ? ~magnitude + 1 : magnitude;
  const bool as_long = range.bits == 64 || metric.type == DataType::kUInt32;
  return as_long ? WireScalar::of_long(bits) : WireScalar::of_int(static_cast<uint32_t>(bits));
}

Result<WireScalar> scalar_of(const KnownMetric& metric, const Json& value) {
  switch (metric.type) {
    case DataType::kFloat:
    case DataType::kDouble:
      if (!value.is_number()) return no_fit(metric, "a number");
      return metric.type == DataType::kFloat
                 ? WireScalar::of_float(static_cast<float>(value.get<double>()))
                 : WireScalar::of_double(value.get<double>());
    case DataType::kBoolean:
      if (!value.is_boolean()) return no_fit(metric, "true or false");
      return WireScalar::of_boolean(value.get<bool>());
    case DataType::kString:
    case DataType::kText:
    case DataType::kUuid:
      if (!value.is_string()) return no_fit(metric, "a text");
      return WireScalar::of_text(value.get_ref<const std::string&>());
    case DataType::kDateTime: {
      if (value.is_number_unsigned()) return WireScalar::of_long(value.get<uint64_t>());
      if (!value.is_string()) return no_fit(metric, "an RFC 3339 time, or ms since 1970");
      TRY_ASSIGN(const Timestamp time, parse_rfc3339(value.get_ref<const std::string&>()));
      return WireScalar::of_long(static_cast<uint64_t>(time.us / 1000));
    }
    default:
      break;
  }
  if (range_of(metric.type).bits > 0) return integer_of(metric, value);
  return fail(ErrorCode::kInvalidArgument,
              "metrics of the datatype " + std::string(name(metric.type)) + " cannot be written",
              metric.address);
}

void encode(Bytes& out, Metric& metric, Timestamp now) {
  PayloadInfo info;
  info.has_timestamp = true;
  info.timestamp_ms = static_cast<uint64_t>(now.us / 1000);
  write_info(out, info);
  metric.has_timestamp = true;
  metric.timestamp_ms = info.timestamp_ms;
  write_metric(out, metric);
}

}  // namespace

void encode_rebirth(Bytes& out, Timestamp now) {
  Metric metric;
  metric.name = kRebirthMetric;
  metric.has_name = true;
  metric.type = DataType::kBoolean;
  metric.value = WireScalar::of_boolean(true);
  encode(out, metric, now);
}

Status encode_write(Bytes& out, const Dictionary& known, std::string_view address,
                    std::string_view value, Timestamp now) {
  const KnownMetric* target = known.by_name(address);
  if (!target)
    return fail(ErrorCode::kNotFound, "the last birth told of no metric of that name",
                std::string(address));
  if (target->member)
    return fail(ErrorCode::kInvalidArgument,
                "it is a member of a template instance; members are not written one by one",
                std::string(address));
  TRY_ASSIGN(const Json json, parse_json(value));
  TRY_ASSIGN(const WireScalar scalar, scalar_of(*target, json));
  Metric metric;
  metric.has_alias = target->has_alias;
  metric.alias = target->alias;
  metric.has_name = !target->has_alias;
  metric.name = target->address;
  metric.type = target->type;
  metric.value = scalar;
  encode(out, metric, now);
  return {};
}

}  // namespace penstock::interop::sparkplug
