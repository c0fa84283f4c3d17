#include "interop/sparkplug/payload.h"

#include <bit>

namespace penstock::interop::sparkplug {
namespace {

constexpr std::array<std::string_view, kDataTypes> kNames = {"Unknown",      "Int8",
                                                             "Int16",        "Int32",
                                                             "Int64",        "UInt8",
                                                             "UInt16",       "UInt32",
                                                             "UInt64",       "Float",
                                                             "Double",       "Boolean",
                                                             "String",       "DateTime",
                                                             "Text",         "UUID",
                                                             "DataSet",      "Bytes",
                                                             "File",         "Template",
                                                             "PropertySet",  "PropertySetList",
                                                             "Int8Array",    "Int16Array",
                                                             "Int32Array",   "Int64Array",
                                                             "UInt8Array",   "UInt16Array",
                                                             "UInt32Array",  "UInt64Array",
                                                             "FloatArray",   "DoubleArray",
                                                             "BooleanArray", "StringArray",
                                                             "DateTimeArray"};

DataType type_of(uint64_t number) {
  return number < kDataTypes ? static_cast<DataType>(number) : DataType::kUnknown;
}

// The oneof of a metric, property, parameter or cell: the same forms from another field on. The
// last one on the wire counts, as protobuf has it. A field of a wire type that is not its own is
// unknown to protobuf, and so passed over.
void take_scalar(const FieldReader& field, uint32_t first, WireScalar& out) {
  switch (field.field() - first) {
    case 0:
      if (field.is_varint()) out = {ValueForm::kInt, field.number() & 0xFFFFFFFF, {}};
      break;
    case 1:
      if (field.is_varint()) out = {ValueForm::kLong, field.number(), {}};
      break;
    case 2:
      if (field.is_fixed32()) out = {ValueForm::kFloat, field.number(), {}};
      break;
    case 3:
      if (field.is_fixed64()) out = {ValueForm::kDouble, field.number(), {}};
      break;
    case 4:
      if (field.is_varint()) out = {ValueForm::kBoolean, field.number() != 0 ? 1U : 0U, {}};
      break;
    case 5:
      if (field.is_bytes()) out = {ValueForm::kString, 0, field.bytes()};
      break;
    default:
      break;
  }
}

void take_bytes(const FieldReader& field, ValueForm form, WireScalar& out) {
  if (field.is_bytes()) out = {form, 0, field.bytes()};
}

}  // namespace

std::string_view name(DataType type) {
  const auto at = static_cast<size_t>(type);
  return kNames[at < kNames.size() ? at : 0];
}

DataType data_type(std::string_view text) {
  for (size_t i = 1; i < kNames.size(); ++i)
    if (kNames[i] == text) return static_cast<DataType>(i);
  return DataType::kUnknown;
}

double WireScalar::as_double() const {
  if (form == ValueForm::kFloat)
    return static_cast<double>(std::bit_cast<float>(static_cast<uint32_t>(bits)));
  if (form == ValueForm::kDouble) return std::bit_cast<double>(bits);
  return static_cast<double>(bits);
}
WireScalar WireScalar::of_float(float value) {
  return {ValueForm::kFloat, std::bit_cast<uint32_t>(value), {}};
}
WireScalar WireScalar::of_double(double value) {
  return {ValueForm::kDouble, std::bit_cast<uint64_t>(value), {}};
}

// -- fields

bool FieldReader::varint(uint64_t& out) {
  uint64_t value = 0;
  for (unsigned shift = 0; shift < 70; shift += 7) {
    if (at_ == end_) return false;
    const auto byte = static_cast<uint8_t>(*at_++);
    // The tenth byte holds one bit; protobuf's readers drop what does not fit.
    if (shift < 64) value |= static_cast<uint64_t>(byte & 0x7F) << shift;
    if ((byte & 0x80) == 0) {
      out = value;
      return true;
    }
  }
  return false;
}

bool FieldReader::next() {
  if (!ok_ || at_ == end_) return false;
  uint64_t tag = 0;
  if (!varint(tag) || tag > 0xFFFFFFFF || tag >> 3 == 0) return fail();
  field_ = static_cast<uint32_t>(tag >> 3);
  type_ = static_cast<uint8_t>(tag & 7);
  const auto left = static_cast<size_t>(end_ - at_);
  switch (type_) {
    case 0:
      return varint(number_) || fail();
    case 1:
      if (left < 8) return fail();
      number_ = load_le<uint64_t>(at_);
      at_ += 8;
      return true;
    case 5:
      if (left < 4) return fail();
      number_ = load_le<uint32_t>(at_);
      at_ += 4;
      return true;
    case 2: {
      uint64_t size = 0;
      if (!varint(size) || size > static_cast<size_t>(end_ - at_)) return fail();
      bytes_ = {at_, static_cast<size_t>(size)};
      at_ += size;
      return true;
    }
    default:  // groups (3, 4): sparkplug_b.proto has none
      return fail();
  }
}

// -- payload and metrics

bool read_info(ByteView payload, PayloadInfo& info) {
  info = {};
  FieldReader field(payload);
  while (field.next()) {
    switch (field.field()) {
      case 1:
        if (!field.is_varint()) break;
        info.timestamp_ms = field.number();
        info.has_timestamp = true;
        break;
      case 2:
        info.metrics += field.is_bytes();
        break;
      case 3:
        if (!field.is_varint()) break;
        info.seq = field.number();
        info.has_seq = true;
        break;
      case 4:
        if (field.is_bytes()) info.uuid = field.text();
        break;
      case 5:
        if (field.is_bytes()) info.body = field.bytes();
        break;
      default:
        break;
    }
  }
  return field.ok();
}

namespace {

// Fields 10 to 19 of a metric.
void take_value(const FieldReader& field, Metric& out) {
  switch (field.field()) {
    case 16:
      take_bytes(field, ValueForm::kBytes, out.value);
      break;
    case 17:
      take_bytes(field, ValueForm::kDataSet, out.value);
      break;
    case 18:
      take_bytes(field, ValueForm::kTemplate, out.value);
      break;
    case 19:
      take_bytes(field, ValueForm::kExtension, out.value);
      break;
    default:
      if (field.field() >= 10) take_scalar(field, 10, out.value);
      break;
  }
}

bool read_metric(ByteView message, Metric& out) {
  out = {};
  FieldReader field(message);
  while (field.next()) {
    const bool number = field.is_varint();
    switch (field.field()) {
      case 1:
        if (!field.is_bytes()) break;
        out.name = field.text();
        out.has_name = true;
        break;
      case 2:
        if (!number) break;
        out.alias = field.number();
        out.has_alias = true;
        break;
      case 3:
        if (!number) break;
        out.timestamp_ms = field.number();
        out.has_timestamp = true;
        break;
      case 4:
        if (number) out.type = type_of(field.number());
        break;
      case 5:
        if (number) out.historical = field.number() != 0;
        break;
      case 6:
        if (number) out.transient = field.number() != 0;
        break;
      case 7:
        if (number) out.null = field.number() != 0;
        break;
      case 8:
        if (field.is_bytes()) out.metadata = field.bytes();
        break;
      case 9:
        if (field.is_bytes()) out.properties = field.bytes();
        break;
      default:
        take_value(field, out);
        break;
    }
  }
  return field.ok();
}

}  // namespace

bool MetricReader::next(Metric& metric) {
  while (fields_.next()) {
    if (fields_.field() != 2 || !fields_.is_bytes()) continue;
    ok_ = ok_ && read_metric(fields_.bytes(), metric);
    return ok_;
  }
  return false;
}

// -- properties and metadata

namespace {

bool read_property_value(ByteView message, Property& out) {
  FieldReader field(message);
  while (field.next()) {
    switch (field.field()) {
      case 1:
        if (field.is_varint()) out.type = type_of(field.number());
        break;
      case 2:
        if (field.is_varint()) out.null = field.number() != 0;
        break;
      case 9:
        take_bytes(field, ValueForm::kPropertySet, out.value);
        break;
      case 10:
        take_bytes(field, ValueForm::kPropertySets, out.value);
        break;
      case 11:
        take_bytes(field, ValueForm::kExtension, out.value);
        break;
      default:
        if (field.field() >= 3) take_scalar(field, 3, out.value);
        break;
    }
  }
  return field.ok();
}

bool next_of(FieldReader& fields, uint32_t field) {
  while (fields.next())
    if (fields.field() == field && fields.is_bytes()) return true;
  return false;
}

}  // namespace

bool PropertyReader::next(Property& property) {
  property = {};
  const bool key = next_of(keys_, 1);
  const bool value = next_of(values_, 2);
  // 6.4.12: as many values as keys.
  if (!key || !value) {
    ok_ = ok_ && key == value && keys_.ok() && values_.ok();
    return false;
  }
  property.key = keys_.text();
  ok_ = ok_ && read_property_value(values_.bytes(), property);
  return ok_;
}

bool PropertySetListReader::next(ByteView& set) {
  if (!next_of(fields_, 1)) return false;
  set = fields_.bytes();
  return true;
}

bool read_metadata(ByteView message, MetaData& out) {
  out = {};
  FieldReader field(message);
  while (field.next()) {
    const bool text = field.is_bytes();
    switch (field.field()) {
      case 1:
        if (field.is_varint()) out.multi_part = field.number() != 0;
        break;
      case 2:
        if (text) out.content_type = field.text();
        break;
      case 3:
        if (field.is_varint()) out.size = field.number();
        break;
      case 4:
        if (field.is_varint()) out.seq = field.number();
        break;
      case 5:
        if (text) out.file_name = field.text();
        break;
      case 6:
        if (text) out.file_type = field.text();
        break;
      case 7:
        if (text) out.md5 = field.text();
        break;
      case 8:
        if (text) out.description = field.text();
        break;
      default:
        break;
    }
  }
  return field.ok();
}

// -- datasets and templates

namespace {

// `repeated uint32 types`: one a field, or all of them packed in one.
bool take_types(const FieldReader& field, DataSet& out) {
  const auto add = [&](uint64_t number) {
    if (out.types == DataSet::kColumnsMax) return false;
    out.type[out.types++] = type_of(number);
    return true;
  };
  if (field.is_varint()) return add(field.number());
  if (!field.is_bytes()) return true;
  ByteView packed = field.bytes();
  while (!packed.empty()) {
    uint64_t value = 0;
    unsigned shift = 0;
    size_t used = 0;
    while (true) {
      if (used == packed.size() || shift > 63) return false;
      const auto byte = static_cast<uint8_t>(packed[used++]);
      value |= static_cast<uint64_t>(byte & 0x7F) << shift;
      shift += 7;
      if ((byte & 0x80) == 0) break;
    }
    packed = packed.subspan(used);
    if (!add(value)) return false;
  }
  return true;
}

}  // namespace

bool read_dataset(ByteView message, DataSet& out) {
  out.columns_told = 0;
  out.columns = out.types = out.rows = 0;
  FieldReader field(message);
  while (field.next()) {
    switch (field.field()) {
      case 1:
        if (field.is_varint()) out.columns_told = field.number();
        break;
      case 2:
        if (!field.is_bytes()) break;
        if (out.columns == DataSet::kColumnsMax) return false;
        out.column[out.columns++] = field.text();
        break;
      case 3:
        if (!take_types(field, out)) return false;
        break;
      case 4:
        out.rows += field.is_bytes();
        break;
      default:
        break;
    }
  }
  // 6.4.14: num_of_columns, columns and types agree.
  return field.ok() && out.columns == out.types && out.columns_told == out.columns;
}

bool RowReader::next_row() {
  if (!ok() || !next_of(fields_, 4)) return false;
  cells_ = FieldReader(fields_.bytes());
  return true;
}

bool RowReader::next_cell(WireScalar& cell) {
  cell = {};
  if (!next_of(cells_, 1)) {
    ok_ = ok_ && cells_.ok();
    return false;
  }
  FieldReader field(cells_.bytes());
  while (field.next()) {
    if (field.field() == 7)
      take_bytes(field, ValueForm::kExtension, cell);
    else
      take_scalar(field, 1, cell);
  }
  ok_ = ok_ && field.ok();
  return ok_;
}

bool read_template(ByteView message, TemplateInfo& out) {
  out = {};
  FieldReader field(message);
  while (field.next()) {
    if (field.field() == 1 && field.is_bytes()) out.version = field.text();
    if (field.field() == 4 && field.is_bytes()) out.ref = field.text();
    if (field.field() == 5 && field.is_varint()) out.is_definition = field.number() != 0;
  }
  return field.ok();
}

bool ParameterReader::next(Parameter& parameter) {
  parameter = {};
  if (!next_of(fields_, 3)) return false;
  FieldReader field(fields_.bytes());
  while (field.next()) {
    switch (field.field()) {
      case 1:
        if (field.is_bytes()) parameter.name = field.text();
        break;
      case 2:
        if (field.is_varint()) parameter.type = type_of(field.number());
        break;
      case 9:
        take_bytes(field, ValueForm::kExtension, parameter.value);
        break;
      default:
        if (field.field() >= 3) take_scalar(field, 3, parameter.value);
        break;
    }
  }
  ok_ = ok_ && field.ok();
  return ok_;
}

// -- writing

namespace {

void put_varint(Bytes& out, uint64_t value) {
  while (value >= 0x80) {
    out.push_back(static_cast<std::byte>(value | 0x80));
    value >>= 7;
  }
  out.push_back(static_cast<std::byte>(value));
}

void put_number(Bytes& out, uint32_t field, uint64_t value) {
  put_varint(out, field << 3);
  put_varint(out, value);
}

void put_bytes(Bytes& out, uint32_t field, ByteView value) {
  put_varint(out, field << 3 | 2);
  put_varint(out, value.size());
  append_bytes(out, value);
}

void put_text(Bytes& out, uint32_t field, std::string_view text) {
  if (!text.empty()) put_bytes(out, field, as_bytes(text));
}

void put_scalar(Bytes& out, uint32_t first, const WireScalar& value) {
  switch (value.form) {
    case ValueForm::kInt:
      return put_number(out, first, value.bits & 0xFFFFFFFF);
    case ValueForm::kLong:
      return put_number(out, first + 1, value.bits);
    case ValueForm::kFloat:
      put_varint(out, (first + 2) << 3 | 5);
      return append_le<uint32_t>(out, static_cast<uint32_t>(value.bits));
    case ValueForm::kDouble:
      put_varint(out, (first + 3) << 3 | 1);
      return append_le<uint64_t>(out, value.bits);
    case ValueForm::kBoolean:
      return put_number(out, first + 4, value.bits != 0 ? 1 : 0);
    case ValueForm::kString:
      return put_bytes(out, first + 5, value.bytes);
    default:
      return;
  }
}

// A message whose length stands before it: written behind, its length then put in front.
template <class Fill>
void put_message(Bytes& out, uint32_t field, const Fill& fill) {
  Bytes inner;
  fill(inner);
  put_bytes(out, field, inner);
}

}  // namespace

void write_info(Bytes& out, const PayloadInfo& info) {
  if (info.has_timestamp) put_number(out, 1, info.timestamp_ms);
  if (info.has_seq) put_number(out, 3, info.seq);
  put_text(out, 4, info.uuid);
  if (!info.body.empty()) put_bytes(out, 5, info.body);
}

void write_metric(Bytes& out, const Metric& m) {
  put_message(out, 2, [&](Bytes& inner) {
    if (m.has_name) put_bytes(inner, 1, as_bytes(m.name));
    if (m.has_alias) put_number(inner, 2, m.alias);
    if (m.has_timestamp) put_number(inner, 3, m.timestamp_ms);
    if (m.type != DataType::kUnknown) put_number(inner, 4, static_cast<uint64_t>(m.type));
    if (m.historical) put_number(inner, 5, 1);
    if (m.transient) put_number(inner, 6, 1);
    if (m.null) put_number(inner, 7, 1);
    if (!m.metadata.empty()) put_bytes(inner, 8, m.metadata);
    if (!m.properties.empty()) put_bytes(inner, 9, m.properties);
    switch (m.value.form) {
      case ValueForm::kBytes:
        return put_bytes(inner, 16, m.value.bytes);
      case ValueForm::kDataSet:
        return put_bytes(inner, 17, m.value.bytes);
      case ValueForm::kTemplate:
        return put_bytes(inner, 18, m.value.bytes);
      case ValueForm::kExtension:
        return put_bytes(inner, 19, m.value.bytes);
      default:
        return put_scalar(inner, 10, m.value);
    }
  });
}

void write_property(Bytes& set, const Property& property) {
  put_bytes(set, 1, as_bytes(property.key));
  put_message(set, 2, [&](Bytes& inner) {
    put_number(inner, 1, static_cast<uint64_t>(property.type));
    if (property.null) put_number(inner, 2, 1);
    switch (property.value.form) {
      case ValueForm::kPropertySet:
        return put_bytes(inner, 9, property.value.bytes);
      case ValueForm::kPropertySets:
        return put_bytes(inner, 10, property.value.bytes);
      case ValueForm::kExtension:
        return put_bytes(inner, 11, property.value.bytes);
      default:
        return put_scalar(inner, 3, property.value);
    }
  });
}

void write_property_set(Bytes& list, ByteView set) { put_bytes(list, 1, set); }

void write_metadata(Bytes& out, const MetaData& metadata) {
  if (metadata.multi_part) put_number(out, 1, 1);
  put_text(out, 2, metadata.content_type);
  if (metadata.size > 0) put_number(out, 3, metadata.size);
  if (metadata.seq > 0) put_number(out, 4, metadata.seq);
  put_text(out, 5, metadata.file_name);
  put_text(out, 6, metadata.file_type);
  put_text(out, 7, metadata.md5);
  put_text(out, 8, metadata.description);
}

void write_dataset(Bytes& out, std::span<const std::string_view> columns,
                   std::span<const DataType> types) {
  put_number(out, 1, columns.size());
  for (const std::string_view column : columns) put_bytes(out, 2, as_bytes(column));
  for (const DataType type : types) put_number(out, 3, static_cast<uint64_t>(type));
}

void write_row(Bytes& dataset, std::span<const WireScalar> cells) {
  put_message(dataset, 4, [&](Bytes& row) {
    for (const WireScalar& cell : cells)
      put_message(row, 1, [&](Bytes& inner) {
        if (cell.form == ValueForm::kExtension)
          put_bytes(inner, 7, cell.bytes);
        else
          put_scalar(inner, 1, cell);
      });
  });
}

void write_template(Bytes& out, const TemplateInfo& info) {
  put_text(out, 1, info.version);
  put_text(out, 4, info.ref);
  put_number(out, 5, info.is_definition ? 1 : 0);
}

void write_parameter(Bytes& out, const Parameter& parameter) {
  put_message(out, 3, [&](Bytes& inner) {
    put_text(inner, 1, parameter.name);
    put_number(inner, 2, static_cast<uint64_t>(parameter.type));
    if (parameter.value.form == ValueForm::kExtension)
      put_bytes(inner, 9, parameter.value.bytes);
    else
      put_scalar(inner, 3, parameter.value);
  });
}

}  // namespace penstock::interop::sparkplug
