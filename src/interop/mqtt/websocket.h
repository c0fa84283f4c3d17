#pragma once
// The server's side of WebSocket (RFC 6455) for MQTT (5.0 section 6): subprotocol "mqtt", binary
// frames. No I/O.

#include "base/bytes.h"
#include "base/result.h"

namespace penstock::interop::mqtt {

class WebSocket {
 public:
  /// Takes wire bytes; appends payload (MQTT) and what must go back (handshake answer, pong,
  /// close). After an error or a close frame nothing more is read; send `reply`, then close the
  /// socket.
  Status on_bytes(ByteView wire, Bytes& payload, Bytes& reply);
  /// One binary frame around `payload`.
  void frame(ByteView payload, Bytes& wire) const;

 private:
  Status handshake(Bytes& reply);
  Status one_frame(Bytes& payload, Bytes& reply, bool& more);

  bool open_ = false;
  bool in_message_ = false;
  Bytes pending_;
  size_t used_ = 0;  ///< of pending_, within one call
};

}  // namespace penstock::interop::mqtt
