#pragma once
// Between the CoAP library and the server, datagram by datagram: so that a test can do what
// networks and attackers do. A NAT forgets the port, a datagram arrives twice, a device sleeps and
// hears nothing.

#include <atomic>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <netinet/in.h>

namespace lwm2m_peer {

class Relay {
 public:
  explicit Relay(const sockaddr_in& server);
  ~Relay();
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;

  /// Where the library sends to, on loopback.
  [[nodiscard]] uint16_t port() const { return port_; }
  /// From now on the server sees another port.
  void renew_port();
  /// The newest datagram to the server once more, byte for byte.
  void replay();
  /// Asleep: what the server sends is lost.
  void sleep(bool asleep) { asleep_ = asleep; }
  [[nodiscard]] uint16_t outer_port();
  [[nodiscard]] uint64_t lost_while_asleep() const { return lost_; }

 private:
  void run();
  void pass_up(const std::vector<char>& datagram);

  sockaddr_in server_, library_{};
  int inner_ = -1, outer_ = -1;
  uint16_t port_ = 0;
  std::mutex mutex_;  ///< outer_, newest_
  std::vector<char> newest_;
  std::atomic<bool> asleep_ = false, ended_ = false;
  std::atomic<uint64_t> lost_ = 0;
  std::thread thread_;
};

}  // namespace lwm2m_peer
