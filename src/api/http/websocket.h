#pragma once
// A WebSocket as the application sees it: it is asked for its next message whenever the socket can
// take one, so nothing piles up behind a slow client but what the application itself chooses to
// keep.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace penstock::api {

/// The server's side of one client. Any thread.
class WebSocketConnection {
 public:
  virtual ~WebSocketConnection() = default;
  /// There may be something to send: next_message() will be asked.
  virtual void wake() = 0;
  /// Sends a close frame and ends; RFC 6455 section 7.4 codes, 4000-4999 ours.
  virtual void close(uint16_t code, std::string reason) = 0;
};

/// What speaks on it. Calls come on the server's threads; on_message and next_message may overlap.
class WebSocketSession {
 public:
  virtual ~WebSocketSession() = default;
  virtual void on_open(std::shared_ptr<WebSocketConnection> connection) = 0;
  virtual void on_message(std::string_view text) = 0;
  /// The next text frame; nothing: wait for wake().
  virtual std::optional<std::string> next_message() = 0;
  virtual void on_close() = 0;  ///< the last call
};

}  // namespace penstock::api
