#pragma once
// The running data path in memory: what tests of the API let it see.

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "stream/edge_nodes.h"
#include "stream/rebind.h"
#include "stream/try_binding.h"
#include "stream/views.h"

namespace penstock::api::testing {

class MemoryViews : public stream::LiveValues,
                    public stream::Connections,
                    public stream::IngestStats,
                    public stream::DeadLetterView,
                    public stream::DiscoveryView,
                    public stream::CommandSender,
                    public stream::HealthSource,
                    public stream::ConfigurationListener,
                    public stream::RebindBook,
                    public stream::MessageTapView,
                    public stream::EdgeNodes {
 public:
  std::vector<stream::EdgeNode> nodes;
  std::vector<std::string> rebirths;
  std::map<uint32_t, stream::TwinLive> twins;
  std::map<std::string, stream::ConnectionState, std::less<>> states;
  std::vector<stream::DeadLetter> letters;  ///< newest first
  std::map<std::string, stream::DiscoveredDevice, std::less<>> found;
  std::vector<std::string> commands_sent;
  std::vector<stream::HealthCheck> checks{{"journal", stream::HealthStatus::kOk, "writing"}};
  int configuration_changes = 0;
  std::vector<stream::TappedMessage> tapped;  ///< oldest first
  stream::TapQuestion last_tap;

  std::vector<stream::TwinLive> live(std::span<const TwinId> ids) override {
    std::vector<stream::TwinLive> out;
    for (const TwinId id : ids) {
      const auto known = twins.find(id.value);
      out.push_back(known == twins.end() ? stream::TwinLive{} : known->second);
      out.back().twin = id;
    }
    return out;
  }
  std::vector<stream::TwinLive> presence() override {
    std::vector<stream::TwinLive> out;
    for (const auto& [id, live] : twins) {
      out.push_back(live);
      out.back().twin = TwinId(id);
      out.back().values.clear();
    }
    return out;
  }
  std::optional<stream::ConnectionState> connection(std::string_view device) override {
    const auto known = states.find(device);
    return known == states.end() ? std::nullopt : std::optional(known->second);
  }
  Result<std::vector<stream::TappedMessage>> tap(const stream::TapQuestion& question) override {
    last_tap = question;
    std::vector<stream::TappedMessage> out;
    for (const auto& message : tapped)
      if (message.id > question.after) out.push_back(message);
    return out;
  }
  stream::IngestRates rates() override { return {12.5, 50}; }
  Result<std::vector<stream::DeadLetter>> dead_letters(const Filter& filter,
                                                       size_t limit) override {
    std::vector<stream::DeadLetter> out;
    for (const auto& letter : letters)
      if (out.size() < limit && letter.organisation == filter.organisation &&
          letter.id < filter.before && (filter.device.empty() || letter.device == filter.device) &&
          letter.reason.find(filter.reason) != std::string::npos)
        out.push_back(letter);
    return out;
  }
  uint64_t dead_letter_count(OrganisationId) override { return letters.size(); }
  Result<std::vector<stream::DiscoveredDevice>> discovered(OrganisationId, std::string_view after,
                                                           size_t limit) override {
    std::vector<stream::DiscoveredDevice> out;
    for (const auto& [name, device] : found)
      if (name > after && out.size() < limit) out.push_back(device);
    return out;
  }
  Result<stream::DiscoveredDevice> discovered_device(OrganisationId,
                                                     std::string_view device) override {
    const auto known = found.find(device);
    if (known == found.end()) return fail(ErrorCode::kNotFound, "no such device was discovered");
    return known->second;
  }
  uint64_t discovered_count(OrganisationId) override { return found.size(); }
  Status dismiss(OrganisationId, std::string_view device) override {
    const auto known = found.find(device);
    if (known == found.end()) return fail(ErrorCode::kNotFound, "no such device was discovered");
    found.erase(known);
    return {};
  }
  Result<stream::CommandReceipt> send_command(std::string_view device, std::string_view command,
                                              std::string_view payload,
                                              std::string_view who) override {
    commands_sent.push_back(std::string(device) + " " + std::string(command) + " " +
                            std::string(payload) + " " + std::string(who));
    return stream::CommandReceipt{"cmd_1", stream::CommandStatus::kSent};
  }
  Result<stream::CommandReceipt> write_property(std::string_view device, std::string_view element,
                                                std::string_view value,
                                                std::string_view who) override {
    commands_sent.push_back(std::string(device) + " " + std::string(element) + "=" +
                            std::string(value) + " " + std::string(who));
    return stream::CommandReceipt{"cmd_2", stream::CommandStatus::kSent};
  }
  std::vector<stream::EdgeNode> edge_nodes(OrganisationId) override { return nodes; }
  Status ask_rebirth(OrganisationId, std::string_view group, std::string_view node,
                     std::string_view who) override {
    for (const auto& known : nodes)
      if (known.group == group && known.node == node) {
        rebirths.push_back(std::string(group) + "/" + std::string(node) + " " + std::string(who));
        return {};
      }
    return fail(ErrorCode::kNotFound, "no edge node of that name has been heard of");
  }
  std::vector<stream::HealthCheck> health() override { return checks; }
  std::vector<stream::RebindJob> jobs;
  Result<stream::RebindJob> start_rebind(OrganisationId organisation, std::string_view device,
                                         stream::RebindKind kind, stream::JournalOffset from,
                                         std::string_view by) override {
    stream::RebindJob job;
    job.id = jobs.size() + 1;
    job.organisation = organisation;
    job.device = device;
    job.kind = kind;
    job.from = from;
    job.by = by;
    jobs.push_back(job);
    return job;
  }
  std::vector<stream::RebindJob> rebind_jobs(OrganisationId, std::string_view device) override {
    std::vector<stream::RebindJob> out;
    for (auto at = jobs.rbegin(); at != jobs.rend(); ++at)
      if (device.empty() || at->device == device) out.push_back(*at);
    return out;
  }
  Result<stream::RebindJob> rebind_job(OrganisationId, uint64_t id) override {
    if (id == 0 || id > jobs.size()) return fail(ErrorCode::kNotFound, "there is no such job");
    return jobs[id - 1];
  }
  Status cancel_rebind(OrganisationId, uint64_t id) override {
    if (id == 0 || id > jobs.size()) return fail(ErrorCode::kNotFound, "there is no such job");
    jobs[id - 1].state = stream::RebindState::kCancelled;
    return {};
  }
  void twin_changed(TwinId) override { ++configuration_changes; }
  void rules_changed() override { ++configuration_changes; }
};

}  // namespace penstock::api::testing
