#pragma once
// The shards together: placement, configuration, live questions, checkpoint and recovery.

#include <array>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/io.h"
#include "base/metrics.h"
#include "base/net.h"
#include "stream/checkpoint.h"
#include "stream/journal.h"
#include "stream/raw_views.h"
#include "stream/shard.h"
#include "stream/views.h"

namespace penstock::stream {

struct PipelineOptions {
  uint32_t shards = 1;
  std::string checkpoint_directory;
  Duration checkpoint_interval = Duration::seconds(30);
  Duration stale_after = Duration::seconds(60);  ///< for devices whose configuration names none
  ShardOptions shard;                            ///< index and count are filled in
  RawViewLimits raw_views;
};

/// Where recovery found things; printed at start and shown by doctor.
struct RecoveryReport {
  JournalOffset from = 0, to = 0;
  uint64_t records = 0;
  int64_t took_us = 0;
};

class Pipeline final : public LiveValues, public Connections, public IngestStats {
 public:
  Pipeline(PipelineOptions options, Journal& journal, FileSystem& files, Clock& clock, Net& net,
           Metrics& metrics);
  ~Pipeline() override;

  [[nodiscard]] uint32_t shards() const { return static_cast<uint32_t>(shards_.size()); }
  Shard& shard(uint32_t index) { return *shards_[index]; }
  RawViews& raw_views() { return raw_views_; }
  Journal& journal() { return journal_; }

  /// A device came or changed. Any thread; before start() it takes effect at once.
  void configure(std::shared_ptr<const twin::DeviceConfig> config);
  void forget(std::string_view device);

  /// Hands a report to its device's shard; `then` runs on that shard's thread once what became of
  /// it is durable, or (false) could not be made so. Any thread; copies nothing further.
  void submit(OwnedReport report, std::function<void(bool durable)> then);

  /// The same for many, with what each came to, in their order; `then` runs on a shard's thread.
  void submit(std::vector<Intake> intakes, std::function<void(std::vector<Receipt>)> then);

  /// Newest checkpoint, then the journal from there. REQUIRES: devices configured, endpoints and
  /// evaluators set.
  Result<RecoveryReport> recover();
  void start();
  /// Stops the shards, takes a last checkpoint.
  void stop();

  /// Writes a checkpoint now. The journal before the returned offset is not needed for recovery any
  /// more.
  Result<JournalOffset> checkpoint();
  [[nodiscard]] JournalOffset checkpointed_offset() const { return checkpointed_.load(); }

  // -- stream/views.h; any thread
  std::vector<TwinLive> live(std::span<const TwinId> twins) override;
  std::vector<TwinLive> presence() override;
  std::optional<ConnectionState> connection(std::string_view device) override;
  IngestRates rates() override;

 private:
  struct Placement {
    std::string device;
    uint32_t shard = 0;
  };
  /// Runs `ask` on every shard that `wanted` names and waits for all. False where one did not
  /// answer in time.
  bool ask_shards(const std::vector<bool>& wanted, const std::function<void(Shard&)>& ask);
  TwinLive describe(const DeviceState& state, Timestamp now, bool with_values) const;
  void add_sections(Shard& shard, CheckpointWriter& writer) const;
  bool wait_until_quiet();
  Status restore(const Checkpoint& checkpoint);
  Status replay(JournalOffset from, JournalOffset views_from, RecoveryReport& report);
  void run_views();
  void run_checkpoints();

  PipelineOptions options_;
  Journal& journal_;
  FileSystem& files_;
  Clock& clock_;
  IngestMetrics metrics_;
  Gauge& checkpoint_gauge_;
  Histogram& pause_time_;
  std::vector<std::unique_ptr<Shard>> shards_;
  RawViews raw_views_;
  JournalOffset views_next_ = 0;
  JournalOffset views_checkpointed_ = 0;
  std::mutex views_mutex_;  // views and their offset move together

  std::mutex placement_mutex_;
  std::unordered_map<uint32_t, Placement> placements_;

  std::mutex rates_mutex_;
  struct RatePoint {
    int64_t at_us = 0;
    uint64_t messages = 0, samples = 0;
  };
  std::array<RatePoint, 8> rate_points_{};
  size_t rate_next_ = 0;

  bool running_ = false;
  std::atomic<JournalOffset> checkpointed_{0};
  std::mutex stop_mutex_;
  std::condition_variable stop_wanted_;
  bool stopping_ = false;
  std::unique_ptr<Journal::Reader> views_reader_;
  std::thread views_thread_, checkpoint_thread_;
};

}  // namespace penstock::stream
