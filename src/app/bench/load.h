#pragma once
// A publisher that does nothing else, the same for every broker measured: raw sockets, pre-rendered
// packets, a fixed number of publishes in flight a connection. Written apart from the server's
// codec.

#include <cstdint>
#include <string>
#include <vector>

#include "base/net.h"
#include "base/result.h"

namespace penstock::app {

struct LoadOptions {
  NetAddress broker;
  int connections = 50;
  int in_flight = 100;  ///< QoS 1: publishes without a PUBACK, a connection
  int qos = 1;
  double warm_up_s = 1;
  double seconds = 5;
  std::string device_prefix = "bench-";  ///< client and device k is prefix + k, from 0
  std::vector<std::string> tokens;       ///< password of each; empty: anonymous
  int64_t first_time_ms =
      1'767'225'600'000;  ///< source time of every device's first message; each next is 1 ms later
};

struct LoadReport {
  double seconds = 0;         ///< measured, without the warm-up
  uint64_t acknowledged = 0;  ///< QoS 1: PUBACKs within it. QoS 0: messages written to the sockets
  uint64_t sent_in_all = 0;   ///< warm-up included
  uint64_t acknowledged_in_all = 0;
  double messages_per_s = 0;
  double latency_p50_us = 0, latency_p99_us = 0;  ///< PUBLISH to PUBACK, sampled
  double generator_cpu =
      0;  ///< share of one core; near 1 means that it, not the broker, was the limit
  uint64_t bytes_per_message = 0;
};

/// Runs in this process until done; blocks. At the end waits for the outstanding PUBACKs.
Result<LoadReport> run_load(const LoadOptions& options);

/// Anonymous clients that connect and then say nothing, until this object goes.
class IdleConnections {
 public:
  static Result<IdleConnections> open(const NetAddress& broker, int count);
  IdleConnections(IdleConnections&& other) noexcept;
  IdleConnections& operator=(IdleConnections&&) = delete;
  ~IdleConnections();

 private:
  IdleConnections() = default;
  std::vector<int> sockets_;
};

}  // namespace penstock::app
