#include "twin/knocks.h"

#include <algorithm>

namespace penstock::twin {

namespace {
constexpr size_t kNameMax = 128;
}

Knocks::Entry& Knocks::entry(std::string_view device) {
  std::string key(device.substr(0, kNameMax));
  if (const auto known = index_.find(key); known != index_.end()) {
    order_.splice(order_.begin(), order_, known->second);
    return order_.front();
  }
  if (index_.size() >= names_max_) {
    index_.erase(order_.back().device);
    order_.pop_back();
  }
  order_.push_front({key, {}, {}});
  index_.emplace(std::move(key), order_.begin());
  return order_.front();
}

const Knocks::Entry* Knocks::find(std::string_view device) const {
  const auto known = index_.find(std::string(device.substr(0, kNameMax)));
  return known == index_.end() ? nullptr : &*known->second;
}

void Knocks::refused(std::string_view device, std::string_view reason, std::string_view peer,
                     Timestamp when) {
  const std::lock_guard lock(guard_);
  auto& all = entry(device).refusals;
  auto found = std::find_if(all.begin(), all.end(),
                            [&](const Refusals& known) { return known.reason == reason; });
  if (found == all.end()) found = all.insert(all.end(), {std::string(reason), 0, {}, {}});
  ++found->count;
  found->last = when;
  found->peer = peer.substr(0, kNameMax);
}

void Knocks::admitted(std::string_view device, Timestamp certificate_expires) {
  const std::lock_guard lock(guard_);
  entry(device).certificate_expires = certificate_expires;
}

std::vector<Refusals> Knocks::refusals(std::string_view device) const {
  const std::lock_guard lock(guard_);
  const Entry* known = find(device);
  if (!known) return {};
  auto out = known->refusals;
  std::stable_sort(out.begin(), out.end(),
                   [](const Refusals& a, const Refusals& b) { return a.count > b.count; });
  return out;
}

Timestamp Knocks::certificate_expires(std::string_view device) const {
  const std::lock_guard lock(guard_);
  const Entry* known = find(device);
  return known ? known->certificate_expires : Timestamp();
}

}  // namespace penstock::twin
