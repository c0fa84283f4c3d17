#include "api/ports.h"

#include <array>

namespace penstock::api {
std::string_view name(HistoryFunction function) {
  static constexpr std::array<std::string_view, 6> kNames{"avg",   "min",  "max",
                                                          "first", "last", "count"};
  return kNames[static_cast<size_t>(function)];
}

}  // namespace penstock::api
