#include "app/commands.h"

#include <chrono>
#include <future>
#include <memory>

#include <fmt/format.h>

#include "base/json.h"
#include "base/log.h"
#include "stream/shard.h"

namespace penstock::app {

Result<stream::CommandReceipt> MqttCommands::send_command(std::string_view device,
                                                          std::string_view name,
                                                          std::string_view payload,
                                                          std::string_view who) {
  if (pipeline_.journal().state() != stream::JournalState::kWriting)
    return fail(ErrorCode::kUnavailable,
                "the journal takes no writes, so the command was not sent: " +
                    pipeline_.journal().state_detail());
  stream::CommandReceipt receipt;
  receipt.request_id = "cmd_" + random_.hex(12);
  Json message{{"request_id", receipt.request_id}};
  if (payload.empty()) {
    message["payload"] = nullptr;
  } else {
    TRY_ASSIGN(message["payload"], parse_json(payload));
  }
  const uint32_t owner = stream::shard_of(device, pipeline_.shards());
  const auto delivered = std::make_shared<std::promise<bool>>();
  std::future<bool> outcome = delivered->get_future();
  pipeline_.shard(owner).post([endpoint = endpoints_[owner], delivered, text = message.dump(),
                               topic = fmt::format("devices/{}/commands/{}", device, name)] {
    endpoint->publish(topic, std::as_bytes(std::span(text)), 1,
                      [delivered](bool sent) { delivered->set_value(sent); });
  });
  if (outcome.wait_for(std::chrono::seconds(5)) != std::future_status::ready)
    return fail(ErrorCode::kTimeout,
                "the command was not confirmed within 5 s; look for its response before sending "
                "it again",
                receipt.request_id);
  receipt.status = outcome.get() ? stream::CommandStatus::kSent : stream::CommandStatus::kQueued;
  log_info("commands", "{} sent {} to {} ({})", who, name, device, receipt.request_id);
  return receipt;
}

}  // namespace penstock::app
