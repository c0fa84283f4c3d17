// Twins: made, changed, removed, found.
#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "twin/names.h"
#include "twin/registry.h"
#include "twin/registry_impl.h"

namespace penstock::twin {

using store::Session;

namespace {

Status insert_series(Session& session, const SeriesInfo& info, Timestamp now) {
  return session
      .run(
          "INSERT INTO series (organisation_id, id, twin_id, twin_name, site_id, element, kind, "
          "unit, created_at, retired_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)",
          info.organisation, info.id, info.twin, info.twin_name, info.site, info.element, info.kind,
          info.unit, now)
      .map([](int64_t) {});
}

SeriesInfo series_for(const TwinRecord& twin, size_t element, const std::string& time_zone) {
  const ElementInfo& info = twin.model->elements[element];
  return {twin.series[element],
          twin.organisation,
          twin.site,
          twin.id,
          twin.name,
          info.key,
          info.kind,
          info.unit,
          time_zone,
          false};
}

constexpr int kDepthMax = 32;

}  // namespace

Status insert_relationships(Session& session, const TwinRecord& twin) {
  int position = 0;
  for (const RelationshipRecord& relationship : twin.relationships)
    TRY(session.run(
        "INSERT INTO relationship (organisation_id, source_id, name, target_id, position) VALUES "
        "(?, ?, ?, ?, ?)",
        twin.organisation, twin.id, relationship.name, relationship.target, position++));
  return {};
}

Status insert_twin(Session& session, TwinRecord& twin, const std::string& time_zone, Timestamp now,
                   std::vector<SeriesInfo>& made) {
  TRY_ASSIGN(const int64_t id, session.next_id("twin"));
  twin.id = TwinId(static_cast<uint32_t>(id));
  const std::optional<TwinId> parent = twin.parent ? std::optional(twin.parent) : std::nullopt;
  TRY(session.run(
      "INSERT INTO twin (organisation_id, id, site_id, name, display_name, model, parent_id, "
      "labels, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      twin.organisation, twin.id, twin.site, twin.name, twin.display_name, twin.model->id, parent,
      labels_to_text(twin.labels), now, now));
  return carry_out(session, plan_series(*twin.model, {}), {}, twin, time_zone, now, made);
}

Status carry_out(Session& session, const SeriesPlan& plan, const std::vector<SeriesPtr>& had,
                 TwinRecord& twin, const std::string& time_zone, Timestamp now,
                 std::vector<SeriesInfo>& changed) {
  twin.series = plan.series;
  if (!plan.fresh.empty()) {
    TRY_ASSIGN(const int64_t first,
               session.next_id("series", static_cast<int64_t>(plan.fresh.size())));
    for (size_t i = 0; i < plan.fresh.size(); ++i) {
      twin.series[plan.fresh[i]] =
          SeriesId(static_cast<uint32_t>(first) + static_cast<uint32_t>(i));
      changed.push_back(series_for(twin, plan.fresh[i], time_zone));
      TRY(insert_series(session, changed.back(), now));
    }
  }
  const auto set_retired = [&](SeriesId id, bool retired) -> Status {
    const auto at =
        std::find_if(had.begin(), had.end(), [&](const auto& i) { return i->id == id; });
    SeriesInfo info = **at;
    info.retired = retired;
    changed.push_back(info);
    TRY(session.run("UPDATE series SET retired_at = ? WHERE organisation_id = ? AND id = ?",
                    retired ? std::optional(now) : std::nullopt, twin.organisation, id));
    return {};
  };
  for (const SeriesId id : plan.revive) TRY(set_retired(id, false));
  for (const SeriesId id : plan.retire) TRY(set_retired(id, true));
  return {};
}

// -- checks

Status TwinRegistry::Impl::check_parent(const TwinRecord& twin, const TwinRecord& parent) const {
  if (parent.site != twin.site)
    return fail(
        ErrorCode::kConflict,
        fmt::format("{} stands at another site: a part stands where its whole does", parent.name),
        twin.name);
  if (twin.id && (parent.id == twin.id || state.is_below(parent, twin.id)))
    return fail(
        ErrorCode::kConflict,
        fmt::format("{} is part of {}: a whole cannot be part of its part", parent.name, twin.name),
        twin.name);
  int depth = 1;
  for (TwinId at = parent.parent; at; at = state.twins.find(at)->second->parent)
    if (++depth >= kDepthMax)
      return fail(ErrorCode::kResourceExhausted,
                  fmt::format("Twins nest at most {} deep", kDepthMax), twin.name);
  return {};
}

Status TwinRegistry::Impl::check_relationships(const TwinRecord& twin) const {
  std::map<std::string_view, uint32_t> counts;
  std::set<std::pair<std::string_view, TwinId>> seen;
  for (const RelationshipRecord& relationship : twin.relationships) {
    const auto& declared = twin.model->relationships;
    const auto info = std::find_if(declared.begin(), declared.end(),
                                   [&](const auto& d) { return d.name == relationship.name; });
    if (info == declared.end())
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("The model {} declares no relationship {}: add it to the model",
                              twin.model->id, relationship.name),
                  twin.name);
    const auto target = state.twins.find(relationship.target);
    if (target == state.twins.end() || target->second->organisation != twin.organisation)
      return fail(ErrorCode::kNotFound, "No such twin is known", to_text(relationship.target));
    if (!info->target_model.empty() && !target->second->model->is_a(info->target_model))
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("'{}' leads to a {}, and {} is none", relationship.name,
                              info->target_model, target->second->name),
                  twin.name);
    if (info->count_max && ++counts[relationship.name] > *info->count_max)
      return fail(
          ErrorCode::kInvalidArgument,
          fmt::format("'{}' leads to at most {} twins", relationship.name, *info->count_max),
          twin.name);
    if (!seen.emplace(relationship.name, relationship.target).second)
      return fail(
          ErrorCode::kInvalidArgument,
          fmt::format("'{}' leads to {} twice: keep one", relationship.name, target->second->name),
          twin.name);
  }
  return {};
}

