#pragma once
// Who relies on a model, and whom a change of it breaks: twins, devices' own bindings, binding
// documents, rules, detectors and other models, as far as the principal may see them.

#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

#include "api/access/permissions.h"
#include "api/services.h"
#include "base/json.h"
#include "twin/model_graph.h"

namespace penstock::api {

/// All models of an organisation.
std::vector<twin::ModelPtr> all_models(const Services& services, OrganisationId organisation);

/// The graph of the present models, kept until one of them changes. Any thread.
class ModelGraphs {
 public:
  std::shared_ptr<const twin::ModelGraph> of(const Services& services, OrganisationId organisation);

 private:
  struct Known {
    std::vector<twin::ModelPtr> models;
    std::shared_ptr<const twin::ModelGraph> graph;  // shared with requests that still read it
  };
  std::mutex guard_;
  std::map<OrganisationId, Known> known_;
};

/// The contract's ModelUsage.
Json usage_json(const Services& services, const access::Principal& principal,
                const twin::ModelGraph& graph, const twin::ModelInfo& model);

/// The contract's ModelComparison: what differs from `from` to `to`, both in the graph, and whom of
/// those that rely on `from` it breaks.
Result<Json> comparison_json(const Services& services, const access::Principal& principal,
                             const twin::ModelGraph& graph, std::string_view from,
                             std::string_view to);

}  // namespace penstock::api
