#include "app/lwm2m.h"

#include <string>

namespace penstock::app {
namespace {

bool is_loopback(const std::string& host) { return host.starts_with("127.") || host == "::1"; }

// Without security anybody who reaches the port is any device.
Status check_plain(const std::optional<NetAddress>& address, const char* option, bool allowed) {
  if (!address || allowed || is_loopback(address->host)) return {};
  return fail(ErrorCode::kInvalidArgument,
              std::string(option) +
                  " has no security: give it a loopback address, or say --coap-insecure where the "
                  "network itself is trusted",
              address->text());
}

interop::lwm2m::ServerHooks hooks_of(stream::Pipeline& pipeline) {
  interop::lwm2m::ServerHooks hooks;
  hooks.submit = [&pipeline](stream::OwnedReport report, std::function<void(bool)> then) {
    pipeline.submit(std::move(report), std::move(then));
  };
  hooks.presence = [&pipeline](std::string_view device, bool connected, std::string_view client,
                               std::string_view detail) {
    stream::Shard& owner = pipeline.shard(stream::shard_of(device, pipeline.shards()));
    owner.post([&owner, name = std::string(device), connected, id = std::string(client),
                why = std::string(detail)] { owner.presence(name, connected, id, why); });
  };
  hooks.lost = [&pipeline](OrganisationId organisation, std::string_view device, Timestamp when) {
    stream::Shard& owner = pipeline.shard(stream::shard_of(device, pipeline.shards()));
    owner.post([&owner, organisation, name = std::string(device), when] {
      owner.lost(organisation, name, when);
    });
  };
  return hooks;
}

}  // namespace

Result<std::unique_ptr<Lwm2m>> Lwm2m::start(const ServerOptions& options, store::Registry& registry,
                                            twin::TwinRegistry& twins, stream::Pipeline& pipeline,
                                            FileSystem& files, Clock& clock, Random& random,
                                            Metrics& metrics) {
  if (!options.coap && !options.coaps && !options.coap_tcp && !options.coaps_tcp)
    return std::unique_ptr<Lwm2m>();
  TRY(check_plain(options.coap, "--coap", options.coap_insecure));
  TRY(check_plain(options.coap_tcp, "--coap-tcp", options.coap_insecure));
  std::unique_ptr<Lwm2m> out(new Lwm2m);
  std::vector<std::string> folders;
  if (!options.lwm2m_objects.empty()) folders.push_back(options.lwm2m_objects);
  folders.push_back(options.data_directory + "/lwm2m-objects");
  TRY_ASSIGN(out->objects_, interop::lwm2m::Objects::open(files, folders));
  TRY_ASSIGN(out->store_, interop::lwm2m::Store::open(registry, files, random, clock,
                                                      options.data_directory + "/lwm2m.key"));
  interop::lwm2m::ServerOptions server;
  server.coap = options.coap;
  server.coaps = options.coaps;
  server.coap_tcp = options.coap_tcp;
  server.coaps_tcp = options.coaps_tcp;
  server.bootstrap = options.lwm2m_bootstrap;
  server.certificate_file = options.tls_certificate;
  server.key_file = options.tls_key;
  server.client_ca_file = options.tls_client_ca;
  TRY_ASSIGN(out->server_,
             interop::lwm2m::Server::start(std::move(server), hooks_of(pipeline), twins,
                                           *out->objects_, *out->store_, clock, random, metrics));
  return out;
}

}  // namespace penstock::app
