#pragma once
// How much one client address may take: open connections and requests a second (a token bucket).

#include <cstdint>
#include <mutex>
#include <string>
#include <unordered_map>

namespace penstock::api {

/// Thread-safe. Times are monotonic µs.
class ClientLimits {
 public:
  ClientLimits(uint32_t connections_max, double requests_per_s, double burst)
      : connections_max_(connections_max), rate_(requests_per_s), burst_(burst) {}

  /// False: this address has too many connections already. True: call disconnected() later.
  bool connected(const std::string& address);
  void disconnected(const std::string& address);
  /// False: too many requests a second.
  bool allow_request(const std::string& address, int64_t now_us);

 private:
  struct Client {
    uint32_t connections = 0;
    double tokens = 0;
    int64_t filled_at_us = 0;
    bool fresh = true;
  };
  void refill(Client& client, int64_t now_us) const;

  static constexpr size_t kRememberedMax = 4096;  ///< addresses without a connection
  const uint32_t connections_max_;
  const double rate_, burst_;
  std::mutex mutex_;
  std::unordered_map<std::string, Client> clients_;
};

}  // namespace penstock::api
