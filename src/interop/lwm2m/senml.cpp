#include "interop/lwm2m/senml.h"

#include <cmath>

#include <fmt/format.h>

namespace penstock::interop::lwm2m {

Status fit_value(Value& value, DataType type, const Path& path) {
  const auto wrong = [&] {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("the value is of type {}, the resource of type {}", name(value.type),
                            name(type)),
                path.text());
  };
  const bool number = value.type == DataType::kInteger || value.type == DataType::kUnsigned ||
                      value.type == DataType::kFloat || value.type == DataType::kTime;
  switch (type) {
    case DataType::kNone:
      return {};
    case DataType::kFloat:
      if (!number) return wrong();
      value.number = value.as_double();
      value.integer = 0;
      break;
    case DataType::kInteger:
    case DataType::kTime:
    case DataType::kUnsigned:
      if (!number) return wrong();
      if (value.type == DataType::kFloat) {
        if (!(std::abs(value.number) < 9.2e18)) return wrong();
        // Only whole numbers; a time may have a fraction that the type has no place for.
        if (type != DataType::kTime && value.number != std::trunc(value.number)) return wrong();
        value.integer = static_cast<int64_t>(value.number);
        value.number = 0;
      }
      break;
    case DataType::kBoolean:
      if (value.type == DataType::kBoolean) break;
      if (value.type != DataType::kInteger || value.integer < 0 || value.integer > 1)
        return wrong();
      break;
    case DataType::kString:
    case DataType::kCorelnk:
    case DataType::kObjlnk:
    case DataType::kOpaque:
      if (number || value.type == DataType::kBoolean) return wrong();
      break;
  }
  value.type = type;
  return {};
}

Status SenmlResolver::add(SenmlRecord& record) {
  if (record.has_base_name) base_name_ = record.base_name;
  if (record.has_base_time) base_time_ = record.base_time;
  if (record.has_base_value) base_value_ = record.base_value;
  if (room_-- == 0)
    return fail(ErrorCode::kResourceExhausted, "the payload has more values than are taken");
  name_.assign(base_name_).append(record.name);
  Entry entry;
  if (name_.empty()) {
    entry.path = base_;
  } else {
    TRY_ASSIGN(entry.path, Path::parse(name_));
  }
  if (!std::isfinite(base_time_ + record.time))
    return fail(ErrorCode::kInvalidArgument, "a record's time is not a number", name_);
  entry.time = base_time_ + record.time;
  entry.value = std::move(record.value);
  if (entry.value.type != DataType::kNone) {
    if (entry.path.depth < 3)
      return fail(ErrorCode::kInvalidArgument, "a value belongs to a resource", name_);
    const bool plain_number =
        entry.value.type == DataType::kInteger || entry.value.type == DataType::kFloat;
    if (base_value_ != 0 && plain_number)
      entry.value = Value::of_float(entry.value.as_double() + base_value_);
    TRY(fit_value(entry.value, types_.type_of(entry.path.object(), entry.path.resource()),
                  entry.path));
  }
  out_.push_back(std::move(entry));
  return {};
}

}  // namespace penstock::interop::lwm2m
