#include "interop/mqtt/tap.h"

#include <algorithm>

#include "interop/mqtt/topic.h"

namespace penstock::interop::mqtt {

using stream::TappedMessage;
using stream::TapQuestion;

MessageTap::MessageTap(Clock& clock, TapLimits limits, std::function<void(bool)> on_change)
    : clock_(clock), limits_(limits), on_change_(std::move(on_change)) {}

void MessageTap::offer(const InboundMessage& message, std::string_view device, Timestamp received) {
  const std::lock_guard lock(mutex_);
  for (Listener& listener : listeners_) {
    const TapQuestion& wanted = listener.question;
    if (wanted.organisation != message.organisation) continue;
    if (!wanted.device.empty() && wanted.device != device) continue;
    if (!wanted.filter.empty() && !matches(wanted.filter, message.topic)) continue;
    if (listener.messages.size() >= limits_.messages_max) listener.messages.pop_front();
    const std::string_view payload = as_text(message.payload);
    listener.messages.push_back({next_id_++, received, std::string(device),
                                 std::string(message.topic), std::string(message.link),
                                 std::string(payload.substr(0, limits_.payload_bytes_max)),
                                 payload.size()});
  }
}

void MessageTap::expire() {
  {
    const std::lock_guard lock(mutex_);
    const int64_t before_us = clock_.monotonic_us() - limits_.idle_max.us;
    std::erase_if(listeners_, [&](const Listener& l) { return l.read_at_us < before_us; });
  }
  tell();
}

void MessageTap::tell() {
  const std::lock_guard one(told_mutex_);
  bool listening = false;
  {
    const std::lock_guard lock(mutex_);
    listening = !listeners_.empty();
  }
  if (std::exchange(told_, listening) != listening) on_change_(listening);
}

Result<std::vector<TappedMessage>> MessageTap::tap(const TapQuestion& question) {
  if (!question.filter.empty() && !valid_filter(question.filter))
    return fail(ErrorCode::kInvalidArgument, "That is no MQTT topic filter", question.filter);
  expire();
  std::vector<TappedMessage> out;
  {
    const std::lock_guard lock(mutex_);
    auto it = std::find_if(listeners_.begin(), listeners_.end(), [&](const Listener& l) {
      return l.question.organisation == question.organisation &&
             l.question.filter == question.filter && l.question.device == question.device;
    });
    if (it == listeners_.end()) {
      if (listeners_.size() >= limits_.listeners_max)
        return fail(ErrorCode::kResourceExhausted,
                    "Too many people tap messages at this moment: try again in a minute");
      it = listeners_.insert(listeners_.end(), Listener{question, 0, {}});
    }
    it->read_at_us = clock_.monotonic_us();
    for (const TappedMessage& message : it->messages)
      if (message.id > question.after) out.push_back(message);
  }
  tell();
  return out;
}

}  // namespace penstock::interop::mqtt
