#pragma once
// CoRE Link Format (RFC 6690), as registrations and Discover carry it, and the notification
// attributes of Core 1.1.1 section 5.1.2. No I/O.

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "interop/lwm2m/value.h"

namespace penstock::interop::lwm2m {

/// What a Write-Attributes sets and a Discover shows.
struct Attributes {
  std::optional<uint32_t> pmin, pmax, epmin, epmax;  ///< s
  std::optional<double> gt, lt, st;

  [[nodiscard]] bool empty() const;
  /// "pmin=10", "gt=25.5": one CoAP Uri-Query option each.
  [[nodiscard]] std::vector<std::string> queries() const;
  /// kInvalidArgument: no such attribute, not its kind of number, or values that contradict each
  /// other (5.1.2: lt < gt, lt + 2 st < gt, pmin <= pmax, epmin < epmax).
  Status set(std::string_view name, std::string_view value);
  [[nodiscard]] Status check() const;
  friend bool operator==(const Attributes&, const Attributes&) = default;
};

/// One <target>;name=value;… of a payload.
struct Link {
  std::string target;
  std::vector<std::pair<std::string, std::string>> parameters;  ///< without quotes; order kept

  [[nodiscard]] std::string_view parameter(std::string_view name) const;
};

/// kInvalidArgument: not link format. At most `links_max` links.
Result<std::vector<Link>> parse_links(std::string_view text, size_t links_max = 10'000);

/// What a registration says of the objects.
struct RegisteredObjects {
  std::string root;             ///< prefix of all paths: "/lwm2m"; empty: none
  std::vector<Format> formats;  ///< "ct" of the root: what the client prefers (1.1)
  std::vector<Path> instances;  ///< depth 2, or depth 1 for an object without instances
  std::map<uint16_t, std::string> versions;  ///< "ver" of objects that name one
};
/// Links that are no object ("</sensors>") are left out. kInvalidArgument: not link format.
Result<RegisteredObjects> parse_registration(std::string_view text, size_t links_max = 2000);

}  // namespace penstock::interop::lwm2m
