#pragma once
// A world in memory for tests of the broker: several shards, a hand-turned clock, a journal that
// syncs when told, sockets that are byte strings. Not part of the server.

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "interop/mqtt/broker.h"

namespace penstock::interop::mqtt {

class MemoryWorld;

/// One shard's host and broker.
class MemoryShard final : public Host {
 public:
  MemoryShard(MemoryWorld& world, uint32_t index);

  struct Socket {
    Bytes received;  ///< by the peer
    bool closed = false;
    bool paused = false;
    bool clogged = false;  ///< the peer does not read: what is sent stays unsent
    size_t unsent = 0;
  };
  struct Ingested {
    std::string topic, payload;
    uint8_t qos;
  };

  void send(ConnectionId connection, ByteView bytes) override {
    Socket& socket = sockets[connection.value];
    if (socket.clogged) socket.unsent += bytes.size();
    append_bytes(socket.received, bytes);
  }
  [[nodiscard]] size_t unsent_bytes(ConnectionId connection) const override {
    const auto it = sockets.find(connection.value);
    return it == sockets.end() ? 0 : it->second.unsent;
  }
  void close(ConnectionId connection) override { sockets[connection.value].closed = true; }
  void pause_reading(ConnectionId connection, bool pause) override {
    sockets[connection.value].paused = pause;
  }
  [[nodiscard]] Timestamp now() const override;
  [[nodiscard]] int64_t monotonic_us() const override;
  Random& random() override { return system_random(); }
  void journal(ByteView body) override;
  void when_durable(std::function<void(bool)> then) override { waiting.push_back(std::move(then)); }
  void ack_when_durable(ConnectionId connection, uint8_t packet_type, uint16_t id) override {
    if (!keep_acks) return;
    waiting.push_back([this, connection, packet_type, id](bool ok) {
      if (!ok) return;
      const Bytes packet{std::byte{packet_type}, std::byte{2}, static_cast<std::byte>(id >> 8),
                         static_cast<std::byte>(id & 255)};
      send(connection, packet);
      broker->on_acknowledged(connection, packet_type, id);
    });
  }
  void authenticate(const ConnectInfo& info,
                    std::function<void(tl::expected<std::shared_ptr<const Principal>, AuthFailure>)>
                        then) override;
  bool may_publish(const Principal& sender, std::string_view topic) override {
    return mqtt::may_publish(sender, topic);
  }
  PublishOutcome on_publish(const Principal& sender, std::string_view topic, ByteView payload,
                            uint8_t qos) override;
  void on_presence(const Principal&, std::string_view, bool, std::string_view) override {}
  [[nodiscard]] uint32_t shard() const override { return index_; }
  [[nodiscard]] uint32_t shards() const override;
  void post(uint32_t shard, std::shared_ptr<const Bytes> message) override;

  /// The journal has synced (or failed): runs what waited.
  void sync(bool ok = true) {
    while (!waiting.empty()) {
      auto then = std::move(waiting.front());
      waiting.pop_front();
      then(ok);
    }
  }

  std::map<uint64_t, Socket> sockets;
  std::deque<std::function<void(bool)>> waiting;
  std::vector<Ingested> ingested;
  bool keep_acks = true;
  bool keep_ingested = true;
  std::unique_ptr<Broker> broker;

 private:
  MemoryWorld& world_;
  uint32_t index_;
};

class MemoryWorld {
 public:
  explicit MemoryWorld(uint32_t shards = 1, BrokerLimits limits = {}) : limits_(limits) {
    start(shards);
  }

  /// A client's socket: where it lives and what it has read.
  struct Peer {
    uint32_t shard = 0;
    ConnectionId id;
  };

  /// Opens a connection on the shard where `client_id` is at home.
  Peer open(std::string_view client_id) {
    const Peer peer{home_shard(client_id, count()), ConnectionId(next_connection_++)};
    PeerInfo info;
    info.allow_anonymous = true;
    shard(peer).broker->on_open(peer.id, info);
    return peer;
  }
  void send(const Peer& peer, ByteView bytes) {
    if (!socket(peer).closed) shard(peer).broker->on_bytes(peer.id, bytes);
  }
  /// The peer is gone without a word.
  void cut(const Peer& peer) {
    if (closed(peer)) return;
    shard(peer).broker->on_closed(peer.id, "cut");
    socket(peer).closed = true;
  }
  /// Takes what the peer has received.
  Bytes take(const Peer& peer) { return std::exchange(socket(peer).received, {}); }
  bool closed(const Peer& peer) { return socket(peer).closed; }
  MemoryShard::Socket& socket(const Peer& peer) { return shard(peer).sockets[peer.id.value]; }
  MemoryShard& shard(const Peer& peer) { return *shards_[peer.shard]; }
  MemoryShard& shard(uint32_t index) { return *shards_[index]; }
  [[nodiscard]] uint32_t count() const { return static_cast<uint32_t>(shards_.size()); }

