#pragma once
// What the journal still holds of a device, read again with the configuration it has now: messages
// from before it was registered, or that were refused before its binding was mended. ADR 091.

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/io.h"
#include "base/metrics.h"
#include "store/registry.h"
#include "stream/pipeline.h"

namespace penstock::stream {

enum class RebindKind : uint8_t { kDiscovery = 0, kDeadLetters = 1 };
enum class RebindState : uint8_t { kWaiting = 0, kRunning, kDone, kCancelled, kFailed };
std::string_view name(RebindKind kind);
std::string_view name(RebindState state);

struct RebindJob {
  uint64_t id = 0;
  OrganisationId organisation;
  std::string device, by;
  RebindKind kind = RebindKind::kDiscovery;
  RebindState state = RebindState::kWaiting;
  JournalOffset from = 0, next = 0, to = 0;  ///< [from, to) is read, up to `next` it is done
  uint64_t messages = 0;                     ///< found
  uint64_t samples = 0, refused = 0;         ///< values
  std::string reason;                        ///< of the newest refusal, or why the job failed
  Timestamp oldest;                          ///< received time of the first message; 0: none yet
  Timestamp last_received;                   ///< given to the newest: two are never the same
  Timestamp created_at, finished_at;
};

/// What people may ask of it.
class RebindBook {
 public:
  virtual ~RebindBook() = default;
  /// kConflict: the same is waiting or running. kResourceExhausted: too many wait.
  virtual Result<RebindJob> start_rebind(OrganisationId organisation, std::string_view device,
                                         RebindKind kind, JournalOffset from,
                                         std::string_view by) = 0;
  /// Newest first; `device` empty: of all.
  virtual std::vector<RebindJob> rebind_jobs(OrganisationId organisation,
                                             std::string_view device) = 0;
  virtual Result<RebindJob> rebind_job(OrganisationId organisation, uint64_t id) = 0;
  /// What is read already stays. kConflict: it is over.
  virtual Status cancel_rebind(OrganisationId organisation, uint64_t id) = 0;
};

struct RebindOptions {
  size_t waiting_max = 10'000;
  size_t finished_max = 1000;       ///< remembered
  size_t batch_messages_max = 256;  ///< sent on at once
  size_t batch_bytes_max = 1 << 20;
  size_t payload_bytes_max =
      65'536;  ///< ShardOptions::kept_payload_bytes_max: longer ones were cut
};

/// One thread of its own; all waiting jobs share one reading of the journal. Progress and the place
/// in the journal are stored together, so a restart goes on; what is then read twice is the same
/// samples.
class Rebinder final : public RebindBook {
 public:
  /// All must outlive it.
  static Result<std::unique_ptr<Rebinder>> open(store::Registry& registry, Pipeline& pipeline,
                                                Clock& clock, Metrics& metrics,
                                                RebindOptions options);
  ~Rebinder() override;
  void start();
  void stop();
  /// The journal before is not needed by any job. UINT64_MAX: none runs.
  [[nodiscard]] JournalOffset needed_from() const;

  Result<RebindJob> start_rebind(OrganisationId organisation, std::string_view device,
                                 RebindKind kind, JournalOffset from, std::string_view by) override;
  std::vector<RebindJob> rebind_jobs(OrganisationId organisation, std::string_view device) override;
  Result<RebindJob> rebind_job(OrganisationId organisation, uint64_t id) override;
  Status cancel_rebind(OrganisationId organisation, uint64_t id) override;

 private:
  Rebinder(store::Registry& registry, Pipeline& pipeline, Clock& clock, Metrics& metrics,
           RebindOptions options);
  Status load();
  Status store(const std::vector<RebindJob>& jobs);
  void run();
  void run_jobs(std::vector<RebindJob> jobs);
  Status read_journal(std::vector<RebindJob>& jobs);
  /// Sends on, waits until durable, counts. False: stopping, or the journal refuses.
  Status flush(std::vector<RebindJob>& jobs, std::vector<Intake>& intakes,
               std::vector<size_t>& owners);
  /// Everything these devices sent before they were known is in the journal when it returns.
  Status wait_for_shards(const std::vector<RebindJob>& jobs);
  Result<std::vector<Receipt>> submit(std::vector<Intake> intakes);
  /// Takes over what was cancelled meanwhile, publishes the counts.
  void share(std::vector<RebindJob>& jobs);
  void finish(std::vector<RebindJob>& jobs, const Status& outcome);

  store::Registry& registry_;
  Pipeline& pipeline_;
  Clock& clock_;
  RebindOptions options_;
  Counter& messages_;
  Counter& samples_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<RebindJob> jobs_;  ///< by id
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace penstock::stream
