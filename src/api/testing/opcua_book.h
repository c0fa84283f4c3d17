#pragma once
// OPC UA sources in memory; the connector answers what the test says.

#include <map>

#include "interop/opcua/store.h"

namespace penstock::api::testing {

class MemoryOpcua : public interop::opcua::Book {
 public:
  using SourcePtr = interop::opcua::SourcePtr;
  std::map<std::string, Json> answers;  ///< by operation; none: the connector does not run
  std::string last_operation;
  Json last_arguments;
  std::map<std::string, SourcePtr, std::less<>> all;

  std::vector<SourcePtr> sources(OrganisationId) override {
    std::vector<SourcePtr> out;
    for (const auto& [name, source] : all) out.push_back(source);
    return out;
  }
  Result<SourcePtr> source(OrganisationId, std::string_view name) override {
    const auto it = all.find(name);
    if (it == all.end()) return fail(ErrorCode::kNotFound, "there is no such OPC UA source");
    return it->second;
  }
  Result<SourcePtr> save(OrganisationId organisation, std::string_view name, const Json& document,
                         const Json& secrets, std::string_view who) override {
    interop::opcua::Source source;
    if (const auto known = all.find(name); known != all.end()) source = *known->second;
    source.id = 1;
    source.organisation = organisation;
    source.name = name;
    TRY_ASSIGN(source.document, interop::opcua::check_source(document));
    if (!secrets.is_null()) source.secrets = secrets;
    source.changed_by = who;
    return put(std::move(source));
  }
  Status remove(OrganisationId, std::string_view name) override {
    if (all.erase(std::string(name)) == 0)
      return fail(ErrorCode::kNotFound, "there is no such OPC UA source");
    return {};
  }
  Result<SourcePtr> add_assets(OrganisationId organisation, std::string_view name,
                               std::vector<interop::opcua::Asset> assets,
                               std::string_view) override {
    TRY_ASSIGN(const auto known, source(organisation, name));
    interop::opcua::Source changed = *known;
    for (auto& asset : assets) changed.assets.push_back(std::move(asset));
    return put(std::move(changed));
  }
  Result<SourcePtr> remove_asset(OrganisationId organisation, std::string_view name,
                                 std::string_view device, std::string_view) override {
    TRY_ASSIGN(const auto known, source(organisation, name));
    interop::opcua::Source changed = *known;
    if (std::erase_if(changed.assets, [&](const auto& a) { return a.device == device; }) == 0)
      return fail(ErrorCode::kNotFound, "the source has no such device");
    return put(std::move(changed));
  }
  Result<Json> ask(const interop::opcua::Source*, std::string_view operation,
                   Json arguments) override {
    last_operation = operation;
    last_arguments = std::move(arguments);
    const auto it = answers.find(last_operation);
    if (it == answers.end())
      return fail(ErrorCode::kUnavailable, "the OPC UA connector does not run");
    return it->second;
  }
  Json status(const interop::opcua::Source&) override { return {{"state", "online"}}; }
  Json connector() override { return {{"running", !answers.empty()}}; }

 private:
  Result<SourcePtr> put(interop::opcua::Source source) {
    auto stored = std::make_shared<const interop::opcua::Source>(std::move(source));
    all.insert_or_assign(stored->name, stored);
    return stored;
  }
};

}  // namespace penstock::api::testing
