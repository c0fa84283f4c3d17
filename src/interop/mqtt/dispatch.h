#pragma once
// Where a message goes that its sender was allowed to publish: to devices/{device}/…, to a protocol
// on topics of its own (message_handler.h), or by the topic of a binding to its device. One a
// shard, for what comes to our endpoint and through bridges alike; the shard's thread.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "interop/mqtt/host.h"
#include "interop/mqtt/message_handler.h"
#include "stream/shard.h"
#include "twin/topic_routes.h"

namespace penstock::interop::mqtt {

class MessageTap;

class Dispatch {
 public:
  explicit Dispatch(stream::Shard& shard) : shard_(shard) {}

  // -- before the shard starts
  /// Asked in the order of adding. `handler` outlives the shard's thread.
  void add(MessageHandler* handler) { handlers_.push_back(handler); }

  // -- the shard's thread, or before it starts
  void set_routes(std::shared_ptr<const twin::TopicRoutes> routes) { routes_ = std::move(routes); }
  /// Null: nobody listens, which is usual and costs one comparison a message.
  void set_tap(std::shared_ptr<MessageTap> tap) { tap_ = std::move(tap); }

  /// kNotOurs: an ordinary topic, which only subscribers care for. `record`: a small kMqtt record
  /// of the caller that joins the batch of the message's samples; empty: none.
  PublishOutcome take(const InboundMessage& message, ByteView record = {});
  /// A retained message of another broker: only for protocols that know what it means. Its time is
  /// not known, so it is no sample of now.
  bool take_retained(const InboundMessage& message);
  void link_changed(std::string_view link, bool up);
  std::optional<LinkWill> link_will(std::string_view link);
  /// Whether a binding's topic gives `principal` this topic: a device its own, a join token any.
  bool may_publish(const Principal& principal, std::string_view topic);

 private:
  PublishOutcome take_device_topic(const InboundMessage& message, std::string_view device,
                                   std::string_view kind, ByteView record);
  bool take_bound(const InboundMessage& message, ByteView record);
  void offer(const InboundMessage& message);

  stream::Shard& shard_;
  std::vector<MessageHandler*> handlers_;
  // shared_ptr: all shards read one index, and keep the old one until they have the new one
  std::shared_ptr<const twin::TopicRoutes> routes_;
  std::shared_ptr<MessageTap> tap_;  // likewise
  std::string device_;               // scratch
};

}  // namespace penstock::interop::mqtt
