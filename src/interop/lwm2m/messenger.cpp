#include "interop/lwm2m/messenger.h"

#include <algorithm>

#include <fmt/format.h>

#include "interop/lwm2m/messenger_impl.h"

namespace penstock::interop::lwm2m {

using coap::Type;

namespace {

constexpr int64_t kExchangeLifetimeUs = 247'000'000;  // RFC 7252, 4.8.2
constexpr size_t kRecentMax = 16;
constexpr int64_t kSeparateAfterUs = 1'500'000;  // below ACK_TIMEOUT: before the device repeats
constexpr int64_t kAssemblyUs = 60'000'000;
constexpr uint8_t kSzx = 6;  // blocks of 1024 bytes

uint64_t key_of(const coap::Token& token) {
  return token.number() ^ static_cast<uint64_t>(token.size) << 56;
}

}  // namespace

std::string_view name(Transport transport) {
  switch (transport) {
    case Transport::kUdp:
      return "udp";
    case Transport::kDtls:
      return "dtls";
    case Transport::kTcp:
      return "tcp";
    case Transport::kTls:
      break;
  }
  return "tls";
}

Format IncomingRequest::format() const {
  const auto number = message.number(coap::kContentFormat);
  return number ? static_cast<Format>(*number) : Format::kNone;
}

MessengerMetrics::MessengerMetrics(Metrics& m)
    : datagrams(m.counter("penstock_coap_messages_total", "CoAP messages read")),
      duplicates(m.counter("penstock_coap_duplicates_total", "CoAP messages seen before")),
      retransmissions(m.counter("penstock_coap_retransmissions_total", "CoAP requests repeated")),
      broken(m.counter("penstock_coap_broken_total", "Datagrams and frames that are not CoAP")),
      too_large(m.counter("penstock_coap_too_large_total", "Requests refused with 4.13")),
      refused(m.counter("penstock_coap_refused_total", "Peers over a limit")),
      handshakes(m.counter("penstock_coap_handshakes_total", "DTLS and TLS handshakes done")),
      resumed(m.counter("penstock_coap_handshakes_resumed_total", "Of these by ticket or id")),
      handshakes_failed(
          m.counter("penstock_coap_handshakes_failed_total", "DTLS and TLS handshakes failed")) {}

// -- sending

void Messenger::Impl::send(Peer& peer, const coap::Outgoing& message) {
  scratch.clear();
  if (is_stream(peer.info.transport))
    coap::write_frame(message, scratch);
  else
    coap::write_datagram(message, scratch);
  send_plain(peer, scratch);
}

void Messenger::Impl::send_empty(Peer& peer, Type type, uint16_t id) {
  if (is_stream(peer.info.transport)) return;
  send_plain(peer, coap::empty_message(type, id));
}

// -- what comes in

void Messenger::Impl::on_message(Peer& peer, const coap::Message& message) {
  metrics.datagrams.add();
  peer.last_us = now_us;
  if (message.code >= coap::code_of(7, 0)) return on_signal(peer, message);
  if (message.code == coap::kEmpty) {
    if (is_stream(peer.info.transport)) return;
    if (message.type == Type::kConfirmable) return send_empty(peer, Type::kReset, message.id);
    const auto found = requests.find(peer.current);
    if (peer.current == 0 || found == requests.end() || found->second->message.id != message.id)
      return;
    if (message.type == Type::kReset)
      return finish(peer.current, fail(ErrorCode::kUnavailable, "the device reset the request",
                                       peer.info.address));
    found->second->acknowledged = true;
    return schedule(peer.current, *found->second, options.response_timeout.us);
  }
  if (coap::is_request(message.code)) return on_request(peer, message);
  if (coap::is_response(message.code)) return on_response(peer, message);
  if (message.type == Type::kConfirmable) send_empty(peer, Type::kReset, message.id);
}

// RFC 8323, 5.
void Messenger::Impl::on_signal(Peer& peer, const coap::Message& message) {
  if (!is_stream(peer.info.transport)) return;
  if (message.code == coap::kPing) {
    coap::Outgoing pong;
    pong.code = coap::kPong;
    pong.token = message.token;
    send(peer, pong);
  } else if (message.code == coap::kRelease) {
    close(peer.handle, "the device released the connection");
  } else if (message.code == coap::kAbort) {
    close(peer.handle, "the device aborted the connection");
  }
}

// True: a message of that id was handled; the same answer goes again, where there is one.
bool Messenger::Impl::seen_before(Peer& peer, const coap::Message& message) {
  if (is_stream(peer.info.transport)) return false;
  for (const Recent& recent : peer.recent) {
    if (recent.id != message.id || now_us - recent.at_us > kExchangeLifetimeUs) continue;
    metrics.duplicates.add();
    if (recent.state == Recent::State::kAcknowledged || recent.separate)
      send_empty(peer, Type::kAcknowledgement, message.id);
    if (recent.state == Recent::State::kAnswered) send_plain(peer, recent.answer);
    return true;
  }
  Recent recent;
  recent.at_us = now_us;
  recent.id = message.id;
  if (peer.recent.size() < kRecentMax) {
    peer.recent.push_back(std::move(recent));
  } else {
    peer.recent[peer.recent_next] = std::move(recent);
    peer.recent_next = static_cast<uint8_t>((peer.recent_next + 1) % kRecentMax);
  }
  return false;
}

void Messenger::Impl::refuse(const Exchange& exchange, uint8_t code,
                             std::optional<coap::Block> block1) {
  coap::Outgoing out;
  out.code = code;
  if (block1) out.add_block(coap::kBlock1, *block1);
  if (code == coap::kTooLarge) {
    metrics.too_large.add();
    out.add_number(coap::kSize1, static_cast<uint32_t>(options.body_bytes_max));
  }
  respond(exchange, std::move(out), {});
}

void Messenger::Impl::on_request(Peer& peer, const coap::Message& message) {
  if (message.type != Type::kConfirmable && message.type != Type::kNonConfirmable) return;
  if (seen_before(peer, message)) return;
  Exchange exchange{peer.handle,   message.id, message.type == Type::kConfirmable,
                    message.token, {},         {}};
  exchange.block1 = message.block(coap::kBlock1);
  exchange.block2 = message.block(coap::kBlock2);
  if (exchange.confirmable && !is_stream(peer.info.transport))
    unanswered.emplace_back(now_us + kSeparateAfterUs, exchange);
  if (message.has_unknown_critical()) return refuse(exchange, coap::kBadOption, {});
  if (exchange.block1) return assemble(peer, message, exchange);
  if (message.payload.size() > options.body_bytes_max) return refuse(exchange, coap::kTooLarge, {});
  hand_over(message, exchange, message.payload);
}

void Messenger::Impl::hand_over(const coap::Message& message, const Exchange& exchange,
                                ByteView body) {
  message.path(path);
  handler.on_request({exchange, message, path, body});
}

void Messenger::Impl::drop_assembly(Peer& peer) {
  if (!peer.assembly) return;
  assembly_bytes -= peer.assembly->body.size();
  peer.assembly.reset();
}

// RFC 7959, 2.5. What would become too large is refused with the first block that says so.
void Messenger::Impl::assemble(Peer& peer, const coap::Message& message, const Exchange& exchange) {
  const coap::Block block = *exchange.block1;
  message.path(path);
  const uint32_t announced = message.number(coap::kSize1).value_or(0);
  const size_t end = block.offset() + message.payload.size();
  if (announced > options.body_bytes_max || end > options.body_bytes_max ||
      assembly_bytes + message.payload.size() > options.assembly_bytes_max) {
    drop_assembly(peer);
    return refuse(exchange, coap::kTooLarge, coap::Block{block.number, false, block.szx});
  }
  if (block.more && message.payload.size() != block.size())
    return refuse(exchange, coap::kBadRequest, block);
  if (block.number == 0) {
    drop_assembly(peer);
    peer.assembly = std::make_unique<Assembly>();
    peer.assembly->path = path;
    peer.assembly->code = message.code;
  }
  Assembly* assembly = peer.assembly.get();
  if (assembly == nullptr || assembly->path != path || assembly->code != message.code ||
      assembly->body.size() != block.offset()) {
    drop_assembly(peer);
    return refuse(exchange, coap::kIncomplete, block);
  }
  append_bytes(assembly->body, message.payload);
  assembly_bytes += message.payload.size();
  assembly->at_us = now_us;
  if (block.more) return refuse(exchange, coap::kContinue, block);
  assembly_bytes -= assembly->body.size();
  const std::unique_ptr<Assembly> whole = std::move(peer.assembly);
  hand_over(message, exchange, whole->body);
}

// -- answers

void Messenger::Impl::respond(const Exchange& exchange, coap::Outgoing response,
                              std::string_view body) {
  Peer* peer = find(exchange.peer);
  if (peer == nullptr) return;
  response.token = exchange.token;
  if (exchange.block1 && std::ranges::none_of(response.options, [](const auto& o) {
        return o.first == coap::kBlock1;
      }))
    response.add_block(coap::kBlock1, {exchange.block1->number, false, exchange.block1->szx});
  const uint8_t szx = exchange.block2 ? std::min(exchange.block2->szx, kSzx) : kSzx;
  const coap::Block block{exchange.block2 ? exchange.block2->number : 0, false, szx};
  if (body.size() > block.size() || block.number > 0) {
    if (block.offset() >= body.size()) {
      response.code = coap::kBadRequest;
    } else {
      const bool more = body.size() - block.offset() > block.size();
      response.add_block(coap::kBlock2, {block.number, more, szx});
      if (block.number == 0) response.add_number(coap::kSize2, static_cast<uint32_t>(body.size()));
      append_bytes(response.payload, as_bytes(body.substr(block.offset(), block.size())));
    }
  } else {
    append_bytes(response.payload, as_bytes(body));
  }
  const auto recent = std::ranges::find(peer->recent, exchange.id, &Recent::id);
  const bool separate = recent != peer->recent.end() && recent->separate;
  response.type =
      exchange.confirmable && !separate ? Type::kAcknowledgement : Type::kNonConfirmable;
  response.id = response.type == Type::kAcknowledgement ? exchange.id : peer->next_id++;
  send(*peer, response);
  if (recent != peer->recent.end()) {
    recent->state = Recent::State::kAnswered;
    recent->answer = scratch;
  }
}

void Messenger::Impl::acknowledge(const Exchange& exchange) {
  Peer* peer = find(exchange.peer);
  if (peer == nullptr || !exchange.confirmable) return;
  send_empty(*peer, Type::kAcknowledgement, exchange.id);
  const auto recent = std::ranges::find(peer->recent, exchange.id, &Recent::id);
  if (recent != peer->recent.end()) recent->state = Recent::State::kAcknowledged;
}

// -- requests of ours

uint64_t Messenger::Impl::fresh_key(coap::Token& token) {
  do {
    token = coap::Token::of(++next_token, 4);
  } while (requests.contains(key_of(token)));
  return key_of(token);
}

void Messenger::Impl::schedule(uint64_t key, Outstanding& request, int64_t after_us) {
  request.deadline_us = now_us + after_us;
  timers.emplace(request.deadline_us, key);
}

// The request's next block, or all of it.
void Messenger::Impl::transmit(Peer& peer, uint64_t key, Outstanding& request) {
  coap::Outgoing& message = request.message;
  const size_t size = size_t{16} << request.szx;
  if (request.blocks > 0) {
    std::erase_if(message.options, [](const auto& option) {
      return option.first == coap::kBlock2 || option.first == coap::kObserve ||
             option.first == coap::kBlock1 || option.first == coap::kSize1;
    });
    message.add_block(coap::kBlock2, {request.blocks, false, request.szx});
  } else if (request.payload.size() > size) {
    std::erase_if(message.options, [](const auto& option) {
      return option.first == coap::kBlock1 || option.first == coap::kSize1;
    });
    request.block_bytes = std::min(size, request.payload.size() - request.sent);
    const bool more = request.sent + request.block_bytes < request.payload.size();
    message.add_block(coap::kBlock1,
                      {static_cast<uint32_t>(request.sent / size), more, request.szx});
    if (request.sent == 0)
      message.add_number(coap::kSize1, static_cast<uint32_t>(request.payload.size()));
    const auto at = request.payload.begin() + static_cast<std::ptrdiff_t>(request.sent);
    message.payload.assign(at, at + static_cast<std::ptrdiff_t>(request.block_bytes));
  } else {
    message.payload = request.payload;
  }
  message.type = Type::kConfirmable;
  message.id = peer.next_id++;
  request.attempts = 0;
  request.acknowledged = false;
  // RFC 7252, 4.2: between ACK_TIMEOUT and 1.5 of it.
  const auto half = static_cast<uint64_t>(options.ack_timeout.us / 2 + 1);
  request.timeout_us = options.ack_timeout.us + static_cast<int64_t>(random.next_u64() % half);
  send(peer, message);
  const bool stream = is_stream(peer.info.transport);
  schedule(key, request, stream ? options.response_timeout.us : request.timeout_us);
}

void Messenger::Impl::start_next(Peer& peer) {
  if (peer.current != 0 || !peer.waiting) return;
  while (!peer.waiting->empty()) {
    const uint64_t key = peer.waiting->front();
    peer.waiting->pop_front();
    const auto found = requests.find(key);
    if (found == requests.end()) continue;
    peer.current = key;
    transmit(peer, key, *found->second);
    return;
  }
  peer.waiting.reset();
}

void Messenger::Impl::finish(uint64_t key, Result<Response> outcome) {
  const auto found = requests.find(key);
  if (found == requests.end()) return;
  const std::unique_ptr<Outstanding> request = std::move(found->second);
  requests.erase(found);
  if (Peer* peer = find(request->peer); peer != nullptr && peer->current == key) {
    peer->current = 0;
    start_next(*peer);
  }
  if (request->then) request->then(std::move(outcome));
}

void Messenger::Impl::on_timer(uint64_t key) {
  const auto found = requests.find(key);
  if (found == requests.end() || found->second->deadline_us > now_us) return;
  Outstanding& request = *found->second;
  Peer* peer = find(request.peer);
  const bool repeat = peer != nullptr && !request.acknowledged &&
                      !is_stream(peer->info.transport) && request.attempts < options.retransmits;
  if (!repeat) return finish(key, fail(ErrorCode::kTimeout, "the device did not answer"));
  ++request.attempts;
  request.timeout_us *= 2;
  metrics.retransmissions.add();
  send(*peer, request.message);
  schedule(key, request, request.timeout_us);
}

void Messenger::Impl::fail_requests(PeerHandle handle, std::string_view why) {
  std::vector<uint64_t> keys;
  for (const auto& [key, request] : requests)
    if (request->peer == handle) keys.push_back(key);
  for (const uint64_t key : keys)
    finish(key, fail(ErrorCode::kUnavailable, fmt::format("the device went: {}", why)));
}

// -- responses

// True: the next block of the request is on its way.
bool Messenger::Impl::continue_request(Peer& peer, uint64_t key, Outstanding& request,
                                       const coap::Message& message) {
  const size_t size = size_t{16} << request.szx;
  if (request.payload.size() <= size || request.blocks > 0) return false;
  const auto block = message.block(coap::kBlock1);
  if (block && block->szx < request.szx &&
      (message.code == coap::kTooLarge || coap::is_success(message.code))) {
    // The device wants smaller ones: what it took stays, or all begins anew (RFC 7959, 2.5).
    request.szx = block->szx;
    if (message.code == coap::kTooLarge) {
      request.sent = 0;
      transmit(peer, key, request);
      return true;
    }
    request.block_bytes = std::min(request.block_bytes, size_t{16} << request.szx);
  }
  if (!coap::is_success(message.code)) return false;
  request.sent += request.block_bytes;
  if (request.progress) request.progress(request.sent);
  if (request.sent >= request.payload.size()) return false;
  transmit(peer, key, request);
  return true;
}

// True: the next block of the response was asked for, or the response is refused.
bool Messenger::Impl::continue_response(Peer& peer, uint64_t key, Outstanding& request,
                                        const coap::Message& message) {
  Response& out = request.response;
  const auto block = message.block(coap::kBlock2);
  const uint32_t announced = message.number(coap::kSize2).value_or(0);
  if (announced > options.response_bytes_max ||
      out.body.size() + message.payload.size() > options.response_bytes_max) {
    finish(key,
           fail(ErrorCode::kResourceExhausted,
                fmt::format("the answer is longer than {} bytes", options.response_bytes_max)));
    return true;
  }
  if (block && block->offset() != out.body.size()) {
    finish(key, fail(ErrorCode::kUnavailable, "the answer's blocks do not follow each other"));
    return true;
  }
  out.body.append(as_text(message.payload));
  if (!block || !block->more || !coap::is_success(message.code)) return false;
  request.blocks = block->number + 1;
  request.szx = block->szx;
  if (request.message.code != coap::kFetch) request.payload.clear();
  // With a token of its own: that of an observation stands for the notifications.
  const uint64_t next = fresh_key(request.message.token);
  auto node = requests.extract(key);
  node.key() = next;
  requests.insert(std::move(node));
  peer.current = next;
  transmit(peer, next, request);
  return true;
}

namespace {

void read_response(const coap::Message& message, Response& out) {
  out.code = message.code;
  const auto format = message.number(coap::kContentFormat);
  if (format) out.format = static_cast<Format>(*format);
  if (const auto observe = message.number(coap::kObserve); observe && !out.observe)
    out.observe = *observe & 0xff'ffff;
  out.location.clear();
  for (const auto& option : message.options())
    if (option.number == coap::kLocationPath)
      out.location.append("/").append(as_text(option.value));
}

}  // namespace

void Messenger::Impl::on_response(Peer& peer, const coap::Message& message) {
  const uint64_t key = key_of(message.token);
  const auto found = requests.find(key);
  if (found == requests.end() || peer.current != key) {
    if (message.type == Type::kAcknowledgement || message.type == Type::kReset) return;
    if (seen_before(peer, message)) return;
    Response notification;
    read_response(message, notification);
    notification.body = as_text(message.payload);
    const auto block = message.block(coap::kBlock2);
    notification.partial = block && block->more;
    const Exchange exchange{peer.handle,   message.id, message.type == Type::kConfirmable,
                            message.token, {},         {}};
    if (!handler.on_notification(exchange, notification)) {
      // RFC 7641, 3.6: a Reset ends the observation. It is not remembered: it may be asked for.
      send_empty(peer, Type::kReset, message.id);
      std::erase_if(peer.recent, [&](const Recent& r) { return r.id == message.id; });
      peer.recent_next = 0;
    }
    return;
  }
  Outstanding& request = *found->second;
  if (message.type == Type::kAcknowledgement && message.id != request.message.id) return;
  if (message.type == Type::kConfirmable) send_empty(peer, Type::kAcknowledgement, message.id);
  if (continue_request(peer, key, request, message)) return;
  read_response(message, request.response);
  if (continue_response(peer, key, request, message)) return;
  finish(key, std::move(request.response));
}

// -- time

void Messenger::Impl::tick() {
  while (!timers.empty() && timers.begin()->first <= now_us) {
    const uint64_t key = timers.begin()->second;
    timers.erase(timers.begin());
    on_timer(key);
  }
  while (!unanswered.empty() && unanswered.front().first <= now_us) {
    const Exchange exchange = unanswered.front().second;
    unanswered.pop_front();
    Peer* peer = find(exchange.peer);
    if (peer == nullptr) continue;
    const auto recent = std::ranges::find(peer->recent, exchange.id, &Recent::id);
    if (recent == peer->recent.end() || recent->state != Recent::State::kPending) continue;
    recent->separate = true;
    send_empty(*peer, Type::kAcknowledgement, exchange.id);
  }
  if (now_us >= next_sweep_us) {
    next_sweep_us = now_us + 5'000'000;
    for (size_t slot = 0; slot < slots.size(); ++slot) {
      Peer* peer = slots[slot].get();
      if (peer == nullptr) continue;
      if (peer->assembly && now_us - peer->assembly->at_us > kAssemblyUs) drop_assembly(*peer);
      const int64_t silent = now_us - peer->last_us;
      const bool plain = peer->info.transport == Transport::kUdp;
      if (plain ? !peer->held && silent > options.peer_idle.us : silent > options.secure_idle.us)
        close(peer->handle, "silent for too long");
    }
  }
  tick_sessions();
}

// -- the messenger

Messenger::Messenger(MessengerOptions options, MessageHandler& handler, Clock& clock,
                     Random& random, Metrics& metrics)
    : impl_(std::make_unique<Impl>(options, handler, clock, random, metrics)) {
  impl_->now_us = clock.monotonic_us();
  impl_->next_token = static_cast<uint32_t>(random.next_u64());
}
Messenger::~Messenger() = default;

Result<NetAddress> Messenger::listen(Transport transport, const NetAddress& address,
                                     SecureContext* secure) {
  return impl_->listen(transport, address, secure);
}

void Messenger::poll(int timeout_ms) {
  impl_->wait(timeout_ms);
  impl_->now_us = impl_->clock.monotonic_us();
  if (impl_->now_us >= impl_->next_tick_us) {
    impl_->next_tick_us = impl_->now_us + 20'000;
    impl_->tick();
  }
  impl_->flush();
  impl_->free_closed();
}

const PeerInfo* Messenger::peer(PeerHandle handle) const {
  const Peer* found = impl_->find(handle);
  return found ? &found->info : nullptr;
}

void Messenger::hold(PeerHandle handle, bool held) {
  if (Peer* found = impl_->find(handle)) found->held = held;
}

void Messenger::close(PeerHandle handle, std::string_view why) { impl_->close(handle, why); }

void Messenger::close_identity(std::string_view identity) {
  for (size_t slot = 0; slot < impl_->slots.size(); ++slot) {
    const Peer* peer = impl_->slots[slot].get();
    if (peer == nullptr || !peer->established) continue;
    const SecurePeer& secure = peer->info.secure;
    if ((!secure.identity.empty() && secure.identity == identity) ||
        std::ranges::find(secure.names, identity) != secure.names.end())
      impl_->close(peer->handle, "its credentials no longer hold");
  }
}

void Messenger::respond(const Exchange& exchange, coap::Outgoing response, std::string_view body) {
  impl_->respond(exchange, std::move(response), body);
}
void Messenger::acknowledge(const Exchange& exchange) { impl_->acknowledge(exchange); }

void Messenger::request(PeerHandle handle, coap::Outgoing message, Then then,
                        std::function<void(size_t)> progress) {
  Peer* found = impl_->find(handle);
  if (found == nullptr) return then(fail(ErrorCode::kUnavailable, "the device is not connected"));
  if (found->waiting && found->waiting->size() >= impl_->options.waiting_max)
    return then(fail(ErrorCode::kResourceExhausted,
                     "too many requests wait for the device: wait for some to be answered"));
  const uint64_t key =
      message.token.size == 0 ? impl_->fresh_key(message.token) : key_of(message.token);
  auto request = std::make_unique<Outstanding>();
  request->peer = handle;
  request->payload = std::move(message.payload);
  request->message = std::move(message);
  request->then = std::move(then);
  request->progress = std::move(progress);
  if (!impl_->requests.emplace(key, std::move(request)).second) return;
  if (!found->waiting) found->waiting = std::make_unique<std::deque<uint64_t>>();
  found->waiting->push_back(key);
  impl_->start_next(*found);
}

size_t Messenger::peers() const { return impl_->slots.size() - impl_->free_slots.size(); }
size_t Messenger::secure_peers() const { return impl_->secure_count; }

}  // namespace penstock::interop::lwm2m
