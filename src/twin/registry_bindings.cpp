// Binding documents: versions, and the configuration of the devices that use them.
#include <fmt/format.h>

#include "base/json.h"
#include "twin/binding.h"
#include "twin/names.h"
#include "twin/registry.h"
#include "twin/registry_impl.h"

namespace penstock::twin {

using store::Session;

namespace {

constexpr size_t kBindingsMax = 10'000;  // of an organisation
constexpr size_t kVersionsMax = 1000;    // of a binding
constexpr size_t kDocumentBytesMax = 4U << 20;

Result<BindingDocument> read_document(std::string_view text) {
  if (text.size() > kDocumentBytesMax)
    return fail(ErrorCode::kInvalidArgument, "A binding document has at most 4 MiB");
  TRY_ASSIGN(const Json json, parse_json(text));
  return parse_binding(json);
}

}  // namespace

Result<std::shared_ptr<const SourceConfig>> TwinRegistry::Impl::compiled(
    const BindingDocument& document, uint32_t version, OrganisationId organisation,
    const ModelInfo& model) const {
  auto& kept =
      sources[fmt::format("{} {} {} {}", organisation.value, document.name, version, model.id)];
  if (auto known = kept.lock()) return known;
  TRY_ASSIGN(auto made, compile_binding(document, version, model));
  kept = made;
  return made;
}

Result<std::shared_ptr<const SourceConfig>> TwinRegistry::Impl::source_of(
    const DeviceRecord& device, const ModelInfo& model) const {
  if (device.binding.empty()) return nullptr;
  TRY_ASSIGN(const BindingPtr binding, state.binding(device.organisation, device.binding));
  if (!binding->active)
    return fail(ErrorCode::kConflict,
                "The binding has no active version: activate one before a device uses it",
                binding->name);
  if (binding->active->protocol != device.protocol)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("The binding is for {}, the device speaks {}",
                            binding->active->protocol, device.protocol),
                device.name);
  return compiled(*binding->active, binding->active_version, device.organisation, model);
}

// One topic, one binding: else two would write the same device.
Status TwinRegistry::Impl::check_topic(const BindingDocument& document,
                                       OrganisationId organisation) const {
  if (document.topic.empty()) return {};
  for (const auto& [name, other] : state.tenant(organisation)->bindings) {
    if (!other->active || name == document.name || other->active->topic.empty()) continue;
    if (const auto both = document.topic.overlap(other->active->topic))
      return fail(ErrorCode::kConflict,
                  fmt::format("A topic such as {} would belong to this binding and to {} ({}): "
                              "make one of them narrower",
                              *both, name, other->active->topic.text()),
                  document.topic.text());
  }
  return {};
}

Result<BindingPtr> TwinRegistry::save_binding(OrganisationId organisation,
                                              std::string_view document, std::string_view who,
                                              std::string_view note) {
  TRY_ASSIGN(const BindingDocument parsed, read_document(document));
  TRY(check_text("note", note, 2000));
  const std::lock_guard lock(impl_->writing);
  const Tenant* tenant = impl_->state.tenant(organisation);
  if (!tenant) return fail(ErrorCode::kNotFound, "No such organisation is known");
  BindingRecord record;
  record.organisation = organisation;
  record.name = parsed.name;
  const auto known = tenant->bindings.find(parsed.name);
  const bool fresh = known == tenant->bindings.end();
  if (!fresh) record = *known->second;
  if (fresh ? tenant->bindings.size() >= kBindingsMax : record.versions.size() >= kVersionsMax)
    return fail(ErrorCode::kResourceExhausted,
                "The limit of bindings or of a binding's versions is reached: delete unused ones",
                record.name);
  if (!fresh && record.latest().document == document) return known->second;
  BindingVersion version;
  version.version = static_cast<uint32_t>(record.versions.size()) + 1;
  version.document = document;
  version.note = note;
  version.saved_by = who;
  version.saved_at = impl_->clock.now();
  const Status done = impl_->store.write([&](Session& session) -> Status {
    if (fresh)
      TRY(session.run(
          "INSERT INTO binding (organisation_id, name, active_version) VALUES (?, ?, 0)",
          organisation, record.name));
    TRY(session.run(
        "INSERT INTO binding_version (organisation_id, name, version, document, note, saved_by, "
        "saved_at, activated_at, activated_by) VALUES (?, ?, ?, ?, ?, ?, ?, 0, '')",
        organisation, record.name, version.version, version.document, version.note,
        version.saved_by, version.saved_at));
    return {};
  });
  TRY(done);
  record.versions.push_back(std::move(version));
  BindingPtr made = std::make_shared<const BindingRecord>(std::move(record));
  impl_->apply([&](State& state) { state.tenants[organisation].bindings[made->name] = made; });
  return made;
}

