#pragma once
// The network's part of the io seam: non-blocking stream sockets and a poller. One poller a thread.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace penstock {

/// "127.0.0.1:1883", "[::1]:1883", "0.0.0.0:0". Port 0: any free one.
struct NetAddress {
  std::string host;
  uint16_t port = 0;

  static Result<NetAddress> parse(std::string_view text);
  [[nodiscard]] std::string text() const;
};

using SocketHandle = int;
inline constexpr SocketHandle kNoSocket = -1;

/// What a read or write came to.
struct IoOutcome {
  enum class Kind : uint8_t { kDone, kWouldBlock, kClosed, kFailed } kind = Kind::kDone;
  size_t bytes = 0;
};

enum Interest : uint8_t { kReadable = 1, kWritable = 2 };

struct PollEvent {
  uint64_t token = 0;
  bool readable = false;
  bool writable = false;
  bool hung_up = false;
};

class Poller {
 public:
  virtual ~Poller() = default;
  virtual Status add(SocketHandle socket, uint8_t interest, uint64_t token) = 0;
  virtual void modify(SocketHandle socket, uint8_t interest, uint64_t token) = 0;
  virtual void remove(SocketHandle socket) = 0;
  /// Waits at most `timeout_ms` (-1: for ever); the events stay valid until the next call.
  virtual std::span<const PollEvent> wait(int timeout_ms) = 0;
  /// Ends a wait now or the next one at once. Any thread.
  virtual void wake() = 0;
};

/// Any thread; each socket is used by one.
class Net {
 public:
  virtual ~Net() = default;
  /// `share_port`: several listeners on one address, one a shard (SO_REUSEPORT).
  virtual Result<SocketHandle> listen(const NetAddress& address, bool share_port) = 0;
  virtual Result<NetAddress> local_address(SocketHandle socket) = 0;
  virtual std::string peer_address(SocketHandle socket) = 0;
  /// kNoSocket when nobody waits. The error names an exhausted limit (files) that will not pass by
  /// itself.
  virtual Result<SocketHandle> accept(SocketHandle listener) = 0;
  /// The numeric addresses of a host's name. Asks the network: may take many seconds.
  virtual Result<std::vector<NetAddress>> resolve(const NetAddress& address) = 0;
  /// Begins to connect to a numeric address; the socket becomes writable when that is decided, and
  /// connected() tells how.
  virtual Result<SocketHandle> connect(const NetAddress& address) = 0;
  virtual Status connected(SocketHandle socket) = 0;
  virtual IoOutcome read(SocketHandle socket, std::span<std::byte> out) = 0;
  virtual IoOutcome write(SocketHandle socket, ByteView bytes) = 0;
  /// Tells the peer that no more comes; it may still send. What was written is delivered.
  virtual void end_writes(SocketHandle socket) = 0;
  /// With bytes of the peer not yet read, what was written last may never reach it (RFC 1122,
  /// 4.2.2.13).
  virtual void close(SocketHandle socket) = 0;
  virtual std::unique_ptr<Poller> make_poller() = 0;
};

Net& system_net();

}  // namespace penstock
