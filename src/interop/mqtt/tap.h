#pragma once
// Raw messages as they come, for people who edit a binding: of a topic filter or a device, bounded,
// and only while somebody looks.

#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/io.h"
#include "interop/mqtt/message_handler.h"
#include "stream/views.h"

namespace penstock::interop::mqtt {

struct TapLimits {
  size_t listeners_max = 32;
  size_t messages_max = 100;            ///< a listener keeps the newest
  size_t payload_bytes_max = 16 << 10;  ///< of a message; the rest is cut
  Duration idle_max = Duration::seconds(60);
};

/// Any thread. Shards offer what they dispatch while `on_change(true)` is the last that was said.
class MessageTap final : public stream::MessageTapView {
 public:
  /// `on_change(listening)`: called when the first listener comes and after the last one went.
  MessageTap(Clock& clock, TapLimits limits, std::function<void(bool)> on_change);

  /// `device`: whom the message is for; empty where its topic does not say.
  void offer(const InboundMessage& message, std::string_view device, Timestamp received);
  /// Ends listeners that nobody has read for a while. Now and then.
  void expire();

  Result<std::vector<stream::TappedMessage>> tap(const stream::TapQuestion& question) override;

 private:
  struct Listener {
    stream::TapQuestion question;
    int64_t read_at_us = 0;
    std::deque<stream::TappedMessage> messages;
  };
  Clock& clock_;
  TapLimits limits_;
  std::function<void(bool)> on_change_;
  void tell();

  std::mutex mutex_;
  std::vector<Listener> listeners_;
  uint64_t next_id_ = 1;
  std::mutex told_mutex_;  ///< one who tells at a time: the last word is the true one
  bool told_ = false;
};

}  // namespace penstock::interop::mqtt
