#include "interop/sparkplug/values.h"

#include <bit>
#include <limits>

#include "interop/sparkplug/text.h"
#include "stream/telemetry.h"

namespace penstock::interop::sparkplug {

using stream::Quality;
using stream::ValueKind;
using stream::WireValue;

// -- what births told

void Dictionary::add(KnownMetric metric) {
  const auto [it, fresh] =
      names_.try_emplace(metric.address, static_cast<uint32_t>(metrics_.size()));
  if (metric.has_alias) aliases_[metric.alias] = it->second;
  if (fresh)
    metrics_.push_back(std::move(metric));
  else
    metrics_[it->second] = std::move(metric);
}

void Dictionary::clear() {
  metrics_.clear();
  names_.clear();
  aliases_.clear();
}

const KnownMetric* Dictionary::by_alias(uint64_t alias) const {
  const auto it = aliases_.find(alias);
  return it == aliases_.end() ? nullptr : &metrics_[it->second];
}

const KnownMetric* Dictionary::by_name(std::string_view address) const {
  const auto it = names_.find(address);
  return it == names_.end() ? nullptr : &metrics_[it->second];
}

std::string_view name(MetricReject reject) {
  switch (reject) {
    case MetricReject::kNone:
      break;
    case MetricReject::kMalformed:
      return "malformed";
    case MetricReject::kNoName:
      return "no_name";
    case MetricReject::kUnknownAlias:
      return "unknown_alias";
    case MetricReject::kUnknownType:
      return "unknown_datatype";
    case MetricReject::kNotText:
      return "not_utf8";
    case MetricReject::kUnreadable:
      return "not_of_its_datatype";
    case MetricReject::kTooLarge:
      return "too_large";
  }
  return "none";
}

// -- one value

namespace {

bool integer_value(DataType type, uint64_t bits, WireValue& out) {
  out.kind = ValueKind::kInteger;
  switch (type) {
    case DataType::kInt8:
      out.integer = static_cast<int8_t>(bits);
      return true;
    case DataType::kInt16:
      out.integer = static_cast<int16_t>(bits);
      return true;
    case DataType::kInt32:
      out.integer = static_cast<int32_t>(bits);
      return true;
    case DataType::kInt64:
      out.integer = static_cast<int64_t>(bits);
      return true;
    case DataType::kUInt8:
      out.integer = static_cast<uint8_t>(bits);
      return true;
    case DataType::kUInt16:
      out.integer = static_cast<uint16_t>(bits);
      return true;
    case DataType::kUInt32:
      out.integer = static_cast<uint32_t>(bits);
      return true;
    case DataType::kUInt64:
      if (bits <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
        out.integer = static_cast<int64_t>(bits);
        return true;
      }
      [[fallthrough]];
    case DataType::kFloat:
    case DataType::kDouble:
      out.kind = ValueKind::kDouble;
      out.number = static_cast<double>(bits);
      return true;
    case DataType::kBoolean:
      out.kind = ValueKind::kBoolean;
      out.integer = bits != 0 ? 1 : 0;
      return true;
    default:
      return false;
  }
}

bool is_text(DataType type) {
  return type == DataType::kString || type == DataType::kText || type == DataType::kUuid ||
         type == DataType::kUnknown;
}

bool is_number(DataType type) {
  return (type >= DataType::kInt8 && type <= DataType::kDouble) || type == DataType::kUnknown;
}

Timestamp time_of(uint64_t ms) {
  // Later than any clock: refused as the future it is.
  constexpr uint64_t kMax = 253'402'300'799'999;
  return Timestamp::from_millis(static_cast<int64_t>(std::min(ms, kMax)));
}

}  // namespace

bool scalar_value(DataType type, const WireScalar& scalar, WireValue& out) {
  switch (scalar.form) {
    case ValueForm::kInt:
    case ValueForm::kLong:
      return integer_value(type, scalar.bits, out);
    case ValueForm::kBoolean:
      if (type != DataType::kBoolean && type != DataType::kUnknown) return false;
      return integer_value(DataType::kBoolean, scalar.bits, out);
    case ValueForm::kFloat:
    case ValueForm::kDouble:
      if (!is_number(type)) return false;
      out.kind = ValueKind::kDouble;
      out.number = scalar.as_double();
      return true;
    case ValueForm::kString:
      if (!is_text(type)) return false;
      out.kind = ValueKind::kText;
      out.text = as_text(scalar.bytes);
      return true;
    default:
      return false;
  }
}

Quality quality_of_code(int64_t code) {
  // Beyond 16 bits: an OPC UA StatusCode, whose two highest bits say it.
  if (code < 0 || code > 0xFFFF) return stream::quality_of_status(static_cast<uint32_t>(code));
  if (code == 500) return Quality::kUncertain;  // stale
  if (code >= 512) return Quality::kBad;        // Ignition's errors
  return code >= 192 ? Quality::kGood : code >= 64 ? Quality::kUncertain : Quality::kBad;
}

namespace {

// 6.4.12.2: the property "Quality".
bool read_quality(ByteView properties, Quality& out) {
  PropertyReader reader(properties);
  Property property;
  while (reader.next(property)) {
    if (property.key != "Quality" || property.null) continue;
    WireValue code;
    if (scalar_value(property.type == DataType::kUnknown ? DataType::kInt32 : property.type,
                     property.value, code) &&
        code.kind == ValueKind::kInteger)
      out = quality_of_code(code.integer);
  }
  return reader.ok();
}

}  // namespace

// -- a message

void MetricValues::clear() {
  values_.clear();
  pieces_.clear();
  text_.clear();
  outcome_ = {};
}

void MetricValues::reject(MetricReject why, const Metric& metric) {
  ++outcome_.rejected;
  if (outcome_.first_reject != MetricReject::kNone) return;
  outcome_.first_reject = why;
  outcome_.first_about = metric.name.substr(0, 128);
  outcome_.first_alias = metric.alias;
}

void MetricValues::add(const Metric& metric, const Dictionary& known, uint64_t fallback_ms) {
  const MetricReject why = take(metric, known, fallback_ms, {}, 0);
  if (why != MetricReject::kNone) reject(why, metric);
}

bool MetricValues::add_all(ByteView payload, const Dictionary& known, uint64_t fallback_ms) {
  MetricReader metrics(payload);
  Metric metric;
  while (metrics.next(metric)) add(metric, known, fallback_ms);
  return metrics.ok();
}

std::span<WireValue> MetricValues::values() {
  const std::string_view text(text_);
  for (const Piece& piece : pieces_) {
    WireValue& value = values_[piece.value];
    (piece.is_address ? value.address : value.text) = text.substr(piece.at, piece.size);
  }
  return values_;
}

// The address; what DATA leaves out is taken from the birth.
MetricReject MetricValues::resolve(const Metric& metric, const Dictionary& known,
                                   std::string_view prefix, Item& item) {
  const KnownMetric* birth = nullptr;
  if (metric.has_name && !metric.name.empty()) {
    if (!is_utf8(metric.name)) return MetricReject::kNotText;
    item.address = metric.name;
    if (!prefix.empty()) {
      item.made = true;
      item.at = static_cast<uint32_t>(text_.size());
      text_.append(prefix).append("/").append(metric.name);
    }
    if (metric.type == DataType::kUnknown)
      birth = known.by_name(item.made ? std::string_view(text_).substr(item.at) : item.address);
  } else {
    if (!metric.has_alias) return MetricReject::kNoName;
    birth = known.by_alias(metric.alias);
    if (!birth) return MetricReject::kUnknownAlias;
    item.address = birth->address;
  }
  item.type = metric.type != DataType::kUnknown ? metric.type
              : birth                           ? birth->type
                                                : DataType::kUnknown;
  return MetricReject::kNone;
}

MetricReject MetricValues::take(const Metric& metric, const Dictionary& known, uint64_t fallback_ms,
                                std::string_view prefix, size_t depth) {
  if (values_.size() >= limits_.values_max || text_.size() > limits_.text_bytes_max)
    return MetricReject::kTooLarge;
  if (metric.transient) {
    ++outcome_.transient;
    return MetricReject::kNone;
  }
  Item item;
  if (const auto why = resolve(metric, known, prefix, item); why != MetricReject::kNone) return why;
  item.timestamp_ms = metric.has_timestamp ? metric.timestamp_ms : fallback_ms;
  item.null = metric.null;
  if (!metric.properties.empty() && !read_quality(metric.properties, item.quality))
    return MetricReject::kMalformed;
  const bool nested = metric.value.form == ValueForm::kTemplate ||
                      (metric.value.form == ValueForm::kNone && item.type == DataType::kTemplate);
  if (nested && !metric.null) return take_template(metric, known, item, depth);
  return put(item, metric.value);
}

// Its members become values at {name}/{member}, its parameters at {name}/Parameters/{parameter}.
MetricReject MetricValues::take_template(const Metric& metric, const Dictionary& known,
                                         const Item& item, size_t depth) {
  if (depth >= limits_.template_depth_max) return MetricReject::kTooLarge;
  TemplateInfo info;
  if (!read_template(metric.value.bytes, info)) return MetricReject::kMalformed;
  if (info.is_definition) {
    ++outcome_.definitions;
    return MetricReject::kNone;
  }
  // text_ grows beneath: the prefix is a copy, small, and only templates pay for it.
  const std::string prefix(
      item.made ? std::string_view(text_).substr(item.at, text_.size() - item.at) : item.address);
  MetricReader members(metric.value.bytes);
  Metric member;
  while (members.next(member)) {
    const MetricReject why = take(member, known, item.timestamp_ms, prefix, depth + 1);
    if (why != MetricReject::kNone) reject(why, member);
  }
  if (!members.ok()) return MetricReject::kMalformed;
  return take_parameters(metric.value.bytes, item, prefix);
}

MetricReject MetricValues::take_parameters(ByteView message, const Item& item,
                                           std::string_view prefix) {
  ParameterReader parameters(message);
  Parameter parameter;
  while (parameters.next(parameter)) {
    if (parameter.value.form == ValueForm::kNone) continue;
    if (!is_utf8(parameter.name)) return MetricReject::kNotText;
    Item own;
    own.made = true;
    own.at = static_cast<uint32_t>(text_.size());
    text_.append(prefix).append("/Parameters/").append(parameter.name);
    own.type = parameter.type;
    own.timestamp_ms = item.timestamp_ms;
    own.quality = item.quality;
    if (const auto why = put(own, parameter.value); why != MetricReject::kNone) return why;
  }
  return parameters.ok() ? MetricReject::kNone : MetricReject::kMalformed;
}

MetricReject MetricValues::put(const Item& item, const WireScalar& scalar) {
  const auto index = static_cast<uint32_t>(values_.size());
  const auto address_size = static_cast<uint32_t>(text_.size() - item.at);
  WireValue value;
  value.address = item.address;
  value.quality = item.quality;
  value.source_time = time_of(item.timestamp_ms);
  value.null = item.null;
  if (!item.null) {
    const bool integer = scalar.form == ValueForm::kInt || scalar.form == ValueForm::kLong;
    if (integer && item.type == DataType::kUnknown) return MetricReject::kUnknownType;
    if (!scalar_value(item.type, scalar, value)) {
      const MetricReject why = make_text(item, scalar, value);
      if (why != MetricReject::kNone) return why;
    } else if (value.kind == ValueKind::kText && !is_utf8(value.text)) {
      return MetricReject::kNotText;
    }
  }
  if (item.made) pieces_.push_back({index, true, item.at, address_size});
  values_.push_back(value);
  return MetricReject::kNone;
}

MetricReject MetricValues::make_text(const Item& item, const WireScalar& scalar, WireValue& value) {
  const auto at = static_cast<uint32_t>(text_.size());
  bool good = false;
  value.kind = ValueKind::kText;
  const bool integer = scalar.form == ValueForm::kInt || scalar.form == ValueForm::kLong;
  if (item.type == DataType::kDateTime && integer) {
    good = append_date(text_, scalar.bits);
  } else if (scalar.form == ValueForm::kDataSet) {
    value.kind = ValueKind::kObject;
    good = append_dataset(text_, scalar.bytes, limits_.text_bytes_max);
  } else if (scalar.form == ValueForm::kBytes && item.type >= DataType::kInt8Array) {
    value.kind = ValueKind::kObject;
    good = append_array(text_, item.type, scalar.bytes, limits_.text_bytes_max);
  } else if (scalar.form == ValueForm::kBytes) {
    good = true;
    append_base64(text_, scalar.bytes);
  }
  const bool large = text_.size() > limits_.text_bytes_max;
  if (!good || large) {
    text_.resize(at);
    return large ? MetricReject::kTooLarge : MetricReject::kUnreadable;
  }
  pieces_.push_back(
      {static_cast<uint32_t>(values_.size()), false, at, static_cast<uint32_t>(text_.size() - at)});
  return MetricReject::kNone;
}

// -- births

bool MetricValues::learn_members(const Metric& metric, const std::string& address,
                                 size_t metrics_max, size_t depth, Dictionary& into) const {
  if (into.size() >= metrics_max || depth > limits_.template_depth_max) return false;
  const bool nested = metric.value.form == ValueForm::kTemplate;
  TemplateInfo info;
  if (nested && !read_template(metric.value.bytes, info)) return false;
  if (info.is_definition) return true;
  into.add({address, nested ? DataType::kTemplate : metric.type, metric.alias, metric.has_alias,
            depth > 0});
  if (!nested) return true;
  MetricReader members(metric.value.bytes);
  Metric member;
  while (members.next(member))
    if (!learn_members(member, address + "/" + std::string(member.name), metrics_max, depth + 1,
                       into))
      return false;
  return members.ok();
}

bool MetricValues::learn(ByteView birth, size_t metrics_max, Dictionary& into) const {
  MetricReader metrics(birth);
  Metric metric;
  while (metrics.next(metric))
    if (metric.has_name && !learn_members(metric, std::string(metric.name), metrics_max, 0, into))
      return false;
  return metrics.ok();
}

}  // namespace penstock::interop::sparkplug