Result<BindingPtr> TwinRegistry::activate_binding(OrganisationId organisation,
                                                  std::string_view name, uint32_t number,
                                                  std::string_view who) {
  const std::lock_guard lock(impl_->writing);
  TRY_ASSIGN(const BindingPtr old, impl_->state.binding(organisation, name));
  if (!old->version(number))
    return fail(ErrorCode::kNotFound,
                fmt::format("The binding has versions 1 to {}", old->versions.size()), old->name);
  BindingRecord record = *old;
  BindingVersion& version = record.versions[number - 1];
  TRY_ASSIGN(BindingDocument document, read_document(version.document));
  TRY(impl_->check_topic(document, organisation));
  TRY_ASSIGN(const ModelPtr model, impl_->state.model(organisation, document.model));
  TRY(impl_->compiled(document, number, organisation, *model));
  const std::vector<DevicePtr> users = devices_of_binding(organisation, name);
  for (const DevicePtr& user : users) {
    if (user->protocol != document.protocol)
      return fail(ErrorCode::kConflict,
                  fmt::format("This version is for {}, the device speaks {}", document.protocol,
                              user->protocol),
                  user->name);
    const TwinPtr& twin = impl_->state.twins.find(user->twin)->second;
    if (const auto fits = impl_->compiled(document, number, organisation, *twin->model); !fits)
      return fail(
          ErrorCode::kConflict,
          fmt::format("It does not fit the device {}: {}", user->name, fits.error().message),
          fits.error().about);
  }
  version.activated_at = impl_->clock.now();
  version.activated_by = who;
  record.active_version = number;
  record.active = std::make_shared<const BindingDocument>(std::move(document));
  const Status done = impl_->store.write([&](Session& session) -> Status {
    TRY(session.run("UPDATE binding SET active_version = ? WHERE organisation_id = ? AND name = ?",
                    number, organisation, record.name));
    TRY(session.run(
        "UPDATE binding_version SET activated_at = ?, activated_by = ? WHERE organisation_id = ? "
        "AND name = ? AND version = ?",
        version.activated_at, version.activated_by, organisation, record.name, number));
    return {};
  });
  TRY(done);
  BindingPtr made = std::make_shared<const BindingRecord>(std::move(record));
  impl_->apply([&](State& state) { state.tenants[organisation].bindings[made->name] = made; });
  std::vector<DevicePtr> changed;
  for (const DevicePtr& user : users)
    changed.push_back(impl_->with_config(*user, impl_->state.twins.find(user->twin)->second));
  impl_->apply([&](State& state) {
    for (const DevicePtr& device : changed) state.put(device);
  });
  for (const DevicePtr& device : changed) impl_->tell(*device, false);
  for (const auto& listener : impl_->binding_listeners) listener();
  return made;
}

Status TwinRegistry::delete_binding(OrganisationId organisation, std::string_view name) {
  const std::lock_guard lock(impl_->writing);
  TRY_ASSIGN(const BindingPtr old, impl_->state.binding(organisation, name));
  if (const auto users = devices_of_binding(organisation, name); !users.empty())
    return fail(ErrorCode::kConflict,
                fmt::format("{} devices use the binding ({} among them): give them another first",
                            users.size(), users.front()->name),
                old->name);
  const auto done = impl_->store.write([&](Session& session) {
    return session.run("DELETE FROM binding WHERE organisation_id = ? AND name = ?", organisation,
                       old->name);
  });
  TRY(done);
  impl_->apply([&](State& state) { state.tenants[organisation].bindings.erase(old->name); });
  for (const auto& listener : impl_->binding_listeners) listener();
  return {};
}

Result<BindingPtr> TwinRegistry::binding(OrganisationId organisation, std::string_view name) const {
  const std::shared_lock lock(impl_->guard);
  return impl_->state.binding(organisation, name);
}

std::vector<BindingPtr> TwinRegistry::bindings(OrganisationId organisation) const {
  const std::shared_lock lock(impl_->guard);
  std::vector<BindingPtr> all;
  if (const Tenant* tenant = impl_->state.tenant(organisation))
    for (const auto& [name, binding] : tenant->bindings) all.push_back(binding);
  return all;
}

std::vector<BindingPtr> TwinRegistry::all_bindings() const {
  const std::shared_lock lock(impl_->guard);
  std::vector<BindingPtr> all;
  for (const auto& [id, tenant] : impl_->state.tenants)
    for (const auto& [name, binding] : tenant.bindings) all.push_back(binding);
  return all;
}

std::vector<DevicePtr> TwinRegistry::devices_of_binding(OrganisationId organisation,
                                                        std::string_view name) const {
  const std::shared_lock lock(impl_->guard);
  std::vector<DevicePtr> users;
  if (const Tenant* tenant = impl_->state.tenant(organisation))
    for (const auto& [device_name, device] : tenant->devices)
      if (device->binding == name) users.push_back(device);
  return users;
}

void TwinRegistry::on_bindings(std::function<void()> listener) {
  const std::lock_guard lock(impl_->writing);
  impl_->binding_listeners.push_back(std::move(listener));
}

}  // namespace penstock::twin
