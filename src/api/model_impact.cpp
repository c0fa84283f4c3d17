#include "api/model_impact.h"

#include <algorithm>
#include <functional>
#include <set>

#include <fmt/format.h>

#include "api/ports.h"
#include "api/render.h"
#include "twin/binding.h"

namespace penstock::api {

using twin::ModelChange;
using twin::Severity;

std::vector<twin::ModelPtr> all_models(const Services& services, OrganisationId organisation) {
  std::vector<twin::ModelPtr> all;
  for (twin::PageRequest request{"", 1000};;) {
    auto page = services.twins.models(organisation, "", request);
    std::move(page.items.begin(), page.items.end(), std::back_inserter(all));
    if (page.next_cursor.empty()) return all;
    request.cursor = page.next_cursor;
  }
}

std::shared_ptr<const twin::ModelGraph> ModelGraphs::of(const Services& services,
                                                        OrganisationId organisation) {
  auto models = all_models(services, organisation);
  const std::lock_guard lock(guard_);
  Known& known = known_[organisation];
  if (!known.graph || known.models != models) {
    known.graph = std::make_shared<const twin::ModelGraph>(models);
    known.models = std::move(models);
  }
  return known.graph;
}

namespace {

constexpr size_t kItemsMax = 200;  // of one list; its count tells the rest

// A list with its whole count and its first items.
class Shown {
 public:
  void add(Json item) {
    ++count_;
    if (items_.size() < kItemsMax) items_.push_back(std::move(item));
  }
  [[nodiscard]] Json json() && { return {{"count", count_}, {"items", std::move(items_)}}; }

 private:
  size_t count_ = 0;
  Json items_ = Json::array();
};

// Twins of a model and of those that extend it, where the principal sees them.
class TwinsOf {
 public:
  TwinsOf(const Services& services, const access::Principal& principal, const std::string& dtmi) {
    twin::TwinFilter filter;
    filter.model = dtmi;
    for (twin::PageRequest request{"", 1000};;) {
      auto page = services.twins.twins(principal.organisation, filter, request);
      if (!page) return;
      for (auto& twin : page->items)
        if (principal.sees(twin->site)) all_.push_back(std::move(twin));
      if (page->next_cursor.empty()) return;
      request.cursor = page->next_cursor;
    }
  }
  [[nodiscard]] const std::vector<twin::TwinPtr>& all() const { return all_; }
  [[nodiscard]] bool at_site(std::string_view site) const {
    return std::any_of(all_.begin(), all_.end(),
                       [&](const auto& twin) { return twin->site_name == site; });
  }

