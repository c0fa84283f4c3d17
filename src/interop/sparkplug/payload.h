#pragma once
// The Sparkplug B payload (Sparkplug 3.0, chapter 6: the protobuf messages of Eclipse Tahu's
// sparkplug_b.proto), read straight from the wire's bytes. No I/O, no copies: what is read are
// views into the message. Nothing here allocates but the writers, who append to what they are
// given.

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/bytes.h"

namespace penstock::interop::sparkplug {

/// 6.4.16 and on; the numbers are those of the wire.
enum class DataType : uint8_t {
  kUnknown = 0,
  kInt8 = 1,
  kInt16 = 2,
  kInt32 = 3,
  kInt64 = 4,
  kUInt8 = 5,
  kUInt16 = 6,
  kUInt32 = 7,
  kUInt64 = 8,
  kFloat = 9,
  kDouble = 10,
  kBoolean = 11,
  kString = 12,
  kDateTime = 13,
  kText = 14,
  kUuid = 15,
  kDataSet = 16,
  kBytes = 17,
  kFile = 18,
  kTemplate = 19,
  kPropertySet = 20,
  kPropertySetList = 21,
  kInt8Array = 22,
  kInt16Array = 23,
  kInt32Array = 24,
  kInt64Array = 25,
  kUInt8Array = 26,
  kUInt16Array = 27,
  kUInt32Array = 28,
  kUInt64Array = 29,
  kFloatArray = 30,
  kDoubleArray = 31,
  kBooleanArray = 32,
  kStringArray = 33,
  kDateTimeArray = 34,
};
inline constexpr uint32_t kDataTypes = 35;
/// "Int8", …; "Unknown" for a number that is none.
std::string_view name(DataType type);
/// kUnknown for what is no name of one.
DataType data_type(std::string_view name);

/// Which member of the oneof a value stands in.
enum class ValueForm : uint8_t {
  kNone,
  kInt,   ///< u32
  kLong,  ///< u64
  kFloat,
  kDouble,
  kBoolean,
  kString,
  kBytes,         ///< metrics only
  kDataSet,       ///< metrics only
  kTemplate,      ///< metrics only
  kPropertySet,   ///< properties only
  kPropertySets,  ///< properties only
  kExtension,     ///< a third party's; its bytes are passed over
};

/// A value as it stands on the wire; the datatype says how to understand it.
struct WireScalar {
  ValueForm form = ValueForm::kNone;
  uint64_t bits = 0;  ///< kInt, kLong, kBoolean; the bits of a float or double
  ByteView bytes;     ///< kString and whatever is longer

  [[nodiscard]] double as_double() const;  ///< of any number
  static WireScalar of_int(uint32_t value) { return {ValueForm::kInt, value, {}}; }
  static WireScalar of_long(uint64_t value) { return {ValueForm::kLong, value, {}}; }
  static WireScalar of_boolean(bool value) { return {ValueForm::kBoolean, value ? 1U : 0U, {}}; }
  static WireScalar of_float(float value);
  static WireScalar of_double(double value);
  static WireScalar of_text(std::string_view value) {
    return {ValueForm::kString, 0, as_bytes(value)};
  }
  static WireScalar of_bytes(ValueForm form, ByteView value) { return {form, 0, value}; }
};

/// 6.4.6.
struct Metric {
  std::string_view name;
  uint64_t alias = 0;
  uint64_t timestamp_ms = 0;
  DataType type = DataType::kUnknown;
  bool has_name = false;
  bool has_alias = false;
  bool has_timestamp = false;
  bool historical = false;
  bool transient = false;
  bool null = false;
  WireScalar value;
  ByteView metadata, properties;  ///< read_metadata, PropertyReader
};

/// 6.4.5 without its metrics.
struct PayloadInfo {
  uint64_t timestamp_ms = 0;
  uint64_t seq = 0;
  bool has_timestamp = false;
  bool has_seq = false;
  std::string_view uuid;
  ByteView body;
  uint32_t metrics = 0;  ///< how many there are; writers count none
};

/// The fields of one protobuf message, in their order. A field that is cut short or of a wire type
/// that does not exist ends it: ok() is false.
class FieldReader {
 public:
  explicit FieldReader(ByteView message) : at_(message.data()), end_(at_ + message.size()) {}
  bool next();
  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] uint32_t field() const { return field_; }
  [[nodiscard]] bool is_bytes() const { return type_ == 2; }
  [[nodiscard]] bool is_varint() const { return type_ == 0; }
  [[nodiscard]] bool is_fixed64() const { return type_ == 1; }
  [[nodiscard]] bool is_fixed32() const { return type_ == 5; }
  [[nodiscard]] uint64_t number() const { return number_; }
  [[nodiscard]] ByteView bytes() const { return bytes_; }
  [[nodiscard]] std::string_view text() const { return as_text(bytes_); }

