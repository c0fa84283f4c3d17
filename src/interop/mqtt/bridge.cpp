#include "interop/mqtt/bridge.h"

#include <algorithm>

#include <arpa/inet.h>
#include <fmt/format.h>

#include "base/log.h"

namespace penstock::interop::mqtt {
namespace {

bool numeric(const std::string& host) {
  in6_addr scratch{};
  return ::inet_pton(AF_INET, host.c_str(), &scratch) == 1 ||
         ::inet_pton(AF_INET6, host.c_str(), &scratch) == 1;
}

}  // namespace

BridgeMetrics::BridgeMetrics(Metrics& m)
    : in(m.counter("penstock_bridge_messages_total", "Messages of bridges", {{"direction", "in"}})),
      out(m.counter("penstock_bridge_messages_total", "Messages of bridges",
                    {{"direction", "out"}})),
      unmatched(m.counter("penstock_bridge_unmatched_total",
                          "Messages from other brokers to topics that are nobody's")),
      redelivered(m.counter("penstock_bridge_redelivered_total",
                            "Messages that other brokers delivered again, taken once")),
      retained(m.counter("penstock_bridge_retained_skipped_total",
                         "Retained messages of other brokers, whose time is not known")),
      dropped_out(m.counter("penstock_bridge_dropped_total",
                            "Messages that other brokers refused, or QoS 0 while they were away")),
      connects(m.counter("penstock_bridge_connects_total", "Connections to other brokers")),
      failures(m.counter("penstock_bridge_failures_total",
                         "Connections to other brokers that failed or ended")) {}

Bridge::Bridge(BridgeContext& context, BridgeMetrics& metrics, uint32_t number,
               std::shared_ptr<BridgeMemory> memory, BridgeRecord record, BridgeSecrets secrets)
    : context_(context),
      metrics_(metrics),
      number_(number),
      memory_(std::move(memory)),
      record_(std::move(record)),
      secrets_(std::move(secrets)) {
  status_.since = context_.shard.now();
  if (record_.config.enabled) set_state(BridgeStatus::State::kConnecting);
}

Bridge::~Bridge() {
  if (socket_ != kNoSocket) context_.shard.reactor().net().close(socket_);
}

// What it owes the other broker comes again: the session stays.
void Bridge::say_goodbye() {
  if (phase_ != Phase::kOpen) return;
  Bytes goodbye;
  encode_disconnect(goodbye, record_.config.version);
  transmit(goodbye);
  flush();
}

void Bridge::apply(BridgeRecord record, BridgeSecrets secrets) {
  say_goodbye();
  drop();
  record_ = std::move(record);
  secrets_ = std::move(secrets);
  tls_context_.reset();
  failures_ = 0;
  next_attempt_us_ = 0;
  local_prepared_ = false;
  status_.last_error.clear();
  set_state(record_.config.enabled ? BridgeStatus::State::kConnecting
                                   : BridgeStatus::State::kDisabled);
}

void Bridge::stop() {
  say_goodbye();
  record_.config.enabled = false;
  drop();
}

void Bridge::retire() {
  stop();
  end_local();
}

void Bridge::set_state(BridgeStatus::State state) {
  if (status_.state == state) return;
  status_.state = state;
  status_.since = context_.shard.now();
}

// -- coming up

void Bridge::begin() {
  const BridgeConfig& config = record_.config;
  ++attempt_;
  connect_by_us_ = context_.shard.monotonic_us() + context_.limits.connect_timeout.us;
  set_state(BridgeStatus::State::kConnecting);
  if (config.tls && !tls_context_) {
    auto made = TlsClientContext::create({config.ca_pem, config.certificate_pem, secrets_.key_pem});
    if (!made) return fail_with(made.error().message);
    tls_context_ = std::move(*made);
    status_.certificate_expires = tls_context_->expires();
  }
  if (numeric(config.broker.host)) return dial(config.broker);
  phase_ = Phase::kResolving;
  context_.resolve(number_, attempt_, config.broker);
}

void Bridge::on_resolved(uint32_t attempt, Result<std::vector<NetAddress>> addresses) {
  if (attempt != attempt_ || phase_ != Phase::kResolving) return;
  if (!addresses) return fail_with(addresses.error().text());
  if (addresses->empty()) return fail_with("the host's name has no address");
  dial((*addresses)[failures_ % addresses->size()]);  // the next one each time
}

void Bridge::dial(const NetAddress& address) {
  Net& net = context_.shard.reactor().net();
  const auto socket = net.connect(address);
  if (!socket) return fail_with(socket.error().message);
  socket_ = *socket;
  phase_ = Phase::kConnecting;
  interest_ = kWritable;
  const auto registration = context_.shard.reactor().add(socket_, interest_, *this);
  if (!registration) return fail_with(registration.error().message);
  registration_ = *registration;
}

void Bridge::on_dialled() {
  if (const Status up = context_.shard.reactor().net().connected(socket_); !up)
    return fail_with(up.error().message);
  heard_us_ = said_us_ = context_.shard.monotonic_us();
  const BridgeConfig& config = record_.config;
  if (!config.tls) return say_connect();
  phase_ = Phase::kTls;
  tls_ = std::make_unique<TlsSession>(
      *tls_context_, config.server_name.empty() ? config.broker.host : config.server_name);
  Bytes plain;
  if (const Status begun = tls_->on_wire({}, plain, out_); !begun)
    return fail_with(begun.error().message);
  flush();
}

void Bridge::say_connect() {
  const BridgeConfig& config = record_.config;
  Connect packet;
  packet.version = config.version;
  packet.clean_start = false;
  packet.keep_alive_s = config.keep_alive_s;
  keep_alive_s_ = config.keep_alive_s;
  const std::string id = config.client_id.empty() ? "penstock-" + config.name : config.client_id;
  packet.client_id = id;
  packet.has_username = !config.username.empty();
  packet.username = config.username;
  packet.has_password = !secrets_.password.empty();
  packet.password = as_bytes(secrets_.password);
  if (config.version == 5) {
    packet.properties.session_expiry_s = config.session_expiry_s;
    packet.properties.receive_maximum = config.receive_maximum;
    packet.properties.maximum_packet_size = static_cast<uint32_t>(context_.limits.packet_size_max);
  }
  const auto will = context_.endpoint.dispatch().link_will(name());
  if (will) {
    packet.has_will = true;
    packet.will_topic = will->topic;
    packet.will_payload = will->payload;
    packet.will_qos = will->qos;
    packet.will_retain = will->retain;
  }
  Bytes out;
  encode_connect(out, packet);
  phase_ = Phase::kConnack;
  transmit(out);
  flush();
}

// -- going down

// The connection is over, or did not come to be; tries again after a while.
void Bridge::fail_with(std::string why) {
  metrics_.failures.add();
  status_.last_error = std::move(why);
  status_.last_error_at = context_.shard.now();
  if (failures_ == 0 || phase_ == Phase::kOpen)
    log_warning("bridge", "{}: {}", name(), status_.last_error);
  drop();
  wait_for_retry();
}

void Bridge::wait_for_retry() {
  const BridgeLimits& limits = context_.limits;
  const uint32_t doublings = std::min(failures_++, 16U);
  const int64_t whole = std::min(limits.retry_min.us << doublings, limits.retry_max.us);
  // Between half and all of it: many bridges do not come back in one moment.
  const int64_t wait_us = whole / 2 + static_cast<int64_t>(context_.random.next_u64() %
                                                           static_cast<uint64_t>(whole / 2 + 1));
  next_attempt_us_ = context_.shard.monotonic_us() + wait_us;
  status_.next_attempt = context_.shard.now() + Duration::micros(wait_us);
  set_state(BridgeStatus::State::kWaiting);
}

void Bridge::drop() {
  close_local("the bridge is away");
  if (socket_ != kNoSocket) {
    if (registration_ != 0) context_.shard.reactor().remove(registration_);
    context_.shard.reactor().net().close(socket_);
  }
  socket_ = kNoSocket;
  registration_ = 0;
  tls_.reset();
  in_.clear();
  out_.clear();
  held_ = false;
  phase_ = Phase::kIdle;
  ++attempt_;
  pinged_us_ = 0;
  status_.unacknowledged_in = 0;
  outgoing_.clear();
  status_.waiting_out = 0;
  for (Direct& direct : direct_) direct.sent = false;
  if (!std::exchange(up_told_, false)) return;
  context_.on_link(name(), false);
}

// -- time

void Bridge::on_tick() {
  if (!record_.config.enabled) return;
  const int64_t now_us = context_.shard.monotonic_us();
  if (!local_prepared_ && context_.shard.accepting()) prepare_local();
  if (phase_ == Phase::kIdle) {
    if (local_) drain_local();
    if (now_us >= next_attempt_us_ && context_.shard.accepting()) begin();
    return;
  }
  check_times();
  if (local_) drain_local();
}

void Bridge::check_times() {
  const int64_t now_us = context_.shard.monotonic_us();
  if (phase_ != Phase::kOpen) {
    if (now_us < connect_by_us_) return;
    return fail_with(phase_ == Phase::kConnack ? "the broker took the connection and did not answer"
                                               : "the broker could not be reached in time");
  }
  const int64_t keep_alive_us = int64_t{keep_alive_s_} * 1'000'000;
  if (keep_alive_us == 0) return;
  if (pinged_us_ != 0 && now_us - pinged_us_ > keep_alive_us / 2) {
    // Held back by ourselves: then its answer lies unread, and says nothing of the broker.
    if (held_) return;
    return fail_with(
        fmt::format("the broker has not answered for {} s", (now_us - heard_us_) / 1'000'000));
  }
  const bool quiet =
      now_us - said_us_ >= keep_alive_us * 3 / 4 || now_us - heard_us_ >= keep_alive_us * 3 / 4;
  if (!quiet || pinged_us_ != 0) return;
  pinged_us_ = now_us;
  Bytes ping;
  encode_pingreq(ping);
  transmit(ping);
  flush();
}

// -- bytes

void Bridge::on_event(const PollEvent& event) {
  if (phase_ == Phase::kConnecting) return on_dialled();
  if (event.writable) flush();
  if ((event.readable || event.hung_up) && socket_ != kNoSocket) read();
}

bool Bridge::hold_if_congested() {
  const bool behind = context_.shard.pending_bytes() > context_.limits.batch_bytes_high;
  if (behind != held_) {
    held_ = behind;
    update_interest();
  }
  return held_;
}

void Bridge::read() {
  if (hold_if_congested()) return;
  Bytes& buffer = context_.read_buffer;
  const IoOutcome outcome = context_.shard.reactor().net().read(socket_, buffer);
  if (outcome.kind == IoOutcome::Kind::kWouldBlock) return;
  if (outcome.kind != IoOutcome::Kind::kDone)
    return fail_with(phase_ == Phase::kConnack
                         ? "the broker ended the connection instead of an answer: is this its MQTT "
                           "port, and does it want TLS?"
                         : "the connection to the broker was lost");
  heard_us_ = context_.shard.monotonic_us();
  pinged_us_ = 0;
  const ByteView wire = ByteView(buffer).first(outcome.bytes);
  if (!tls_) return on_plain(wire);
  Bytes plain;
  const Status read = tls_->on_wire(wire, plain, out_);
  if (!read) {
    flush();
    return fail_with(read.error().message);
  }
  if (phase_ == Phase::kTls && tls_->handshake_done()) say_connect();
  if (socket_ != kNoSocket && !plain.empty()) on_plain(plain);
  if (socket_ != kNoSocket && tls_->peer_closed()) fail_with("the broker ended the connection");
}

void Bridge::on_plain(ByteView bytes) {
  append_bytes(in_, bytes);
  size_t at = 0;
  const uint32_t attempt = attempt_;
  while (true) {
    const FrameResult next = read_frame(ByteView(in_).subspan(at), context_.limits.packet_size_max);
    if (next.kind == FrameResult::Kind::kNeedMore) break;
    if (next.kind == FrameResult::Kind::kMalformed)
      return fail_with("the broker sends what is no MQTT: is this its MQTT port?");
    if (next.kind == FrameResult::Kind::kTooLarge)
      return fail_with(fmt::format("the broker sends a packet of more than {} bytes, the limit",
                                   context_.limits.packet_size_max));
    on_packet(next.frame);
    if (attempt != attempt_) return;  // it ended the connection, and in_ with it
    at += next.frame.size;
  }
  in_.erase(in_.begin(), in_.begin() + static_cast<ptrdiff_t>(at));
  (void)hold_if_congested();
}

void Bridge::transmit(ByteView plain) {
  if (socket_ == kNoSocket) return;
  said_us_ = context_.shard.monotonic_us();
  if (!tls_) return append_bytes(out_, plain);
  if (const Status sealed = tls_->seal(plain, out_); !sealed) fail_with(sealed.error().message);
}

void Bridge::flush() {
  if (socket_ == kNoSocket || phase_ == Phase::kConnecting) return;
  size_t done = 0;
  while (done < out_.size()) {
    const IoOutcome outcome =
        context_.shard.reactor().net().write(socket_, ByteView(out_).subspan(done));
    if (outcome.kind == IoOutcome::Kind::kWouldBlock) break;
    if (outcome.kind != IoOutcome::Kind::kDone)
      return fail_with("the connection to the broker was lost");
    done += outcome.bytes;
  }
  out_.erase(out_.begin(), out_.begin() + static_cast<ptrdiff_t>(done));
  update_interest();
}

void Bridge::update_interest() {
  if (registration_ == 0 || phase_ == Phase::kConnecting) return;
  const auto wanted =
      static_cast<uint8_t>((held_ ? 0 : kReadable) | (out_.empty() ? 0 : kWritable));
  if (wanted == interest_) return;
  interest_ = wanted;
  context_.shard.reactor().set_interest(registration_, wanted);
}

void Bridge::on_turn_end() {
  if (local_ || local_closed_) drain_local();
  if (socket_ == kNoSocket) return;
  if (held_) (void)hold_if_congested();
  if (!out_.empty()) flush();
}

}  // namespace penstock::interop::mqtt
