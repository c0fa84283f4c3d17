#pragma once
// An MQTT device as a customer would write it: on Paho's client, a library that is not ours. Used
// by the simulator and replay, which so test the endpoint from outside.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/net.h"
#include "base/result.h"

namespace penstock::app {

struct DevicePublisherOptions {
  NetAddress broker;
  std::string device;  ///< client id and user name
  std::string token;   ///< password; empty: none
  bool mqtt5 = true;
  int in_flight_max = 100;
};

/// QoS 1; keeps at most in_flight_max publishes unacknowledged; reconnects by itself with growing
/// pauses and sends again what was not acknowledged. One thread.
class DevicePublisher {
 public:
  static Result<DevicePublisher> connect(const DevicePublisherOptions& options);
  DevicePublisher(DevicePublisher&&) noexcept;
  DevicePublisher& operator=(DevicePublisher&&) noexcept;
  ~DevicePublisher();

  /// Waits while the window is full. The message is acknowledged later; see flush().
  Status publish(const std::string& topic, const std::string& payload);
  /// Until every publish is answered: acknowledged or refused.
  Status flush(int timeout_ms);
  struct Outcome {
    uint64_t acknowledged = 0, refused = 0;  ///< publishes
    std::string why_refused;                 ///< of the first
  };
  Outcome outcome() const;
  /// Commands: called from Paho's thread with topic and payload.
  Status on_command(std::function<void(const std::string& topic, const std::string& payload)> take);

 private:
  DevicePublisher();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace penstock::app
