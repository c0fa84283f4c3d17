#pragma once
// CoAP on sockets: UDP, DTLS, TCP and TLS. Reliability (RFC 7252, 4), block-wise transfer both ways
// (RFC 7959), and whom one speaks with. Knows nothing of LwM2M.
//
// One thread owns it and all its calls, but for wake(). An acknowledgement or response is sent when
// the handler says so, not when it returns: what a device is told is accepted may have to become
// durable first.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/io.h"
#include "base/metrics.h"
#include "base/net.h"
#include "interop/lwm2m/coap.h"
#include "interop/lwm2m/dtls.h"
#include "interop/lwm2m/value.h"

namespace penstock::interop::lwm2m {

struct MessengerOptions {
  size_t peers_max = 200'000;
  size_t handshakes_max = 2000;             ///< at once
  size_t body_bytes_max = 64 * 1024;        ///< of a request, over all its blocks
  size_t response_bytes_max = 1024 * 1024;  ///< of a response, over all its blocks
  size_t assembly_bytes_max = 32U << 20;    ///< of all bodies that are being assembled
  size_t output_bytes_max = 1U << 20;       ///< waiting for one TCP connection
  size_t waiting_max = 64;                  ///< requests that wait for one peer
  Duration ack_timeout = Duration::seconds(2);
  int retransmits = 4;
  Duration response_timeout = Duration::seconds(60);  ///< after an empty acknowledgement
  Duration peer_idle = Duration::minutes(10);         ///< peers that nobody holds
  Duration secure_idle = Duration::hours(6);          ///< sessions: devices come back by ticket
};

enum class Transport : uint8_t { kUdp, kDtls, kTcp, kTls };
std::string_view name(Transport transport);
inline bool is_stream(Transport t) { return t == Transport::kTcp || t == Transport::kTls; }
inline bool is_secure(Transport t) { return t == Transport::kDtls || t == Transport::kTls; }

/// A peer's slot and generation; 0: none.
using PeerHandle = uint64_t;

struct PeerInfo {
  Transport transport = Transport::kUdp;
  std::string address;  ///< "127.0.0.1:56830"
  SecurePeer secure;
};

/// Which message an answer is for.
struct Exchange {
  PeerHandle peer = 0;
  uint16_t id = 0;
  bool confirmable = false;
  coap::Token token;
  std::optional<coap::Block> block1, block2;
};

/// A request, its body whole. Views; valid within the call.
struct IncomingRequest {
  Exchange exchange;
  const coap::Message& message;  ///< of the last block
  std::string_view path;
  ByteView body;
  [[nodiscard]] Format format() const;
};

/// What a request of ours came to.
struct Response {
  uint8_t code = 0;
  Format format = Format::kNone;
  std::optional<uint32_t> observe;
  std::string body;
  std::string location;  ///< of a Create
  bool partial = false;  ///< a notification of which only the first block came
};

class MessageHandler {
 public:
  virtual ~MessageHandler() = default;
  virtual void on_request(const IncomingRequest& request) = 0;
  /// A response that answers no request of ours: a notification. False: unknown, a Reset goes back.
  /// Else acknowledge(exchange) later, where it is confirmable.
  virtual bool on_notification(const Exchange& exchange, const Response& notification) = 0;
  /// A session or connection is over, or a peer was silent for too long.
  virtual void on_peer_gone(PeerHandle peer, std::string_view why) = 0;
};

class Messenger {
 public:
  Messenger(MessengerOptions options, MessageHandler& handler, Clock& clock, Random& random,
            Metrics& metrics);
  ~Messenger();
  Messenger(const Messenger&) = delete;
  Messenger& operator=(const Messenger&) = delete;

  /// `secure`: for DTLS and TLS; must outlive the messenger. Gives the real address.
  Result<NetAddress> listen(Transport transport, const NetAddress& address, SecureContext* secure);

  /// Waits at most `timeout_ms` for messages, handles them, and sends what has been said.
  void poll(int timeout_ms);
  /// Ends a poll now or the next one at once. Any thread.
  void wake();

  [[nodiscard]] const PeerInfo* peer(PeerHandle peer) const;  ///< null: gone
  /// Somebody refers to it: it does not go for being idle (UDP only).
  void hold(PeerHandle peer, bool held);
  void close(PeerHandle peer, std::string_view why);
  /// All sessions of that identity or certificate name.
  void close_identity(std::string_view identity);

  /// The answer to a request. `body` beyond one block is sent in the block that was asked for: the
  /// device asks for the others, each with a request of its own.
  void respond(const Exchange& exchange, coap::Outgoing response, std::string_view body = {});
  void acknowledge(const Exchange& exchange);
  /// Sends a request (its type, id and, without one, its token are filled in), its payload in
  /// blocks where it is long, and gives the whole response. One request a peer at a time (NSTART
  /// 1), the others wait. kTimeout, kUnavailable (peer gone, reset), kResourceExhausted.
  using Then = std::function<void(Result<Response>)>;
  void request(PeerHandle peer, coap::Outgoing request, Then then,
               std::function<void(size_t sent)> progress = {});

  [[nodiscard]] size_t peers() const;
  [[nodiscard]] size_t secure_peers() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace penstock::interop::lwm2m
