#pragma once
// What goes into a statement and what comes out: the few types that every SQL database shares.
//
// INTEGER columns hold 32 bits and BIGINT 64, as in PostgreSQL; booleans are INTEGER 0/1, times are
// BIGINT µs, bytes are text in hexadecimal.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

#include "base/ids.h"
#include "base/time.h"

namespace penstock::store {

/// A value bound to a `?`. Text is a view: it must live until the statement has run.
using Bind = std::variant<std::monostate, int64_t, double, std::string_view>;

/// What a column is read as.
enum class CellKind : uint8_t { kInteger, kReal, kText };

/// A value of a row; monostate is NULL.
using Cell = std::variant<std::monostate, int64_t, double, std::string>;

namespace detail {

template <class T>
struct IsId : std::false_type {};
template <class Tag, class Number>
struct IsId<Id<Tag, Number>> : std::true_type {};
template <class T>
struct IsOptional : std::false_type {};
template <class T>
struct IsOptional<std::optional<T>> : std::true_type {};

template <class T>
Bind to_bind(const T& value) {
  using Plain = std::decay_t<T>;
  if constexpr (IsOptional<Plain>::value)
    return value ? to_bind(*value) : Bind{};
  else if constexpr (std::is_same_v<Plain, std::nullopt_t>)
    return Bind{};
  else if constexpr (IsId<Plain>::value)
    return static_cast<int64_t>(value.value);
  else if constexpr (std::is_same_v<Plain, Timestamp> || std::is_same_v<Plain, Duration>)
    return value.us;
  else if constexpr (std::is_integral_v<Plain> || std::is_enum_v<Plain>)
    return static_cast<int64_t>(value);
  else if constexpr (std::is_floating_point_v<Plain>)
    return static_cast<double>(value);
  else
    return std::string_view(value);
}

template <class T>
constexpr CellKind cell_kind() {
  if constexpr (IsOptional<T>::value)
    return cell_kind<typename T::value_type>();
  else if constexpr (std::is_floating_point_v<T>)
    return CellKind::kReal;
  else if constexpr (std::is_same_v<T, std::string>)
    return CellKind::kText;
  else
    return CellKind::kInteger;
}

/// NULL reads as the zero of a type that is not optional.
template <class T>
T from_cell(Cell&& cell) {
  if constexpr (IsOptional<T>::value) {
    if (std::holds_alternative<std::monostate>(cell)) return std::nullopt;
    return from_cell<typename T::value_type>(std::move(cell));
  } else if constexpr (std::is_same_v<T, std::string>) {
    auto* text = std::get_if<std::string>(&cell);
    return text ? std::move(*text) : std::string();
  } else if constexpr (std::is_floating_point_v<T>) {
    const auto* number = std::get_if<double>(&cell);
    return number ? static_cast<T>(*number) : T{};
  } else {
    const auto* stored = std::get_if<int64_t>(&cell);
    const int64_t number = stored ? *stored : 0;
    if constexpr (IsId<T>::value)
      return T(static_cast<typename T::number_type>(number));
    else if constexpr (std::is_same_v<T, Timestamp> || std::is_same_v<T, Duration>)
      return T{number};
    else if constexpr (std::is_same_v<T, bool>)
      return number != 0;
    else
      return static_cast<T>(number);
  }
}

}  // namespace detail
}  // namespace penstock::store
