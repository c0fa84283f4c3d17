#include "app/health.h"

#include <fmt/format.h>

namespace penstock::app {

using stream::HealthCheck;
using stream::HealthStatus;

namespace {

constexpr uint64_t kFreeBytesLow = 1ULL << 30;
constexpr uint64_t kHistoryLagHigh = 1ULL << 30;

HealthCheck journal_check(stream::Journal& journal) {
  if (journal.state() == stream::JournalState::kWriting)
    return {"journal", HealthStatus::kOk, "every acknowledged sample is on disk"};
  return {"journal", HealthStatus::kFailing, "nothing is acknowledged: " + journal.state_detail()};
}

HealthCheck history_check(const stream::HistoryStatus& status, uint64_t durable) {
  if (status.state != stream::HistoryState::kWell)
    return {"history", HealthStatus::kDegraded, status.detail};
  const uint64_t lag = durable > status.read ? durable - status.read : 0;
  if (lag > kHistoryLagHigh)
    return {"history", HealthStatus::kDegraded,
            fmt::format("{} MiB behind the journal: more comes in than one core can store; new "
                        "samples show late in charts",
                        lag >> 20)};
  return {"history", HealthStatus::kOk, status.detail};
}

HealthCheck disk_check(FileSystem& files, const std::string& directory) {
  const auto free = files.free_bytes(directory);
  if (!free)
    return {"disk", HealthStatus::kDegraded,
            "the free space cannot be read: " + free.error().text()};
  const double gib = static_cast<double>(*free) / (1ULL << 30);
  if (*free < kFreeBytesLow)
    return {"disk", HealthStatus::kDegraded,
            fmt::format("only {:.1f} GiB free in the data folder: free some, or shorten the "
                        "retention",
                        gib)};
  return {"disk", HealthStatus::kOk, fmt::format("{:.1f} GiB free", gib)};
}

// Nothing to say where nobody has made a bridge.
std::optional<HealthCheck> bridges_check(const interop::mqtt::BridgeBoard& board) {
  using State = interop::mqtt::BridgeStatus::State;
  size_t wanted = 0, away = 0;
  std::string first;
  for (const auto& [name, status] : board.all()) {
    if (status.state == State::kDisabled) continue;
    ++wanted;
    if (status.state == State::kConnected) continue;
    if (away++ == 0) first = fmt::format("{}: {}", name, status.last_error);
  }
  if (wanted == 0) return std::nullopt;
  if (away == 0)
    return HealthCheck{"bridges", HealthStatus::kOk, fmt::format("{} connected", wanted)};
  return HealthCheck{"bridges", HealthStatus::kDegraded,
                     fmt::format("{} of {} are not connected; {}", away, wanted, first)};
}

}  // namespace

std::vector<HealthCheck> SystemHealth::health() {
  std::vector<HealthCheck> all{
      journal_check(pipeline_.journal()),
      history_check(history_.status(), pipeline_.journal().durable_offset()),
      disk_check(files_, data_directory_)};
  if (auto bridges = bridges_check(bridges_)) all.push_back(*std::move(bridges));
  for (const auto& check : more_) all.push_back(check());
  return all;
}

}  // namespace penstock::app
