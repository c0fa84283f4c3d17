#pragma once
// An MQTT client for tests of the broker in memory: builds packets, takes the answers apart. Not
// part of the server.

#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "interop/mqtt/memory_host.h"

namespace penstock::interop::mqtt {

inline std::string hex(ByteView bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (const std::byte b : bytes) {
    out += kDigits[std::to_integer<unsigned>(b) >> 4];
    out += kDigits[std::to_integer<unsigned>(b) & 15];
  }
  return out;
}
/// Spaces do not count.
inline Bytes unhex(std::string_view text) {
  std::string digits;
  for (const char c : text)
    if (c != ' ') digits += c;
  Bytes out;
  for (size_t i = 0; i + 1 < digits.size(); i += 2)
    out.push_back(static_cast<std::byte>(std::stoul(digits.substr(i, 2), nullptr, 16)));
  return out;
}

struct ConnectOptions {
  uint8_t version = 5;
  bool clean = true;
  uint16_t keep_alive_s = 60;
  Properties properties;
  bool has_will = false;
  uint8_t will_qos = 0;
  bool will_retain = false;
  Properties will_properties;
  std::string will_topic, will_payload;
  std::string username;
};

/// A PUBLISH as it came, or another packet (type and body).
struct Got {
  PacketType type = PacketType::kReserved;
  uint8_t flags = 0;
  Bytes body;
  // of a PUBLISH
  std::string topic, payload, properties;  ///< properties: hex of the block
  uint16_t id = 0;
  uint8_t qos = 0;
  bool retain = false, dup = false;
};

class TestClient {
 public:
  TestClient(MemoryWorld& world, std::string client_id, ConnectOptions options = {})
      : world_(world), client_id_(std::move(client_id)), options_(std::move(options)) {
    reconnect();
  }

  /// A new connection; the old one, where there is one, is simply forgotten.
  void reconnect() {
    peer_ = world_.open(client_id_);
    stream_.clear();
    send(connect_packet(client_id_, options_));
    world_.settle();
    const auto packets = take();
    connack = packets.empty() ? Got{} : packets.front();
    others_.assign(packets.begin() + (packets.empty() ? 0 : 1), packets.end());
  }
  static Bytes connect_packet(std::string_view client_id, const ConnectOptions& o) {
    Bytes body = unhex(o.version == 5 ? "00044D51545405" : "00044D51545404");
    const auto flags = static_cast<uint8_t>(
        (o.clean ? 2 : 0) | (o.has_will ? 4 | o.will_qos << 3 : 0) |
        (o.has_will && o.will_retain ? 0x20 : 0) | (o.username.empty() ? 0 : 0x80));
    body.push_back(std::byte{flags});
    put_u16(body, o.keep_alive_s);
    if (o.version == 5) append_properties(body, o.properties);
    put_text(body, client_id);
    if (o.has_will) {
      if (o.version == 5) append_properties(body, o.will_properties);
      put_text(body, o.will_topic);
      put_text(body, o.will_payload);
    }
    if (!o.username.empty()) put_text(body, o.username);
    return packet(0x10, body);
  }
  [[nodiscard]] int connack_reason() const {
    return connack.type == PacketType::kConnack ? std::to_integer<int>(connack.body[1]) : -1;
  }
  [[nodiscard]] bool session_present() const { return std::to_integer<int>(connack.body[0]) == 1; }

  /// `options`: the byte of 3.8.3.1. Returns the reason.
  int subscribe(std::string_view filter, uint8_t options, uint32_t subscription_id = 0) {
    Bytes body;
    put_u16(body, 77);
    Properties properties;
    if (subscription_id) properties.subscription_ids.push_back(subscription_id);
    if (options_.version == 5) append_properties(body, properties);
    put_text(body, filter);
    body.push_back(std::byte{options});
    return std::to_integer<int>(round_trip(0x82, body, PacketType::kSuback).back());
  }
  Bytes unsubscribe(std::string_view filter) {
    Bytes body;
    put_u16(body, 78);
    if (options_.version == 5) body.push_back(std::byte{0});
    put_text(body, filter);
    return round_trip(0xA2, body, PacketType::kUnsuback);
  }
  void publish(std::string_view topic, std::string_view payload, uint8_t qos = 0, uint16_t id = 1,
               bool retain = false, const Properties& properties = {}, bool dup = false) {
    Bytes out;
    encode_publish(out, {options_.version, dup, retain, qos, id, topic}, properties,
                   as_bytes(payload));
    send(out);
  }
  void ack(PacketType type, uint16_t id, Reason reason = Reason::kSuccess) {
    Bytes out;
    encode_ack(out, type, options_.version, id, reason);
    send(out);
  }
  void send(ByteView bytes) { world_.send(peer_, bytes); }
  void disconnect(std::string_view rest = "00") {
    send(unhex("E0" + std::string(rest)));
    world_.settle();
  }
  void cut() {
    world_.cut(peer_);
    world_.settle();
  }
  /// All that has come since the last call, once the world is quiet.
  std::vector<Got> packets() {
    world_.settle();
    std::vector<Got> out = std::exchange(others_, {});
    for (Got& g : take()) out.push_back(std::move(g));
    return out;
  }
  /// Only the PUBLISHes of it.
  std::vector<Got> messages() {
    std::vector<Got> out;
    for (Got& g : packets())
      if (g.type == PacketType::kPublish) out.push_back(std::move(g));
    return out;
  }
  /// "topic=payload" of messages(), with spaces between.
  std::string texts() {
    std::string out;
    for (const Got& g : messages()) out += (out.empty() ? "" : " ") + g.topic + "=" + g.payload;
    return out;
  }
  /// Hex of what else came.
  std::string answers() {
    std::string out;
    for (const Got& g : packets()) {
      if (g.type == PacketType::kPublish) continue;
      const Bytes first{static_cast<std::byte>(static_cast<unsigned>(g.type) << 4 | g.flags)};
      out += (out.empty() ? "" : " ") + hex(first) + hex(g.body);
    }
    return out;
  }
  bool closed() { return world_.closed(peer_); }
  MemoryShard::Socket& socket() { return world_.socket(peer_); }
  [[nodiscard]] const MemoryWorld::Peer& peer() const { return peer_; }
  ConnectOptions& options() { return options_; }

