#pragma once
// Topic names and filters (4.7), and the namespaces that clients may use.

#include <optional>
#include <string>
#include <string_view>

#include "interop/mqtt/host.h"

namespace penstock::interop::mqtt {

struct TopicLimits {
  size_t length_max = 4096;
  size_t levels_max = 64;
};

/// A name to publish to: no wildcards, within the limits.
bool valid_topic(std::string_view topic, const TopicLimits& limits = {});
/// A filter: '#' only as the last level, '+' only as a whole one.
bool valid_filter(std::string_view filter, const TopicLimits& limits = {});
/// 4.7.2: wildcards at the start do not match topics that begin with '$'.
bool matches(std::string_view filter, std::string_view topic);
/// Whether every topic that `filter` matches is matched by `grant` too.
bool covers(std::string_view grant, std::string_view filter);

/// "$share/group/filter" (4.8.2).
struct SharedFilter {
  std::string_view group, filter;
};
/// Nothing: not a shared one. An empty filter: malformed.
std::optional<SharedFilter> parse_shared(std::string_view filter);

/// A device may write below devices/{itself}/ what is not addressed to it, and read all there;
/// others by their grants.
bool may_publish(const Principal& principal, std::string_view topic);
bool may_subscribe(const Principal& principal, std::string_view filter);

}  // namespace penstock::interop::mqtt
