// Commands and writes to devices that an OPC UA server feeds: method calls and Write.

#include <algorithm>

#include "app/opcua_connector.h"
#include "base/log.h"
#include "twin/binding.h"
#include "twin/registry.h"

namespace penstock::app {

using interop::opcua::Asset;
using interop::opcua::NodePick;
using interop::opcua::SourceStore;

namespace {

Result<SourceStore::Feed> feed_of(const SourceStore& sources, std::string_view device) {
  auto feed = sources.feed(device);
  if (feed.asset) return feed;
  return fail(ErrorCode::kConflict, "no OPC UA source feeds the device: add it to one",
              std::string(device));
}

// The value that goes on the wire for one that is stored, where the binding scales or maps it.
Result<Json> unbind(const twin::WireRule& rule, const Json& stored) {
  if (rule.bits.count != 0)
    return fail(ErrorCode::kUnsupported,
                "the element is some bits of a value; these cannot be written alone", rule.address);
  if (!rule.values.empty()) {
    const std::string text = stored.is_string() ? stored.get<std::string>() : stored.dump();
    const auto it = std::ranges::find(rule.values, text,
                                      [](const auto& pair) -> const auto& { return pair.second; });
    if (it == rule.values.end())
      return fail(ErrorCode::kInvalidArgument, "the binding maps nothing to that value", text);
    auto wire = parse_json(it->first);
    return wire ? std::move(*wire) : Json(it->first);
  }
  if (!stored.is_number() || (rule.scale == 1 && rule.offset == 0)) return stored;
  const double wire = (stored.get<double>() - rule.offset) / rule.scale;
  return Json(wire);
}

}  // namespace

Result<stream::CommandReceipt> OpcuaCommands::send_command(std::string_view device,
                                                           std::string_view name,
                                                           std::string_view payload,
                                                           std::string_view who) {
  TRY_ASSIGN(const auto feed, feed_of(sources_, device));
  const Json commands = feed.asset->commands.is_object() ? feed.asset->commands : Json::object();
  const auto method = commands.find(name);
  if (method == commands.end() || !method->is_object())
    return fail(ErrorCode::kConflict, "the source does not say which method the command is",
                std::string(name));
  Json arguments = *method;
  arguments["node"] = method->value("method", "");
  arguments["payload"] = nullptr;
  if (!payload.empty()) {
    TRY_ASSIGN(arguments["payload"], parse_json(payload));
  }
  log_info("opcua", "{} calls {} of {}", who, name, device);
  TRY_ASSIGN(const Json outcome, book_.ask(feed.source.get(), "call", std::move(arguments)));
  log_info("opcua", "{} of {} came back: {}", name, device, outcome.dump());
  return stream::CommandReceipt{"cmd_" + random_.hex(12), stream::CommandStatus::kSent};
}

Result<stream::CommandReceipt> OpcuaCommands::write_property(std::string_view device,
                                                             std::string_view element,
                                                             std::string_view value,
                                                             std::string_view who) {
  TRY_ASSIGN(const auto feed, feed_of(sources_, device));
  TRY_ASSIGN(Json wire, parse_json(value));
  std::string address(element);
  const twin::DevicePtr record = twins_.device(device);
  if (record && record->config && record->config->source) {
    const auto& elements = record->config->elements;
    for (const twin::WireRule& rule : record->config->source->rules) {
      if (rule.element >= elements.size() || elements[rule.element].key != element) continue;
      address = rule.address;
      TRY_ASSIGN(wire, unbind(rule, wire));
    }
  }
  const auto& nodes = feed.asset->nodes;
  const auto pick = std::ranges::find(nodes, address, &NodePick::address);
  if (pick == nodes.end())
    return fail(ErrorCode::kConflict, "the source has no node for the element",
                std::string(element));
  log_info("opcua", "{} writes {} of {}", who, element, device);
  TRY(book_.ask(feed.source.get(), "write",
                {{"node", pick->node}, {"path", pick->path}, {"value", std::move(wire)}}));
  return stream::CommandReceipt{"cmd_" + random_.hex(12), stream::CommandStatus::kSent};
}

}  // namespace penstock::app
