#include "twin/binding_proposal.h"

#include <algorithm>
#include <cctype>

#include <fmt/format.h>

#include "base/json.h"

namespace penstock::twin {
namespace {

std::vector<std::string_view> levels_of(std::string_view topic) {
  std::vector<std::string_view> levels;
  while (true) {
    const size_t slash = topic.find('/');
    levels.push_back(topic.substr(0, slash));
    if (slash == std::string_view::npos) return levels;
    topic.remove_prefix(slash + 1);
  }
}

bool default_topic(std::string_view device, std::string_view topic) {
  return topic == fmt::format("devices/{}/telemetry", device) ||
         topic == fmt::format("devices/{}/properties", device);
}

// "sensor-pump-7" with the device in it is "sensor-{device}".
std::string level_pattern(std::string_view device, std::string_view level, bool& named) {
  const size_t at = named ? std::string_view::npos : level.find(device);
  const bool plain = level.find_first_of("{}+#") == std::string_view::npos;
  if (at == std::string_view::npos) return plain ? std::string(level) : "+";
  named = true;
  return fmt::format("{}{{device}}{}", level.substr(0, at), level.substr(at + device.size()));
}

}  // namespace

std::string_view protocol_of_origin(std::string_view origin) {
  for (const std::string_view protocol : {"sparkplug", "lwm2m", "opcua", "http"})
    if (origin.size() > protocol.size() && origin.starts_with(protocol) &&
        origin[protocol.size()] == ':')
      return protocol;
  return "mqtt";
}

std::string class_name(std::string_view device) {
  // Of a name with a path ("Plant:Edge:Pump1") the last part says what it is.
  if (const size_t colon = device.rfind(':'); colon != std::string_view::npos)
    device.remove_prefix(colon + 1);
  std::string slug;
  for (const char c : device.substr(0, 60)) {
    const auto lower = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    if ((lower >= 'a' && lower <= 'z') || (lower >= '0' && lower <= '9'))
      slug += lower;
    else if (!slug.empty() && slug.back() != '-')
      slug += '-';
  }
  const std::string whole = slug;
  while (!slug.empty() && (slug.back() == '-' || (slug.back() >= '0' && slug.back() <= '9')))
    slug.pop_back();
  if (slug.empty()) slug = whole;
  while (!slug.empty() && slug.back() == '-') slug.pop_back();
  if (slug.empty() || slug[0] < 'a') slug.insert(0, "device-");
  while (slug.back() == '-') slug.pop_back();
  return slug;
}

std::string propose_topic(std::string_view device, std::span<const std::string> topics,
                          bool scalar) {
  if (topics.empty() || device.empty()) return {};
  if (std::all_of(topics.begin(), topics.end(),
                  [&](const std::string& topic) { return default_topic(device, topic); }))
    return {};
  const auto first = levels_of(topics.front());
  std::vector<bool> differs(first.size(), false);
  for (const std::string& topic : topics) {
    const auto levels = levels_of(topic);
    if (levels.size() != first.size()) return {};  // no pattern holds for both
    for (size_t i = 0; i < levels.size(); ++i)
      if (levels[i] != first[i]) differs[i] = true;
  }
  std::string pattern;
  bool named = false;
  int captures = 0;
  for (size_t i = 0; i < first.size(); ++i) {
    if (i > 0) pattern += '/';
    if (scalar && i + 1 == first.size())
      pattern += "{element}";
    else if (differs[i] && captures < 6)
      pattern += fmt::format("{{level{}}}", ++captures);
    else if (differs[i])
      pattern += '+';
    else
      pattern += level_pattern(device, first[i], named);
  }
  return named ? pattern : std::string();
}

std::string take_time(Proposal& proposal) {
  constexpr double kLongAgoS = 946'684'800;  // 2000: a smaller number is no time since 1970
  for (const ProposedElement& element : proposal.elements) {
    const bool named = element.wire_key == "ts" || element.wire_key == "time" ||
                       element.wire_key == "timestamp" || element.wire_key == "datetime";
    const bool number = element.schema == "double" || element.schema == "long";
    if (!named || !(element.schema == "dateTime" || (number && element.seen_minimum > kLongAgoS)))
      continue;
    const std::string found = element.wire_key;
    const std::string gone = element.name;
    if (auto document = parse_json(proposal.document)) {
      Json& contents = (*document)["contents"];
      for (size_t i = 0; i < contents.size(); ++i)
        if (contents[i]["name"] == gone) contents.erase(i--);
      proposal.document = document->dump(-1, ' ', false, Json::error_handler_t::replace);
    }
    std::erase_if(proposal.elements, [&](const ProposedElement& e) { return e.name == gone; });
    return found;
  }
  return {};
}

Json propose_binding(std::string_view device, std::string_view protocol,
                     std::span<const std::string> topics, const PayloadShape& shape,
                     const Proposal& proposal) {
  const std::string topic = protocol == "mqtt" ? propose_topic(device, topics) : std::string();
  // Telemetry JSON at its own topic is understood as it is; names that differ are the device's own.
  const bool plain = protocol == "mqtt" || (protocol == "http" && shape.json);
  if (plain && topic.empty() && shape.time.empty()) return nullptr;
  Json out = {{"name", class_name(device)},
              {"description",
               fmt::format("Proposed from {} messages of {}", proposal.messages_read, device)},
              {"protocol", protocol},
              {"model", proposal.dtmi}};
  if (!topic.empty()) out["topic"] = topic;
  if (shape.json && shape.wrapped)
    out["payload"] = {{"format", "json"}, {"time", "/ts"}};
  else if (shape.json && !shape.time.empty())
    out["payload"] = {{"format", "json"}, {"time", "/" + shape.time}};
  Json elements = Json::array();
  for (const ProposedElement& element : proposal.elements) {
    Json entry = {{"element", element.name}, {"from", element.wire_key}};
    if (shape.json && shape.wrapped) entry["from"] = "values." + element.wire_key;
    if (element.unit_written) entry["unit"] = element.unit;
    elements.push_back(std::move(entry));
  }
  out["elements"] = std::move(elements);
  return out;
}

}  // namespace penstock::twin
