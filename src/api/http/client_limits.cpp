#include "api/http/client_limits.h"

#include <algorithm>

namespace penstock::api {

void ClientLimits::refill(Client& client, int64_t now_us) const {
  if (client.fresh) {
    client.tokens = burst_;
    client.fresh = false;
  } else {
    const auto passed_s = static_cast<double>(now_us - client.filled_at_us) / 1e6;
    client.tokens = std::min(burst_, client.tokens + std::max(0.0, passed_s) * rate_);
  }
  client.filled_at_us = now_us;
}

bool ClientLimits::connected(const std::string& address) {
  const std::lock_guard lock(mutex_);
  Client& client = clients_[address];
  if (client.connections >= connections_max_) return false;
  ++client.connections;
  return true;
}

void ClientLimits::disconnected(const std::string& address) {
  const std::lock_guard lock(mutex_);
  const auto found = clients_.find(address);
  if (found == clients_.end()) return;
  if (found->second.connections > 0) --found->second.connections;
  // Kept for a while, so that reconnecting does not fill the bucket; never without bound.
  if (clients_.size() > kRememberedMax)
    std::erase_if(clients_, [](const auto& entry) { return entry.second.connections == 0; });
}

bool ClientLimits::allow_request(const std::string& address, int64_t now_us) {
  const std::lock_guard lock(mutex_);
  Client& client = clients_[address];
  refill(client, now_us);
  if (client.tokens < 1) return false;
  client.tokens -= 1;
  return true;
}

}  // namespace penstock::api
