#include "stream/device_state.h"

#include <algorithm>

namespace penstock::stream {

void DeviceState::reconfigure(std::shared_ptr<const twin::DeviceConfig> next) {
  std::vector<LiveValue> values(next->elements.size());
  for (size_t i = 0; config && i < config->elements.size(); ++i) {
    const auto& elements = next->elements;
    const auto same = std::find_if(
        elements.begin(), elements.end(),
        [&](const twin::ElementConfig& e) { return e.series == config->elements[i].series; });
    if (same != elements.end())
      values[static_cast<size_t>(same - elements.begin())] = std::move(live[i]);
  }
  live = std::move(values);
  config = std::move(next);
}

}  // namespace penstock::stream