  /// Messages between shards and syncs of the journal, until all is quiet.
  void settle() {
    for (bool busy = true; busy;) {
      busy = deliver_mail();
      for (auto& shard : shards_) {
        busy = busy || !shard->waiting.empty();
        shard->sync();
      }
      synced_ = journal_.size();
    }
  }
  bool deliver_mail() {
    const bool any = !mail_.empty();
    while (!mail_.empty()) {
      Mail mail = std::move(mail_.front());
      mail_.pop_front();
      shards_[mail.to]->broker->on_message(mail.from, *mail.bytes);
    }
    return any;
  }
  void advance(Duration by) {
    now_us_ += by.us;
    for (auto& shard : shards_) shard->broker->on_tick();
    settle();
  }

  /// Somebody sets the wall clock; the monotonic one goes on.
  void set_clock(Duration by) { wall_offset_us_ += by.us; }

  /// kill -9 and a new start: what was not synced is gone; all that survives is the journal.
  void crash(uint32_t shards) {
    journal_.resize(synced_);
    restart_from_journal(shards, 0);
  }
  /// A checkpoint of all shards, then kill -9: the new ones start from it and the journal behind.
  void crash_after_checkpoint(uint32_t shards, const std::function<void()>& after) {
    settle();
    std::vector<Bytes> sections(shards_.size());
    for (size_t i = 0; i < shards_.size(); ++i) shards_[i]->broker->snapshot(sections[i]);
    const size_t from = journal_.size();
    after();
    settle();
    mail_.clear();
    const uint32_t before = count();
    shards_.clear();
    start(shards);
    for (auto& shard : shards_) {
      for (uint32_t i = 0; i < before; ++i) {
        if (!shard->broker->restore(sections[i], i)) abort();
      }
      for (size_t i = from; i < journal_.size(); ++i) shard->broker->replay(journal_[i]);
    }
  }

  Principal principal;  ///< what everybody is who connects; unrestricted by default
  std::map<std::string, Principal> users;  ///< by user name, where not
  Metrics metrics;

 private:
  friend class MemoryShard;
  struct Mail {
    uint32_t from, to;
    std::shared_ptr<const Bytes> bytes;
  };
  void start(uint32_t shards) {
    principal.name = "anonymous";
    principal.unrestricted = true;
    for (uint32_t i = 0; i < shards; ++i)
      shards_.push_back(std::make_unique<MemoryShard>(*this, i));
    for (auto& shard : shards_) shard->broker = std::make_unique<Broker>(*shard, limits_, metrics);
  }
  void restart_from_journal(uint32_t shards, size_t from) {
    mail_.clear();
    shards_.clear();
    start(shards);
    for (auto& shard : shards_) {
      for (size_t i = from; i < journal_.size(); ++i) shard->broker->replay(journal_[i]);
    }
  }

  BrokerLimits limits_;
  std::vector<std::unique_ptr<MemoryShard>> shards_;
  std::deque<Mail> mail_;
  std::vector<Bytes> journal_;
  size_t synced_ = 0;
  uint64_t next_connection_ = 1;
  int64_t now_us_ = 1'000'000'000;
  int64_t wall_offset_us_ = 1'790'000'000'000'000;
};

inline MemoryShard::MemoryShard(MemoryWorld& world, uint32_t index)
    : world_(world), index_(index) {}
inline Timestamp MemoryShard::now() const {
  return Timestamp{world_.now_us_ + world_.wall_offset_us_};
}
inline int64_t MemoryShard::monotonic_us() const { return world_.now_us_; }
inline void MemoryShard::journal(ByteView body) {
  world_.journal_.emplace_back(body.begin(), body.end());
}
inline uint32_t MemoryShard::shards() const { return world_.count(); }
inline void MemoryShard::post(uint32_t shard, std::shared_ptr<const Bytes> message) {
  world_.mail_.push_back({index_, shard, std::move(message)});
}
inline void MemoryShard::authenticate(
    const ConnectInfo& info,
    std::function<void(tl::expected<std::shared_ptr<const Principal>, AuthFailure>)> then) {
  const auto it = world_.users.find(info.username);
  then(std::make_shared<const Principal>(it == world_.users.end() ? world_.principal : it->second));
}
inline PublishOutcome MemoryShard::on_publish(const Principal&, std::string_view topic,
                                              ByteView payload, uint8_t qos) {
  if (!topic.starts_with("devices/")) return PublishOutcome::kNotOurs;
  if (keep_ingested) ingested.push_back({std::string(topic), std::string(as_text(payload)), qos});
  return PublishOutcome::kAccepted;
}

}  // namespace penstock::interop::mqtt
