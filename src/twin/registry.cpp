// Organisations, sites, join tokens, series and listeners.
#include "twin/registry.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/check.h"
#include "base/json.h"
#include "base/log.h"
#include "store/digest.h"
#include "twin/names.h"
#include "twin/registry_impl.h"
#include "twin/schema.h"

namespace penstock::twin {

using store::Session;

TwinRegistry::TwinRegistry(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TwinRegistry::~TwinRegistry() = default;

Result<std::unique_ptr<TwinRegistry>> TwinRegistry::open(store::Registry& registry, Clock& clock,
                                                         Random& random, Options options) {
  TRY(registry.migrate("twin", migrations()));
  auto impl = std::make_unique<Impl>(registry, clock, random, options);
  TRY(impl->load());
  std::unique_ptr<TwinRegistry> made(new TwinRegistry(std::move(impl)));
  if (made->impl_->state.tenants.empty()) TRY(made->create_organisation("default", "Organisation"));
  return made;
}

// -- documents in columns

std::string labels_to_text(const std::map<std::string, std::string>& labels) {
  return Json(labels).dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::map<std::string, std::string> labels_from_text(const std::string& text) {
  std::map<std::string, std::string> labels;
  const auto json = parse_json(text);
  if (!json || !json->is_object()) return labels;
  for (const auto& [key, value] : json->items())
    if (value.is_string()) labels[key] = value.get<std::string>();
  return labels;
}

std::string bindings_to_text(const std::vector<BindingEntry>& bindings) {
  Json list = Json::array();
  for (const BindingEntry& binding : bindings)
    list.push_back({{"element", binding.element},
                    {"wire_key", binding.wire_key},
                    {"scale", binding.scale},
                    {"offset", binding.offset}});
  return list.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::vector<BindingEntry> bindings_from_text(const std::string& text) {
  std::vector<BindingEntry> bindings;
  const auto json = parse_json(text);
  if (!json || !json->is_array()) return bindings;
  for (const Json& entry : *json)
    bindings.push_back({entry.value("element", ""), entry.value("wire_key", ""),
                        entry.value("scale", 1.0), entry.value("offset", 0.0)});
  return bindings;
}

std::string grants_to_text(const DeviceRecord& device) {
  return Json{{"publish", device.publish_filters}, {"subscribe", device.subscribe_filters}}.dump(
      -1, ' ', false, Json::error_handler_t::replace);
}

void grants_from_text(const std::string& text, DeviceRecord& device) {
  const auto json = parse_json(text);
  if (!json || !json->is_object()) return;
  device.publish_filters = json->value("publish", std::vector<std::string>());
  device.subscribe_filters = json->value("subscribe", std::vector<std::string>());
}

Status check_labels(const std::map<std::string, std::string>& labels) {
  if (labels.size() > 64)
    return fail(ErrorCode::kInvalidArgument, "A twin has at most 64 labels: remove some");
  for (const auto& [key, value] : labels) {
    if (key.empty()) return fail(ErrorCode::kInvalidArgument, "A label needs a name");
    TRY(check_text("label's name", key, 63));
    TRY(check_text("label's value", value, 1024));
  }
  return {};
}

// -- listeners

void TwinRegistry::subscribe(std::function<void(const DeviceChange&)> listener) {
  const std::lock_guard lock(impl_->writing);
  for (const auto& config : device_configs())
    listener({config->device, config->twin, config, false});
  impl_->listeners.push_back(std::move(listener));
}

std::vector<std::shared_ptr<const DeviceConfig>> TwinRegistry::device_configs() const {
  const std::shared_lock lock(impl_->guard);
  std::vector<std::shared_ptr<const DeviceConfig>> configs;
  configs.reserve(impl_->state.devices.size());
  for (const auto& [name, device] : impl_->state.devices)
    if (device->enabled && device->config) configs.push_back(device->config);
  return configs;
}

DevicePtr TwinRegistry::Impl::with_config(DeviceRecord device, const TwinPtr& twin) const {
  device.config = nullptr;
  if (twin) {
    auto source = source_of(device, *twin->model);
    if (!source)  // refused before it is written; a registry of another make may still hold one
      log_error("registry", "{} is read without its binding: {}", device.name,
                source.error().text());
    device.config = make_config(device, *twin, source ? *std::move(source) : nullptr);
  }
  return std::make_shared<const DeviceRecord>(std::move(device));
}

void TwinRegistry::Impl::tell(const DeviceRecord& device, bool disconnect) const {
  tell(
      DeviceChange{device.name, device.twin, device.enabled ? device.config : nullptr, disconnect});
}

// -- organisations

OrganisationId TwinRegistry::default_organisation() const {
  const std::shared_lock lock(impl_->guard);
  CHECK(!impl_->state.tenants.empty());
  return impl_->state.tenants.begin()->first;
}

Result<OrganisationPtr> TwinRegistry::create_organisation(std::string_view name,
                                                          std::string_view display_name) {
  TRY(check_slug("organisation", name));
  TRY(check_text("display name", display_name, 200));
  const std::lock_guard lock(impl_->writing);
  OrganisationRecord record;
  record.name = name;
  record.display_name = display_name.empty() ? name : display_name;
  record.created_at = impl_->clock.now();
  const Status done = impl_->store.write([&](Session& session) -> Status {
    TRY_ASSIGN(const int64_t id, session.next_id("organisation"));
    record.id = OrganisationId(static_cast<uint32_t>(id));
    return session
        .run("INSERT INTO organisation (id, name, display_name, created_at) VALUES (?, ?, ?, ?)",
             record.id, record.name, record.display_name, record.created_at)
        .map([](int64_t) {});
  });
  TRY(done);
  auto made = std::make_shared<const OrganisationRecord>(std::move(record));
  impl_->apply([&](State& state) { state.tenants[made->id].record = made; });
  return made;
}

std::vector<OrganisationPtr> TwinRegistry::organisations() const {
  const std::shared_lock lock(impl_->guard);
  std::vector<OrganisationPtr> all;
  for (const auto& [id, tenant] : impl_->state.tenants) all.push_back(tenant.record);
  return all;
}

// -- sites

Result<SitePtr> TwinRegistry::create_site(OrganisationId organisation, const SiteDraft& draft) {
  TRY(check_slug("site", draft.name));
  TRY(check_text("display name", draft.display_name, 200));
  TRY(check_text("description", draft.description, 2000));
  TRY(check_time_zone(draft.time_zone));
  const std::lock_guard lock(impl_->writing);
  const Tenant* tenant = impl_->state.tenant(organisation);
  if (!tenant) return fail(ErrorCode::kNotFound, "No such organisation is known");
  if (tenant->sites.contains(draft.name))
    return fail(ErrorCode::kAlreadyExists, "There is a site of that name: choose another",
                draft.name);
  SiteRecord record{{},
                    organisation,
                    draft.name,
                    draft.display_name.empty() ? draft.name : draft.display_name,
                    draft.time_zone,
                    draft.description,
                    impl_->clock.now()};
  const Status done = impl_->store.write([&](Session& session) -> Status {
    TRY_ASSIGN(const int64_t id, session.next_id("site"));
    record.id = SiteId(static_cast<uint32_t>(id));
    return session
        .run(
            "INSERT INTO site (organisation_id, id, name, display_name, time_zone, description, "
            "created_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
            organisation, record.id, record.name, record.display_name, record.time_zone,
            record.description, record.created_at)
        .map([](int64_t) {});
  });
  TRY(done);
  SitePtr made = std::make_shared<const SiteRecord>(std::move(record));
  impl_->apply([&](State& state) { state.put(made); });
  return made;
}

Result<SitePtr> TwinRegistry::update_site(OrganisationId organisation, std::string_view site,
                                          const SitePatch& patch) {
  const std::lock_guard lock(impl_->writing);
  TRY_ASSIGN(const SitePtr old, impl_->state.site(organisation, site));
  SiteRecord record = *old;
  if (patch.display_name) record.display_name = *patch.display_name;
  if (patch.time_zone) record.time_zone = *patch.time_zone;
  if (patch.description) record.description = *patch.description;
  TRY(check_text("display name", record.display_name, 200));
  TRY(check_text("description", record.description, 2000));
  TRY(check_time_zone(record.time_zone));
  if (record.display_name.empty()) record.display_name = record.name;
  const auto done = impl_->store.write([&](Session& session) {
    return session.run(
        "UPDATE site SET display_name = ?, time_zone = ?, description = ? WHERE organisation_id = "
        "? AND id = ?",
        record.display_name, record.time_zone, record.description, organisation, record.id);
  });
  TRY(done);
  SitePtr made = std::make_shared<const SiteRecord>(std::move(record));
  impl_->apply([&](State& state) {
    state.put(made);
    if (made->time_zone == old->time_zone) return;
    for (const SeriesPtr& info : std::vector<SeriesPtr>(state.series)) {
      if (!info || info->site != made->id) continue;
      auto moved = std::make_shared<SeriesInfo>(*info);
      moved->time_zone = made->time_zone;
      state.put(SeriesPtr(std::move(moved)));
    }
  });
  return made;
}

Status TwinRegistry::delete_site(OrganisationId organisation, std::string_view site) {
  const std::lock_guard lock(impl_->writing);
  TRY_ASSIGN(const SitePtr old, impl_->state.site(organisation, site));
  if (const auto standing = impl_->state.twins_at.find(old->id);
      standing != impl_->state.twins_at.end())
    return fail(
        ErrorCode::kConflict,
        fmt::format("{} twins stand at the site: delete or move them first", standing->second),
        old->name);
  const auto done = impl_->store.write([&](Session& session) {
    return session.run("DELETE FROM site WHERE organisation_id = ? AND id = ?", organisation,
                       old->id);
  });
  TRY(done);
  impl_->apply([&](State& state) {
    std::vector<uint32_t> tokens;
    for (const auto& [id, token] : state.join_tokens)
      if (token->site == old->id) tokens.push_back(id);
    for (const uint32_t id : tokens) state.erase_join_token(id);
    state.erase(*old);
  });
  return {};
}

Result<SitePtr> TwinRegistry::site(OrganisationId organisation, std::string_view site) const {
  const std::shared_lock lock(impl_->guard);
  return impl_->state.site(organisation, site);
}

SitePtr TwinRegistry::site(SiteId id) const {
  const std::shared_lock lock(impl_->guard);
  const auto found = impl_->state.sites.find(id);
  return found == impl_->state.sites.end() ? nullptr : found->second;
}

Page<SitePtr> TwinRegistry::sites(OrganisationId organisation, std::string_view text,
                                  const PageRequest& page) const {
  const std::shared_lock lock(impl_->guard);
  const Tenant* tenant = impl_->state.tenant(organisation);
  if (!tenant) return {};
  return page_of(tenant->sites, page, [&](const SiteRecord& site) {
    return contains_words(text, {site.name, site.display_name, site.description});
  });
}

size_t TwinRegistry::twin_count(SiteId site) const {
  const std::shared_lock lock(impl_->guard);
  const auto found = impl_->state.twins_at.find(site);
  return found == impl_->state.twins_at.end() ? 0 : found->second;
}

// -- series

SeriesPtr TwinRegistry::series(SeriesId id) const {
  const std::shared_lock lock(impl_->guard);
  return impl_->state.series_by(id);
}

Result<SeriesPtr> TwinRegistry::series(OrganisationId organisation, std::string_view twin,
                                       std::string_view element) const {
  const std::shared_lock lock(impl_->guard);
  TRY_ASSIGN(const TwinPtr found, impl_->state.twin(organisation, twin));
  if (const auto id = found->series_of(element)) return impl_->state.series_by(*id);
  // Not in the present model: the newest that retired.
  SeriesPtr newest;
  for (const SeriesPtr& info : impl_->series_had(found->id))
    if (info->element == element && (!newest || newest->id < info->id)) newest = info;
  if (newest) return newest;
  return fail(ErrorCode::kNotFound, fmt::format("{} has no such element", found->name),
              std::string(element.substr(0, 200)));
}

std::vector<SeriesPtr> TwinRegistry::all_series() const {
  const std::shared_lock lock(impl_->guard);
  std::vector<SeriesPtr> all;
  all.reserve(impl_->state.series.size());
  for (const SeriesPtr& info : impl_->state.series)
    if (info) all.push_back(info);
  return all;
}

std::vector<SeriesPtr> TwinRegistry::Impl::series_had(TwinId twin) const {
  std::vector<SeriesPtr> had;
  if (const auto found = state.series_of.find(twin); found != state.series_of.end())
    for (const SeriesId id : found->second) had.push_back(state.series_by(id));
  return had;
}

// -- join tokens

std::string TwinRegistry::Impl::new_token() { return "pst_" + random.hex(32); }

Result<JoinTokenCreated> TwinRegistry::create_join_token(OrganisationId organisation,
                                                         std::string_view site,
                                                         std::string_view name,
                                                         Timestamp expires_at) {
  TRY(check_text("name", name, 100));
  const std::lock_guard lock(impl_->writing);
  TRY_ASSIGN(const SitePtr at, impl_->state.site(organisation, site));
  const std::string token = impl_->new_token();
  const std::string digest = store::sha256_hex(token);
  JoinTokenRecord record{0,         organisation, at->id, std::string(name), impl_->clock.now(),
                         expires_at};
  const Status done = impl_->store.write([&](Session& session) -> Status {
    TRY_ASSIGN(const int64_t id, session.next_id("join_token"));
    record.id = static_cast<uint32_t>(id);
    return session
        .run(
            "INSERT INTO join_token (organisation_id, id, site_id, name, secret, created_at, "
            "expires_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
            organisation, record.id, record.site, record.name, digest, record.created_at,
            record.expires_at)
        .map([](int64_t) {});
  });
  TRY(done);
  auto made = std::make_shared<const JoinTokenRecord>(std::move(record));
  impl_->apply([&](State& state) { state.put(made, digest); });
  return JoinTokenCreated{made, token};
}

Status TwinRegistry::delete_join_token(OrganisationId organisation, uint32_t id) {
  const std::lock_guard lock(impl_->writing);
  const auto found = impl_->state.join_tokens.find(id);
  if (found == impl_->state.join_tokens.end() || found->second->organisation != organisation)
    return fail(ErrorCode::kNotFound, "No such join token is known", std::to_string(id));
  const auto done = impl_->store.write([&](Session& session) {
    return session.run("DELETE FROM join_token WHERE organisation_id = ? AND id = ?", organisation,
                       id);
  });
  TRY(done);
  impl_->apply([&](State& state) { state.erase_join_token(id); });
  return {};
}

std::vector<JoinTokenPtr> TwinRegistry::join_tokens(OrganisationId organisation) const {
  const std::shared_lock lock(impl_->guard);
  std::vector<JoinTokenPtr> all;
  for (const auto& [id, token] : impl_->state.join_tokens)
    if (token->organisation == organisation) all.push_back(token);
  return all;
}

JoinTokenPtr TwinRegistry::join_token_by_digest(std::string_view token_sha256) const {
  const std::shared_lock lock(impl_->guard);
  const auto id = impl_->state.join_token_of.find(token_sha256);
  if (id == impl_->state.join_token_of.end()) return nullptr;
  return impl_->state.join_tokens.find(id->second)->second;
}

}  // namespace penstock::twin
