#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/net.h"

namespace penstock {
namespace {

tl::unexpected<Error> socket_error(const char* what, std::string about) {
  const int number = errno;
  ErrorCode code = ErrorCode::kIo;
  std::string hint;
  if (number == EADDRINUSE) hint = ": another program listens there; choose another port";
  if (number == EACCES) hint = ": ports below 1024 need the right to bind them";
  if (number == EMFILE || number == ENFILE) {
    code = ErrorCode::kResourceExhausted;
    hint = ": raise the limit of open files (ulimit -n)";
  }
  return fail(code, std::string(what) + " failed: " + std::strerror(number) + hint,
              std::move(about));
}

class EpollPoller final : public Poller {
 public:
  EpollPoller()
      : epoll_(epoll_create1(EPOLL_CLOEXEC)), wake_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
    CHECK(epoll_ >= 0 && wake_ >= 0);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = kWakeToken;
    CHECK(epoll_ctl(epoll_, EPOLL_CTL_ADD, wake_, &event) == 0);
  }
  ~EpollPoller() override {
    ::close(epoll_);
    ::close(wake_);
  }
  EpollPoller(const EpollPoller&) = delete;
  EpollPoller& operator=(const EpollPoller&) = delete;

  Status add(SocketHandle socket, uint8_t interest, uint64_t token) override {
    epoll_event event = make(interest, token);
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, socket, &event) != 0) return socket_error("epoll_ctl", {});
    return {};
  }
  void modify(SocketHandle socket, uint8_t interest, uint64_t token) override {
    epoll_event event = make(interest, token);
    CHECK(epoll_ctl(epoll_, EPOLL_CTL_MOD, socket, &event) == 0);
  }
  void remove(SocketHandle socket) override { epoll_ctl(epoll_, EPOLL_CTL_DEL, socket, nullptr); }

  std::span<const PollEvent> wait(int timeout_ms) override {
    const int n = epoll_wait(epoll_, raw_.data(), static_cast<int>(raw_.size()), timeout_ms);
    size_t out = 0;
    for (int i = 0; i < n; ++i) {
      const epoll_event& event = raw_[static_cast<size_t>(i)];
      if (event.data.u64 == kWakeToken) {
        uint64_t count = 0;
        [[maybe_unused]] const ssize_t got = ::read(wake_, &count, sizeof count);
        continue;
      }
      events_[out++] = {event.data.u64, (event.events & EPOLLIN) != 0,
                        (event.events & EPOLLOUT) != 0,
                        (event.events & (EPOLLHUP | EPOLLERR)) != 0};
    }
    return {events_.data(), out};
  }
  void wake() override {
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t put = ::write(wake_, &one, sizeof one);
  }

 private:
  static constexpr uint64_t kWakeToken = ~0ULL;
  static epoll_event make(uint8_t interest, uint64_t token) {
    epoll_event event{};
    if (interest & kReadable) event.events |= EPOLLIN;
    if (interest & kWritable) event.events |= EPOLLOUT;
    event.data.u64 = token;
    return event;
  }
  int epoll_, wake_;
  std::array<epoll_event, 256> raw_{};
  std::array<PollEvent, 256> events_{};
};

struct AddressInfo {
  addrinfo* list = nullptr;
  ~AddressInfo() {
    if (list) freeaddrinfo(list);
  }
};

Status look_up(const NetAddress& address, int flags, AddressInfo& found) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags | AI_NUMERICSERV;
  const std::string port = std::to_string(address.port);
  if (const int bad = getaddrinfo(address.host.c_str(), port.c_str(), &hints, &found.list);
      bad != 0)
    return fail(ErrorCode::kInvalidArgument, std::string("no such address: ") + gai_strerror(bad),
                address.text());
  return {};
}

NetAddress from_sockaddr(const sockaddr_storage& address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (address.ss_family == AF_INET6) {
    const auto& in6 = reinterpret_cast<const sockaddr_in6&>(address);
    inet_ntop(AF_INET6, &in6.sin6_addr, text.data(), text.size());
    return {text.data(), ntohs(in6.sin6_port)};
  }
  const auto& in4 = reinterpret_cast<const sockaddr_in&>(address);
  inet_ntop(AF_INET, &in4.sin_addr, text.data(), text.size());
  return {text.data(), ntohs(in4.sin_port)};
}

