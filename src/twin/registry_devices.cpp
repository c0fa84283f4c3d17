// Devices and their credentials.
#include <algorithm>
#include <cmath>
#include <set>

#include <fmt/format.h>

#include "store/digest.h"
#include "twin/binding.h"
#include "twin/names.h"
#include "twin/password.h"
#include "twin/registry.h"
#include "twin/registry_impl.h"

namespace penstock::twin {

using store::Session;

namespace {

// A device on its way into the registry.
struct Planned {
  TwinRecord twin;  // new or existing; not used for an application
  bool new_twin = false;
  std::string time_zone;
  DeviceRecord device;
  Secret secret;
  std::string token;
};

Status check_bindings(const std::vector<BindingEntry>& bindings, const ModelInfo& model) {
  std::set<std::string_view> elements, wires;
  for (const BindingEntry& binding : bindings) {
    if (!model.element(binding.element))
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("{} has no element of that name to bind", model.id),
                  binding.element.substr(0, 200));
    if (!elements.insert(binding.element).second)
      return fail(ErrorCode::kInvalidArgument, "An element is bound twice: keep one",
                  binding.element);
    if (!std::isfinite(binding.scale) || binding.scale == 0 || !std::isfinite(binding.offset))
      return fail(ErrorCode::kInvalidArgument,
                  "The scale of a binding is a finite number other than 0, its offset is finite",
                  binding.element);
    TRY(check_text("wire key", binding.wire_key, 256));
  }
  for (const ElementInfo& element : model.elements) {
    const auto bound = std::find_if(bindings.begin(), bindings.end(),
                                    [&](const auto& b) { return b.element == element.key; });
    const std::string_view wire =
        bound != bindings.end() && !bound->wire_key.empty() ? bound->wire_key : element.key;
    if (!wires.insert(wire).second)
      return fail(ErrorCode::kInvalidArgument,
                  "Two elements would come from one member of the message: rename one",
                  std::string(wire));
  }
  return {};
}

Status check_protocol(std::string_view protocol) {
  for (const std::string_view known : {"mqtt", "sparkplug", "lwm2m", "opcua", "http"})
    if (protocol == known) return {};
  return fail(ErrorCode::kInvalidArgument,
              "A device's protocol is mqtt, sparkplug, lwm2m, opcua or http",
              std::string(protocol.substr(0, 64)));
}

Status check_filters(const std::vector<std::string>& filters) {
  if (filters.size() > 100)
    return fail(ErrorCode::kInvalidArgument, "A device has at most 100 grants each way");
  for (const std::string& filter : filters) TRY(check_topic_filter(filter));
  return {};
}

Status insert_device(Session& session, const DeviceRecord& device, const Secret& secret) {
  const std::optional<TwinId> twin = device.twin ? std::optional(device.twin) : std::nullopt;
  TRY(session.run(
      "INSERT INTO device (organisation_id, name, twin_id, enabled, stale_after_ms, protocol, "
      "binding, bindings, grants, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      device.organisation, device.name, twin, device.enabled, device.stale_after_ms,
      device.protocol, device.binding, bindings_to_text(device.bindings), grants_to_text(device),
      device.created_at));
  if (secret.kind == CredentialKind::kNone) return {};
  TRY(session.run(
      "INSERT INTO device_credential (organisation_id, device, kind, secret, created_at) VALUES "
      "(?, ?, ?, ?, ?)",
      device.organisation, device.name, secret.kind, secret.text, device.credential_at));
  return {};
}

// The credential that a draft asks for. A password is hashed here.
Status make_secret(std::string token, std::string_view password, bool none,
                   const TwinRegistry::Options& options, Planned& planned) {
  if (none) return {};
  if (!password.empty()) {
    planned.secret.kind = CredentialKind::kPassword;
    TRY_ASSIGN(planned.secret.text,
               hash_password(password, options.password_passes, options.password_memory_bytes));
    return {};
  }
  planned.token = std::move(token);
  planned.secret = {CredentialKind::kToken, store::sha256_hex(planned.token)};
  return {};
}

Status plan_record(const DeviceDraft& draft, OrganisationId organisation, const State& state,
                   Timestamp now, Planned& planned) {
  TRY(check_device_name(draft.name));
  if (state.devices.contains(draft.name))
    return fail(ErrorCode::kAlreadyExists, "A device of that name is registered: choose another",
                draft.name);
  if (draft.stale_after_ms < 0)
    return fail(ErrorCode::kInvalidArgument, "A device cannot be stale before it is silent",
                draft.name);
  DeviceRecord& device = planned.device;
  device.organisation = organisation;
  device.name = draft.name;
  device.credential = planned.secret.kind;
  device.credential_at = device.created_at = now;
  device.stale_after_ms = draft.stale_after_ms;
  device.protocol = draft.protocol;
  device.binding = draft.binding;
  device.bindings = draft.bindings;
  if (!draft.binding.empty() && draft.protocol == "mqtt") {
    TRY_ASSIGN(const auto binding, state.binding(organisation, draft.binding));
    if (binding->active) device.protocol = binding->active->protocol;
  }
  TRY(check_protocol(device.protocol));
  return check_bindings(draft.bindings, *planned.twin.model);
}

}  // namespace

