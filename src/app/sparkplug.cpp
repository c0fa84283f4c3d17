#include "app/sparkplug.h"

#include <algorithm>
#include <chrono>
#include <future>

#include <fmt/format.h>

#include "base/json.h"
#include "base/log.h"
#include "stream/unbind.h"
#include "twin/wire_parts.h"

namespace penstock::app {

using interop::mqtt::MessageSender;
using interop::mqtt::MqttEndpoint;
using interop::sparkplug::Host;

class Sparkplug::Sender final : public MessageSender {
 public:
  Sender(MqttEndpoint& own, Metrics& metrics)
      : own_(own),
        dropped_(metrics.counter("penstock_sparkplug_unsent_total",
                                 "Sparkplug messages for a bridge that is not there")) {}
  void set_bridge(MessageSender* bridge) { bridge_ = bridge; }
  void send(std::string_view link, std::string_view topic, ByteView payload, uint8_t qos,
            bool retain) override {
    if (link.empty())
      own_.publish(topic, payload, qos, retain, [](bool) {});
    else if (bridge_)
      bridge_->send(link, topic, payload, qos, retain);
    else
      dropped_.add();
  }

 private:
  MqttEndpoint& own_;
  MessageSender* bridge_ = nullptr;
  Counter& dropped_;
};

struct Sparkplug::Address {
  OrganisationId organisation;
  std::string group, node, device;
};

Sparkplug::Sparkplug(stream::Pipeline& pipeline, const std::vector<MqttEndpoint*>& endpoints,
                     const twin::TwinRegistry& twins, Random& random, Metrics& metrics,
                     interop::sparkplug::HostOptions options)
    : pipeline_(pipeline), twins_(twins), random_(random) {
  std::vector<Host*> all;
  for (uint32_t i = 0; i < pipeline.shards(); ++i) {
    senders_.push_back(std::make_unique<Sender>(*endpoints[i], metrics));
    hosts_.push_back(std::make_unique<Host>(pipeline.shard(i), *senders_.back(), metrics, options));
    all.push_back(hosts_.back().get());
  }
  for (uint32_t i = 0; i < pipeline.shards(); ++i) {
    all[i]->attach(all);
    endpoints[i]->add_handler(all[i]);
  }
}
Sparkplug::~Sparkplug() = default;

void Sparkplug::set_bridges(const std::vector<MessageSender*>& bridges) {
  for (size_t i = 0; i < senders_.size() && i < bridges.size(); ++i)
    senders_[i]->set_bridge(bridges[i]);
}

void Sparkplug::say_online() {
  pipeline_.shard(0).post([host = hosts_.front().get()] { host->say_state(true); });
}

void Sparkplug::say_offline() {
  const auto said = std::make_shared<std::promise<void>>();
  std::future<void> done = said->get_future();
  pipeline_.shard(0).post([host = hosts_.front().get(), shard = &pipeline_.shard(0), said] {
    host->say_state(false);
    shard->when_durable([said](bool) { said->set_value(); });
  });
  done.wait_for(std::chrono::seconds(1));
}

// -- what people ask

std::vector<stream::EdgeNode> Sparkplug::edge_nodes(OrganisationId organisation) {
  using Nodes = std::vector<stream::EdgeNode>;
  std::vector<std::future<Nodes>> parts;
  for (const auto& host : hosts_) {
    const auto part = std::make_shared<std::promise<Nodes>>();
    parts.push_back(part->get_future());
    pipeline_.shard(static_cast<uint32_t>(parts.size() - 1))
        .post([host = host.get(), part, organisation] {
          Nodes nodes;
          host->describe(organisation, nodes);
          part->set_value(std::move(nodes));
        });
  }
  Nodes all;
  for (auto& part : parts) {
    if (part.wait_for(std::chrono::seconds(2)) != std::future_status::ready) continue;
    Nodes nodes = part.get();
    std::move(nodes.begin(), nodes.end(), std::back_inserter(all));
  }
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) {
    return std::tie(a.group, a.node) < std::tie(b.group, b.node);
  });
  return all;
}

Status Sparkplug::on_home(const Address& address, std::function<Status(Host& host)> ask) {
  const uint32_t shard =
      stream::shard_of(stream::wire_name({address.group, address.node}), pipeline_.shards());
  const auto answer = std::make_shared<std::promise<Status>>();
  std::future<Status> outcome = answer->get_future();
  pipeline_.shard(shard).post([host = hosts_[shard].get(), ask = std::move(ask), answer] {
    answer->set_value(ask(*host));
  });
  if (outcome.wait_for(std::chrono::seconds(5)) != std::future_status::ready)
    return fail(ErrorCode::kTimeout, "the edge node's shard did not answer within 5 s");
  return outcome.get();
}