class SystemNet final : public Net {
 public:
  Result<SocketHandle> listen(const NetAddress& address, bool share_port) override {
    AddressInfo found;
    TRY(look_up(address, AI_PASSIVE, found));
    const int fd = ::socket(found.list->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return socket_error("socket", address.text());
    const int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (share_port) setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    if (::bind(fd, found.list->ai_addr, found.list->ai_addrlen) != 0 || ::listen(fd, 4096) != 0) {
      auto error = socket_error("listen", address.text());
      ::close(fd);
      return error;
    }
    return fd;
  }
  Result<NetAddress> local_address(SocketHandle socket) override {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    if (getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) != 0)
      return socket_error("getsockname", {});
    return from_sockaddr(address);
  }
  std::string peer_address(SocketHandle socket) override {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    if (getpeername(socket, reinterpret_cast<sockaddr*>(&address), &size) != 0) return {};
    return from_sockaddr(address).text();
  }
  Result<SocketHandle> accept(SocketHandle listener) override {
    const int fd = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      const int on = 1;
      setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      return fd;
    }
    if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
      return socket_error("accept", {});
    return kNoSocket;  // nobody waits, or gave up while waiting
  }
  Result<std::vector<NetAddress>> resolve(const NetAddress& address) override {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_NUMERICSERV | AI_ADDRCONFIG;
    AddressInfo found;
    const std::string port = std::to_string(address.port);
    if (const int bad = getaddrinfo(address.host.c_str(), port.c_str(), &hints, &found.list);
        bad != 0)
      return fail(ErrorCode::kUnavailable,
                  std::string("the host's name cannot be resolved: ") + gai_strerror(bad),
                  address.host);
    std::vector<NetAddress> out;
    for (const addrinfo* at = found.list; at && out.size() < 16; at = at->ai_next) {
      sockaddr_storage raw{};
      std::memcpy(&raw, at->ai_addr, at->ai_addrlen);
      out.push_back(from_sockaddr(raw));
    }
    return out;
  }
  Result<SocketHandle> connect(const NetAddress& address) override {
    AddressInfo found;
    TRY(look_up(address, AI_NUMERICHOST, found));
    const int fd = ::socket(found.list->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return socket_error("socket", address.text());
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (::connect(fd, found.list->ai_addr, found.list->ai_addrlen) != 0 && errno != EINPROGRESS) {
      auto error = socket_error("connect", address.text());
      ::close(fd);
      return error;
    }
    return fd;
  }
  Status connected(SocketHandle socket) override {
    int number = 0;
    socklen_t size = sizeof number;
    getsockopt(socket, SOL_SOCKET, SO_ERROR, &number, &size);
    if (number == 0) return {};
    return fail(ErrorCode::kUnavailable, std::string("no connection: ") + std::strerror(number));
  }
  IoOutcome read(SocketHandle socket, std::span<std::byte> out) override {
    return outcome(::recv(socket, out.data(), out.size(), 0), true);
  }
  IoOutcome write(SocketHandle socket, ByteView bytes) override {
    return outcome(::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL), false);
  }
  void end_writes(SocketHandle socket) override { ::shutdown(socket, SHUT_WR); }
  void close(SocketHandle socket) override { ::close(socket); }
  std::unique_ptr<Poller> make_poller() override { return std::make_unique<EpollPoller>(); }

 private:
  static IoOutcome outcome(ssize_t n, bool reading) {
    using enum IoOutcome::Kind;
    if (n > 0) return {kDone, static_cast<size_t>(n)};
    if (n == 0) return {reading ? kClosed : kDone, 0};
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return {kWouldBlock, 0};
    return {errno == ECONNRESET || errno == EPIPE ? kClosed : kFailed, 0};
  }
};

}  // namespace

Result<NetAddress> NetAddress::parse(std::string_view text) {
  const size_t colon = text.rfind(':');
  NetAddress address;
  bool good = colon != std::string_view::npos && colon > 0;
  if (good) {
    const std::string_view port = text.substr(colon + 1);
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), address.port);
    good = error == std::errc() && end == port.data() + port.size();
    std::string_view host = text.substr(0, colon);
    if (host.size() > 2 && host.front() == '[' && host.back() == ']')
      host = host.substr(1, host.size() - 2);
    address.host = host;
  }
  if (!good)
    return fail(ErrorCode::kInvalidArgument, "not an address such as 127.0.0.1:1883",
                std::string(text));
  return address;
}

std::string NetAddress::text() const {
  const bool v6 = host.find(':') != std::string::npos;
  return (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

Net& system_net() {
  static SystemNet net;
  return net;
}

}  // namespace penstock