Result<DeviceCreated> TwinRegistry::create_device(OrganisationId organisation,
                                                  const DeviceDraft& draft) {
  TRY_ASSIGN(auto made, create_devices(organisation, std::span(&draft, 1)));
  return std::move(made.front());
}

Result<std::vector<DeviceCreated>> TwinRegistry::create_devices(
    OrganisationId organisation, std::span<const DeviceDraft> drafts) {
  std::vector<Planned> plans(drafts.size());
  for (size_t i = 0; i < drafts.size(); ++i)  // before the lock: passwords take their time
    TRY(make_secret(impl_->new_token(), drafts[i].password, drafts[i].certificate_only,
                    impl_->options, plans[i]));

  const std::lock_guard lock(impl_->writing);
  const State& state = impl_->state;
  const Timestamp now = impl_->clock.now();
  if (state.twins.size() + drafts.size() > impl_->options.twins_max)
    return fail(ErrorCode::kResourceExhausted, "The limit of twins is reached: raise twins_max");
  std::set<std::string_view> names, twins;
  for (size_t i = 0; i < drafts.size(); ++i) {
    const DeviceDraft& draft = drafts[i];
    Planned& planned = plans[i];
    if (!draft.twin.empty()) {
      TRY_ASSIGN(const TwinPtr twin, state.twin(organisation, draft.twin));
      if (!twin->device.empty())
        return fail(ErrorCode::kConflict,
                    fmt::format("{} is fed by {} already: remove that device first", twin->name,
                                twin->device),
                    draft.name);
      planned.twin = *twin;
    } else {
      const std::string slug = check_slug("twin", draft.name) ? draft.name : slug_of(draft.name);
      TRY_ASSIGN(planned.twin,
                 impl_->plan_twin(organisation, {slug, draft.display_name, draft.site, draft.model,
                                                 draft.parent, draft.labels}));
      planned.new_twin = true;
      planned.time_zone = state.sites.find(planned.twin.site)->second->time_zone;
    }
    TRY(plan_record(draft, organisation, state, now, planned));
    TRY(impl_->source_of(planned.device, *planned.twin.model));
    planned.twin.device = draft.name;
    if (!names.insert(draft.name).second || !twins.insert(planned.twin.name).second)
      return fail(ErrorCode::kAlreadyExists, "That device is in the list twice: keep one",
                  draft.name);
  }

  std::vector<SeriesInfo> series;
  const Status done = impl_->store.write([&](Session& session) -> Status {
    series.clear();
    for (Planned& planned : plans) {
      if (planned.new_twin) TRY(insert_twin(session, planned.twin, planned.time_zone, now, series));
      planned.device.twin = planned.twin.id;
      TRY(insert_device(session, planned.device, planned.secret));
    }
    return {};
  });
  TRY(done);

  std::vector<DeviceCreated> made;
  for (Planned& planned : plans) {
    TwinPtr twin = std::make_shared<const TwinRecord>(std::move(planned.twin));
    DevicePtr device = impl_->with_config(std::move(planned.device), twin);
    made.push_back({std::move(device), std::move(twin), std::move(planned.token)});
  }
  impl_->apply([&](State& changed) {
    for (SeriesInfo& info : series)
      changed.put(std::make_shared<const SeriesInfo>(std::move(info)));
    for (size_t i = 0; i < made.size(); ++i) {
      changed.put(made[i].twin);
      changed.put(made[i].device);
      changed.set_secret(made[i].device->name, std::move(plans[i].secret));
    }
  });
  for (const DeviceCreated& each : made) impl_->tell(*each.device, false);
  return made;
}

