#include "interop/mqtt/bridge_config.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "interop/mqtt/topic.h"
#include "interop/tls.h"
#include "twin/names.h"

namespace penstock::interop::mqtt {
namespace {

constexpr size_t kFiltersMax = 100;
constexpr size_t kPemMax = 64 << 10;

// Members of the document; the first problem is what is told.
class Fields {
 public:
  explicit Fields(const Json& document) : document_(document) {}

  void complain(std::string_view member, std::string what) {
    if (!error_) error_ = Error{ErrorCode::kInvalidArgument, std::move(what), std::string(member)};
  }
  const Json* find(const char* member) {
    taken_.insert(member);
    const auto at = document_.find(member);
    return at == document_.end() ? nullptr : &*at;
  }
  /// Absent: stays; null: becomes empty.
  void text(const char* member, std::string& out, size_t length_max) {
    const Json* value = find(member);
    if (!value) return;
    if (value->is_null()) return out.clear();
    if (!value->is_string() || value->get_ref<const std::string&>().size() > length_max ||
        value->get_ref<const std::string&>().find('\0') != std::string::npos)
      return complain(member, fmt::format("{} is a text of at most {} bytes", member, length_max));
    out = value->get<std::string>();
  }
  void flag(const char* member, bool& out) {
    const Json* value = find(member);
    if (!value) return;
    if (!value->is_boolean()) return complain(member, fmt::format("{} is true or false", member));
    out = value->get<bool>();
  }
  template <class Number>
  void number(const char* member, Number& out, int64_t minimum, int64_t maximum) {
    const Json* value = find(member);
    if (!value) return;
    if (!value->is_number_integer() || value->get<int64_t>() < minimum ||
        value->get<int64_t>() > maximum)
      return complain(member,
                      fmt::format("{} is a whole number from {} to {}", member, minimum, maximum));
    out = static_cast<Number>(value->get<int64_t>());
  }
  Status done() {
    for (const auto& [key, value] : document_.items())
      if (!taken_.contains(key))
        complain(key, fmt::format("a bridge has no {}: check its spelling", key));
    if (error_) return fail(*error_);
    return {};
  }