Result<TwinRecord> TwinRegistry::Impl::plan_twin(OrganisationId organisation,
                                                 const TwinDraft& draft) const {
  TRY(check_slug("twin", draft.name));
  TRY(check_text("display name", draft.display_name, 200));
  TRY(check_labels(draft.labels));
  const Tenant* tenant = state.tenant(organisation);
  if (!tenant) return fail(ErrorCode::kNotFound, "No such organisation is known");
  if (tenant->twins.contains(draft.name))
    return fail(ErrorCode::kAlreadyExists, "There is a twin of that name: choose another",
                draft.name);
  TRY_ASSIGN(const SitePtr site, state.site(organisation, draft.site));
  TwinRecord twin;
  twin.organisation = organisation;
  twin.site = site->id;
  twin.site_name = site->name;
  twin.name = draft.name;
  twin.display_name = draft.display_name.empty() ? draft.name : draft.display_name;
  twin.labels = draft.labels;
  TRY_ASSIGN(twin.model, state.model(organisation, draft.model));
  if (!draft.parent.empty()) {
    TRY_ASSIGN(const TwinPtr parent, state.twin(organisation, draft.parent));
    TRY(check_parent(twin, *parent));
    twin.parent = parent->id;
  }
  twin.created_at = twin.updated_at = clock.now();
  return twin;
}

// -- changes

Result<TwinPtr> TwinRegistry::create_twin(OrganisationId organisation, const TwinDraft& draft) {
  const std::lock_guard lock(impl_->writing);
  if (impl_->state.twins.size() >= impl_->options.twins_max)
    return fail(ErrorCode::kResourceExhausted, "The limit of twins is reached: raise twins_max");
  TRY_ASSIGN(TwinRecord twin, impl_->plan_twin(organisation, draft));
  const std::string zone = impl_->state.sites.find(twin.site)->second->time_zone;
  std::vector<SeriesInfo> made;
  const Status done = impl_->store.write([&](Session& session) -> Status {
    made.clear();
    return insert_twin(session, twin, zone, twin.created_at, made);
  });
  TRY(done);
  TwinPtr record = std::make_shared<const TwinRecord>(std::move(twin));
  impl_->apply([&](State& state) {
    for (SeriesInfo& info : made) state.put(std::make_shared<const SeriesInfo>(std::move(info)));
    state.put(record);
  });
  return record;
}

namespace {

// Everything of a patch but the model and the relationships.
Status patch_place(const State& state, const TwinPatch& patch, TwinRecord& twin) {
  if (patch.display_name) {
    TRY(check_text("display name", *patch.display_name, 200));
    twin.display_name = patch.display_name->empty() ? twin.name : *patch.display_name;
  }
  if (patch.labels) {
    TRY(check_labels(*patch.labels));
    twin.labels = *patch.labels;
  }
  if (patch.parent && patch.parent->empty()) twin.parent = TwinId();
  if (patch.site) {
    TRY_ASSIGN(const SitePtr site, state.site(twin.organisation, *patch.site));
    if (site->id != twin.site && state.children.contains(twin.id))
      return fail(ErrorCode::kConflict, "Others are part of it: take them out before it moves",
                  twin.name);
    twin.site = site->id;
    twin.site_name = site->name;
  }
  return {};
}

}  // namespace

