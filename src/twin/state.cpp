#include "twin/state.h"

#include <algorithm>

#include "twin/names.h"

namespace penstock::twin {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool contains_lower(std::string_view text, std::string_view word) {
  return std::search(text.begin(), text.end(), word.begin(), word.end(),
                     [](char a, char b) { return lower(a) == lower(b); }) != text.end();
}

template <class Map>
Result<typename Map::mapped_type> find_named(const Map& map, std::string_view key,
                                             const char* what) {
  const auto found = map.find(key);
  if (found != map.end()) return found->second;
  return fail(ErrorCode::kNotFound, what, std::string(key.substr(0, 200)));
}

}  // namespace

bool ModelInfo::is_a(std::string_view dtmi) const {
  const auto same = [&](std::string_view known) {
    if (known == dtmi) return true;
    return dtmi.find(';') == std::string_view::npos && known.size() > dtmi.size() &&
           known.starts_with(dtmi) && known[dtmi.size()] == ';';
  };
  return same(id) || std::any_of(ancestors.begin(), ancestors.end(), same);
}

const ElementInfo* ModelInfo::element(std::string_view key) const {
  const auto found =
      std::find_if(elements.begin(), elements.end(), [&](const auto& e) { return e.key == key; });
  return found == elements.end() ? nullptr : &*found;
}

std::optional<SeriesId> TwinRecord::series_of(std::string_view element) const {
  const ElementInfo* info = model->element(element);
  if (!info) return std::nullopt;
  return series[static_cast<size_t>(info - model->elements.data())];
}

void State::put(SitePtr site) {
  tenants[site->organisation].sites[site->name] = site;
  sites[site->id] = std::move(site);
}

void State::erase(const SiteRecord& site) {
  const SiteId id = site.id;
  tenants[site.organisation].sites.erase(site.name);
  sites.erase(id);
}

void State::put(TwinPtr twin) {
  if (const auto old = twins.find(twin->id); old != twins.end()) {
    const TwinPtr kept = old->second;
    erase(*kept);
  }
  Tenant& tenant = tenants[twin->organisation];
  ++tenant.twins_of_model[twin->model->id];
  ++twins_at[twin->site];
  if (twin->parent) children[twin->parent][twin->name] = twin->id;
  for (const RelationshipRecord& relationship : twin->relationships)
    related_from[relationship.target].insert(twin->id);
  tenant.twins[twin->name] = twin;
  twins[twin->id] = std::move(twin);
}

void State::erase(const TwinRecord& twin) {
  const TwinPtr kept = twins.find(twin.id)->second;  // `twin` may be the record that goes
  Tenant& tenant = tenants[kept->organisation];
  if (--tenant.twins_of_model[kept->model->id] == 0) tenant.twins_of_model.erase(kept->model->id);
  if (--twins_at[kept->site] == 0) twins_at.erase(kept->site);
  if (kept->parent) {
    auto& siblings = children[kept->parent];
    siblings.erase(kept->name);
    if (siblings.empty()) children.erase(kept->parent);
  }
  for (const RelationshipRecord& relationship : kept->relationships) {
    auto& sources = related_from[relationship.target];
    sources.erase(sources.find(kept->id));
    if (sources.empty()) related_from.erase(relationship.target);
  }
  tenant.twins.erase(kept->name);
  twins.erase(kept->id);
}

void State::put(SeriesPtr info) {
  const size_t at = info->id.value;
  if (series.size() <= at) series.resize(at + 1);
  if (!series[at]) series_of[info->twin].push_back(info->id);
  series[at] = std::move(info);
}

void State::put(DevicePtr device) {
  tenants[device->organisation].devices[device->name] = device;
  devices[device->name] = std::move(device);
}

void State::erase(const DeviceRecord& device) {
  const DevicePtr kept = devices.find(device.name)->second;
  set_secret(kept->name, {});
  tenants[kept->organisation].devices.erase(kept->name);
  devices.erase(kept->name);
}

void State::set_secret(const std::string& device, Secret secret) {
  if (const auto old = secrets.find(device); old != secrets.end()) {
    if (old->second.kind == CredentialKind::kToken) device_of_token.erase(old->second.text);
    secrets.erase(old);
  }
  if (secret.kind == CredentialKind::kNone) return;
  if (secret.kind == CredentialKind::kToken) device_of_token[secret.text] = device;
  secrets[device] = std::move(secret);
}

void State::put(JoinTokenPtr token, const std::string& digest) {
  join_token_of[digest] = token->id;
  const uint32_t id = token->id;
  join_tokens[id] = std::move(token);
}

