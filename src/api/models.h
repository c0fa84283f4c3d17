#pragma once
// The files that together are /models.

#include <memory>

#include "api/routes.h"

namespace penstock::api {

class ModelGraphs;

/// `graphs` is shared by the handlers, which live as long as the router.
void add_model_graph_routes(Router& router, const Services& services,
                            std::shared_ptr<ModelGraphs> graphs);
void add_model_exchange_routes(Router& router, const Services& services,
                               std::shared_ptr<ModelGraphs> graphs);

}  // namespace penstock::api
