#include "twin/device_config.h"

#include <algorithm>
#include <numeric>

namespace penstock::twin {

void DeviceConfig::index() {
  by_key.resize(elements.size());
  std::iota(by_key.begin(), by_key.end(), 0U);
  std::sort(by_key.begin(), by_key.end(),
            [&](uint32_t a, uint32_t b) { return elements[a].key < elements[b].key; });
}

const ElementConfig* DeviceConfig::find(std::string_view key, size_t& hint) const {
  if (hint < elements.size() && elements[hint].key == key) return &elements[hint++];
  const auto at = std::lower_bound(
      by_key.begin(), by_key.end(), key,
      [&](uint32_t i, std::string_view wanted) { return elements[i].key < wanted; });
  if (at == by_key.end() || elements[*at].key != key) return nullptr;
  hint = *at + 1;
  return &elements[*at];
}

}  // namespace penstock::twin
