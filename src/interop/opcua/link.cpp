#include "interop/opcua/link.h"

#include <chrono>

#include "base/log.h"

namespace penstock::interop::opcua {
namespace {

// What a peer's JSON may hold: text where text is wanted, else nothing.
std::string text_of(const Json& json, const char* member) {
  const auto it = json.find(member);
  return it != json.end() && it->is_string() ? it->get<std::string>() : std::string();
}

uint32_t source_id(const Json& source) {
  return static_cast<uint32_t>(std::strtoul(text_of(source, "id").c_str(), nullptr, 10));
}

}  // namespace

Result<Json> Link::ask(std::string_view source, std::string_view operation, const Json& arguments,
                       Duration timeout) {
  const std::string id = random_.hex(12);
  Json request{{"id", id}, {"op", operation}, {"arguments", arguments}};
  if (!source.empty()) request["source"] = source;
  std::unique_lock guard(mutex_);
  if (waiting_.size() >= kWaitingMax)
    return fail(ErrorCode::kResourceExhausted,
                "too many questions to the OPC UA connector at once; try again in a moment");
  waiting_.emplace(id, Waiting{});
  guard.unlock();
  send_(kRequests, request.dump());
  guard.lock();
  const bool answered = changed_.wait_for(guard, std::chrono::microseconds(timeout.us),
                                          [&] { return waiting_.at(id).done; });
  Json answer = std::move(waiting_.at(id).answer);
  waiting_.erase(id);
  if (!answered)
    return fail(ErrorCode::kTimeout, "the OPC UA connector did not answer in time",
                std::string(operation));
  if (answer.value("ok", false)) return std::move(answer["result"]);
  const std::string why = text_of(answer, "error");
  return fail(ErrorCode::kUnavailable, why.empty() ? "the OPC UA connector refused" : why);
}

void Link::on_response(std::string_view payload) {
  auto answer = parse_json(payload);
  if (!answer || !answer->is_object()) {
    log_warning("opcua", "an answer of the connector cannot be read");
    return;
  }
  const std::lock_guard guard(mutex_);
  const auto it = waiting_.find(text_of(*answer, "id"));
  if (it == waiting_.end()) return;  // came too late
  if (!(*answer)["ok"].is_boolean()) (*answer)["ok"] = false;
  it->second = {true, std::move(*answer)};
  changed_.notify_all();
}

std::vector<Link::Lost> Link::online() const {
  std::vector<Lost> out;
  for (const auto& [id, status] : sources_) {
    if (text_of(status, "state") != "online") continue;
    const auto offset = status.find("clock_offset_ms");
    const bool told = offset != status.end() && offset->is_number_integer();
    out.push_back({id, Duration{told ? offset->get<int64_t>() * 1000 : 0}});
  }
  return out;
}

std::vector<Link::Lost> Link::on_status(std::string_view payload, Timestamp now) {
  auto status = parse_json(payload);
  if (!status || !status->is_object() || !(*status)["sources"].is_array()) return {};
  std::map<uint32_t, Json> sources;
  for (Json& source : (*status)["sources"])
    if (source.is_object()) {
      const uint32_t id = source_id(source);
      source["told_at"] = to_rfc3339(now);
      sources.insert_or_assign(id, std::move(source));
    }
  status->erase("sources");
  const std::lock_guard guard(mutex_);
  std::vector<Lost> lost;
  for (const Lost& one : online()) {
    const auto it = sources.find(one.source);
    if (it == sources.end() || text_of(it->second, "state") != "online") lost.push_back(one);
  }
  sources_ = std::move(sources);
  overall_ = std::move(*status);
  heard_at_ = now;
  heard_ = true;
  changed_.notify_all();
  return lost;
}

std::vector<Link::Lost> Link::disconnect(std::string_view why) {
  const std::lock_guard guard(mutex_);
  auto lost = online();
  heard_ = false;
  for (auto& [id, status] : sources_) {
    status["state"] = "stopped";
    status["detail"] = why;
  }
  for (auto& [id, waiting] : waiting_) waiting = {true, Json{{"ok", false}, {"error", why}}};
  changed_.notify_all();
  return lost;
}

bool Link::wait_until_heard(Duration timeout) {
  std::unique_lock guard(mutex_);
  return changed_.wait_for(guard, std::chrono::microseconds(timeout.us), [&] { return heard_; });
}

Json Link::status(uint32_t source) const {
  const std::lock_guard guard(mutex_);
  const auto it = sources_.find(source);
  return it == sources_.end() ? Json() : it->second;
}

Json Link::overall() const {
  const std::lock_guard guard(mutex_);
  return overall_;
}

Timestamp Link::heard_at() const {
  const std::lock_guard guard(mutex_);
  return heard_at_;
}

}  // namespace penstock::interop::opcua