Result<TwinPtr> TwinRegistry::update_twin(OrganisationId organisation, std::string_view reference,
                                          const TwinPatch& patch) {
  const std::lock_guard lock(impl_->writing);
  const State& now_state = impl_->state;
  TRY_ASSIGN(const TwinPtr old, now_state.twin(organisation, reference));
  TwinRecord twin = *old;
  TRY(patch_place(now_state, patch, twin));
  if (patch.model) {
    TRY_ASSIGN(twin.model, now_state.model(organisation, *patch.model));
    if (!twin.device.empty())
      TRY(impl_->source_of(*now_state.devices.find(twin.device)->second, *twin.model));
  }
  if (patch.parent && !patch.parent->empty()) {
    TRY_ASSIGN(const TwinPtr parent, now_state.twin(organisation, *patch.parent));
    twin.parent = parent->id;
  }
  if (twin.parent) TRY(impl_->check_parent(twin, *now_state.twins.find(twin.parent)->second));
  if (patch.relationships) {
    twin.relationships.clear();
    for (const RelationshipDraft& draft : *patch.relationships) {
      TRY_ASSIGN(const TwinPtr target, now_state.twin(organisation, draft.target));
      twin.relationships.push_back({draft.name, target->id});
    }
  }
  TRY(impl_->check_relationships(twin));
  twin.updated_at = impl_->clock.now();

  const std::vector<SeriesPtr> had = impl_->series_had(twin.id);
  const SeriesPlan plan = plan_series(*twin.model, had);
  const std::string zone = now_state.sites.find(twin.site)->second->time_zone;
  std::vector<SeriesInfo> changed;
  const Status done = impl_->store.write([&](Session& session) -> Status {
    changed.clear();
    const std::optional<TwinId> parent = twin.parent ? std::optional(twin.parent) : std::nullopt;
    TRY(session.run(
        "UPDATE twin SET site_id = ?, display_name = ?, model = ?, parent_id = ?, labels = ?, "
        "updated_at = ? WHERE organisation_id = ? AND id = ?",
        twin.site, twin.display_name, twin.model->id, parent, labels_to_text(twin.labels),
        twin.updated_at, organisation, twin.id));
    if (patch.relationships) {
      TRY(session.run("DELETE FROM relationship WHERE organisation_id = ? AND source_id = ?",
                      organisation, twin.id));
      TRY(insert_relationships(session, twin));
    }
    if (twin.site != old->site)
      TRY(session.run("UPDATE series SET site_id = ? WHERE organisation_id = ? AND twin_id = ?",
                      twin.site, organisation, twin.id));
    return carry_out(session, plan, had, twin, zone, twin.updated_at, changed);
  });
  TRY(done);

  TwinPtr record = std::make_shared<const TwinRecord>(std::move(twin));
  DevicePtr device;
  if (!record->device.empty())
    device = impl_->with_config(*now_state.devices.find(record->device)->second, record);
  impl_->apply([&](State& state) {
    for (SeriesInfo& info : changed) state.put(std::make_shared<const SeriesInfo>(std::move(info)));
    if (record->site != old->site)
      for (const SeriesPtr& info : impl_->series_had(record->id)) {
        auto moved = std::make_shared<SeriesInfo>(*info);
        moved->site = record->site;
        moved->time_zone = zone;
        state.put(SeriesPtr(std::move(moved)));
      }
    state.put(record);
    if (device) state.put(device);
  });
  if (device && (plan.changes() || record->model != old->model || record->site != old->site))
    impl_->tell(*device, false);
  return record;
}

