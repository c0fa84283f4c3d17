// From the tables to memory, at the start.
#include <algorithm>

#include <fmt/format.h>

#include "base/json.h"
#include "base/log.h"
#include "twin/binding.h"
#include "twin/models.h"
#include "twin/registry.h"
#include "twin/registry_impl.h"

namespace penstock::twin {

using store::Session;

namespace {

Status load_places(Session& session, State& state) {
  TRY((session.each<OrganisationId, std::string, std::string, Timestamp>(
      [&](OrganisationId id, std::string name, std::string display_name, Timestamp created_at) {
        state.tenants[id].record = std::make_shared<const OrganisationRecord>(
            OrganisationRecord{id, std::move(name), std::move(display_name), created_at});
      },
      "SELECT id, name, display_name, created_at FROM organisation")));
  return session
      .each<SiteId, OrganisationId, std::string, std::string, std::string, std::string, Timestamp>(
          [&](SiteId id, OrganisationId organisation, std::string name, std::string display_name,
              std::string time_zone, std::string description, Timestamp created_at) {
            state.put(std::make_shared<const SiteRecord>(
                SiteRecord{id, organisation, std::move(name), std::move(display_name),
                           std::move(time_zone), std::move(description), created_at}));
          },
          "SELECT id, organisation_id, name, display_name, time_zone, description, created_at FROM "
          "site");
}

Status load_models(Session& session, State& state) {
  std::map<OrganisationId, std::vector<ModelDocument>> documents;
  TRY((session.each<OrganisationId, std::string, std::string>(
      [&](OrganisationId organisation, std::string dtmi, std::string text) {
        documents[organisation].push_back({std::move(dtmi), std::move(text)});
      },
      "SELECT organisation_id, dtmi, document FROM model ORDER BY organisation_id, dtmi")));
  for (const auto& [organisation, texts] : documents) {
    auto compiled = compile_models(texts);
    if (!compiled)
      return fail(ErrorCode::kCorrupt,
                  "A stored model no longer reads, start the Penstock that stored it: " +
                      compiled.error().message,
                  compiled.error().about);
    state.tenants[organisation].models = *std::move(compiled);
  }
  return {};
}

Status load_series(Session& session, State& state) {
  return session.each<OrganisationId, SeriesId, TwinId, std::string, SiteId, std::string, uint8_t,
                      std::string, std::optional<int64_t>>(
      [&](OrganisationId organisation, SeriesId id, TwinId twin, std::string twin_name, SiteId site,
          std::string element, uint8_t kind, std::string unit, std::optional<int64_t> retired_at) {
        const auto at = state.sites.find(site);
        // A site may be gone when all that stood there has retired.
        std::string zone = at == state.sites.end() ? "UTC" : at->second->time_zone;
        state.put(std::make_shared<const SeriesInfo>(
            SeriesInfo{id, organisation, site, twin, std::move(twin_name), std::move(element),
                       static_cast<ValueKind>(kind), std::move(unit), std::move(zone),
                       retired_at.has_value()}));
      },
      "SELECT organisation_id, id, twin_id, twin_name, site_id, element, kind, unit, retired_at "
      "FROM series ORDER BY id");
}

using Twins = std::unordered_map<TwinId, TwinRecord>;

Status load_twin_rows(Session& session, const State& state, Twins& twins) {
  Status problem;
  TRY((session.each<OrganisationId, TwinId, SiteId, std::string, std::string, std::string, TwinId,
                    std::string, Timestamp, Timestamp>(
      [&](OrganisationId organisation, TwinId id, SiteId site, std::string name,
          std::string display_name, const std::string& model, TwinId parent,
          const std::string& labels, Timestamp created_at, Timestamp updated_at) {
        TwinRecord twin;
        twin.id = id;
        twin.organisation = organisation;
        twin.site = site;
        if (const auto at = state.sites.find(site); at != state.sites.end())
          twin.site_name = at->second->name;
        twin.name = std::move(name);
        twin.display_name = std::move(display_name);
        twin.parent = parent;
        if (auto found = state.model(organisation, model))
          twin.model = *std::move(found);
        else
          problem = fail(ErrorCode::kCorrupt, "A twin's model is missing: restore a backup", model);
        twin.labels = labels_from_text(labels);
        twin.created_at = created_at;
        twin.updated_at = updated_at;
        twins.emplace(id, std::move(twin));
      },
      "SELECT organisation_id, id, site_id, name, display_name, model, parent_id, labels, "
      "created_at, updated_at FROM twin")));
  TRY(problem);
  return session.each<TwinId, std::string, TwinId>(
      [&](TwinId source, std::string name, TwinId target) {
        if (const auto found = twins.find(source); found != twins.end())
          found->second.relationships.push_back({std::move(name), target});
      },
      "SELECT source_id, name, target_id FROM relationship ORDER BY source_id, position");
}

Status load_devices(Session& session, std::vector<DeviceRecord>& devices, ByText<Secret>& secrets) {
  ByText<Timestamp> made_at;
  TRY((session.each<std::string, uint8_t, std::string, Timestamp>(
      [&](std::string device, uint8_t kind, std::string secret, Timestamp created_at) {
        made_at[device] = created_at;
        secrets[std::move(device)] = {static_cast<CredentialKind>(kind), std::move(secret)};
      },
      "SELECT device, kind, secret, created_at FROM device_credential")));
  return session.each<OrganisationId, std::string, TwinId, bool, int64_t, std::string, std::string,
                      std::string, std::string, Timestamp>(
      [&](OrganisationId organisation, std::string name, TwinId twin, bool enabled,
          int64_t stale_after_ms, std::string protocol, std::string binding,
          const std::string& bindings, const std::string& grants, Timestamp created_at) {
        DeviceRecord device;
        device.organisation = organisation;
        device.twin = twin;
        device.enabled = enabled;
        device.stale_after_ms = stale_after_ms;
        device.protocol = std::move(protocol);
        device.binding = std::move(binding);
        if (bindings.size() > 2) device.bindings = bindings_from_text(bindings);
        grants_from_text(grants, device);
        device.created_at = created_at;
        if (const auto secret = secrets.find(name); secret != secrets.end()) {
          device.credential = secret->second.kind;
          device.credential_at = made_at[name];
        }
        device.name = std::move(name);
        devices.push_back(std::move(device));
      },
      "SELECT organisation_id, name, twin_id, enabled, stale_after_ms, protocol, binding, "
      "bindings, "
      "grants, created_at FROM device");
}

Status load_bindings(Session& session, State& state) {
  std::map<std::pair<OrganisationId, std::string>, BindingRecord> bindings;
  TRY((session.each<OrganisationId, std::string, uint32_t>(
      [&](OrganisationId organisation, const std::string& name, uint32_t active) {
        BindingRecord& record = bindings[{organisation, name}];
        record.organisation = organisation;
        record.name = name;
        record.active_version = active;
      },
      "SELECT organisation_id, name, active_version FROM binding")));
  TRY((session.each<OrganisationId, std::string, uint32_t, std::string, std::string, std::string,
                    Timestamp, Timestamp, std::string>(
      [&](OrganisationId organisation, const std::string& name, uint32_t version,
          std::string document, std::string note, std::string saved_by, Timestamp saved_at,
          Timestamp activated_at, std::string activated_by) {
        bindings[{organisation, name}].versions.push_back(
            {version, std::move(document), std::move(note), std::move(saved_by), saved_at,
             activated_at, std::move(activated_by)});
      },
      "SELECT organisation_id, name, version, document, note, saved_by, saved_at, activated_at, "
      "activated_by FROM binding_version ORDER BY organisation_id, name, version")));
  for (auto& [key, record] : bindings) {
    if (const BindingVersion* active = record.version(record.active_version)) {
      TRY_ASSIGN(const Json document, parse_json(active->document));
      TRY_ASSIGN(auto parsed, parse_binding(document));
      record.active = std::make_shared<const BindingDocument>(std::move(parsed));
    }
    state.tenants[key.first].bindings[key.second] =
        std::make_shared<const BindingRecord>(std::move(record));
  }
  return {};
}

Status load_join_tokens(Session& session, State& state) {
  return session.each<OrganisationId, uint32_t, SiteId, std::string, std::string, Timestamp,
                      Timestamp>(
      [&](OrganisationId organisation, uint32_t id, SiteId site, std::string name,
          const std::string& secret, Timestamp created_at, Timestamp expires_at) {
        state.put(std::make_shared<const JoinTokenRecord>(JoinTokenRecord{
                      id, organisation, site, std::move(name), created_at, expires_at}),
                  secret);
      },
      "SELECT organisation_id, id, site_id, name, secret, created_at, expires_at FROM join_token");
}

Status load_all(Session& session, State& state, Twins& twins, std::vector<DeviceRecord>& devices,
                ByText<Secret>& secrets) {
  TRY(load_places(session, state));
  TRY(load_models(session, state));
  TRY(load_bindings(session, state));
  TRY(load_series(session, state));
  TRY(load_twin_rows(session, state, twins));
  TRY(load_devices(session, devices, secrets));
  return load_join_tokens(session, state);
}

}  // namespace

// Gives each twin the series of its model's elements. A newer program may read a stored model more
// fully than the one that made its twins: then they get the series they lack.
Status TwinRegistry::Impl::match_series(std::unordered_map<TwinId, TwinRecord>& twins) {
  std::vector<std::pair<TwinRecord*, SeriesPlan>> changes;
  for (auto& [id, twin] : twins) {
    SeriesPlan plan = plan_series(*twin.model, series_had(id));
    if (plan.changes())
      changes.emplace_back(&twin, std::move(plan));
    else
      twin.series = std::move(plan.series);
  }
  if (changes.empty()) return {};
  log_info("registry", "{} twins get other series: their models read differently now",
           changes.size());
  std::vector<SeriesInfo> changed;
  const Timestamp now = clock.now();
  const Status done = store.write([&](Session& session) -> Status {
    changed.clear();
    for (auto& [twin, plan] : changes) {
      const auto site = state.sites.find(twin->site);
      TRY(carry_out(session, plan, series_had(twin->id), *twin,
                    site == state.sites.end() ? "UTC" : site->second->time_zone, now, changed));
    }
    return {};
  });
  TRY(done);
  for (SeriesInfo& info : changed) state.put(std::make_shared<const SeriesInfo>(std::move(info)));
  return {};
}

Status TwinRegistry::Impl::load() {
  Twins twins;
  std::vector<DeviceRecord> devices;
  ByText<Secret> secrets;
  TRY(store.read(
      [&](Session& session) { return load_all(session, state, twins, devices, secrets); }));
  TRY(match_series(twins));
  for (const DeviceRecord& device : devices)
    if (const auto twin = twins.find(device.twin); twin != twins.end())
      twin->second.device = device.name;
  for (auto& [id, twin] : twins) state.put(std::make_shared<const TwinRecord>(std::move(twin)));
  for (DeviceRecord& device : devices) {
    const auto twin = state.twins.find(device.twin);
    DevicePtr record =
        with_config(std::move(device), twin == state.twins.end() ? nullptr : twin->second);
    state.put(record);
    if (const auto secret = secrets.find(record->name); secret != secrets.end())
      state.set_secret(record->name, std::move(secret->second));
  }
  return {};
}

}  // namespace penstock::twin
