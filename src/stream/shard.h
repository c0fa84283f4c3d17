#pragma once
// A shard: one thread that owns its devices, from the socket's bytes to the acknowledgement. No
// locks.

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/io.h"
#include "base/metrics.h"
#include "stream/bind.h"
#include "stream/bound_payload.h"
#include "stream/device_state.h"
#include "stream/evaluator.h"
#include "stream/intake.h"
#include "stream/journal.h"
#include "stream/reactor.h"
#include "stream/report.h"
#include "stream/telemetry.h"

namespace penstock::stream {

/// The shard that owns a device or a session of that name. Both use it, so that a device whose
/// client id is its name has socket, session and twin on one thread.
[[nodiscard]] uint32_t shard_of(std::string_view name, uint32_t shards);

/// A small acknowledgement that waits for its batch: no allocation, no closure.
struct DurableAck {
  uint64_t connection = 0;
  uint16_t packet_id = 0;
  uint8_t packet_type = 0;
  uint8_t endpoint = 0;  ///< what Shard::add_endpoint gave
};

/// A protocol that lives on a shard. All calls on the shard's thread.
class Endpoint {
 public:
  virtual ~Endpoint() = default;
  /// The name of its section in checkpoints: never changes.
  [[nodiscard]] virtual std::string_view section() const = 0;
  /// What these acknowledgements stood for is durable, or (not ok) could not be made so.
  virtual void on_durable(std::span<const DurableAck> acks, bool ok) = 0;
  /// The end of a turn: write what is queued to the sockets.
  virtual void on_turn_end() = 0;
  /// About every 100 ms.
  virtual void on_tick() = 0;
  /// The thread is about to end: say goodbye to the peers, write what can be written.
  virtual void on_stop() = 0;

  // -- recovery; restore and replay come before the shard starts
  virtual void snapshot(Bytes& out) const = 0;
  /// `shard` wrote the section; its number may differ from ours when the number of shards has
  /// changed.
  [[nodiscard]] virtual Status restore(ByteView section, uint32_t shard) = 0;
  virtual void replay(RecordType type, ByteView body) = 0;
};

struct ShardOptions {
  uint32_t index = 0;
  uint32_t count = 1;
  DecodeLimits decode;
  size_t kept_payload_bytes_max = 65'536;  ///< of dead letters and discovered messages
};

/// Where a shard's CPU goes, station by station of a sample's life. One message in 64 is timed and
/// counts for all 64: what it costs is below 3 ns a message.
class Stations {
 public:
  Stations(Metrics& metrics, uint32_t shard) : metrics_(metrics), shard_(shard) {}
  /// A station's number, for add(). At start.
  size_t name(const std::string& station);
  [[nodiscard]] bool sample() { return (++messages_ & 63) == 0; }
  [[nodiscard]] static int64_t now_ns();
  /// Of a sampled message.
  void add_sampled(size_t station, int64_t ns) {
    seconds_[station] += static_cast<double>(ns) * 64e-9;
  }
  void add(size_t station, int64_t ns) { seconds_[station] += static_cast<double>(ns) * 1e-9; }
  void publish();

 private:
  Metrics& metrics_;
  uint32_t shard_;
  uint64_t messages_ = 0;
  std::vector<double> seconds_;
  std::vector<Gauge*> gauges_;
};

/// Counters shared by all shards.
struct IngestMetrics {
  explicit IngestMetrics(Metrics& metrics);
  Counter& messages;
  Counter& samples;
  Counter& dead_letters;
  Counter& discovered;
  Counter& forwarded;
  Counter& unbound;
  Counter& suppressed;
  Counter* rejected[kRejects];
};

class Shard {
 public:
  Shard(ShardOptions options, Journal& journal, Clock& clock, Net& net, IngestMetrics& metrics,
        Metrics& all_metrics);
  ~Shard();
  Shard(const Shard&) = delete;
  Shard& operator=(const Shard&) = delete;

  // -- before start(), or on the shard's thread
  /// Gives the number that its acknowledgements carry. Ticks and turn ends come in the order of
  /// adding, the stop in the reverse.
  uint8_t add_endpoint(Endpoint* endpoint);
  [[nodiscard]] std::span<Endpoint* const> endpoints() const { return endpoints_; }
  void set_siblings(std::vector<Shard*> all) { siblings_ = std::move(all); }
  void add_evaluator(std::unique_ptr<Evaluator> evaluator);
  /// A device came, or its configuration changed.
  void configure(std::shared_ptr<const twin::DeviceConfig> config);
  void forget(std::string_view device);

  void start();
  /// Ends the thread after what is submitted has settled, or a second.
  void stop();