 private:
  const Json& document_;
  std::set<std::string, std::less<>> taken_;
  std::optional<Error> error_;
};

void read_filters(Fields& in, BridgeConfig& config) {
  if (const Json* list = in.find("subscribe")) {
    config.subscribe.clear();
    if (!list->is_array() || list->size() > kFiltersMax)
      return in.complain("subscribe", "subscribe is a list of at most 100 topic filters");
    for (const Json& each : *list) {
      BridgeFilter filter;
      if (each.is_string()) filter.filter = each.get<std::string>();
      if (each.is_object() && each.size() <= 2 && each.contains("filter") &&
          each["filter"].is_string()) {
        filter.filter = each["filter"].get<std::string>();
        const Json qos = each.value("qos", Json(1));
        if (!qos.is_number_integer() || qos.get<int64_t>() < 0 || qos.get<int64_t>() > 2)
          in.complain("subscribe", "qos is 0, 1 or 2");
        else
          filter.qos = static_cast<uint8_t>(qos.get<int64_t>());
      }
      const auto shared = parse_shared(filter.filter);
      if (!valid_filter(shared ? shared->filter : filter.filter))
        return in.complain("subscribe", fmt::format("{} is no MQTT topic filter", each.dump()));
      config.subscribe.push_back(std::move(filter));
    }
  }
  if (const Json* list = in.find("publish")) {
    config.publish.clear();
    if (!list->is_array() || list->size() > kFiltersMax)
      return in.complain("publish", "publish is a list of at most 100 topic filters");
    for (const Json& each : *list) {
      if (!each.is_string() || !valid_filter(each.get<std::string>()) ||
          each.get<std::string>().starts_with('$'))
        return in.complain("publish", fmt::format("{} is no topic filter to publish", each.dump()));
      config.publish.push_back(each.get<std::string>());
    }
  }
}

// Whether a topic can match both: a message would go round in circles.
bool meet(std::string_view a, std::string_view b) {
  while (true) {
    const size_t a_end = std::min(a.find('/'), a.size()), b_end = std::min(b.find('/'), b.size());
    const std::string_view x = a.substr(0, a_end), y = b.substr(0, b_end);
    if (x == "#" || y == "#") return true;
    if (x != "+" && y != "+" && x != y) return false;
    const bool a_last = a_end == a.size(), b_last = b_end == b.size();
    if (a_last || b_last)
      return (a_last && b_last) || (a_last ? b.substr(b_end) == "/#" : a.substr(a_end) == "/#");
    a.remove_prefix(a_end + 1);
    b.remove_prefix(b_end + 1);
  }
}

void check_circles(Fields& in, const BridgeConfig& config) {
  for (const BridgeFilter& inward : config.subscribe) {
    const auto shared = parse_shared(inward.filter);
    for (const std::string& outward : config.publish)
      if (meet(shared ? shared->filter : inward.filter, outward))
        in.complain("publish",
                    fmt::format("Messages would go round in circles: {} is taken from the broker "
                                "and {} given to it. Make one of them narrower",
                                inward.filter, outward));
  }
}

void check_tls(Fields& in, const BridgeConfig& config, const BridgeSecrets& secrets) {
  if (!config.tls) {
    if (!config.ca_pem.empty() || !config.certificate_pem.empty())
      in.complain("tls", "certificates are for TLS: set tls to true");
    return;
  }
  if (!config.certificate_pem.empty() && secrets.key_pem.empty())
    return in.complain("key_pem", "the client certificate needs its key: give key_pem");
  TlsClientOptions options{config.ca_pem, config.certificate_pem, secrets.key_pem};
  if (const auto made = TlsClientContext::create(options); !made)
    in.complain("tls", made.error().message);
}

}  // namespace

Status read_bridge(const Json& document, BridgeConfig& config, BridgeSecrets& secrets) {
  if (!document.is_object()) return fail(ErrorCode::kInvalidArgument, "a bridge is a JSON object");
  Fields in(document);
  in.text("name", config.name, 63);
  if (const Status fine = twin::check_slug("bridge", config.name); !fine)
    in.complain("name", fine.error().message);
  in.text("description", config.description, 2000);
  in.flag("enabled", config.enabled);
  in.text("host", config.broker.host, 253);
  if (config.broker.host.empty()) in.complain("host", "host is the other broker's name or address");
  in.flag("tls", config.tls);
  if (config.broker.port == 0) config.broker.port = config.tls ? 8883 : 1883;
  in.number("port", config.broker.port, 1, 65'535);
  if (const Json* version = in.find("mqtt")) {
    if (*version != "5" && *version != "3.1.1") in.complain("mqtt", "mqtt is 5 or 3.1.1, as text");
    config.version = *version == "3.1.1" ? 4 : 5;
  }
  in.text("client_id", config.client_id, 128);
  in.text("username", config.username, 1024);
  in.text("password", secrets.password, 4096);
  if (!secrets.password.empty() && config.username.empty() && config.version == 4)
    in.complain("username", "MQTT 3.1.1 takes no password without a user name");
  in.text("server_name", config.server_name, 253);
  in.text("ca_pem", config.ca_pem, kPemMax);
  in.text("certificate_pem", config.certificate_pem, kPemMax);
  in.text("key_pem", secrets.key_pem, kPemMax);
  in.number("keep_alive_s", config.keep_alive_s, 5, 3600);
  in.number("session_expiry_s", config.session_expiry_s, 60, 30 * 86'400);
  in.number("receive_maximum", config.receive_maximum, 1, 10'000);
  read_filters(in, config);
  if (config.subscribe.empty() && config.publish.empty())
    in.complain("subscribe", "a bridge needs a filter: subscribe takes, publish gives");
  check_circles(in, config);
  check_tls(in, config, secrets);
  return in.done();
}

Json bridge_json(const BridgeConfig& config) {
  Json subscribe = Json::array();
  for (const BridgeFilter& each : config.subscribe)
    subscribe.push_back({{"filter", each.filter}, {"qos", each.qos}});
  return {{"name", config.name},
          {"description", config.description},
          {"enabled", config.enabled},
          {"host", config.broker.host},
          {"port", config.broker.port},
          {"mqtt", config.version == 5 ? "5" : "3.1.1"},
          {"client_id", config.client_id},
          {"username", config.username},
          {"tls", config.tls},
          {"server_name", config.server_name},
          {"ca_pem", config.ca_pem},
          {"certificate_pem", config.certificate_pem},
          {"subscribe", std::move(subscribe)},
          {"publish", config.publish},
          {"keep_alive_s", config.keep_alive_s},
          {"session_expiry_s", config.session_expiry_s},
          {"receive_maximum", config.receive_maximum}};
}

std::string_view name(BridgeStatus::State state) {
  switch (state) {
    case BridgeStatus::State::kDisabled:
      return "disabled";
    case BridgeStatus::State::kConnecting:
      return "connecting";
    case BridgeStatus::State::kConnected:
      return "connected";
    case BridgeStatus::State::kWaiting:
      return "waiting";
  }
  return "disabled";
}

}  // namespace penstock::interop::mqtt