 private:
  std::vector<twin::TwinPtr> all_;
};

Json twin_json(const twin::TwinRecord& twin) {
  return {{"name", twin.name},
          {"display_name", twin.display_name},
          {"site", twin.site_name},
          {"model", twin.model->id},
          {"device", text_or_null(twin.device)}};
}

// The document that devices use, else the newest draft.
std::shared_ptr<const twin::BindingDocument> document_of(const twin::BindingRecord& binding) {
  if (binding.active) return binding.active;
  const auto json = parse_json(binding.latest().document);
  if (!json) return nullptr;
  auto parsed = twin::parse_binding(*json);
  if (!parsed) return nullptr;
  return std::make_shared<const twin::BindingDocument>(*std::move(parsed));
}

// A binding that names the model, one it extends, or one that extends it and its devices use.
bool binding_reaches(const Services& services, const twin::ModelGraph& graph,
                     const twin::BindingRecord& binding, const twin::BindingDocument& document,
                     const twin::ModelInfo& model) {
  if (model.is_a(document.model) || graph.is_a(document.model, model.id)) return true;
  const auto devices = services.twins.devices_of_binding(binding.organisation, binding.name);
  return std::any_of(devices.begin(), devices.end(), [&](const auto& device) {
    const auto twin = services.twins.twin(device->twin);
    return twin && twin->model->is_a(model.id);
  });
}

// Calls `use(binding, document)` for each binding that reaches the model.
void each_binding(
    const Services& services, const access::Principal& principal, const twin::ModelGraph& graph,
    const twin::ModelInfo& model,
    const std::function<void(const twin::BindingRecord&, const twin::BindingDocument&)>& use) {
  for (const auto& binding : services.twins.bindings(principal.organisation)) {
    const auto document = document_of(*binding);
    if (document && binding_reaches(services, graph, *binding, *document, model))
      use(*binding, *document);
  }
}

// How a rule's or detector's scope comes to the model: "model", "site", "twin"; empty: not at all.
std::string_view reach_of(const twin::Scope& scope, const twin::ModelGraph& graph,
                          const twin::ModelInfo& model, const TwinsOf& twins) {
  if (!scope.model.empty())
    return model.is_a(scope.model) || graph.is_a(scope.model, model.id) ? "model" : "";
  if (!scope.site.empty()) return twins.at_site(scope.site) ? "site" : "";
  for (const auto& twin : twins.all())
    if (twin->name == scope.twin || twin::to_text(twin->id) == scope.twin) return "twin";
  return "";
}

struct Watcher {
  std::string id, kind, text;  ///< kind: "rule" or "detector"
  twin::Scope scope;
  std::vector<std::string> elements;  ///< empty: all
  std::string reach;
};

// Rules and detectors that reach the model.
std::vector<Watcher> watchers_of(const Services& services, const access::Principal& principal,
                                 const twin::ModelGraph& graph, const twin::ModelInfo& model,
                                 const TwinsOf& twins) {
  std::vector<Watcher> out;
  const auto add = [&](Watcher watcher) {
    watcher.reach = reach_of(watcher.scope, graph, model, twins);
    // A rule for a site reaches those of its twins that have the element.
    const bool by_site = watcher.reach == "site";
    const bool has = watcher.elements.empty() ||
                     std::any_of(watcher.elements.begin(), watcher.elements.end(),
                                 [&](const auto& key) { return model.element(key) != nullptr; });
    if (!watcher.reach.empty() && (has || !by_site)) out.push_back(std::move(watcher));
  };
  if (const auto rules = services.rules.rules(principal.organisation))
    for (const RuleItem& rule : *rules) {
      Watcher watcher{fmt::format("rule_{}", rule.id.value),
                      "rule",
                      rule.name.empty() ? rule.message : rule.name,
                      rule.scope,
                      {},
                      ""};
      if (!rule.element.empty()) watcher.elements.push_back(rule.element);
      add(std::move(watcher));
    }
  if (const auto detectors = services.detectors.detectors(principal.organisation))
    for (const DetectorItem& detector : *detectors) {
      const auto twin = services.twins.twin(detector.twin);
      if (twin)
        add({fmt::format("rule_{}", detector.id.value),
             "detector",
             "Anomaly detection of " + twin->name,
             {.model = "", .site = "", .twin = twin->name},
             detector.elements,
             ""});
    }
  return out;
}

Json watcher_json(const Watcher& watcher) {
  return {{"id", watcher.id},
          {"kind", watcher.kind},
          {"text", watcher.text},
          {"reach", watcher.reach},
          {"elements", watcher.elements}};
}

Json edge_json(const twin::ModelGraph& graph, const twin::ModelEdge& edge) {
  const auto model = graph.find(edge.from);
  return {{"id", edge.from},
          {"display_name", model ? model->display_name : edge.from},
          {"kind", twin::name(edge.kind)},
          {"name", text_or_null(edge.name)}};
}

}  // namespace

Json usage_json(const Services& services, const access::Principal& principal,
                const twin::ModelGraph& graph, const twin::ModelInfo& model) {
  const TwinsOf twins(services, principal, model.id);
  Shown shown_twins, models, bindings, watchers;
  for (const auto& twin : twins.all()) shown_twins.add(twin_json(*twin));
  for (const twin::ModelEdge& edge : graph.users_of(model.id)) models.add(edge_json(graph, edge));
  Json out{{"id", model.id},
           {"versions", graph.versions_of(model.id)},
           {"twins", std::move(shown_twins).json()},
           {"models", std::move(models).json()},
           {"bindings", nullptr},
           {"rules", nullptr}};
  if (access::authorize(principal, access::Permission::kReadDevices)) {
    each_binding(services, principal, graph, model, [&](const auto& binding, const auto& document) {
      bindings.add(
          {{"name", binding.name},
           {"protocol", document.protocol},
           {"model", document.model},
           {"devices",
            services.twins.devices_of_binding(principal.organisation, binding.name).size()}});
    });
    out["bindings"] = std::move(bindings).json();
  }
  if (access::authorize(principal, access::Permission::kReadRules)) {
    for (const Watcher& watcher : watchers_of(services, principal, graph, model, twins))
      watchers.add(watcher_json(watcher));
    out["rules"] = std::move(watchers).json();
  }
  return out;
}

namespace {

// The worst that happens to an element, by its key. A change inside of a value ("place.x",
// "list[]") counts for the element.
class Fates {
 public:
  explicit Fates(const std::vector<ModelChange>& changes) {
    for (const ModelChange& change : changes)
      if (change.severity != Severity::kCompatible && !change.element.empty())
        changes_.push_back(&change);
  }
  [[nodiscard]] const ModelChange* of(std::string_view key) const {
    const ModelChange* worst = nullptr;
    for (const ModelChange* change : changes_) {
      const std::string_view about = change->element;
      const bool same =
          about == key ||
          (about.starts_with(key) &&
           (about[key.size()] == '.' || about[key.size()] == '[' || about[key.size()] == '{'));
      if (same && (!worst || change->severity > worst->severity)) worst = change;
    }
    return worst;
  }

