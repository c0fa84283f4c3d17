#include "interop/opcua/store.h"

#include <algorithm>
#include <array>

namespace penstock::interop::opcua {
namespace {

using store::Session;

constexpr std::array<store::Migration, 1> kMigrations{{{1, "sources", R"sql(
CREATE TABLE opcua_source (
  organisation_id INTEGER NOT NULL, id INTEGER NOT NULL PRIMARY KEY, name TEXT NOT NULL,
  document TEXT NOT NULL, secrets TEXT NOT NULL, assets TEXT NOT NULL,
  changed_by TEXT NOT NULL, changed_at BIGINT NOT NULL, UNIQUE (organisation_id, name));
)sql"}}};

bool is_slug(std::string_view name) {
  return !name.empty() && name.size() <= 40 && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
}

Result<std::string> text_of(const Json& json, const char* member, size_t most) {
  const auto it = json.find(member);
  if (it == json.end() || it->is_null()) return std::string();
  if (!it->is_string() || it->get_ref<const std::string&>().size() > most)
    return fail(ErrorCode::kInvalidArgument,
                "must be a text of at most " + std::to_string(most) + " bytes", member);
  return it->get<std::string>();
}

Result<Json> read_path(const Json& json) {
  const auto it = json.find("path");
  if (it == json.end() || it->is_null() || (it->is_array() && it->empty())) return Json();
  if (!it->is_array() || it->size() > 20)
    return fail(ErrorCode::kInvalidArgument, "must be a list of at most 20 steps", "path");
  Json out = Json::array();
  for (const Json& step : *it) {
    if (!step.is_object())
      return fail(ErrorCode::kInvalidArgument, "steps are {\"ns\", \"name\"}", "path");
    TRY_ASSIGN(const std::string space, text_of(step, "ns", 1000));
    TRY_ASSIGN(const std::string name, text_of(step, "name", 512));
    out.push_back({{"ns", space}, {"name", name}});
  }
  return out;
}

Result<NodePick> read_node(const Json& json) {
  if (!json.is_object())
    return fail(ErrorCode::kInvalidArgument, "nodes are {\"address\", \"node\", …}", "nodes");
  NodePick pick;
  TRY_ASSIGN(pick.node, text_of(json, "node", 4096));
  TRY_ASSIGN(pick.address, text_of(json, "address", 512));
  TRY_ASSIGN(pick.path, read_path(json));
  if (pick.node.empty()) return fail(ErrorCode::kInvalidArgument, "is missing", "node");
  if (pick.address.empty()) pick.address = pick.node;
  for (const char* member : {"sampling_ms", "queue", "deadband", "deadband_percent"}) {
    const auto it = json.find(member);
    if (it == json.end() || it->is_null()) continue;
    if (!it->is_number() || it->get<double>() < 0 || it->get<double>() > 1e9)
      return fail(ErrorCode::kInvalidArgument, "must be a number from 0", member);
    pick.parameters[member] = *it;
  }
  return pick;
}

}  // namespace

Json to_json(const Asset& asset) {
  Json nodes = Json::array();
  for (const NodePick& pick : asset.nodes) {
    Json node = pick.parameters.is_object() ? pick.parameters : Json::object();
    node["address"] = pick.address;
    node["node"] = pick.node;
    if (!pick.path.is_null()) node["path"] = pick.path;
    nodes.push_back(std::move(node));
  }
  return {{"device", asset.device},
          {"root", asset.root},
          {"nodes", std::move(nodes)},
          {"commands", asset.commands}};
}

Result<Asset> read_asset(const Json& json) {
  if (!json.is_object())
    return fail(ErrorCode::kInvalidArgument, "an asset is a JSON object", "assets");
  Asset asset;
  TRY_ASSIGN(asset.device, text_of(json, "device", 128));
  TRY_ASSIGN(asset.root, text_of(json, "root", 4096));
  const Json nodes = json.value("nodes", Json::array());
  if (!nodes.is_array() || nodes.size() > 20'000)
    return fail(ErrorCode::kInvalidArgument, "must be a list of at most 20000 nodes", "nodes");
  for (const Json& node : nodes) {
    TRY_ASSIGN(auto pick, read_node(node));
    asset.nodes.push_back(std::move(pick));
  }
  asset.commands = json.value("commands", Json());
  return asset;
}

Result<std::unique_ptr<SourceStore>> SourceStore::open(store::Registry& registry, Clock& clock,
                                                       StoreLimits limits) {
  TRY(registry.migrate("opcua", kMigrations));
  std::unique_ptr<SourceStore> made(new SourceStore(registry, clock, limits));
  TRY(made->load());
  return made;
}

Status SourceStore::load() {
  return registry_.read([&](Session& session) -> Status {
    Status bad;
    TRY((session.each<OrganisationId, uint32_t, std::string, std::string, std::string, std::string,
                      std::string, Timestamp>(
        [&](OrganisationId organisation, uint32_t id, std::string name, const std::string& document,
            const std::string& secrets, const std::string& assets, std::string who,
            Timestamp when) {
          auto source = std::make_shared<Source>();
          source->organisation = organisation;
          source->id = id;
          source->name = std::move(name);
          source->changed_by = std::move(who);
          source->changed_at = when;
          const auto document_json = parse_json(document);
          const auto secrets_json = parse_json(secrets);
          const auto list = parse_json(assets);
          if (!document_json || !secrets_json || !list) {
            bad =
                fail(ErrorCode::kCorrupt, "a source of the registry cannot be read", source->name);
            return;
          }
          source->document = *document_json;
          source->secrets = *secrets_json;
          for (const Json& each : *list)
            if (auto asset = read_asset(each)) {
              by_device_.insert_or_assign(asset->device, id);
              source->assets.push_back(std::move(*asset));
            }
          sources_.emplace(id, std::move(source));
        },
        "SELECT organisation_id, id, name, document, secrets, assets, changed_by, changed_at FROM "
        "opcua_source")));
    return bad;
  });
}

std::vector<SourcePtr> SourceStore::all() const {
  const std::lock_guard guard(mutex_);
  std::vector<SourcePtr> out;
  for (const auto& [id, source] : sources_) out.push_back(source);
  return out;
}

std::vector<SourcePtr> SourceStore::of(OrganisationId organisation) const {
  auto out = all();
  std::erase_if(out, [&](const SourcePtr& source) { return source->organisation != organisation; });
  std::ranges::sort(out, {}, [](const SourcePtr& source) { return source->name; });
  return out;
}

Result<SourcePtr> SourceStore::find(OrganisationId organisation, std::string_view name) const {
  const std::lock_guard guard(mutex_);
  for (const auto& [id, source] : sources_)
    if (source->organisation == organisation && source->name == name) return source;
  return fail(ErrorCode::kNotFound, "there is no such OPC UA source", std::string(name));
}

SourcePtr SourceStore::by_id(uint32_t id) const {
  const std::lock_guard guard(mutex_);
  const auto it = sources_.find(id);
  return it == sources_.end() ? nullptr : it->second;
}

SourceStore::Feed SourceStore::feed(std::string_view device) const {
  const std::lock_guard guard(mutex_);
  const auto it = by_device_.find(device);
  if (it == by_device_.end()) return {};
  const SourcePtr& source = sources_.at(it->second);
  return {source, source->asset(device)};
}

// REQUIRES: write_mutex_ is held.
Result<SourcePtr> SourceStore::write(Source source) {
  size_t nodes = 0;
  Json list = Json::array();
  for (const Asset& asset : source.assets) {
    nodes += asset.nodes.size();
    list.push_back(to_json(asset));
  }
  if (nodes > limits_.nodes_max)
    return fail(ErrorCode::kResourceExhausted,
                "a source has at most " + std::to_string(limits_.nodes_max) +
                    " nodes: make a second source of the same server");
  source.changed_at = clock_.now();
  const auto number = registry_.write([&](Session& session) -> Result<uint32_t> {
    if (source.id == 0) {
      TRY_ASSIGN(const int64_t id, session.next_id("opcua_source"));
      TRY(
          session.run("INSERT INTO opcua_source (organisation_id, id, name, document, secrets, "
                      "assets, changed_by, changed_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                      source.organisation, id, source.name, source.document.dump(),
                      source.secrets.dump(), list.dump(), source.changed_by, source.changed_at));
      return static_cast<uint32_t>(id);
    }
    TRY(
        session.run("UPDATE opcua_source SET document = ?, secrets = ?, assets = ?, changed_by = "
                    "?, changed_at = ? WHERE id = ?",
                    source.document.dump(), source.secrets.dump(), list.dump(), source.changed_by,
                    source.changed_at, static_cast<int64_t>(source.id)));
    return source.id;
  });
  TRY_ASSIGN(source.id, number);
  auto stored = std::make_shared<const Source>(std::move(source));
  const std::lock_guard guard(mutex_);
  std::erase_if(by_device_, [&](const auto& entry) { return entry.second == stored->id; });
  for (const Asset& asset : stored->assets) by_device_.insert_or_assign(asset.device, stored->id);
  sources_.insert_or_assign(stored->id, stored);
  return stored;
}

Result<SourcePtr> SourceStore::save(OrganisationId organisation, std::string_view name,
                                    const Json& document, const Json& secrets,
                                    std::string_view who) {
  if (!is_slug(name))
    return fail(ErrorCode::kInvalidArgument, "a source's name has 1 to 40 of a-z, 0-9 and -",
                "name");
  TRY_ASSIGN(const Json checked, check_source(document));
  const std::lock_guard guard(write_mutex_);
  Source source;
  if (const auto known = find(organisation, name))
    source = **known;
  else if (all().size() >= limits_.sources_max)
    return fail(ErrorCode::kResourceExhausted, "there are as many sources as the limit allows");
  source.organisation = organisation;
  source.name = name;
  source.document = checked;
  if (!secrets.is_null()) source.secrets = secrets;
  if (source.secrets.is_null()) source.secrets = Json::object();
  source.changed_by = who;
  return write(std::move(source));
}

Status SourceStore::remove(OrganisationId organisation, std::string_view name) {
  const std::lock_guard writing(write_mutex_);
  TRY_ASSIGN(const SourcePtr source, find(organisation, name));
  const Status gone = registry_.write([&](Session& session) -> Status {
    TRY(session.run("DELETE FROM opcua_source WHERE id = ?", static_cast<int64_t>(source->id)));
    return {};
  });
  TRY(gone);
  const std::lock_guard guard(mutex_);
  std::erase_if(by_device_, [&](const auto& entry) { return entry.second == source->id; });
  sources_.erase(source->id);
  return {};
}

Result<SourcePtr> SourceStore::put_assets(OrganisationId organisation, std::string_view name,
                                          std::vector<Asset> assets, std::string_view who) {
  const std::lock_guard guard(write_mutex_);
  TRY_ASSIGN(const SourcePtr known, find(organisation, name));
  Source source = *known;
  source.changed_by = who;
  for (Asset& asset : assets) {
    std::erase_if(source.assets, [&](const Asset& old) { return old.device == asset.device; });
    source.assets.push_back(std::move(asset));
  }
  return write(std::move(source));
}

Result<SourcePtr> SourceStore::remove_asset(OrganisationId organisation, std::string_view name,
                                            std::string_view device, std::string_view who) {
  const std::lock_guard guard(write_mutex_);
  TRY_ASSIGN(const SourcePtr known, find(organisation, name));
  Source source = *known;
  source.changed_by = who;
  if (std::erase_if(source.assets, [&](const Asset& old) { return old.device == device; }) == 0)
    return fail(ErrorCode::kNotFound, "the source has no such device", std::string(device));
  return write(std::move(source));
}

}  // namespace penstock::interop::opcua