  // -- any thread
  void post(Mailbox::Task task) { reactor_.post(std::move(task)); }
  [[nodiscard]] uint32_t index() const { return options_.index; }
  [[nodiscard]] uint32_t count() const { return options_.count; }

  // -- the shard's thread
  Reactor& reactor() { return reactor_; }
  [[nodiscard]] Timestamp now() const { return now_; }                  ///< of this turn
  [[nodiscard]] int64_t monotonic_us() const { return monotonic_us_; }  ///< of this turn

  /// A telemetry or properties message of `device`. Becomes samples, dead letters or a discovery
  /// with this turn's batch (or that of the shard which owns the device; acknowledgements of this
  /// turn wait for it).
  /// A device that is not registered in `sender`, the organisation of who speaks for it, is as good
  /// as unknown.
  void ingest(OrganisationId sender, std::string_view device, std::string_view topic,
              std::string_view payload);
  /// The same of a message that came to the topic of a binding: `device` is what that topic names.
  /// Refused where the device has another binding, or none; and where it is registered at all, if
  /// the sender is `joining`.
  void ingest_bound(OrganisationId sender, std::string_view device, std::string_view topic,
                    std::string_view payload, bool joining);
  /// What a protocol read of one device: the same, for values that are not JSON.
  void report(const Report& report);
  /// The same for a message that another thread handed over. REQUIRES: this shard owns the device.
  /// Receipt::durable is the caller's to set, when it is.
  Receipt take(const Intake& intake);
  /// A device whose values no longer hold (its node died): each live element gets its last value
  /// again at `when`, quality uncertain. Nothing for an unknown one.
  void lost(OrganisationId sender, std::string_view device, Timestamp when);
  /// Keeps a message that a protocol could not read as a dead letter. `device`: the canonical name
  /// it was for; may be empty.
  void refuse(OrganisationId sender, std::string_view device, std::string_view topic,
              std::string_view payload, std::string_view reason);
  void presence(std::string_view device, bool connected, std::string_view client_id,
                std::string_view detail);
  /// Runs `work` on the shard `owner`, at once where that is this one. What this turn acknowledges
  /// waits until what `work` put into the owner's batch is durable too.
  void run_on(uint32_t owner, std::function<void(Shard& owner)> work);
  [[nodiscard]] bool knows(std::string_view device) const {
    return devices_.find(device) != devices_.end();
  }
  [[nodiscard]] const DeviceState* find(std::string_view device) const;
  void visit_devices(const std::function<void(const DeviceState&)>& visit) const;

  void append_record(RecordType type, ByteView body);
  /// REQUIRES: called in a turn (from a handler, a task or a tick).
  void ack_when_durable(DurableAck ack) { group_->acks.push_back(ack); }
  void when_durable(std::function<void(bool ok)> then) {
    group_->callbacks.push_back(std::move(then));
  }
  /// Whether the journal takes writes; endpoints refuse new connections when not.
  [[nodiscard]] bool accepting() const { return journal_.state() == JournalState::kWriting; }

  /// Bytes that wait for the journal, submitted or not: above a limit, endpoints stop reading.
  [[nodiscard]] size_t pending_bytes() const { return in_flight_bytes_ + batch_->bytes().size(); }

  // -- recovery, before start()
  void restore_live(ByteView section);
  void replay_samples(const SampleView& view);
  void snapshot_live(Bytes& out) const;
  /// For a checkpoint: no sockets, no ticks, until told otherwise.
  void pause(bool paused);
  /// Nothing waits for the journal: all that this shard has done is durable.
  [[nodiscard]] bool idle() const;
  std::vector<std::unique_ptr<Evaluator>>& evaluators() { return evaluators_; }

 private:
  // Work that another shard handed over: done once this shard's batch of it is durable, and what it
  // handed on in turn is too. It waits for no other group: two shards that hand to each other would
  // wait for ever.
  struct Ticket {
    uint32_t pending = 1;
    bool ok = true;
    std::function<void(bool ok)> done;
    void complete(bool good) {
      ok = ok && good;
      if (--pending == 0) done(ok);
    }
  };
  // What waits for one batch.
  struct Group {
    Shard* shard = nullptr;
    std::vector<std::shared_ptr<Ticket>> tickets;  // shared: the shards it went on to hold it too
    std::vector<DurableAck> acks;
    std::vector<std::function<void(bool)>> callbacks;
    size_t bytes = 0;
    uint32_t foreign = 0;  // messages handed to other shards, not durable yet
    bool settled = false;
    bool ok = true;
  };
  class BatchSink;
  struct TextHash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };

