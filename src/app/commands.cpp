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
  Json message{{"payload", nullptr}};
  if (!payload.empty()) {
    TRY_ASSIGN(message["payload"], parse_json(payload));
  }
  return send(device, fmt::format("devices/{}/commands/{}", device, name), std::move(message), who);
}

Result<stream::CommandReceipt> MqttCommands::write_property(std::string_view device,
                                                            std::string_view element,
                                                            std::string_view value,
                                                            std::string_view who) {
  Json message;
  TRY_ASSIGN(message["values"][std::string(element)], parse_json(value));
  return send(device, fmt::format("devices/{}/properties/desired", device), std::move(message),
              who);
}

Result<stream::CommandReceipt> MqttCommands::send(std::string_view device, std::string_view topic,
                                                  Json message, std::string_view who) {
  if (pipeline_.journal().state() != stream::JournalState::kWriting)
    return fail(ErrorCode::kUnavailable,
                "the journal takes no writes, so the command was not sent: " +
                    pipeline_.journal().state_detail());
  stream::CommandReceipt receipt;
  receipt.request_id = "cmd_" + random_.hex(12);
  message["request_id"] = receipt.request_id;
  const uint32_t owner = stream::shard_of(device, pipeline_.shards());
  const auto delivered = std::make_shared<std::promise<bool>>();
  std::future<bool> outcome = delivered->get_future();
  pipeline_.shard(owner).post(
      [endpoint = endpoints_[owner], delivered, text = message.dump(), to = std::string(topic)] {
        endpoint->publish(to, std::as_bytes(std::span(text)), 1, false,
                          [delivered](bool sent) { delivered->set_value(sent); });
      });
  if (outcome.wait_for(std::chrono::seconds(5)) != std::future_status::ready)
    return fail(ErrorCode::kTimeout,
                "the command was not confirmed within 5 s; look for its response before sending "
                "it again",
                receipt.request_id);
  receipt.status = outcome.get() ? stream::CommandStatus::kSent : stream::CommandStatus::kQueued;
  log_info("commands", "{} sent {} ({})", who, topic, receipt.request_id);
  return receipt;
}

// -- by protocol

Result<stream::CommandSender*> CommandRouter::sender_of(std::string_view device) const {
  const twin::DevicePtr record = twins_.device(device);
  if (!record) return fail(ErrorCode::kNotFound, "there is no such device", std::string(device));
  const auto it = senders_.find(record->protocol);
  if (it != senders_.end()) return it->second;
  return fail(
      ErrorCode::kConflict,
      "devices that speak " + record->protocol + " take no commands here: is its listener on?",
      std::string(device));
}

Result<stream::CommandReceipt> CommandRouter::send_command(std::string_view device,
                                                           std::string_view name,
                                                           std::string_view payload,
                                                           std::string_view who) {
  TRY_ASSIGN(auto* const sender, sender_of(device));
  return sender->send_command(device, name, payload, who);
}

Result<stream::CommandReceipt> CommandRouter::write_property(std::string_view device,
                                                             std::string_view element,
                                                             std::string_view value,
                                                             std::string_view who) {
  TRY_ASSIGN(auto* const sender, sender_of(device));
  return sender->write_property(device, element, value, who);
}

}  // namespace penstock::app
