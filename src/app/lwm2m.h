#pragma once
// The LwM2M server bound to the data path: its reports go to the shards, its devices are the
// registry's.

#include <memory>

#include "app/server.h"
#include "base/io.h"
#include "base/metrics.h"
#include "interop/lwm2m/server.h"
#include "store/registry.h"
#include "stream/pipeline.h"
#include "twin/registry.h"

namespace penstock::app {

class Lwm2m {
 public:
  /// Null where `options` name no CoAP address. All references must outlive it.
  static Result<std::unique_ptr<Lwm2m>> start(const ServerOptions& options,
                                              store::Registry& registry, twin::TwinRegistry& twins,
                                              stream::Pipeline& pipeline, FileSystem& files,
                                              Clock& clock, Random& random, Metrics& metrics);
  [[nodiscard]] interop::lwm2m::Server& server() { return *server_; }
  [[nodiscard]] const interop::lwm2m::ServerAddresses& addresses() const {
    return server_->addresses();
  }

 private:
  Lwm2m() = default;
  std::unique_ptr<interop::lwm2m::Objects> objects_;
  std::unique_ptr<interop::lwm2m::Store> store_;
  std::unique_ptr<interop::lwm2m::Server> server_;
};

}  // namespace penstock::app
