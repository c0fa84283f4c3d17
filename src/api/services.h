#pragma once
// Everything the API speaks with. References to small interfaces, so that handlers are tested with
// what fits in memory; app binds the real ones.

#include <cstdint>
#include <string>
#include <vector>

#include "base/io.h"
#include "base/metrics.h"

namespace penstock::stream {
class LiveValues;
class Connections;
class IngestStats;
class DeadLetterView;
class DiscoveryView;
class CommandSender;
class HealthSource;
class ConfigurationListener;
class RebindBook;
class MessageTapView;
}  // namespace penstock::stream

namespace penstock::twin {
class Knocks;
class TwinRegistry;
class Identities;
class Onboarding;
}  // namespace penstock::twin

namespace penstock::interop::http {
class Ingest;
}

namespace penstock::interfaces {
class AlarmBook;
class RuleBook;
class DetectorBook;
}  // namespace penstock::interfaces

namespace penstock::interop::mqtt {
class BridgeBook;
}
namespace penstock::interop::opcua {
class Book;
}

namespace penstock::api {
class HistoryBook;
class LiveHub;
class ModelRepositories;
namespace access {
class AccessControl;
}

struct Services {
  Clock& clock;
  Metrics& metrics;
  access::AccessControl& access;
  twin::TwinRegistry& twins;
  stream::LiveValues& live;
  stream::Connections& connections;
  stream::IngestStats& ingest;
  stream::DeadLetterView& dead_letters;
  stream::DiscoveryView& discovery;
  stream::CommandSender& commands;
  stream::HealthSource& health;
  stream::ConfigurationListener& configuration;
  interfaces::AlarmBook& alarms;
  interfaces::RuleBook& rules;
  interfaces::DetectorBook& detectors;
  HistoryBook& history;
  const twin::Knocks& knocks;
  ModelRepositories& repositories;
  twin::Identities& identities;
  interop::http::Ingest& ingest_http;
  stream::RebindBook& rebinds;
  twin::Onboarding& onboarding;
  stream::MessageTapView& taps;
  interop::mqtt::BridgeBook& bridges;
  interop::opcua::Book& opcua;
};

/// Where devices connect, as people are told.
struct EndpointInfo {
  std::string transport;  ///< tcp, tls, websocket, websocket_tls, http, https
  std::string host;
  uint16_t port = 0;
  std::string path;  ///< WebSocket only
};

struct ApiOptions {
  std::string version;           ///< of the program
  std::string static_directory;  ///< web/dist
  std::string export_directory;  ///< for files while they are being exported; must exist
  std::vector<EndpointInfo> endpoints;
  bool open_metrics = false;  ///< /metrics without a token from anywhere
};

}  // namespace penstock::api