 private:
  bool varint(uint64_t& out);
  bool fail() {
    ok_ = false;
    return false;
  }
  const std::byte* at_;
  const std::byte* end_;
  uint32_t field_ = 0;
  uint8_t type_ = 0;
  bool ok_ = true;
  uint64_t number_ = 0;
  ByteView bytes_;
};

/// What stands beside the metrics. False: the bytes are no payload.
bool read_info(ByteView payload, PayloadInfo& info);

/// The metrics of a payload or of a template (both have them in field 2), one by one.
class MetricReader {
 public:
  explicit MetricReader(ByteView message) : fields_(message) {}
  /// False at the end, or where a metric is malformed: then ok() is false.
  bool next(Metric& metric);
  [[nodiscard]] bool ok() const { return ok_ && fields_.ok(); }

 private:
  FieldReader fields_;
  bool ok_ = true;
};

/// 6.4.12. The values of one metric's properties, by key.
struct Property {
  std::string_view key;
  DataType type = DataType::kUnknown;
  bool null = false;
  WireScalar value;  ///< kPropertySet: a nested set; kPropertySets: PropertySetListReader
};
class PropertyReader {
 public:
  explicit PropertyReader(ByteView set) : keys_(set), values_(set) {}
  /// False at the end; a key without a value, or a value without a key, makes ok() false.
  bool next(Property& property);
  [[nodiscard]] bool ok() const { return ok_; }

 private:
  FieldReader keys_, values_;
  bool ok_ = true;
};
class PropertySetListReader {
 public:
  explicit PropertySetListReader(ByteView list) : fields_(list) {}
  bool next(ByteView& set);
  [[nodiscard]] bool ok() const { return fields_.ok(); }

 private:
  FieldReader fields_;
};

/// 6.4.11; empty members were not there.
struct MetaData {
  bool multi_part = false;
  std::string_view content_type, file_name, file_type, md5, description;
  uint64_t size = 0, seq = 0;
};
bool read_metadata(ByteView message, MetaData& out);

/// 6.4.14. `rows` is walked with RowReader; types and columns are in the same order.
struct DataSet {
  static constexpr size_t kColumnsMax = 256;  ///< wider ones are refused
  uint64_t columns_told = 0;                  ///< num_of_columns
  uint32_t columns = 0, types = 0, rows = 0;
  std::array<std::string_view, kColumnsMax> column;
  std::array<DataType, kColumnsMax> type;
};
bool read_dataset(ByteView message, DataSet& out);
class RowReader {
 public:
  explicit RowReader(ByteView dataset) : fields_(dataset), cells_({}) {}
  bool next_row();
  /// Within the row; kNone stands for a null.
  bool next_cell(WireScalar& cell);
  [[nodiscard]] bool ok() const { return ok_ && fields_.ok(); }

 private:
  FieldReader fields_, cells_;
  bool ok_ = true;
};

/// 6.4.15. Its metrics are walked with MetricReader, its parameters with
/// ParameterReader.
struct TemplateInfo {
  std::string_view version, ref;
  bool is_definition = false;
};
bool read_template(ByteView message, TemplateInfo& out);
struct Parameter {
  std::string_view name;
  DataType type = DataType::kUnknown;
  WireScalar value;
};
class ParameterReader {
 public:
  explicit ParameterReader(ByteView message) : fields_(message) {}
  bool next(Parameter& parameter);
  [[nodiscard]] bool ok() const { return ok_ && fields_.ok(); }

 private:
  FieldReader fields_;
  bool ok_ = true;
};

// -- writing, for commands and tests

void write_info(Bytes& out, const PayloadInfo& info);
void write_metric(Bytes& out, const Metric& metric);
void write_property(Bytes& set, const Property& property);
void write_property_set(Bytes& list, ByteView set);
void write_metadata(Bytes& out, const MetaData& metadata);
/// Columns and types; then rows, each of cells.
void write_dataset(Bytes& out, std::span<const std::string_view> columns,
                   std::span<const DataType> types);
void write_row(Bytes& dataset, std::span<const WireScalar> cells);
void write_template(Bytes& out, const TemplateInfo& info);
void write_parameter(Bytes& out, const Parameter& parameter);

}  // namespace penstock::interop::sparkplug