Result<DeviceCreated> TwinRegistry::create_application(OrganisationId organisation,
                                                       std::string_view name,
                                                       std::vector<std::string> publish_filters,
                                                       std::vector<std::string> subscribe_filters) {
  TRY(check_device_name(name));
  TRY(check_filters(publish_filters));
  TRY(check_filters(subscribe_filters));
  const std::lock_guard lock(impl_->writing);
  if (!impl_->state.tenant(organisation))
    return fail(ErrorCode::kNotFound, "No such organisation is known");
  if (impl_->state.devices.contains(name))
    return fail(ErrorCode::kAlreadyExists, "A device of that name is registered: choose another",
                std::string(name));
  Planned planned;
  TRY(make_secret(impl_->new_token(), {}, false, impl_->options, planned));
  DeviceRecord& device = planned.device;
  device.organisation = organisation;
  device.name = name;
  device.credential = CredentialKind::kToken;
  device.created_at = device.credential_at = impl_->clock.now();
  device.publish_filters = std::move(publish_filters);
  device.subscribe_filters = std::move(subscribe_filters);
  TRY(impl_->store.write(
      [&](Session& session) { return insert_device(session, device, planned.secret); }));
  DevicePtr made = impl_->with_config(std::move(device), nullptr);
  impl_->apply([&](State& state) {
    state.put(made);
    state.set_secret(made->name, std::move(planned.secret));
  });
  return DeviceCreated{std::move(made), nullptr, std::move(planned.token)};
}

Result<DevicePtr> TwinRegistry::update_device(OrganisationId organisation, std::string_view name,
                                              const DevicePatch& patch) {
  const std::lock_guard lock(impl_->writing);
  TRY_ASSIGN(const DevicePtr old, impl_->state.device(organisation, name));
  const TwinPtr twin = old->twin ? impl_->state.twins.find(old->twin)->second : nullptr;
  DeviceRecord device = *old;
  if (patch.enabled) device.enabled = *patch.enabled;
  if (patch.stale_after_ms) device.stale_after_ms = std::max<int64_t>(0, *patch.stale_after_ms);
  if (patch.protocol) {
    TRY(check_protocol(*patch.protocol));
    device.protocol = *patch.protocol;
  }
  if (patch.binding) {
    device.binding = *patch.binding;
    if (!device.binding.empty() && !patch.protocol) {
      TRY_ASSIGN(const auto binding, impl_->state.binding(organisation, device.binding));
      if (binding->active) device.protocol = binding->active->protocol;
    }
  }
  if (twin) TRY(impl_->source_of(device, *twin->model));
  if (patch.bindings) {
    if (!twin)
      return fail(ErrorCode::kInvalidArgument, "An application has no elements to bind",
                  device.name);
    TRY(check_bindings(*patch.bindings, *twin->model));
    device.bindings = *patch.bindings;
  }
  if (patch.publish_filters) {
    TRY(check_filters(*patch.publish_filters));
    device.publish_filters = *patch.publish_filters;
  }
  if (patch.subscribe_filters) {
    TRY(check_filters(*patch.subscribe_filters));
    device.subscribe_filters = *patch.subscribe_filters;
  }
  const auto done = impl_->store.write([&](Session& session) {
    return session.run(
        "UPDATE device SET enabled = ?, stale_after_ms = ?, protocol = ?, binding = ?, bindings = "
        "?, "
        "grants = ? WHERE organisation_id = ? AND name = ?",
        device.enabled, device.stale_after_ms, device.protocol, device.binding,
        bindings_to_text(device.bindings), grants_to_text(device), organisation, device.name);
  });
  TRY(done);
  DevicePtr made = impl_->with_config(std::move(device), twin);
  impl_->apply([&](State& state) { state.put(made); });
  // A connection keeps the grants it was given, so it must ask again.
  const bool disconnect = !made->enabled || made->publish_filters != old->publish_filters ||
                          made->subscribe_filters != old->subscribe_filters;
  impl_->tell(*made, disconnect);
  return made;
}

