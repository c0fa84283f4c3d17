#pragma once
// The messenger's inside: messenger.cpp has CoAP's rules, messenger_sockets.cpp the system calls.

#include <deque>
#include <map>
#include <unordered_map>

#include <netinet/in.h>
#include <sys/socket.h>

#include "interop/lwm2m/messenger.h"

namespace penstock::interop::lwm2m {

union SocketAddress {
  sockaddr any;
  sockaddr_in v4;
  sockaddr_in6 v6;
};
socklen_t size_of(const SocketAddress& address);
std::string text_of(const SocketAddress& address);

// A message that was seen: its answer is given again, its effect is not.
struct Recent {
  enum class State : uint8_t { kPending, kAcknowledged, kAnswered };
  int64_t at_us = 0;
  Bytes answer;
  uint16_t id = 0;
  State state = State::kPending;
  bool separate = false;  // an empty acknowledgement has gone already
};

// The blocks of a request so far.
struct Assembly {
  std::string path;
  uint8_t code = 0;
  Bytes body;
  int64_t at_us = 0;
};

struct Peer {
  PeerHandle handle = 0;
  PeerInfo info;
  SocketAddress address{};
  uint32_t listener = 0;
  int fd = -1;  // TCP
  bool held = false, established = false, closing = false, wants_write = false;
  uint16_t next_id = 0;
  int64_t last_us = 0;
  uint8_t recent_next = 0;
  std::vector<Recent> recent;
  std::unique_ptr<SecureSession> secure;
  std::unique_ptr<Assembly> assembly;
  Bytes input, output;   // TCP
  uint64_t current = 0;  // key of the request that is on its way; 0: none
  std::unique_ptr<std::deque<uint64_t>> waiting;
};

struct Outstanding {
  PeerHandle peer = 0;
  coap::Outgoing message;
  Bytes payload;  // whole
  Messenger::Then then;
  std::function<void(size_t)> progress;
  int64_t deadline_us = 0;
  int64_t timeout_us = 0;
  int attempts = 0;
  bool acknowledged = false;
  uint8_t szx = 6;
  size_t sent = 0;         // bytes of the payload that the device has
  size_t block_bytes = 0;  // of the block on its way
  Response response;
  uint32_t blocks = 0;  // of the response so far
};

struct MessengerMetrics {
  explicit MessengerMetrics(Metrics& metrics);
  Counter& datagrams;
  Counter& duplicates;
  Counter& retransmissions;
  Counter& broken;
  Counter& too_large;
  Counter& refused;  // peers, sessions and handshakes over a limit
  Counter& handshakes;
  Counter& resumed;
  Counter& handshakes_failed;
};

struct Messenger::Impl {
  struct Listener {
    Transport transport = Transport::kUdp;
    int fd = -1;
    SecureContext* secure = nullptr;
    std::unique_ptr<SecureSession> candidate;  // DTLS: answers hellos without a cookie
    SocketAddress candidate_address{};
  };
  struct Datagram {
    int fd = -1;
    SocketAddress to{};
    size_t at = 0, size = 0;
  };

  Impl(MessengerOptions o, MessageHandler& h, Clock& c, Random& r, Metrics& m)
      : options(o), handler(h), clock(c), random(r), metrics(m) {}
  ~Impl();

  // -- messenger_sockets.cpp
  Result<NetAddress> listen(Transport transport, const NetAddress& where, SecureContext* secure);
  void wait(int timeout_ms);
  void read_datagrams(uint32_t listener);
  void on_datagram(uint32_t listener, const SocketAddress& from, ByteView bytes);
  void on_secure_datagram(uint32_t listener, const SocketAddress& from, ByteView bytes);
  void on_hello(uint32_t listener, const SocketAddress& from, ByteView bytes);
  void accept_streams(uint32_t listener);
  void on_stream_event(PeerHandle handle, uint32_t events);
  void on_stream_bytes(Peer& peer, ByteView bytes);
  void read_frames(Peer& peer);
  bool unseal(Peer& peer, ByteView bytes, std::vector<Bytes>& plain);
  void put_on_wire(Peer& peer, ByteView bytes);
  void send_plain(Peer& peer, ByteView bytes);
  void write_stream(Peer& peer);
  void flush();
  Peer* make_peer(Transport transport, uint32_t listener, const SocketAddress& from);
  Peer* find(PeerHandle handle);
  Peer* find(uint32_t listener, const SocketAddress& from);
  void close(PeerHandle handle, std::string_view why);
  void free_closed();
  void tick_sessions();

  // -- messenger.cpp
  void on_message(Peer& peer, const coap::Message& message);
  void on_signal(Peer& peer, const coap::Message& message);
  void on_request(Peer& peer, const coap::Message& message);
  bool seen_before(Peer& peer, const coap::Message& message);
  void assemble(Peer& peer, const coap::Message& message, const Exchange& exchange);
  void drop_assembly(Peer& peer);
  void hand_over(const coap::Message& message, const Exchange& exchange, ByteView body);
  void refuse(const Exchange& exchange, uint8_t code, std::optional<coap::Block> block1);
  void on_response(Peer& peer, const coap::Message& message);
  bool continue_request(Peer& peer, uint64_t key, Outstanding& request,
                        const coap::Message& message);
  bool continue_response(Peer& peer, uint64_t key, Outstanding& request,
                         const coap::Message& message);
  void respond(const Exchange& exchange, coap::Outgoing response, std::string_view body);
  void acknowledge(const Exchange& exchange);
  void send(Peer& peer, const coap::Outgoing& message);
  void send_empty(Peer& peer, coap::Type type, uint16_t id);
  void start_next(Peer& peer);
  void transmit(Peer& peer, uint64_t key, Outstanding& request);
  void schedule(uint64_t key, Outstanding& request, int64_t after_us);
  void finish(uint64_t key, Result<Response> outcome);
  void on_timer(uint64_t key);
  void fail_requests(PeerHandle peer, std::string_view why);
  void tick();
  uint64_t fresh_key(coap::Token& token);

  MessengerOptions options;
  MessageHandler& handler;
  Clock& clock;
  Random& random;
  MessengerMetrics metrics;
  int64_t now_us = 0;
  int epoll = -1, wake_fd = -1;
  std::vector<Listener> listeners;
  std::vector<std::unique_ptr<Peer>> slots;
  std::vector<uint32_t> generations, free_slots;
  std::vector<uint32_t> closed;  // slots to free once nobody is using their peer
  std::unordered_map<std::string, PeerHandle> by_address;
  size_t secure_count = 0;
  std::vector<PeerHandle> handshaking;
  std::unordered_map<uint64_t, std::unique_ptr<Outstanding>> requests;
  std::multimap<int64_t, uint64_t> timers;
  std::deque<std::pair<int64_t, Exchange>> unanswered;  // confirmable requests, oldest first
  uint32_t next_token = 0;
  size_t assembly_bytes = 0;
  int64_t next_tick_us = 0, next_sweep_us = 0;
  Bytes output;  // datagrams of this turn
  std::vector<Datagram> datagrams;
  std::vector<std::byte> input;
  std::string path;
  Bytes scratch;
  bool in_turn = false;
};

}  // namespace penstock::interop::lwm2m
