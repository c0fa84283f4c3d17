// The messenger's system calls: datagrams in batches, connections, sessions.

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "interop/lwm2m/messenger_impl.h"

namespace penstock::interop::lwm2m {
namespace {

constexpr size_t kBatch = 32;
constexpr size_t kDatagramBytesMax = 16'384;
constexpr uint64_t kListenerTag = 1ULL << 63;
constexpr int64_t kHandshakeUs = 40'000'000;

std::string key_of(uint32_t listener, const SocketAddress& address) {
  std::string out(reinterpret_cast<const char*>(&listener), sizeof listener);
  if (address.any.sa_family == AF_INET) {
    out.append(reinterpret_cast<const char*>(&address.v4.sin_port), sizeof address.v4.sin_port);
    out.append(reinterpret_cast<const char*>(&address.v4.sin_addr), sizeof address.v4.sin_addr);
  } else {
    out.append(reinterpret_cast<const char*>(&address.v6.sin6_port), sizeof address.v6.sin6_port);
    out.append(reinterpret_cast<const char*>(&address.v6.sin6_addr), sizeof address.v6.sin6_addr);
    out.append(reinterpret_cast<const char*>(&address.v6.sin6_scope_id),
               sizeof address.v6.sin6_scope_id);
  }
  return out;
}

Result<SocketAddress> parse(const NetAddress& address) {
  SocketAddress out{};
  if (inet_pton(AF_INET, address.host.c_str(), &out.v4.sin_addr) == 1) {
    out.v4.sin_family = AF_INET;
    out.v4.sin_port = htons(address.port);
    return out;
  }
  if (inet_pton(AF_INET6, address.host.c_str(), &out.v6.sin6_addr) == 1) {
    out.v6.sin6_family = AF_INET6;
    out.v6.sin6_port = htons(address.port);
    return out;
  }
  return fail(ErrorCode::kInvalidArgument, "a CoAP listener needs a numeric address", address.host);
}

}  // namespace

socklen_t size_of(const SocketAddress& address) {
  return address.any.sa_family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
}

std::string text_of(const SocketAddress& address) {
  char host[INET6_ADDRSTRLEN] = "?";
  if (address.any.sa_family == AF_INET) {
    inet_ntop(AF_INET, &address.v4.sin_addr, host, sizeof host);
    return fmt::format("{}:{}", host, ntohs(address.v4.sin_port));
  }
  inet_ntop(AF_INET6, &address.v6.sin6_addr, host, sizeof host);
  return fmt::format("[{}]:{}", host, ntohs(address.v6.sin6_port));
}

Messenger::Impl::~Impl() {
  for (auto& peer : slots) {
    if (!peer) continue;
    if (peer->secure) peer->secure->shutdown();
    if (peer->fd >= 0) {
      write_stream(*peer);
      ::close(peer->fd);
    }
  }
  flush();
  for (const Listener& listener : listeners) ::close(listener.fd);
  if (wake_fd >= 0) ::close(wake_fd);
  if (epoll >= 0) ::close(epoll);
}

Result<NetAddress> Messenger::Impl::listen(Transport transport, const NetAddress& where,
                                           SecureContext* secure) {
  if (epoll < 0) {
    epoll = ::epoll_create1(EPOLL_CLOEXEC);
    wake_fd = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    epoll_event event{EPOLLIN, {}};
    event.data.u64 = 0;
    ::epoll_ctl(epoll, EPOLL_CTL_ADD, wake_fd, &event);
    input.resize(kBatch * kDatagramBytesMax);
  }
  TRY_ASSIGN(SocketAddress address, parse(where));
  const bool stream = is_stream(transport);
  const int type = (stream ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC;
  const int fd = ::socket(address.any.sa_family, type, 0);
  const int one = 1;
  if (stream) ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  const int buffer = 8 << 20;
  if (!stream) ::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
  socklen_t size = size_of(address);
  if (fd < 0 || ::bind(fd, &address.any, size) != 0 || (stream && ::listen(fd, 1024) != 0)) {
    const int error = errno;
    if (fd >= 0) ::close(fd);
    return fail(
        ErrorCode::kUnavailable,
        fmt::format("cannot listen for CoAP ({}): {}", name(transport), std::strerror(error)),
        where.text());
  }
  ::getsockname(fd, &address.any, &size);
  epoll_event event{EPOLLIN, {}};
  event.data.u64 = kListenerTag | listeners.size();
  ::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
  listeners.push_back({transport, fd, secure, nullptr, {}});
  NetAddress real = where;
  real.port = ntohs(address.any.sa_family == AF_INET ? address.v4.sin_port : address.v6.sin6_port);
  return real;
}

void Messenger::wake() {
  const uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(impl_->wake_fd, &one, sizeof one);
}

void Messenger::Impl::wait(int timeout_ms) {
  epoll_event events[64];
  if (!timers.empty() || !handshaking.empty() || !unanswered.empty())
    timeout_ms = std::min(timeout_ms, 20);
  const int count = ::epoll_wait(epoll, events, 64, timeout_ms);
  now_us = clock.monotonic_us();
  for (int i = 0; i < count; ++i) {
    const uint64_t tag = events[i].data.u64;
    if (tag == 0) {
      uint64_t unused = 0;
      [[maybe_unused]] const auto taken = ::read(wake_fd, &unused, sizeof unused);
    } else if ((tag & kListenerTag) != 0) {
      const auto listener = static_cast<uint32_t>(tag & ~kListenerTag);
      if (is_stream(listeners[listener].transport))
        accept_streams(listener);
      else
        read_datagrams(listener);
    } else {
      on_stream_event(tag, events[i].events);
    }
  }
}

// -- peers

Peer* Messenger::Impl::find(PeerHandle handle) {
  const auto slot = static_cast<uint32_t>(handle) - 1;
  if (handle == 0 || slot >= slots.size() || !slots[slot]) return nullptr;
  Peer* peer = slots[slot].get();
  return peer->handle == handle && !peer->closing ? peer : nullptr;
}

Peer* Messenger::Impl::find(uint32_t listener, const SocketAddress& from) {
  const auto found = by_address.find(key_of(listener, from));
  return found == by_address.end() ? nullptr : find(found->second);
}

Peer* Messenger::Impl::make_peer(Transport transport, uint32_t listener,
                                 const SocketAddress& from) {
  if (free_slots.empty() && slots.size() >= options.peers_max) {
    metrics.refused.add();
    return nullptr;
  }
  uint32_t slot = 0;
  if (free_slots.empty()) {
    slot = static_cast<uint32_t>(slots.size());
    slots.emplace_back();
    generations.push_back(0);
  } else {
    slot = free_slots.back();
    free_slots.pop_back();
  }
  generations[slot] = (generations[slot] + 1) & 0x3fff'ffff;
  slots[slot] = std::make_unique<Peer>();
  Peer& peer = *slots[slot];
  peer.handle = static_cast<uint64_t>(generations[slot]) << 32 | (slot + 1);
  peer.info.transport = transport;
  peer.info.address = text_of(from);
  peer.address = from;
  peer.listener = listener;
  peer.last_us = now_us;
  peer.next_id = static_cast<uint16_t>(random.next_u64());
  peer.established = !is_secure(transport);
  if (is_secure(transport)) ++secure_count;
  return &peer;
}

void Messenger::Impl::close(PeerHandle handle, std::string_view why) {
  Peer* peer = find(handle);
  if (peer == nullptr) return;
  const bool known = peer->established;
  if (peer->secure) peer->secure->shutdown();
  drop_assembly(*peer);
  peer->closing = true;
  if (!is_stream(peer->info.transport)) {
    const auto found = by_address.find(key_of(peer->listener, peer->address));
    if (found != by_address.end() && found->second == handle) by_address.erase(found);
  } else if (peer->fd >= 0) {
    write_stream(*peer);
    ::close(peer->fd);
    peer->fd = -1;
  }
  if (is_secure(peer->info.transport)) --secure_count;
  closed.push_back(static_cast<uint32_t>(handle) - 1);
  fail_requests(handle, why);
  if (known) handler.on_peer_gone(handle, why);
}

void Messenger::Impl::free_closed() {
  for (const uint32_t slot : closed) {
    slots[slot].reset();
    free_slots.push_back(slot);
  }
  closed.clear();
}

// -- datagrams

void Messenger::Impl::read_datagrams(uint32_t listener) {
  mmsghdr headers[kBatch];
  iovec parts[kBatch];
  SocketAddress from[kBatch];
  for (int round = 0; round < 8; ++round) {
    for (size_t i = 0; i < kBatch; ++i) {
      parts[i] = {input.data() + i * kDatagramBytesMax, kDatagramBytesMax};
      headers[i].msg_hdr = {&from[i], sizeof from[i], &parts[i], 1, nullptr, 0, 0};
    }
    const int count = ::recvmmsg(listeners[listener].fd, headers, kBatch, MSG_DONTWAIT, nullptr);
    for (int i = 0; i < count; ++i) {
      if ((headers[i].msg_hdr.msg_flags & MSG_TRUNC) != 0) {
        metrics.broken.add();  // no CoAP datagram is that long (RFC 7252, 4.6)
        continue;
      }
      on_datagram(listener, from[i],
                  {static_cast<const std::byte*>(parts[i].iov_base), headers[i].msg_len});
    }
    flush();
    free_closed();
    if (count < static_cast<int>(kBatch)) return;
  }
}

void Messenger::Impl::on_datagram(uint32_t listener, const SocketAddress& from, ByteView bytes) {
  if (listeners[listener].transport == Transport::kDtls)
    return on_secure_datagram(listener, from, bytes);
  coap::Message message;
  const coap::ReadResult result = coap::read_datagram(bytes, message);
  if (result == coap::ReadResult::kIgnore) {
    metrics.broken.add();
    return;
  }
  Peer* peer = find(listener, from);
  if (peer == nullptr) {
    peer = make_peer(Transport::kUdp, listener, from);
    if (peer == nullptr) return;
    by_address[key_of(listener, from)] = peer->handle;
  }
  if (result != coap::ReadResult::kDone) {
    metrics.broken.add();
    if (message.type == coap::Type::kConfirmable) send_empty(*peer, coap::Type::kReset, message.id);
    return;
  }
  on_message(*peer, message);
}

// Answers a hello without a cookie and keeps nothing; with a good one a session begins. A device
// that lost its session begins anew from the same address: the old one goes once the new one has
// shown its cookie, so that nobody else can end it.
void Messenger::Impl::on_hello(uint32_t listener_index, const SocketAddress& from, ByteView bytes) {
  Listener& listener = listeners[listener_index];
  if (handshaking.size() >= options.handshakes_max) {
    metrics.refused.add();
    return;
  }
  if (!listener.candidate)
    listener.candidate = std::make_unique<SecureSession>(
        *listener.secure, [this, listener_index](ByteView datagram) {
          const Listener& self = listeners[listener_index];
          datagrams.push_back({self.fd, self.candidate_address, output.size(), datagram.size()});
          append_bytes(output, datagram);
        });
  listener.candidate_address = from;
  if (!listener.candidate->listen(bytes, key_of(listener_index, from))) {
    listener.candidate.reset();  // keeps nothing of one peer for another
    return;
  }
  listener.candidate.reset();
  if (Peer* old = find(listener_index, from)) close(old->handle, "the device began a new session");
  Peer* peer = make_peer(Transport::kDtls, listener_index, from);
  if (peer == nullptr) return;
  by_address[key_of(listener_index, from)] = peer->handle;
  peer->secure = std::make_unique<SecureSession>(
      *listener.secure, [this, handle = peer->handle](ByteView datagram) {
        if (Peer* to = slots[static_cast<uint32_t>(handle) - 1].get()) put_on_wire(*to, datagram);
      });
  handshaking.push_back(peer->handle);
  // The hello is checked once more by the session that it begins.
  if (!peer->secure->listen(bytes, key_of(listener_index, from)))
    return close(peer->handle, "no hello");
  std::vector<Bytes> plain;
  if (!unseal(*peer, {}, plain)) return;
}

void Messenger::Impl::on_secure_datagram(uint32_t listener, const SocketAddress& from,
                                         ByteView bytes) {
  Peer* peer = find(listener, from);
  bool first = false;
  if (is_client_hello(bytes, first) && (peer == nullptr || peer->established || first))
    return on_hello(listener, from, bytes);
  if (peer == nullptr) {
    metrics.broken.add();  // of a session that is gone: the device finds out by its silence
    return;
  }
  std::vector<Bytes> plain;
  const PeerHandle handle = peer->handle;
  if (!unseal(*peer, bytes, plain)) return;
  for (const Bytes& datagram : plain) {
    peer = find(handle);
    if (peer == nullptr) return;
    coap::Message message;
    const coap::ReadResult result = coap::read_datagram(datagram, message);
    if (result == coap::ReadResult::kDone)
      on_message(*peer, message);
    else
      metrics.broken.add();
  }
}

// Wire bytes to plain ones. False: the session is over.
bool Messenger::Impl::unseal(Peer& peer, ByteView bytes, std::vector<Bytes>& plain) {
  std::string why;
  const bool open = peer.secure->on_wire(bytes, plain, why);
  if (!peer.established && peer.secure->established()) {
    peer.established = true;
    peer.info.secure = peer.secure->peer();
    metrics.handshakes.add();
    if (peer.info.secure.resumed) metrics.resumed.add();
    std::erase(handshaking, peer.handle);
  }
  if (open) return true;
  if (!peer.established) metrics.handshakes_failed.add();
  std::erase(handshaking, peer.handle);
  close(peer.handle, why);
  return false;
}

void Messenger::Impl::tick_sessions() {
  for (size_t i = handshaking.size(); i > 0; --i) {
    const PeerHandle handle = handshaking[i - 1];
    Peer* peer = find(handle);
    const bool alive =
        peer != nullptr && now_us - peer->last_us < kHandshakeUs && peer->secure->on_tick();
    if (alive) continue;
    handshaking.erase(handshaking.begin() + static_cast<std::ptrdiff_t>(i - 1));
    if (peer == nullptr) continue;
    metrics.handshakes_failed.add();
    close(handle, "the handshake was not finished");
  }
}

// -- the way out

void Messenger::Impl::send_plain(Peer& peer, ByteView bytes) {
  if (peer.secure) {
    peer.secure->seal(bytes);
    if (is_stream(peer.info.transport)) write_stream(peer);
  } else {
    put_on_wire(peer, bytes);
    if (is_stream(peer.info.transport)) write_stream(peer);
  }
}

void Messenger::Impl::put_on_wire(Peer& peer, ByteView bytes) {
  if (is_stream(peer.info.transport)) {
    append_bytes(peer.output, bytes);
    return;
  }
  datagrams.push_back({listeners[peer.listener].fd, peer.address, output.size(), bytes.size()});
  append_bytes(output, bytes);
}

void Messenger::Impl::flush() {
  size_t next = 0;
  while (next < datagrams.size()) {
    mmsghdr headers[kBatch * 2];
    iovec parts[kBatch * 2];
    size_t count = 0;
    const int fd = datagrams[next].fd;
    for (; count < kBatch * 2 && next + count < datagrams.size(); ++count) {
      Datagram& datagram = datagrams[next + count];
      if (datagram.fd != fd) break;
      parts[count] = {output.data() + datagram.at, datagram.size};
      headers[count].msg_hdr = {
          &datagram.to, size_of(datagram.to), &parts[count], 1, nullptr, 0, 0};
    }
    const int sent = ::sendmmsg(fd, headers, static_cast<unsigned>(count), 0);
    // What the system does not take is lost, as any datagram may be; the other side repeats.
    next += sent > 0 ? static_cast<size_t>(sent) : 1;
  }
  datagrams.clear();
  output.clear();
}

// -- streams

void Messenger::Impl::accept_streams(uint32_t listener_index) {
  for (int i = 0; i < 64; ++i) {
    SocketAddress from{};
    socklen_t size = sizeof from;
    const Transport transport = listeners[listener_index].transport;
    const int fd =
        ::accept4(listeners[listener_index].fd, &from.any, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    Peer* peer = handshaking.size() < options.handshakes_max
                     ? make_peer(transport, listener_index, from)
                     : nullptr;
    if (peer == nullptr) {
      ::close(fd);
      continue;
    }
    const int one = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    peer->fd = fd;
    epoll_event event{EPOLLIN, {}};
    event.data.u64 = peer->handle;
    ::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    if (transport == Transport::kTls) {
      peer->secure = std::make_unique<SecureSession>(
          *listeners[listener_index].secure, [this, handle = peer->handle](ByteView bytes) {
            if (Peer* to = slots[static_cast<uint32_t>(handle) - 1].get()) put_on_wire(*to, bytes);
          });
      handshaking.push_back(peer->handle);
      continue;
    }
    coap::Outgoing csm;  // RFC 8323, 5.3: the first message of a connection
    csm.code = coap::kCsm;
    csm.add_number(2, static_cast<uint32_t>(options.body_bytes_max));
    csm.add(4, "");
    send(*peer, csm);
  }
}

void Messenger::Impl::on_stream_event(PeerHandle handle, uint32_t events) {
  Peer* peer = find(handle);
  if (peer == nullptr) return;
  if ((events & EPOLLOUT) != 0) write_stream(*peer);
  if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0) return;
  for (int i = 0; i < 8; ++i) {
    const ssize_t size = ::read(peer->fd, input.data(), input.size());
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (size <= 0) return close(handle, "the device closed the connection");
    on_stream_bytes(*peer, {input.data(), static_cast<size_t>(size)});
    peer = find(handle);
    if (peer == nullptr || static_cast<size_t>(size) < input.size()) return;
  }
}

void Messenger::Impl::on_stream_bytes(Peer& peer, ByteView bytes) {
  if (!peer.secure) {
    append_bytes(peer.input, bytes);
    return read_frames(peer);
  }
  const bool before = peer.established;
  std::vector<Bytes> plain;
  const PeerHandle handle = peer.handle;
  if (!unseal(peer, bytes, plain)) return;
  write_stream(peer);
  if (!before && peer.established) {
    coap::Outgoing csm;
    csm.code = coap::kCsm;
    csm.add_number(2, static_cast<uint32_t>(options.body_bytes_max));
    csm.add(4, "");
    send(peer, csm);
  }
  for (const Bytes& part : plain) append_bytes(peer.input, part);
  if (find(handle) != nullptr) read_frames(peer);
}

void Messenger::Impl::read_frames(Peer& peer) {
  const PeerHandle handle = peer.handle;
  const size_t frame_bytes_max = options.body_bytes_max + 4096;
  size_t at = 0;
  for (;;) {
    coap::Message message;
    size_t size = 0;
    const coap::ReadResult result =
        coap::read_frame(ByteView(peer.input).subspan(at), frame_bytes_max, message, size);
    if (result == coap::ReadResult::kMore) break;
    if (result != coap::ReadResult::kDone) {
      (result == coap::ReadResult::kTooLong ? metrics.too_large : metrics.broken).add();
      coap::Outgoing abort;
      abort.code = coap::kAbort;
      append_bytes(abort.payload, as_bytes(result == coap::ReadResult::kTooLong
                                               ? "the message is longer than Max-Message-Size"
                                               : "that is no CoAP message"));
      send(peer, abort);
      return close(handle, "it sent what is no CoAP message, or too long a one");
    }
    if (message.code != coap::kEmpty) on_message(peer, message);
    if (find(handle) == nullptr) return;
    at += size;
  }
  peer.input.erase(peer.input.begin(), peer.input.begin() + static_cast<std::ptrdiff_t>(at));
}

void Messenger::Impl::write_stream(Peer& peer) {
  if (peer.fd < 0) return;
  size_t at = 0;
  while (at < peer.output.size()) {
    const ssize_t size =
        ::send(peer.fd, peer.output.data() + at, peer.output.size() - at, MSG_NOSIGNAL);
    if (size <= 0) break;
    at += static_cast<size_t>(size);
  }
  peer.output.erase(peer.output.begin(), peer.output.begin() + static_cast<std::ptrdiff_t>(at));
  const bool wanted = !peer.output.empty();
  if (wanted != peer.wants_write) {
    peer.wants_write = wanted;
    epoll_event event{EPOLLIN | (wanted ? uint32_t{EPOLLOUT} : 0U), {}};
    event.data.u64 = peer.handle;
    ::epoll_ctl(epoll, EPOLL_CTL_MOD, peer.fd, &event);
  }
  if (peer.output.size() > options.output_bytes_max && !peer.closing)
    close(peer.handle, "it does not read what is sent to it");
}

}  // namespace penstock::interop::lwm2m