void State::erase_join_token(uint32_t id) {
  std::erase_if(join_token_of, [&](const auto& entry) { return entry.second == id; });
  join_tokens.erase(id);
}

const Tenant* State::tenant(OrganisationId id) const {
  const auto found = tenants.find(id);
  return found == tenants.end() ? nullptr : &found->second;
}

Result<SitePtr> State::site(OrganisationId organisation, std::string_view reference) const {
  if (const auto id = parse_site_id(reference)) {
    const auto found = sites.find(*id);
    if (found != sites.end() && found->second->organisation == organisation) return found->second;
  } else if (const Tenant* own = tenant(organisation)) {
    return find_named(own->sites, reference, "No site of that name is known");
  }
  return fail(ErrorCode::kNotFound, "No such site is known", std::string(reference.substr(0, 200)));
}

Result<TwinPtr> State::twin(OrganisationId organisation, std::string_view reference) const {
  if (const auto id = parse_twin_id(reference)) {
    const auto found = twins.find(*id);
    if (found != twins.end() && found->second->organisation == organisation) return found->second;
  } else if (const Tenant* own = tenant(organisation)) {
    return find_named(own->twins, reference, "No twin of that name is known");
  }
  return fail(ErrorCode::kNotFound, "No such twin is known", std::string(reference.substr(0, 200)));
}

Result<ModelPtr> State::model(OrganisationId organisation, std::string_view dtmi) const {
  if (const Tenant* own = tenant(organisation))
    return find_named(own->models, dtmi, "No model of that DTMI is known: add it first");
  return fail(ErrorCode::kNotFound, "No such model is known", std::string(dtmi.substr(0, 200)));
}

Result<BindingPtr> State::binding(OrganisationId organisation, std::string_view name) const {
  const Tenant* of = tenant(organisation);
  if (of)
    if (const auto found = of->bindings.find(name); found != of->bindings.end())
      return found->second;
  return fail(ErrorCode::kNotFound, "No binding of that name is known",
              std::string(name.substr(0, 64)));
}

Result<DevicePtr> State::device(OrganisationId organisation, std::string_view name) const {
  if (const Tenant* own = tenant(organisation))
    return find_named(own->devices, name, "No device of that name is registered");
  return fail(ErrorCode::kNotFound, "No such device is known", std::string(name.substr(0, 200)));
}

SeriesPtr State::series_by(SeriesId id) const {
  return id.value < series.size() ? series[id.value] : nullptr;
}

bool State::is_below(const TwinRecord& twin, TwinId ancestor) const {
  TwinId at = twin.parent;
  // The registry keeps the tree without cycles; the count guards against a damaged database.
  for (int depth = 0; at && depth < 1000; ++depth) {
    if (at == ancestor) return true;
    const auto found = twins.find(at);
    if (found == twins.end()) return false;
    at = found->second->parent;
  }
  return false;
}

namespace {

// A filter with its references resolved.
struct Resolved {
  SitePtr site;
  TwinPtr below, related;
};

Result<Resolved> resolve(const State& state, OrganisationId organisation,
                         const TwinFilter& filter) {
  Resolved resolved;
  if (!filter.site.empty()) {
    TRY_ASSIGN(resolved.site, state.site(organisation, filter.site));
  }
  if (!filter.below.empty()) {
    TRY_ASSIGN(resolved.below, state.twin(organisation, filter.below));
  }
  if (!filter.related_to.empty()) {
    TRY_ASSIGN(resolved.related, state.twin(organisation, filter.related_to));
  }
  return resolved;
}

bool matches_labels(const TwinFilter& filter, const TwinRecord& twin) {
  return std::all_of(filter.labels.begin(), filter.labels.end(), [&](const auto& wanted) {
    const auto found = twin.labels.find(wanted.first);
    return found != twin.labels.end() && found->second == wanted.second;
  });
}

bool matches_relationship(const TwinFilter& filter, const Resolved& resolved,
                          const TwinRecord& twin) {
  if (filter.relationship.empty() && !resolved.related) return true;
  return std::any_of(twin.relationships.begin(), twin.relationships.end(), [&](const auto& has) {
    return (filter.relationship.empty() || has.name == filter.relationship) &&
           (!resolved.related || has.target == resolved.related->id);
  });
}

bool matches_text(std::string_view words, const TwinRecord& twin) {
  while (!words.empty()) {
    const size_t end = std::min(words.find(' '), words.size());
    const std::string_view word = words.substr(0, end);
    words.remove_prefix(std::min(words.size(), end + 1));
    if (word.empty()) continue;
    if (!contains_lower(twin.name, word) && !contains_lower(twin.display_name, word) &&
        !contains_lower(twin.device, word) && !contains_lower(twin.model->id, word) &&
        !contains_lower(twin.model->display_name, word) &&
        std::none_of(twin.labels.begin(), twin.labels.end(),
                     [&](const auto& label) { return contains_lower(label.second, word); }))
      return false;
  }
  return true;
}

bool matches(const State& state, const TwinFilter& filter, const Resolved& resolved,
             const TwinRecord& twin) {
  return (!resolved.site || twin.site == resolved.site->id) &&
         (!filter.has_device || *filter.has_device == !twin.device.empty()) &&
         (filter.device.empty() || filter.device == twin.device) &&
         (filter.name_glob.empty() || matches_glob(filter.name_glob, twin.name)) &&
         (filter.model.empty() || twin.model->is_a(filter.model)) && matches_labels(filter, twin) &&
         matches_relationship(filter, resolved, twin) &&
         (!resolved.below || state.is_below(twin, resolved.below->id)) &&
         matches_text(filter.text, twin);
}

}  // namespace