 private:
  std::vector<const ModelChange*> changes_;
};

// Changes that a rule or detector feels: not what only concerns those who write or send.
bool concerns_watchers(const ModelChange& change) {
  return change.kind.find("writable") == std::string::npos && change.content != "command" &&
         change.content != "relationship";
}

Json break_json(std::string_view severity, std::string_view element, std::string_view reason) {
  return {{"severity", severity}, {"element", text_or_null(element)}, {"reason", reason}};
}

struct Question {
  const Services& services;
  const access::Principal& principal;
  const twin::ModelGraph& graph;
  const twin::ModelInfo &from, &to;
  const Fates& fates;
  const TwinsOf& twins;
};

Json broken_bindings(const Question& q) {
  Shown out;
  const auto add = [&](const std::string& name, Json why) {
    why["name"] = name;
    out.add(std::move(why));
  };
  each_binding(
      q.services, q.principal, q.graph, q.from, [&](const auto& binding, const auto& document) {
        if (q.from.is_a(document.model) && !q.to.is_a(document.model))
          add(binding.name,
              break_json("breaking", "",
                         fmt::format("It is for {}, which {} neither is nor extends: save "
                                     "a version for the new model",
                                     document.model, q.to.id)));
        for (const auto& entry : document.elements)
          if (const ModelChange* fate = q.fates.of(entry.element))
            add(binding.name, break_json(name(fate->severity), entry.element, fate->reason));
      });
  return std::move(out).json();
}

// Devices that rename or scale elements themselves.
Json broken_devices(const Question& q) {
  Shown out;
  for (const auto& twin : q.twins.all()) {
    const auto device = twin->device.empty() ? nullptr : q.services.twins.device(twin->device);
    if (!device) continue;
    for (const auto& entry : device->bindings)
      if (const ModelChange* fate = q.fates.of(entry.element)) {
        Json why = break_json(name(fate->severity), entry.element, fate->reason);
        why["name"] = device->name;
        out.add(std::move(why));
      }
  }
  return std::move(out).json();
}

Json broken_rules(const Question& q) {
  Shown out;
  const auto add = [&](const Watcher& watcher, std::string_view severity, std::string_view element,
                       std::string_view reason) {
    Json why = break_json(severity, element, reason);
    why.update({{"id", watcher.id}, {"kind", watcher.kind}, {"text", watcher.text}});
    out.add(std::move(why));
  };
  for (const Watcher& watcher : watchers_of(q.services, q.principal, q.graph, q.from, q.twins)) {
    if (watcher.reach == "model" && q.from.is_a(watcher.scope.model) &&
        !q.to.is_a(watcher.scope.model))
      add(watcher, "breaking", "",
          fmt::format("It is for {} and does not reach twins of {}: make one for the new model",
                      watcher.scope.model, q.to.id));
    for (const std::string& key : watcher.elements)
      if (const ModelChange* fate = q.fates.of(key); fate && concerns_watchers(*fate))
        add(watcher, name(fate->severity), key, fate->reason);
  }
  return std::move(out).json();
}

// Twins stop where something they have is gone: their relationships, or any breaking change.
Json broken_twins(const Question& q, const std::vector<ModelChange>& changes) {
  const Severity worst = worst_of(changes);
  Shown out;
  for (const auto& twin : q.twins.all()) {
    Json item = twin_json(*twin);
    item["severity"] = name(worst);
    Json reasons = Json::array();
    for (const ModelChange& change : changes)
      if (change.content == "relationship" && change.severity == Severity::kBreaking &&
          std::any_of(twin->relationships.begin(), twin->relationships.end(),
                      [&](const auto& one) { return one.name == change.element; }))
        reasons.push_back(fmt::format("{}: {}", change.element, change.reason));
    item["reasons"] = std::move(reasons);
    out.add(std::move(item));
  }
  return std::move(out).json();
}

Json change_json(const ModelChange& change) {
  return {{"kind", change.kind},
          {"severity", name(change.severity)},
          {"element", text_or_null(change.element)},
          {"content", text_or_null(change.content)},
          {"before", text_or_null(change.before)},
          {"after", text_or_null(change.after)},
          {"reason", change.reason}};
}

}  // namespace

Result<Json> comparison_json(const Services& services, const access::Principal& principal,
                             const twin::ModelGraph& graph, std::string_view from,
                             std::string_view to) {
  TRY_ASSIGN(const std::vector<ModelChange> changes, compare_models(graph, from, to));
  const Fates fates(changes);
  const TwinsOf twins(services, principal, std::string(from));
  const auto before = graph.find(from), after = graph.find(to);
  const Question question{services, principal, graph, *before, *after, fates, twins};
  size_t counts[3] = {0, 0, 0};
  Json shown = Json::array();
  for (const ModelChange& change : changes) {
    ++counts[static_cast<size_t>(change.severity)];
    shown.push_back(change_json(change));
  }
  Shown models;
  for (const twin::ModelEdge& edge : graph.users_of(from))
    if (edge.from != to) models.add(edge_json(graph, edge));
  const bool devices = access::authorize(principal, access::Permission::kReadDevices).has_value();
  const bool rules = access::authorize(principal, access::Permission::kReadRules).has_value();
  return Json{{"from", from},
              {"to", to},
              {"verdict", name(worst_of(changes))},
              {"compatible", counts[0]},
              {"attention", counts[1]},
              {"breaking", counts[2]},
              {"changes", std::move(shown)},
              {"affected",
               {{"twins", broken_twins(question, changes)},
                {"devices", devices ? broken_devices(question) : Json()},
                {"bindings", devices ? broken_bindings(question) : Json()},
                {"rules", rules ? broken_rules(question) : Json()},
                {"models", std::move(models).json()}}}};
}

}  // namespace penstock::api
