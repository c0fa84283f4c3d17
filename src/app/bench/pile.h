#pragma once
// The usual pile, measured beside us: Mosquitto, a subscriber, PostgreSQL. Real programs, loopback,
// temporary folders.

#include <atomic>
#include <memory>
#include <string>
#include <thread>

#include "app/process.h"
#include "base/net.h"
#include "base/result.h"

namespace penstock::app {

/// Mosquitto in memory: no persistence, TCP_NODELAY, no log. Ends with this object.
struct Mosquitto {
  Process process;
  NetAddress address;
  static Result<Mosquitto> start(const std::string& folder, std::vector<int> cores);
};

/// A fresh PostgreSQL cluster with its defaults (fsync on), on a free port. Ends with this object.
struct PostgreSql {
  Process process;
  uint16_t port = 0;
  std::string connection;  ///< libpq's connection string
  static Result<PostgreSql> start(const std::string& folder, std::vector<int> cores);
};

/// Subscribes to devices/+/telemetry and stores each value as a row (device, time, key, value) by
/// COPY, in batches of `rows` or 100 ms. Runs in this process: start it as a process of its own to
/// measure or pin it.
struct PileOptions {
  NetAddress broker;
  std::string postgres;
  size_t rows = 10'000;
  double idle_s = 2;  ///< ends after this long without a message, once there was one
};
struct PileReport {
  uint64_t values = 0;
  double seconds = 0;  ///< first message to last commit
  double cpu_s = 0;    ///< of the subscriber
};
Result<PileReport> run_pile_subscriber(const PileOptions& options);

}  // namespace penstock::app