bool contains_words(std::string_view words, std::initializer_list<std::string_view> texts) {
  while (!words.empty()) {
    const size_t end = std::min(words.find(' '), words.size());
    const std::string_view word = words.substr(0, end);
    words.remove_prefix(std::min(words.size(), end + 1));
    if (!word.empty() && std::none_of(texts.begin(), texts.end(), [&](std::string_view text) {
          return contains_lower(text, word);
        }))
      return false;
  }
  return true;
}

Status State::each_twin(OrganisationId organisation, const TwinFilter& filter,
                        std::string_view after,
                        const std::function<bool(const TwinPtr&)>& take) const {
  const Tenant* own = tenant(organisation);
  if (!own) return {};
  TRY_ASSIGN(const Resolved resolved, resolve(*this, organisation, filter));
  auto at = after.empty() ? own->twins.begin() : own->twins.upper_bound(after);
  for (; at != own->twins.end(); ++at)
    if (matches(*this, filter, resolved, *at->second) && !take(at->second)) break;
  return {};
}

SeriesPlan plan_series(const ModelInfo& model, const std::vector<SeriesPtr>& had) {
  SeriesPlan plan;
  std::vector<bool> used(had.size(), false);
  const auto fits = [&](size_t at, const ElementInfo& element) {
    return !used[at] && had[at]->element == element.key && had[at]->kind == element.kind &&
           had[at]->unit == element.unit;
  };
  for (size_t i = 0; i < model.elements.size(); ++i) {
    const ElementInfo& element = model.elements[i];
    size_t found = i < had.size() && fits(i, element) ? i : had.size();  // the usual order
    for (size_t at = 0; found == had.size() && at < had.size(); ++at)
      if (fits(at, element)) found = at;
    if (found == had.size()) {
      plan.series.emplace_back();
      plan.fresh.push_back(i);
      continue;
    }
    used[found] = true;
    plan.series.push_back(had[found]->id);
    if (had[found]->retired) plan.revive.push_back(had[found]->id);
  }
  for (size_t at = 0; at < had.size(); ++at)
    if (!used[at] && !had[at]->retired) plan.retire.push_back(had[at]->id);
  return plan;
}

std::shared_ptr<const DeviceConfig> make_config(const DeviceRecord& device, const TwinRecord& twin,
                                                std::shared_ptr<const SourceConfig> source) {
  auto config = std::make_shared<DeviceConfig>();
  config->source = std::move(source);
  config->twin = twin.id;
  config->organisation = twin.organisation;
  config->site = twin.site;
  config->device = device.name;
  config->model = twin.model->id;
  config->protocol = device.protocol;
  config->stale_after_ms = device.stale_after_ms;
  config->elements.reserve(twin.model->elements.size());
  for (size_t i = 0; i < twin.model->elements.size(); ++i) {
    const ElementInfo& element = twin.model->elements[i];
    ElementConfig made;
    made.key = element.key;
    made.series = twin.series[i];
    made.kind = element.kind;
    made.writable_property = element.writable;
    made.minimum = element.minimum;
    made.maximum = element.maximum;
    made.enum_values = element.enum_values;
    made.unit = element.unit;
    for (const BindingEntry& binding : device.bindings) {
      if (binding.element != element.key) continue;
      if (!binding.wire_key.empty()) made.key = binding.wire_key;
      made.scale = binding.scale;
      made.offset = binding.offset;
    }
    config->elements.push_back(std::move(made));
  }
  for (const CommandInfo& command : twin.model->commands) config->commands.push_back(command.name);
  config->index();
  return config;
}

}  // namespace penstock::twin