Status TwinRegistry::delete_device(OrganisationId organisation, std::string_view name,
                                   bool with_twin) {
  {
    const std::lock_guard lock(impl_->writing);
    TRY_ASSIGN(const DevicePtr old, impl_->state.device(organisation, name));
    if (!with_twin || !old->twin) {
      const auto done = impl_->store.write([&](Session& session) {
        return session.run("DELETE FROM device WHERE organisation_id = ? AND name = ?",
                           organisation, old->name);
      });
      TRY(done);
      impl_->apply([&](State& state) {
        if (old->twin) {
          TwinRecord twin = *state.twins.find(old->twin)->second;
          twin.device.clear();
          state.put(std::make_shared<const TwinRecord>(std::move(twin)));
        }
        state.erase(*old);
      });
      impl_->tell(DeviceChange{old->name, old->twin, nullptr, true});
      return {};
    }
  }
  TRY_ASSIGN(const DevicePtr gone, device(organisation, name));
  return delete_twin(organisation, to_text(gone->twin));
}

Result<std::string> TwinRegistry::rotate_credentials(OrganisationId organisation,
                                                     std::string_view name,
                                                     std::string_view password) {
  Planned planned;
  TRY(make_secret(impl_->new_token(), password, false, impl_->options, planned));
  const std::lock_guard lock(impl_->writing);
  TRY_ASSIGN(const DevicePtr old, impl_->state.device(organisation, name));
  DeviceRecord device = *old;
  device.credential = planned.secret.kind;
  device.credential_at = impl_->clock.now();
  const Status done = impl_->store.write([&](Session& session) -> Status {
    TRY(session.run("DELETE FROM device_credential WHERE organisation_id = ? AND device = ?",
                    organisation, device.name));
    TRY(session.run(
        "INSERT INTO device_credential (organisation_id, device, kind, secret, created_at) VALUES "
        "(?, ?, ?, ?, ?)",
        organisation, device.name, planned.secret.kind, planned.secret.text, device.credential_at));
    return {};
  });
  TRY(done);
  DevicePtr made = std::make_shared<const DeviceRecord>(std::move(device));
  impl_->apply([&](State& state) {
    state.put(made);
    state.set_secret(made->name, std::move(planned.secret));
  });
  impl_->tell(*made, true);
  return planned.token;
}

// -- questions

Result<DevicePtr> TwinRegistry::device(OrganisationId organisation, std::string_view name) const {
  const std::shared_lock lock(impl_->guard);
  return impl_->state.device(organisation, name);
}

DevicePtr TwinRegistry::device(std::string_view name) const {
  const std::shared_lock lock(impl_->guard);
  const auto found = impl_->state.devices.find(name);
  return found == impl_->state.devices.end() ? nullptr : found->second;
}

Result<Page<DevicePtr>> TwinRegistry::devices(OrganisationId organisation, std::string_view text,
                                              std::string_view site,
                                              const PageRequest& request) const {
  const std::shared_lock lock(impl_->guard);
  const State& state = impl_->state;
  SitePtr at;
  if (!site.empty()) {
    TRY_ASSIGN(at, state.site(organisation, site));
  }
  const Tenant* tenant = state.tenant(organisation);
  if (!tenant) return Page<DevicePtr>();
  return page_of(tenant->devices, request, [&](const DeviceRecord& device) {
    const auto twin = state.twins.find(device.twin);
    const bool has_twin = twin != state.twins.end();
    if (at && (!has_twin || twin->second->site != at->id)) return false;
    return contains_words(text, {device.name, has_twin ? std::string_view(twin->second->name) : "",
                                 has_twin ? std::string_view(twin->second->display_name) : "",
                                 has_twin ? std::string_view(twin->second->model->id) : ""});
  });
}

DevicePtr TwinRegistry::device_by_token(std::string_view token_sha256) const {
  const std::shared_lock lock(impl_->guard);
  const auto name = impl_->state.device_of_token.find(token_sha256);
  if (name == impl_->state.device_of_token.end()) return nullptr;
  return impl_->state.devices.find(name->second)->second;
}

std::string TwinRegistry::password_hash(std::string_view device) const {
  const std::shared_lock lock(impl_->guard);
  const auto secret = impl_->state.secrets.find(device);
  if (secret == impl_->state.secrets.end() || secret->second.kind != CredentialKind::kPassword)
    return {};
  return secret->second.text;
}

}  // namespace penstock::twin