  void run();
  void turn(int timeout_ms);
  void flush_samples();
  void submit();
  void settled(Group& group);
  void release();
  void tell_durable(std::span<const DurableAck> acks, bool ok);
  std::unique_ptr<Group> take_group();
  enum class Arrival : uint8_t { kDeviceTopic, kBoundTopic, kBoundTopicJoining };
  void ingest_from(Arrival arrival, OrganisationId sender, std::string_view device,
                   std::string_view topic, std::string_view payload);
  void ingest_here(Arrival arrival, OrganisationId sender, std::string_view device,
                   std::string_view topic, std::string_view payload);
  /// Runs `work` on another shard; what this turn acknowledges waits until its batch is durable.
  void forward(uint32_t owner, std::function<void(Shard& owner)> work);
  void run_forwarded(const std::function<void(Shard& owner)>& work,
                     std::function<void(bool ok)> done);
  void report_here(const Report& report);
  /// A message of a device whose binding says how to read it.
  BindOutcome read_bound(Arrival arrival, DeviceState& state, std::string_view topic,
                         std::string_view payload, Timestamp received, bool history_only);
  BindOutcome bind(DeviceState& state, std::span<const WireValue> values, Timestamp received,
                   bool history_only);
  /// Reads what an Intake holds, whichever it is.
  BindOutcome read_intake(DeviceState& state, const Intake& intake, Timestamp received);
  void keep_unknown(const Intake& intake);
  void lost_here(OrganisationId sender, std::string_view device, Timestamp when);
  void refuse_here(OrganisationId sender, std::string_view device, std::string_view topic,
                   std::string_view payload, std::string_view reason);
  /// The device, where it is one of `sender`.
  DeviceState* known(OrganisationId sender, std::string_view device);
  /// What a message or report of `state` came to: counts, judges, keeps what was refused.
  bool begin_message(DeviceState& state);
  void end_message(DeviceState& state, const DecodeOutcome& outcome, size_t first, bool timed,
                   int64_t begin_ns);
  void keep_rejected(DeviceState& state, const DecodeOutcome& outcome, std::string_view topic,
                     std::string_view payload);
  void judge(DeviceState& state, std::span<const Sample> samples, bool timed);
  void update_live(DeviceState& state, std::span<const Sample> samples, std::string_view text);
  void keep_raw(RecordType type, Timestamp received, OrganisationId organisation,
                std::string_view device, std::string_view topic, std::string_view payload,
                std::string_view reason);
  /// "wrong_type: mode and 2 more"
  static void describe(const DecodeOutcome& outcome, std::string& out);
  void publish_counts();

  static constexpr size_t kInFlightMax = 2;  // one being synced, one ready for the next sync

  ShardOptions options_;
  Journal& journal_;
  Clock& clock_;
  IngestMetrics& metrics_;
  Reactor reactor_;
  std::vector<Endpoint*> endpoints_;
  std::vector<Shard*> siblings_;
  std::vector<std::unique_ptr<Evaluator>> evaluators_;
  Stations stations_;
  size_t decode_station_, live_station_, batch_station_;
  std::vector<size_t> evaluator_stations_;  // parallel to evaluators_
  TelemetryDecoder decoder_;
  BoundPayloadReader bound_reader_;

  std::unordered_map<std::string, std::unique_ptr<DeviceState>, TextHash, std::equal_to<>> devices_;
  std::unordered_map<uint32_t, DeviceState*> by_series_;  // recovery only

  Timestamp now_;
  int64_t monotonic_us_ = 0;
  int64_t next_tick_us_ = 0;
  int64_t next_second_us_ = 0;

  SampleBuffer turn_;
  std::string reason_;
  std::string report_json_;
  Bytes scratch_;
  std::vector<size_t> signal_ends_;
  std::unique_ptr<Batch> batch_;
  std::unique_ptr<Group> group_;
  std::shared_ptr<Ticket> ticket_;  // of the work that runs now, where another shard handed it over
  std::deque<std::unique_ptr<Group>> in_flight_;
  size_t in_flight_bytes_ = 0;
  // Batches that the journal has. Groups that only wait for other shards do not count: those may
  // wait for a batch of ours that is still to be submitted.
  size_t unsettled_ = 0;
  std::vector<std::unique_ptr<Group>> spare_groups_;

  struct Counts {
    uint64_t messages = 0, samples = 0, dead_letters = 0, discovered = 0, forwarded = 0;
    uint64_t unbound = 0, suppressed = 0;
    uint64_t rejected[kRejects] = {};
  } counts_;

  bool paused_ = false;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace penstock::stream
