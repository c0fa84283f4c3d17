#pragma once
// What the resources of single protocols speak with, beside the Services that all do.

#include "api/http/router.h"
#include "api/services.h"
#include "stream/edge_nodes.h"
#include "stream/try_binding.h"

namespace penstock::interop::lwm2m {
class ClientBook;
}

namespace penstock::api {

struct Protocols {
  stream::EdgeNodes* edge_nodes = nullptr;      ///< null: no host, no /sparkplug
  stream::ReportReaders report_readers;         ///< payloads that bindings can be tried on
  interop::lwm2m::ClientBook* lwm2m = nullptr;  ///< null: the server speaks no LwM2M
};

/// POST /bindings/try.
void add_binding_try_routes(Router& router, const Services& services, const Protocols& protocols);
void add_sparkplug_routes(Router& router, const Services& services, const Protocols& protocols);

}  // namespace penstock::api
