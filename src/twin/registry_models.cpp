// Models: added, removed, found.
#include <algorithm>

#include <fmt/format.h>

#include "twin/models.h"
#include "twin/registry.h"
#include "twin/registry_impl.h"

namespace penstock::twin {

using store::Session;

namespace {

std::vector<ModelDocument> documents_of(const Tenant& tenant) {
  std::vector<ModelDocument> documents;
  for (const auto& [dtmi, model] : tenant.models) documents.push_back({dtmi, model->document});
  return documents;
}

}  // namespace

Result<std::vector<ModelPtr>> TwinRegistry::add_models(OrganisationId organisation,
                                                       std::string_view document) {
  TRY_ASSIGN(const auto parts, split_models(document, impl_->options.model_bytes_max));
  const std::lock_guard lock(impl_->writing);
  const Tenant* tenant = impl_->state.tenant(organisation);
  if (!tenant) return fail(ErrorCode::kNotFound, "No such organisation is known");
  std::vector<ModelDocument> all = documents_of(*tenant);
  std::vector<ModelDocument> others = all;  // a model that is given again does not refer to itself
  std::erase_if(others, [&](const ModelDocument& known) {
    return std::any_of(parts.begin(), parts.end(),
                       [&](const ModelDocument& part) { return part.dtmi == known.dtmi; });
  });
  TRY(check_models(document, others));
  std::vector<const ModelDocument*> fresh;
  for (const ModelDocument& part : parts) {
    const auto known = tenant->models.find(part.dtmi);
    if (known == tenant->models.end()) {
      fresh.push_back(&part);
      all.push_back(part);
    } else if (known->second->document != part.text) {
      return fail(ErrorCode::kAlreadyExists,
                  "That version of the model is known and reads differently: give the new one a "
                  "higher version number",
                  part.dtmi);
    }
  }
  if (all.size() > impl_->options.models_max)
    return fail(ErrorCode::kResourceExhausted,
                "The limit of models is reached: remove unused ones");
  TRY_ASSIGN(auto compiled, compile_models(all));
  const Timestamp now = impl_->clock.now();
  const Status done = impl_->store.write([&](Session& session) -> Status {
    for (const ModelDocument* part : fresh)
      TRY(session.run(
          "INSERT INTO model (organisation_id, dtmi, document, created_at) VALUES (?, ?, ?, ?)",
          organisation, part->dtmi, part->text, now));
    return {};
  });
  TRY(done);
  // Known models keep their record: twins share it, and nothing about them changed.
  impl_->apply([&](State& state) {
    for (const ModelDocument* part : fresh)
      state.tenants[organisation].models[part->dtmi] = compiled[part->dtmi];
  });
  std::vector<ModelPtr> added;
  for (const ModelDocument& part : parts) added.push_back(tenant->models.find(part.dtmi)->second);
  return added;
}

Status TwinRegistry::delete_model(OrganisationId organisation, std::string_view dtmi) {
  const std::lock_guard lock(impl_->writing);
  TRY_ASSIGN(const ModelPtr old, impl_->state.model(organisation, dtmi));
  const Tenant& tenant = *impl_->state.tenant(organisation);
  if (const auto used = tenant.twins_of_model.find(old->id); used != tenant.twins_of_model.end())
    return fail(
        ErrorCode::kConflict,
        fmt::format("{} twins are of this model: change or delete them first", used->second),
        old->id);
  for (const auto& [id, model] : tenant.models) {
    const bool base = std::find(model->ancestors.begin(), model->ancestors.end(), old->id) !=
                      model->ancestors.end();
    const bool part = std::any_of(model->components.begin(), model->components.end(),
                                  [&](const auto& c) { return c.model == old->id; });
    if (base || part)
      return fail(ErrorCode::kConflict, "The model " + id + " builds on it: delete that one first",
                  old->id);
  }
  const auto done = impl_->store.write([&](Session& session) {
    return session.run("DELETE FROM model WHERE organisation_id = ? AND dtmi = ?", organisation,
                       old->id);
  });
  TRY(done);
  impl_->apply([&](State& state) { state.tenants[organisation].models.erase(old->id); });
  return {};
}

Result<ModelPtr> TwinRegistry::model(OrganisationId organisation, std::string_view dtmi) const {
  const std::shared_lock lock(impl_->guard);
  return impl_->state.model(organisation, dtmi);
}

Page<ModelPtr> TwinRegistry::models(OrganisationId organisation, std::string_view text,
                                    const PageRequest& page) const {
  const std::shared_lock lock(impl_->guard);
  const Tenant* tenant = impl_->state.tenant(organisation);
  if (!tenant) return {};
  return page_of(tenant->models, page, [&](const ModelInfo& model) {
    return contains_words(text, {model.id, model.display_name, model.description});
  });
}

size_t TwinRegistry::twin_count(OrganisationId organisation, std::string_view dtmi) const {
  const std::shared_lock lock(impl_->guard);
  const Tenant* tenant = impl_->state.tenant(organisation);
  if (!tenant) return 0;
  const auto found = tenant->twins_of_model.find(dtmi);
  return found == tenant->twins_of_model.end() ? 0 : found->second;
}

std::vector<ModelPtr> TwinRegistry::models_with(OrganisationId organisation,
                                                std::span<const std::string> keys) const {
  const std::shared_lock lock(impl_->guard);
  std::vector<ModelPtr> fitting;
  const Tenant* tenant = impl_->state.tenant(organisation);
  if (!tenant || keys.empty()) return fitting;
  for (const auto& [id, model] : tenant->models)
    if (std::all_of(keys.begin(), keys.end(), [&](const auto& key) { return model->element(key); }))
      fitting.push_back(model);
  std::stable_sort(fitting.begin(), fitting.end(), [](const ModelPtr& a, const ModelPtr& b) {
    return a->elements.size() < b->elements.size();
  });
  return fitting;
}

Result<DeviceCreated> TwinRegistry::accept_discovered(OrganisationId organisation,
                                                      DeviceDraft draft,
                                                      std::string_view interface_document) {
  if (!interface_document.empty()) {
    TRY_ASSIGN(const auto added, add_models(organisation, interface_document));
    if (draft.model.empty()) draft.model = added.front()->id;
  }
  return create_device(organisation, draft);
}

}  // namespace penstock::twin
