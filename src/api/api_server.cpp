#include "api/api_server.h"

namespace penstock::api {

ApiServer::ApiServer(const Services& services, stream::Journal& journal,
                     const ApiServerOptions& options)
    : hub_(services, journal, options.live),
      api_(services, &hub_, options.api, options.protocols) {}

ApiServer::~ApiServer() = default;

Result<std::unique_ptr<ApiServer>> ApiServer::start(const Services& services,
                                                    stream::Journal& journal,
                                                    ApiServerOptions options) {
  std::unique_ptr<ApiServer> server(new ApiServer(services, journal, options));
  TRY_ASSIGN(server->server_,
             HttpServer::start(std::move(options.http), server->api_, services.metrics));
  return server;
}

}  // namespace penstock::api
