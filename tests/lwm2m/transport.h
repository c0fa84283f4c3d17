#pragma once
// CoAP for the peer, on libcoap: sessions over UDP, DTLS, TCP and TLS; requests with their answers;
// what the server asks; notifications, of which it is known when they were acknowledged.

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "relay.h"

struct coap_context_t;
struct coap_session_t;
struct coap_pdu_t;

namespace lwm2m_peer {

struct Security {
  std::string identity, key;                 ///< PSK: bytes
  std::string ca, certificate, private_key;  ///< X.509: PEM files
};

enum class Method { kGet = 1, kPost, kPut, kDelete, kFetch, kPatch, kIpatch };

struct Message {
  Method method = Method::kGet;
  std::vector<std::string> path, query;
  std::optional<int> format, accept, observe;
  std::string body, token;
};

struct Answer {
  int code = 0;  ///< 204 for 2.04; 0: none came
  std::optional<int> format;
  std::optional<int> observe;  ///< of a notification: its number
  std::vector<std::string> location;
  std::string body;
  std::string trouble;  ///< why none came
};

class Transport {
 public:
  /// `asked` answers what the server asks; `broken` says that the session is of no use any more;
  /// `cancelled` that the server refused (RST) a notification of this token.
  struct Callbacks {
    std::function<Answer(const Message&)> asked;
    std::function<void(const std::string& why)> broken;
    std::function<void(const std::string& token)> cancelled;
    std::function<void(bool acknowledged)> notified;
  };
  struct Timing {
    double ack_timeout_s = 0.5;
    int retransmit_max = 4;
    int parallel_max = 4;
    int answer_s_max = 20;  ///< an acknowledged request whose answer does not come
  };

  Transport(Callbacks callbacks, Timing timing);
  ~Transport();
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  /// "coap://127.0.0.1:5683", coaps, coap+tcp, coaps+tcp. Ends the session before. `same_port`: the
  /// server sees the one that it saw before.
  void connect(const std::string& uri, const Security& security, bool same_port = false);
  void close();
  [[nodiscard]] bool connected() const { return session_ != nullptr; }
  [[nodiscard]] Relay* relay() const { return relay_.get(); }

  using Then = std::function<void(const Answer&)>;
  void request(const Message& message, Then then);
  /// A GET of a URI in a session of its own: firmware.
  void fetch(const std::string& uri, const Security& security, Then then);
  /// One block of a body that never ends: Block1 number `block`, more to come.
  void request_block(const Message& message, uint32_t block, Then then);
  /// One at a time: not again before `notified` was called.
  void notify(const std::string& token, uint32_t number, int format, const std::string& body);
  [[nodiscard]] bool notifying() const { return notifying_; }

  /// Network and timers for up to `wait_ms`.
  void run(uint32_t wait_ms);

 private:
  struct Glue;  // what libcoap calls
  coap_session_t* open(const std::string& uri, const Security& security, uint16_t port);
  void send(coap_session_t* session, const Message& message, std::optional<uint32_t> block,
            Then then);
  void fail_all(const std::string& why);

  Callbacks callbacks_;
  Timing timing_;
  coap_context_t* context_ = nullptr;
  coap_session_t* session_ = nullptr;
  std::vector<coap_session_t*> others_;  ///< of fetch()
  std::unique_ptr<Relay> relay_;
  std::string relayed_;  ///< host:port behind the relay
  struct Open {
    Then then;
    std::chrono::steady_clock::time_point until;
  };
  std::map<std::string, Open> open_;  ///< by token
  bool notifying_ = false;
  std::string notified_token_, broken_;
};

}  // namespace lwm2m_peer
