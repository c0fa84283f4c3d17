#pragma once
// The LwM2M client: registration, what the server manages, observations, Send, bootstrap and
// firmware. OMA LwM2M core and transport technical specifications 1.1.1. One thread.

#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "objects.h"
#include "transport.h"

namespace lwm2m_peer {

using Json = nlohmann::ordered_json;

struct ClientOptions {
  std::string server;     ///< URI; empty: what bootstrap gives
  std::string bootstrap;  ///< URI of a bootstrap server
  std::string endpoint = "peer";
  int lifetime_s = 60;
  std::string binding = "U";
  bool queue_mode = false;
  int format = kSenmlCbor;  ///< of what we send unasked, and where the server does not say
  Security security, bootstrap_security;
  Transport::Timing timing;
};

/// A value of one resource at a time, as the device reported it.
class Client {
 public:
  using Say = std::function<void(const Json& event)>;
  Client(ClientOptions options, Say say);

  /// Keeps the registration from now on: updates it, and registers anew when it is lost.
  void keep_registered();
  void bootstrap();
  void update(const std::vector<std::string>& query);
  void deregister();
  /// New session: a new handshake, and a registration.
  void reconnect(bool same_port);

  /// A new value; observers hear of it.
  void sample(const Path& path, Value value, double time);
  /// Queued until acknowledged, and sent again by the next registration when it was not.
  void send(int64_t id, std::vector<Record> records, int format);
  void flood(const std::vector<std::string>& path, uint64_t bytes_max);
  void raw(int64_t id, const Message& message);
  [[nodiscard]] Json state() const;
  [[nodiscard]] Objects& objects() { return objects_; }
  [[nodiscard]] Transport& transport() { return transport_; }

  /// Network and timers for up to `wait_ms`.
  void run(uint32_t wait_ms);

 private:
  using Clock = std::chrono::steady_clock;
  enum class Stage { kOff, kBootstrapping, kRegistering, kRegistered };

  struct Observation {
    std::string token;
    std::vector<Path> paths;
    bool composite = false;
    int format = kSenmlCbor;
    uint32_t number = 2;
    Clock::time_point sent;
    std::vector<Record> waiting;          ///< not yet notified
    std::map<Path, double> last_numbers;  ///< as notified, for gt, lt, st
    [[nodiscard]] std::string key() const;
  };
  struct Sending {
    int64_t id;
    std::vector<Record> records;
    int format;
    bool under_way = false;
  };

  // What the server asks: requests.cpp.
  Answer asked(const Message& message);
  Answer answer(const Message& message, const Path& path);
  Answer get(const Message& message, const Path& path);
  Answer fetch(const Message& message);
  Answer put(const Message& message, const Path& path);
  Answer post(const Message& message, const Path& path);
  Answer execute(const Path& path, const std::string& arguments);
  Answer observe(const Message& message, std::vector<Path> paths, bool composite, Answer first);
  void package_written();
  void download();
  void install();
  [[nodiscard]] std::string encode(const Path& base, const std::vector<Record>& records,
                                   int format) const;
  [[nodiscard]] std::vector<Record> decode(const Path& base, const Message& message) const;

  void connect();
  void register_now();
  void registered(const Answer& answer);
  void broken(const std::string& why);
  void bootstrapped();
  void pump_sends();
  void pump_notifications();
  void notified(bool acknowledged);
  [[nodiscard]] bool worth_telling(Observation& observation, const Path& path, double number) const;
  [[nodiscard]] bool bootstrapping() const { return stage_ == Stage::kBootstrapping; }

  ClientOptions options_;
  Say say_;
  Objects objects_;
  Transport transport_;
  Stage stage_ = Stage::kOff;
  bool keep_ = false, same_port_ = false;
  std::vector<std::string> location_;
  Clock::time_point retry_at_, update_at_, reboot_at_ = Clock::time_point::max();
  std::deque<Sending> sends_;
  std::deque<Observation> observations_;
  std::map<std::string, std::vector<Record>> kept_;  ///< by key, of observations that are gone
  std::string flying_key_, flying_token_;
  std::vector<Record> flying_;
};

}  // namespace lwm2m_peer