Status Sparkplug::ask_rebirth(OrganisationId organisation, std::string_view group,
                              std::string_view node, std::string_view who) {
  Address address{organisation, std::string(group), std::string(node), {}};
  TRY(on_home(address, [address](Host& host) {
    return host.ask_rebirth(address.organisation, address.group, address.node);
  }));
  log_info("commands", "{} asked {}/{} for a rebirth", who, group, node);
  return {};
}

// -- commands

Result<Sparkplug::Address> Sparkplug::address_of(std::string_view device) const {
  const twin::DevicePtr record = twins_.device(device);
  if (!record) return fail(ErrorCode::kNotFound, "there is no such device", std::string(device));
  const auto parts = twin::wire_parts(device);
  if (parts.size() < 2 || parts.size() > 3)
    return fail(ErrorCode::kConflict,
                "a device that speaks Sparkplug is named group:node or group:node:device",
                std::string(device));
  return Address{record->organisation, parts[0], parts[1],
                 parts.size() == 3 ? parts[2] : std::string()};
}

stream::CommandReceipt Sparkplug::receipt(std::string_view what, std::string_view device,
                                          std::string_view who) {
  stream::CommandReceipt out;
  out.request_id = "cmd_" + random_.hex(12);
  log_info("commands", "{} sent {} to {} ({})", who, what, device, out.request_id);
  return out;
}

Result<stream::CommandReceipt> Sparkplug::send_command(std::string_view device,
                                                       std::string_view name,
                                                       std::string_view payload,
                                                       std::string_view who) {
  TRY_ASSIGN(const Address to, address_of(device));
  if (name == "rebirth" || name == "Rebirth") {
    TRY(on_home(to,
                [to](Host& host) { return host.ask_rebirth(to.organisation, to.group, to.node); }));
    return receipt(name, device, who);
  }
  Json value = true;
  std::vector<std::string> metrics{std::string(name)};
  std::string control(name);
  if (!control.empty() && control[0] >= 'a' && control[0] <= 'z') control[0] -= 'a' - 'A';
  metrics.push_back((to.device.empty() ? "Node Control/" : "Device Control/") + control);
  if (!payload.empty()) {
    TRY_ASSIGN(const Json given, parse_json(payload));
    if (given.is_object() && given.contains("value")) {
      value = given.at("value");
      if (given.contains("metric") && given.at("metric").is_string())
        metrics = {given.at("metric").get<std::string>()};
    } else if (!given.is_null() && !(given.is_object() && given.empty())) {
      value = given;
    }
  }
  TRY(on_home(to, [to, metrics, text = value.dump()](Host& host) {
    Status outcome;
    for (const std::string& metric : metrics) {
      outcome = host.write(to.organisation, to.group, to.node, to.device, metric, text);
      if (outcome || outcome.error().code != ErrorCode::kNotFound) return outcome;
    }
    return outcome;
  }));
  return receipt(name, device, who);
}

Result<stream::CommandReceipt> Sparkplug::write_property(std::string_view device,
                                                         std::string_view element,
                                                         std::string_view value,
                                                         std::string_view who) {
  TRY_ASSIGN(const Address to, address_of(device));
  const twin::DevicePtr record = twins_.device(device);
  if (!record || !record->config)
    return fail(ErrorCode::kConflict, "the device is disabled or feeds no twin",
                std::string(device));
  TRY_ASSIGN(const Json json, parse_json(value));
  TRY_ASSIGN(const stream::WireWrite write, stream::unbind_value(*record->config, element, json));
  TRY(on_home(to, [to, write](Host& host) {
    return host.write(to.organisation, to.group, to.node, to.device, write.address, write.value);
  }));
  return receipt(element, device, who);
}

// -- trying

Result<stream::OwnedReport> read_sparkplug(std::string_view topic, std::string_view payload) {
  using namespace interop::sparkplug;
  const auto parsed = parse_topic(topic);
  if (!topic.empty() && !parsed)
    return fail(ErrorCode::kInvalidArgument,
                "the topic is not spBv1.0/group/type/node or …/node/device", std::string(topic));
  PayloadInfo info;
  const ByteView bytes = as_bytes(payload);
  MetricValues values;
  Dictionary known;
  (void)values.learn(bytes, 50'000, known);
  if (!read_info(bytes, info) || !values.add_all(bytes, known, info.timestamp_ms))
    return fail(ErrorCode::kInvalidArgument,
                "not a Sparkplug B payload: give its bytes as payload_hex or payload_base64");
  const MetricOutcome& outcome = values.outcome();
  if (values.values().empty() && outcome.rejected > 0)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("no metric gives a value ({}): aliases need their birth, so try an "
                            "NBIRTH or DBIRTH",
                            name(outcome.first_reject)));
  std::string device;
  if (parsed && parsed->type != MessageType::kState)
    device = parsed->device.empty()
                 ? stream::wire_name({parsed->group, parsed->node})
                 : stream::wire_name({parsed->group, parsed->node, parsed->device});
  return stream::OwnedReport({{}, device, topic, values.values()});
}

}  // namespace penstock::app
