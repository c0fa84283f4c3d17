#include "relay.h"

#include <stdexcept>

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace lwm2m_peer {
namespace {

const sockaddr* plain(const sockaddr_in& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

int bound_socket() {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (fd < 0 || bind(fd, plain(address), sizeof address) != 0)
    throw std::runtime_error("no UDP socket");
  return fd;
}

uint16_t port_of(int fd) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.sin_port);
}

}  // namespace

Relay::Relay(const sockaddr_in& server)
    : server_(server), inner_(bound_socket()), outer_(bound_socket()), port_(port_of(inner_)) {
  thread_ = std::thread([this] { run(); });
}

Relay::~Relay() {
  ended_ = true;
  thread_.join();
  close(inner_);
  close(outer_);
}

void Relay::renew_port() {
  const std::lock_guard lock(mutex_);
  const int old = outer_;
  outer_ = bound_socket();
  close(old);
}

uint16_t Relay::outer_port() {
  const std::lock_guard lock(mutex_);
  return port_of(outer_);
}

void Relay::replay() {
  const std::lock_guard lock(mutex_);
  pass_up(newest_);
}

// REQUIRES: mutex_ held. A datagram that the network refuses is lost, as datagrams are.
void Relay::pass_up(const std::vector<char>& datagram) {
  (void)sendto(outer_, datagram.data(), datagram.size(), 0, plain(server_), sizeof server_);
}

void Relay::run() {
  std::vector<char> buffer(65536);
  while (!ended_) {
    pollfd watched[2] = {{inner_, POLLIN, 0}, {0, POLLIN, 0}};
    {
      const std::lock_guard lock(mutex_);
      watched[1].fd = outer_;
    }
    if (poll(watched, 2, 50) <= 0) continue;
    if (watched[0].revents & POLLIN) {
      socklen_t size = sizeof library_;
      const auto got = recvfrom(inner_, buffer.data(), buffer.size(), MSG_DONTWAIT,
                                reinterpret_cast<sockaddr*>(&library_), &size);
      if (got > 0) {
        const std::lock_guard lock(mutex_);
        newest_.assign(buffer.data(), buffer.data() + got);
        pass_up(newest_);
      }
    }
    if (watched[1].revents == 0) continue;
    const std::lock_guard lock(mutex_);
    if (watched[1].fd != outer_) continue;
    const auto got = recv(outer_, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (got <= 0) continue;
    if (asleep_)
      ++lost_;
    else
      (void)sendto(inner_, buffer.data(), static_cast<size_t>(got), 0, plain(library_),
                   sizeof library_);
  }
}

}  // namespace lwm2m_peer
