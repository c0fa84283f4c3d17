#pragma once
// Strong identifiers: a TwinId is not a SeriesId, and neither is a number.

#include <compare>
#include <cstdint>
#include <functional>

namespace penstock {

template <class Tag, class Number = uint32_t>
struct Id {
  using number_type = Number;
  Number value = 0;  ///< 0 is "none"

  constexpr Id() = default;
  constexpr explicit Id(Number number) : value(number) {}
  constexpr explicit operator bool() const { return value != 0; }
  friend constexpr auto operator<=>(Id, Id) = default;
};

using OrganisationId = Id<struct OrganisationTag>;
using SiteId = Id<struct SiteTag>;
using TwinId = Id<struct TwinTag>;      ///< an asset or device, typed by a DTDL interface
using SeriesId = Id<struct SeriesTag>;  ///< one element of one twin: what history stores
using RuleId = Id<struct RuleTag>;
using AlarmId = Id<struct AlarmTag, uint64_t>;
using UserId = Id<struct UserTag>;

}  // namespace penstock

template <class Tag, class Number>
struct std::hash<penstock::Id<Tag, Number>> {
  size_t operator()(penstock::Id<Tag, Number> id) const noexcept {
    return std::hash<Number>{}(id.value);
  }
};
