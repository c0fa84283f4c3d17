#include "interop/http/otlp.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstring>

#include <simdjson.h>

#include "base/varint.h"

namespace penstock::interop::http {
namespace {

using stream::WireValue;
using Tags = std::vector<std::pair<std::string_view, std::string_view>>;
constexpr size_t kAttributesMax = 64;

// What both encodings give: a resource, then its points.
class Points {
 public:
  Points(const RowLimits& limits, Rows& out) : limits_(limits), out_(out) {}

  void resource() {
    device_ = {};
    rank_ = kDeviceKeys.size();
  }
  void resource_attribute(std::string_view key, std::string_view value) {
    for (size_t i = 0; i < rank_; ++i)
      if (kDeviceKeys[i] == key && !value.empty()) {
        rank_ = i;
        device_ = out_.keep(std::string(value));
      }
  }
  void other() { out_.refuse(++number_, "only gauges and sums are taken", limits_); }
  void point(std::string_view metric, Tags tags, WireValue value, bool has_value, uint64_t nanos) {
    ++number_;
    if (!has_value) return out_.refuse(number_, "the data point has no value", limits_);
    if (metric.empty() || metric.size() > limits_.name_bytes_max)
      return out_.refuse(number_, "the metric has no name, or a very long one", limits_);
    if (out_.rows.size() >= limits_.rows_max || out_.values.size() >= limits_.values_max)
      return out_.refuse(number_, "too many data points in one request", limits_);
    Row row;
    row.number = number_;
    row.device = device_;
    row.device_is_guess = rank_ > 0;
    row.first = static_cast<uint32_t>(out_.values.size());
    row.count = 1;
    value.address = out_.keep(address_with(std::string(metric), std::move(tags)));
    value.source_time = {static_cast<int64_t>(nanos / 1000)};
    out_.values.push_back(value);
    out_.rows.push_back(row);
  }
  Rows& out() { return out_; }

 private:
  static constexpr std::array<std::string_view, 4> kDeviceKeys = {"device", "service.instance.id",
                                                                  "host.name", "service.name"};
  const RowLimits& limits_;
  Rows& out_;
  std::string_view device_;
  size_t rank_ = kDeviceKeys.size();
  uint32_t number_ = 0;
};

// -- protobuf (protobuf.dev, "Encoding")

struct Field {
  uint32_t number = 0, wire = 0;
  uint64_t value = 0;      // varint, fixed64 and fixed32
  std::string_view bytes;  // length-delimited
};

class Fields {
 public:
  explicit Fields(std::string_view bytes) : rest_(bytes) {}
  // False at the end, or where the bytes are no protobuf: then broken().
  bool next(Field& field) {
    if (rest_.empty() || broken_) return false;
    uint64_t key = 0;
    if (!varint(key)) return false;
    field.number = static_cast<uint32_t>(key >> 3);
    field.wire = static_cast<uint32_t>(key & 7);
    switch (field.wire) {
      case 0:
        return varint(field.value);
      case 1:
        return fixed(8, field.value);
      case 5:
        return fixed(4, field.value);
      case 2: {
        uint64_t size = 0;
        if (!varint(size) || size > rest_.size()) return fail_here();
        field.bytes = rest_.substr(0, size);
        rest_.remove_prefix(size);
        return true;
      }
      default:
        return fail_here();
    }
  }
  [[nodiscard]] bool broken() const { return broken_; }