  Got connack;

 private:
  static void put_u16(Bytes& out, uint16_t n) {
    out.push_back(static_cast<std::byte>(n >> 8));
    out.push_back(static_cast<std::byte>(n & 255));
  }
  static void put_text(Bytes& out, std::string_view text) {
    put_u16(out, static_cast<uint16_t>(text.size()));
    append_bytes(out, as_bytes(text));
  }
  void send_packet(uint8_t first, ByteView body) { send(packet(first, body)); }
  static Bytes packet(uint8_t first, ByteView body) {
    Bytes out{std::byte{first}};
    size_t n = body.size();
    do {
      out.push_back(static_cast<std::byte>((n & 127) | (n > 127 ? 128 : 0)));
      n >>= 7;
    } while (n > 0);
    append_bytes(out, body);
    return out;
  }
  Bytes round_trip(uint8_t first, ByteView body, PacketType answer) {
    send_packet(first, body);
    world_.settle();
    Bytes found{std::byte{0xFF}};
    for (Got& g : take()) {
      if (g.type == answer)
        found = g.body;
      else
        others_.push_back(std::move(g));
    }
    return found;
  }
  std::vector<Got> take() {
    append_bytes(stream_, world_.take(peer_));
    std::vector<Got> out;
    size_t at = 0;
    while (at < stream_.size()) {
      const FrameResult next = read_frame(ByteView(stream_).subspan(at), SIZE_MAX);
      if (next.kind != FrameResult::Kind::kFrame) break;
      out.push_back(parse(next.frame));
      at += next.frame.size;
    }
    stream_.erase(stream_.begin(), stream_.begin() + static_cast<ptrdiff_t>(at));
    return out;
  }
  Got parse(const Frame& frame) const {
    Got g;
    g.type = frame.type;
    g.flags = frame.flags;
    g.body.assign(frame.body.begin(), frame.body.end());
    if (frame.type != PacketType::kPublish) return g;
    const auto byte_at = [&](size_t i) { return std::to_integer<size_t>(g.body.at(i)); };
    g.qos = frame.flags >> 1 & 3;
    g.retain = frame.flags & 1;
    g.dup = frame.flags & 8;
    size_t at = 2 + (byte_at(0) << 8 | byte_at(1));
    g.topic = as_text(ByteView(g.body).subspan(2, at - 2));
    if (g.qos > 0) {
      g.id = static_cast<uint16_t>(byte_at(at) << 8 | byte_at(at + 1));
      at += 2;
    }
    if (options_.version == 5) {
      size_t length = 0;
      for (int shift = 0;; shift += 7) {
        length |= (byte_at(at) & 127) << shift;
        if ((byte_at(at++) & 128) == 0) break;
      }
      g.properties = hex(ByteView(g.body).subspan(at, length));
      at += length;
    }
    g.payload = as_text(ByteView(g.body).subspan(at));
    return g;
  }

  MemoryWorld& world_;
  std::string client_id_;
  ConnectOptions options_;
  MemoryWorld::Peer peer_;
  Bytes stream_;
  std::vector<Got> others_;
};

inline ConnectOptions version4(bool clean = true) {
  ConnectOptions o;
  o.version = 4;
  o.clean = clean;
  return o;
}
/// 5.0 with a session that stays.
inline ConnectOptions lasting(uint32_t expiry_s = 3600, bool clean = false) {
  ConnectOptions o;
  o.clean = clean;
  o.properties.session_expiry_s = expiry_s;
  return o;
}

}  // namespace penstock::interop::mqtt
