#include "interfaces/alarms/books.h"

#include <array>

namespace penstock::interfaces {
namespace {
constexpr std::array<std::string_view, 4> kPriorities{"critical", "high", "medium", "low"};
}

std::string_view name(Priority priority) { return kPriorities[static_cast<size_t>(priority)]; }

Result<Priority> parse_priority(std::string_view text) {
  for (size_t i = 0; i < kPriorities.size(); ++i)
    if (kPriorities[i] == text) return static_cast<Priority>(i);
  return fail(ErrorCode::kInvalidArgument, "priority must be critical, high, medium or low",
              "priority");
}

std::string_view name(AlarmState state) {
  static constexpr std::array<std::string_view, 4> kNames{"active", "acknowledged", "cleared",
                                                          "closed"};
  return kNames[static_cast<size_t>(state)];
}

std::string_view name(RuleKind kind) {
  static constexpr std::array<std::string_view, 3> kNames{"threshold", "rate", "stale"};
  return kNames[static_cast<size_t>(kind)];
}

}  // namespace penstock::interfaces