 private:
  bool fail_here() {
    broken_ = true;
    return false;
  }
  bool varint(uint64_t& value) {
    bool short_of_bytes = false;
    const auto read = read_varint([&]() -> uint8_t {
      if (rest_.empty()) {
        short_of_bytes = true;
        return 0;
      }
      const auto byte = static_cast<uint8_t>(rest_.front());
      rest_.remove_prefix(1);
      return byte;
    });
    if (!read || short_of_bytes) return fail_here();
    value = *read;
    return true;
  }
  bool fixed(size_t size, uint64_t& value) {
    if (rest_.size() < size) return fail_here();
    value = 0;
    std::memcpy(&value, rest_.data(), size);
    rest_.remove_prefix(size);
    return true;
  }
  std::string_view rest_;
  bool broken_ = false;
};

// KeyValue: 1 key, 2 AnyValue {1 string, 2 bool, 3 int, 4 double}.
bool attribute(std::string_view bytes, Rows& out, std::string_view& key, std::string_view& value) {
  Fields fields(bytes);
  for (Field f; fields.next(f);) {
    if (f.number == 1 && f.wire == 2) key = f.bytes;
    if (f.number != 2 || f.wire != 2) continue;
    Fields any(f.bytes);
    for (Field v; any.next(v);) {
      if (v.number == 1 && v.wire == 2) value = v.bytes;
      if (v.number == 2 && v.wire == 0) value = v.value != 0 ? "true" : "false";
      if (v.number == 3 && v.wire == 0)
        value = out.keep(std::to_string(static_cast<int64_t>(v.value)));
    }
    if (any.broken()) return false;
  }
  return !fields.broken();
}

// NumberDataPoint: 3 time, 4 double, 6 sfixed64, 7 attributes.
bool data_point(std::string_view bytes, std::string_view metric, Points& points) {
  Fields fields(bytes);
  WireValue value;
  bool has_value = false;
  uint64_t nanos = 0;
  Tags tags;
  for (Field f; fields.next(f);) {
    if (f.number == 3 && f.wire == 1) nanos = f.value;
    if (f.number == 4 && f.wire == 1) {
      double number = 0;
      std::memcpy(&number, &f.value, sizeof number);
      value = WireValue::of({}, number);
      has_value = std::isfinite(number);
    }
    if (f.number == 6 && f.wire == 1) {
      value = WireValue::of({}, static_cast<int64_t>(f.value));
      has_value = true;
    }
    if (f.number == 7 && f.wire == 2 && tags.size() < kAttributesMax) {
      std::string_view key, text;
      if (!attribute(f.bytes, points.out(), key, text)) return false;
      tags.emplace_back(key, text);
    }
  }
  if (fields.broken()) return false;
  points.point(metric, std::move(tags), value, has_value, nanos);
  return true;
}

// Metric: 1 name, 5 gauge, 7 sum; 9, 10, 11 are histograms and summary. The name comes first.
bool metric(std::string_view bytes, Points& points) {
  std::string_view metric_name;
  Fields fields(bytes);
  for (Field f; fields.next(f);) {
    if (f.wire != 2) continue;
    if (f.number == 1) metric_name = f.bytes;
    const bool numbers = f.number == 5 || f.number == 7;
    if (!numbers && f.number != 9 && f.number != 10 && f.number != 11) continue;
    Fields data(f.bytes);
    for (Field d; data.next(d);) {
      if (d.number != 1 || d.wire != 2) continue;
      if (!numbers)
        points.other();
      else if (!data_point(d.bytes, metric_name, points))
        return false;
    }
    if (data.broken()) return false;
  }
  return !fields.broken();
}

// ResourceMetrics: 1 resource {1 attributes}, 2 scope metrics {2 metrics}.
bool resource_metrics(std::string_view bytes, Points& points) {
  points.resource();
  Fields fields(bytes);
  for (Field f; fields.next(f);) {
    if (f.wire != 2 || (f.number != 1 && f.number != 2)) continue;
    const uint32_t wanted = f.number;  // within Resource 1, within ScopeMetrics 2
    Fields inner(f.bytes);
    for (Field i; inner.next(i);) {
      if (i.number != wanted || i.wire != 2) continue;
      if (wanted == 1) {
        std::string_view key, value;
        if (!attribute(i.bytes, points.out(), key, value)) return false;
        points.resource_attribute(key, value);
      } else if (!metric(i.bytes, points)) {
        return false;
      }
    }
    if (inner.broken()) return false;
  }
  return !fields.broken();
}

// -- JSON (opentelemetry-proto, "JSON Protobuf Encoding"): 64-bit numbers may be texts

namespace dom = simdjson::dom;

std::string_view text_of(dom::element any, Rows& out) {
  std::string_view text;
  bool truth = false;
  dom::element found;
  if (!any.at_key("stringValue").get_string().get(text)) return out.keep(std::string(text));
  if (!any.at_key("boolValue").get_bool().get(truth)) return truth ? "true" : "false";
  if (any.at_key("intValue").get(found)) return {};
  if (!found.get_string().get(text)) return out.keep(std::string(text));
  return out.keep(simdjson::minify(found));
}

Tags attributes_of(dom::element holder, Rows& out) {
  Tags tags;
  dom::array all;
  if (holder.at_key("attributes").get_array().get(all)) return tags;
  for (const dom::element each : all) {
    std::string_view key;
    dom::element value;
    if (tags.size() < kAttributesMax && !each.at_key("key").get_string().get(key) &&
        !each.at_key("value").get(value))
      tags.emplace_back(out.keep(std::string(key)), text_of(value, out));
  }
  return tags;
}

template <class Number>
bool number_of(dom::element element, Number& number) {
  std::string_view text;
  if (!element.get_string().get(text)) {
    const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
    return read.ec == std::errc() && read.ptr == text.data() + text.size();
  }
  return !element.get<Number>().get(number);
}

void json_metric(dom::element metric_json, Points& points) {
  std::string_view metric_name;
  if (metric_json.at_key("name").get_string().get(metric_name)) metric_name = {};
  for (const char* kind : {"gauge", "sum", "histogram", "exponentialHistogram", "summary"}) {
    dom::array data;
    if (metric_json.at_key(kind).at_key("dataPoints").get_array().get(data)) continue;
    const bool numbers = kind[0] == 'g' || std::strcmp(kind, "sum") == 0;
    for (const dom::element each : data) {
      if (!numbers) {
        points.other();
        continue;
      }
      WireValue value;
      dom::element found;
      bool has_value = false;
      uint64_t nanos = 0;
      if (double number = 0; !each.at_key("asDouble").get(found) && number_of(found, number)) {
        value = WireValue::of({}, number);
        has_value = std::isfinite(number);
      } else if (int64_t whole = 0; !each.at_key("asInt").get(found) && number_of(found, whole)) {
        value = WireValue::of({}, whole);
        has_value = true;
      }
      if (!each.at_key("timeUnixNano").get(found) && !number_of(found, nanos)) nanos = 0;
      points.point(metric_name, attributes_of(each, points.out()), value, has_value, nanos);
    }
  }
}

}  // namespace

Status parse_otlp_protobuf(std::string_view body, const RowLimits& limits, Rows& out) {
  Points points(limits, out);
  Fields fields(body);
  for (Field f; fields.next(f);)
    if (f.number == 1 && f.wire == 2 && !resource_metrics(f.bytes, points))
      return fail(ErrorCode::kInvalidArgument, "the body is no OTLP metrics request");
  if (fields.broken())
    return fail(ErrorCode::kInvalidArgument, "the body is no OTLP metrics request");
  return {};
}

Status parse_otlp_json(std::string_view body, const RowLimits& limits, Rows& out) {
  dom::parser parser;
  dom::element root;
  dom::array resources;
  if (parser.parse(body.data(), body.size()).get(root) ||
      root.at_key("resourceMetrics").get_array().get(resources))
    return fail(ErrorCode::kInvalidArgument, "the body is no OTLP metrics request in JSON");
  Points points(limits, out);
  for (const dom::element each : resources) {
    points.resource();
    dom::element resource;
    if (!each.at_key("resource").get(resource))
      for (const auto& [key, value] : attributes_of(resource, out))
        points.resource_attribute(key, value);
    dom::array scopes, metrics;
    if (each.at_key("scopeMetrics").get_array().get(scopes)) continue;
    for (const dom::element scope : scopes)
      if (!scope.at_key("metrics").get_array().get(metrics))
        for (const dom::element one : metrics) json_metric(one, points);
  }
  return {};
}

}  // namespace penstock::interop::http
