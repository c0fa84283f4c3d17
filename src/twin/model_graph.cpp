#include "twin/model_graph.h"

#include <algorithm>
#include <charconv>

namespace penstock::twin {

std::string_view name(ModelEdge::Kind kind) {
  switch (kind) {
    case ModelEdge::Kind::kExtends:
      return "extends";
    case ModelEdge::Kind::kComponent:
      return "component";
    case ModelEdge::Kind::kRelationship:
      return "relationship";
    case ModelEdge::Kind::kSchema:
      return "schema";
  }
  return "schema";
}

namespace {

void add_edges(const dtdl::Model& model, const dtdl::Element& element, const std::string& interface,
               std::vector<ModelEdge>& out) {
  using Kind = ModelEdge::Kind;
  const std::string name = element.text("name");
  if (element.type == "Relationship")
    if (const std::string target = element.text("target"); !target.empty())
      out.push_back({interface, target, Kind::kRelationship, name});
  for (const auto& [property, links] : element.objects)
    for (const dtdl::Link& link : links) {
      if (property == "extends") {
        out.push_back({interface, link.id, Kind::kExtends, ""});
      } else if (element.type == "Component" && property == "schema") {
        out.push_back({interface, link.id, Kind::kComponent, name});
      } else if (element.type == "Relationship" && property == "target") {
        out.push_back({interface, link.id, Kind::kRelationship, name});
      } else if (const dtdl::Element* other = model.find(link.id);
                 other && !other->home.empty() && other->home != interface) {
        out.push_back({interface, other->home, Kind::kSchema, name});
      }
    }
}

// "1.2" of "dtmi:a:B;1.2"; missing parts are 0.
std::pair<uint64_t, uint64_t> version_numbers(std::string_view dtmi) {
  std::pair<uint64_t, uint64_t> out{0, 0};
  const size_t at = dtmi.find(';');
  if (at == dtmi.npos) return out;
  const char* const end = dtmi.data() + dtmi.size();
  const auto major = std::from_chars(dtmi.data() + at + 1, end, out.first);
  if (major.ptr < end && *major.ptr == '.') std::from_chars(major.ptr + 1, end, out.second);
  return out;
}

std::string_view stem_of(std::string_view dtmi) { return dtmi.substr(0, dtmi.find(';')); }

}  // namespace

ModelGraph::ModelGraph(std::span<const ModelPtr> models) {
  std::vector<std::string_view> texts;
  for (const ModelPtr& model : models) {
    models_[model->id] = model;
    texts.emplace_back(model->document);
  }
  elements_ = dtdl::parse(texts).model;
  for (const auto& [id, element] : elements_.elements) {
    const std::string& interface = element.type == "Interface" ? element.id : element.home;
    if (!interface.empty()) add_edges(elements_, element, interface, edges_);
  }
  std::sort(edges_.begin(), edges_.end());
  edges_.erase(std::unique(edges_.begin(), edges_.end()), edges_.end());
}

ModelPtr ModelGraph::find(std::string_view dtmi) const {
  const auto found = models_.find(dtmi);
  return found == models_.end() ? nullptr : found->second;
}

std::vector<ModelEdge> ModelGraph::users_of(std::string_view dtmi) const {
  std::vector<ModelEdge> users;
  for (const ModelEdge& edge : edges_)
    if (edge.to == dtmi) users.push_back(edge);
  return users;
}

std::set<std::string, std::less<>> ModelGraph::needs_of(std::string_view dtmi, bool targets) const {
  std::set<std::string, std::less<>> found;
  std::vector<std::string> open{std::string(dtmi)};
  while (!open.empty()) {
    const std::string id = std::move(open.back());
    open.pop_back();
    if (!find(id) || !found.insert(id).second) continue;
    const ModelEdge first{id, "", ModelEdge::Kind::kExtends, ""};
    for (auto edge = std::lower_bound(edges_.begin(), edges_.end(), first);
         edge != edges_.end() && edge->from == id; ++edge)
      if (targets || edge->kind != ModelEdge::Kind::kRelationship) open.push_back(edge->to);
  }
  return found;
}

std::set<std::string, std::less<>> ModelGraph::around(std::string_view dtmi, size_t depth) const {
  std::set<std::string, std::less<>> found{std::string(dtmi)}, edge_of_it = found;
  for (size_t step = 0; step < depth && !edge_of_it.empty(); ++step) {
    std::set<std::string, std::less<>> next;
    for (const ModelEdge& edge : edges_) {
      if (edge_of_it.contains(edge.from) && !found.contains(edge.to)) next.insert(edge.to);
      if (edge_of_it.contains(edge.to) && !found.contains(edge.from)) next.insert(edge.from);
    }
    found.insert(next.begin(), next.end());
    edge_of_it = std::move(next);
  }
  return found;
}

bool ModelGraph::is_a(std::string_view dtmi, std::string_view base) const {
  const ModelPtr model = find(dtmi);
  return dtmi == base || (model && model->is_a(base));
}

std::vector<std::string> ModelGraph::versions_of(std::string_view dtmi) const {
  const std::string_view stem = stem_of(dtmi);
  std::vector<std::string> versions;
  for (auto at = models_.lower_bound(stem); at != models_.end() && at->first.starts_with(stem);
       ++at)
    if (stem_of(at->first) == stem) versions.push_back(at->first);
  std::sort(versions.begin(), versions.end(), version_less);
  return versions;
}

std::string ModelGraph::previous_version(std::string_view dtmi) const {
  std::string best;
  for (std::string& version : versions_of(dtmi))
    if (version_less(version, dtmi)) best = std::move(version);
  return best;
}

bool version_less(std::string_view a, std::string_view b) {
  return version_numbers(a) < version_numbers(b);
}

Result<std::vector<ModelChange>> compare_models(const ModelGraph& graph, std::string_view from,
                                                std::string_view to) {
  for (const std::string_view id : {from, to})
    if (!graph.find(id))
      return fail(ErrorCode::kNotFound, "No such model is known: add it first", std::string(id));
  TRY_ASSIGN(const InterfaceShape before, read_effective_shape(graph.elements(), from));
  TRY_ASSIGN(const InterfaceShape after, read_effective_shape(graph.elements(), to));
  return compare_shapes(before, after, [&](std::string_view dtmi, std::string_view base) {
    return graph.is_a(dtmi, base);
  });
}

}  // namespace penstock::twin