Status TwinRegistry::delete_twin(OrganisationId organisation, std::string_view reference) {
  const std::lock_guard lock(impl_->writing);
  TRY_ASSIGN(const TwinPtr old, impl_->state.twin(organisation, reference));
  if (const auto parts = impl_->state.children.find(old->id); parts != impl_->state.children.end())
    return fail(
        ErrorCode::kConflict,
        fmt::format("{} twins are part of it: delete or move them first", parts->second.size()),
        old->name);
  const Timestamp now = impl_->clock.now();
  const Status done = impl_->store.write([&](Session& session) -> Status {
    TRY(session.run("DELETE FROM device WHERE organisation_id = ? AND twin_id = ?", organisation,
                    old->id));
    TRY(
        session.run("UPDATE series SET retired_at = ? WHERE organisation_id = ? AND twin_id = ? "
                    "AND retired_at IS NULL",
                    now, organisation, old->id));
    TRY(session.run("DELETE FROM twin WHERE organisation_id = ? AND id = ?", organisation,
                    old->id));
    return {};
  });
  TRY(done);
  impl_->apply([&](State& state) {
    if (!old->device.empty()) state.erase(*state.devices.find(old->device)->second);
    for (const SeriesPtr& info : impl_->series_had(old->id)) {
      auto retired = std::make_shared<SeriesInfo>(*info);
      retired->retired = true;
      state.put(SeriesPtr(std::move(retired)));
    }
    const auto found = state.related_from.find(old->id);
    const std::multiset<TwinId> sources =
        found == state.related_from.end() ? std::multiset<TwinId>() : found->second;
    for (const TwinId source : std::set<TwinId>(sources.begin(), sources.end())) {
      if (source == old->id) continue;
      TwinRecord changed = *state.twins.find(source)->second;
      std::erase_if(changed.relationships, [&](const auto& r) { return r.target == old->id; });
      state.put(std::make_shared<const TwinRecord>(std::move(changed)));
    }
    state.erase(*old);
  });
  if (!old->device.empty()) impl_->tell(DeviceChange{old->device, old->id, nullptr, true});
  return {};
}

// -- questions

Result<TwinPtr> TwinRegistry::twin(OrganisationId organisation, std::string_view twin) const {
  const std::shared_lock lock(impl_->guard);
  return impl_->state.twin(organisation, twin);
}

TwinPtr TwinRegistry::twin(TwinId id) const {
  const std::shared_lock lock(impl_->guard);
  const auto found = impl_->state.twins.find(id);
  return found == impl_->state.twins.end() ? nullptr : found->second;
}

Result<Page<TwinPtr>> TwinRegistry::twins(OrganisationId organisation, const TwinFilter& filter,
                                          const PageRequest& request) const {
  const std::shared_lock lock(impl_->guard);
  Page<TwinPtr> page;
  const size_t limit = std::clamp<size_t>(request.limit, 1, 1000);
  TRY(impl_->state.each_twin(organisation, filter, request.cursor, [&](const TwinPtr& twin) {
    if (page.items.size() == limit) {
      page.next_cursor = page.items.back()->name;
      return false;
    }
    page.items.push_back(twin);
    return true;
  }));
  return page;
}

Result<size_t> TwinRegistry::count_twins(OrganisationId organisation,
                                         const TwinFilter& filter) const {
  const std::shared_lock lock(impl_->guard);
  size_t count = 0;
  TRY(impl_->state.each_twin(organisation, filter, {}, [&](const TwinPtr&) {
    ++count;
    return true;
  }));
  return count;
}

std::vector<TwinPtr> TwinRegistry::children(TwinId parent) const {
  const std::shared_lock lock(impl_->guard);
  std::vector<TwinPtr> parts;
  if (const auto found = impl_->state.children.find(parent); found != impl_->state.children.end())
    for (const auto& [name, id] : found->second)
      parts.push_back(impl_->state.twins.find(id)->second);
  return parts;
}

std::vector<TwinPtr> TwinRegistry::top_of(SiteId site) const {
  const std::shared_lock lock(impl_->guard);
  std::vector<TwinPtr> top;
  const auto found = impl_->state.sites.find(site);
  if (found == impl_->state.sites.end()) return top;
  const Tenant* tenant = impl_->state.tenant(found->second->organisation);
  for (const auto& [name, twin] : tenant->twins)
    if (twin->site == site && !twin->parent) top.push_back(twin);
  return top;
}

Result<std::vector<TwinId>> TwinRegistry::resolve_scope(OrganisationId organisation,
                                                        const Scope& scope) const {
  if (!scope.model.empty() + !scope.site.empty() + !scope.twin.empty() != 1)
    return fail(ErrorCode::kInvalidArgument, "A scope names one of: a model, a site, a twin");
  const std::shared_lock lock(impl_->guard);
  std::vector<TwinId> twins;
  if (!scope.twin.empty()) {
    TRY_ASSIGN(const TwinPtr twin, impl_->state.twin(organisation, scope.twin));
    twins.push_back(twin->id);
    return twins;
  }
  TwinFilter filter;
  filter.model = scope.model;
  filter.site = scope.site;
  TRY(impl_->state.each_twin(organisation, filter, {}, [&](const TwinPtr& twin) {
    twins.push_back(twin->id);
    return true;
  }));
  return twins;
}

}  // namespace penstock::twin
