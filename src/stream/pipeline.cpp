#include "stream/pipeline.h"

#include <algorithm>
#include <latch>

#include <pthread.h>

#include "base/check.h"
#include "base/log.h"
#include "stream/checkpoint.h"

namespace penstock::stream {
namespace {

constexpr std::string_view kLiveSection = "live";
constexpr std::string_view kEvaluatorSection = "evaluator/";
constexpr std::string_view kViewsSection = "raw_views";

}  // namespace

Pipeline::Pipeline(PipelineOptions options, Journal& journal, FileSystem& files, Clock& clock,
                   Net& net, Metrics& metrics)
    : options_(std::move(options)),
      journal_(journal),
      files_(files),
      clock_(clock),
      metrics_(metrics),
      checkpoint_gauge_(metrics.gauge("penstock_checkpoint_offset_bytes",
                                      "Journal offset of the newest checkpoint")),
      pause_time_(metrics.histogram("penstock_checkpoint_pause_seconds",
                                    "How long shards stood still for a checkpoint")),
      raw_views_(options_.raw_views) {
  CHECK(options_.shards > 0);
  std::vector<Shard*> all;
  for (uint32_t i = 0; i < options_.shards; ++i) {
    ShardOptions shard = options_.shard;
    shard.index = i;
    shard.count = options_.shards;
    all.push_back(
        shards_.emplace_back(std::make_unique<Shard>(shard, journal, clock, net, metrics_, metrics))
            .get());
  }
  for (auto& shard : shards_) shard->set_siblings(all);
}

Pipeline::~Pipeline() { stop(); }

// -- configuration

void Pipeline::configure(std::shared_ptr<const twin::DeviceConfig> config) {
  const uint32_t owner = shard_of(config->device, shards());
  {
    const std::lock_guard lock(placement_mutex_);
    placements_[config->twin.value] = {config->device, owner};
  }
  Shard* shard = shards_[owner].get();
  if (!running_) {
    shard->configure(std::move(config));
    return;
  }
  shard->post([shard, config = std::move(config)] { shard->configure(config); });
}

void Pipeline::forget(std::string_view device) {
  {
    const std::lock_guard lock(placement_mutex_);
    std::erase_if(placements_, [&](const auto& entry) { return entry.second.device == device; });
  }
  Shard* shard = shards_[shard_of(device, shards())].get();
  if (!running_) {
    shard->forget(device);
    return;
  }
  shard->post([shard, name = std::string(device)] { shard->forget(name); });
}

// -- questions

void Pipeline::submit(OwnedReport report, std::function<void(bool)> then) {
  Shard* owner = shards_[shard_of(report.device(), shards())].get();
  owner->post([owner, report = std::make_shared<const OwnedReport>(std::move(report)),
               then = std::move(then)]() mutable {
    if (!owner->accepting()) {
      then(false);
      return;
    }
    owner->report(report->view());
    owner->when_durable(std::move(then));
  });
}

void Pipeline::submit(std::vector<Intake> intakes, std::function<void(std::vector<Receipt>)> then) {
  constexpr size_t kSlice = 256;  // a shard's turn stays short, whatever one client sends
  struct Work {                   // shared by the slices: the last one answers
    std::vector<Intake> intakes;
    std::vector<Receipt> receipts;
    std::function<void(std::vector<Receipt>)> then;
    std::atomic<size_t> left{0};
  };
  const auto work = std::make_shared<Work>();
  std::vector<std::vector<uint32_t>> of_shard(shards());
  for (uint32_t i = 0; i < intakes.size(); ++i)
    of_shard[shard_of(intakes[i].device, shards())].push_back(i);
  std::vector<std::pair<Shard*, std::vector<uint32_t>>> slices;
  for (uint32_t at = 0; at < shards(); ++at)
    for (size_t i = 0; i < of_shard[at].size(); i += kSlice)
      slices.emplace_back(
          shards_[at].get(),
          std::vector<uint32_t>(of_shard[at].begin() + static_cast<std::ptrdiff_t>(i),
                                of_shard[at].begin() + static_cast<std::ptrdiff_t>(std::min(
                                                           i + kSlice, of_shard[at].size()))));
  work->receipts.resize(intakes.size());
  work->intakes = std::move(intakes);
  work->then = std::move(then);
  work->left = slices.size();
  if (slices.empty()) return work->then({});
  for (auto& [shard, slice] : slices) {
    shard->post([work, owner = shard, mine = std::move(slice)] {
      const auto settled = [work, mine](bool ok) {
        for (const uint32_t i : mine) work->receipts[i].durable = ok;
        if (work->left.fetch_sub(1) == 1) work->then(std::move(work->receipts));
      };
      if (!owner->accepting()) return settled(false);
      for (const uint32_t i : mine) work->receipts[i] = owner->take(work->intakes[i]);
      owner->when_durable(settled);
    });
  }
}

bool Pipeline::ask_shards(const std::vector<bool>& wanted, const std::function<void(Shard&)>& ask) {
  // Shared with the tasks: one that runs after we gave up must find the latch alive.
  struct Wait {
    std::mutex mutex;
    std::condition_variable done;
    int left = 0;
    bool given_up = false;
  };
  const auto wait = std::make_shared<Wait>();
  wait->left = static_cast<int>(std::count(wanted.begin(), wanted.end(), true));
  for (size_t i = 0; i < shards_.size(); ++i) {
    if (!wanted[i]) continue;
    Shard* shard = shards_[i].get();
    shard->post([wait, shard, &ask] {
      const std::lock_guard lock(
          wait->mutex);  // held while asking: the caller's frame stays until we are done
      if (wait->given_up) return;
      ask(*shard);
      --wait->left;
      wait->done.notify_one();
    });
  }
  std::unique_lock lock(wait->mutex);
  const bool all =
      wait->done.wait_for(lock, std::chrono::seconds(2), [&] { return wait->left == 0; });
  wait->given_up = true;
  return all;
}

TwinLive Pipeline::describe(const DeviceState& state, Timestamp now, bool with_values) const {
  TwinLive out;
  out.twin = state.config->twin;
  out.last_seen = state.last_seen;
  const Duration limit = state.config->stale_after_ms > 0
                             ? Duration::millis(state.config->stale_after_ms)
                             : options_.stale_after;
  out.stale = state.last_seen.us == 0 || now - state.last_seen > limit;
  out.online = state.connections > 0 || !out.stale;
  if (!with_values) return out;
  for (const LiveValue& value : state.live)
    if (value.sample.source_time.us != 0) out.values.push_back(value);
  return out;
}

std::vector<TwinLive> Pipeline::live(std::span<const TwinId> twins) {
  std::vector<TwinLive> out(twins.size());
  std::vector<std::vector<std::pair<size_t, std::string>>> by_shard(shards_.size());
  std::vector<bool> wanted(shards_.size(), false);
  {
    const std::lock_guard lock(placement_mutex_);
    for (size_t i = 0; i < twins.size(); ++i) {
      out[i].twin = twins[i];
      const auto it = placements_.find(twins[i].value);
      if (it == placements_.end()) continue;
      by_shard[it->second.shard].emplace_back(i, it->second.device);
      wanted[it->second.shard] = true;
    }
  }
  const Timestamp now = clock_.now();
  ask_shards(wanted, [&](Shard& shard) {
    for (const auto& [i, device] : by_shard[shard.index()])
      if (const DeviceState* state = shard.find(device)) out[i] = describe(*state, now, true);
  });
  return out;
}

std::vector<TwinLive> Pipeline::presence() {
  std::vector<TwinLive> out;
  std::vector<std::vector<TwinLive>> parts(shards_.size());
  const Timestamp now = clock_.now();
  ask_shards(std::vector<bool>(shards_.size(), true), [&](Shard& shard) {
    shard.visit_devices(
        [&](const DeviceState& s) { parts[shard.index()].push_back(describe(s, now, false)); });
  });
  for (auto& part : parts) std::move(part.begin(), part.end(), std::back_inserter(out));
  return out;
}

std::optional<ConnectionState> Pipeline::connection(std::string_view device) {
  std::optional<ConnectionState> out;
  std::vector<bool> wanted(shards_.size(), false);
  wanted[shard_of(device, shards())] = true;
  ask_shards(wanted, [&](Shard& shard) {
    const DeviceState* s = shard.find(device);
    if (!s) return;
    out = ConnectionState{.online = s->connections > 0,
                          .connected_at = s->connected_at,
                          .last_seen = s->last_seen,
                          .client_id = s->client_id,
                          .address = s->address,
                          .detail = s->connections > 0 ? std::string() : s->disconnect_reason,
                          .messages = s->messages,
                          .samples = s->samples,
                          .rejected = s->rejected,
                          .last_rejection = s->last_rejection,
                          .unbound = s->unbound,
                          .suppressed = s->suppressed,
                          .future = s->future,
                          .interval = s->interval,
                          .clock_offset = s->clock_offset};
  });
  return out;
}

IngestRates Pipeline::rates() {
  const std::lock_guard lock(rates_mutex_);
  const RatePoint& newest =
      rate_points_[(rate_next_ + rate_points_.size() - 1) % rate_points_.size()];
  const RatePoint* oldest = &newest;
  for (const RatePoint& point : rate_points_)
    if (point.at_us != 0 && point.at_us < oldest->at_us) oldest = &point;
  const double seconds = static_cast<double>(newest.at_us - oldest->at_us) / 1e6;
  if (seconds <= 0) return {};
  return {static_cast<double>(newest.messages - oldest->messages) / seconds,
          static_cast<double>(newest.samples - oldest->samples) / seconds};
}

// -- life

void Pipeline::start() {
  CHECK(!running_);
  running_ = true;
  auto reader = journal_.read_from(views_next_);
  CHECK(reader);  // the offset came from the journal itself
  views_reader_ = std::move(*reader);
  for (auto& shard : shards_) shard->start();
  views_thread_ = std::thread([this] { run_views(); });
  checkpoint_thread_ = std::thread([this] { run_checkpoints(); });
}

void Pipeline::stop() {
  if (!running_) return;
  {
    const std::lock_guard lock(stop_mutex_);
    stopping_ = true;
  }
  stop_wanted_.notify_all();
  checkpoint_thread_.join();
  if (auto at = checkpoint(); !at)
    log_warning("stream", "no checkpoint at stop: {}", at.error().text());
  for (auto& shard : shards_) shard->stop();
  views_reader_->wake();
  views_thread_.join();
  running_ = false;
}

void Pipeline::run_views() {
  pthread_setname_np(pthread_self(), "views");
  while (true) {
    {
      const std::lock_guard lock(stop_mutex_);
      if (stopping_) return;
    }
    auto record = views_reader_->next();
    if (!record) {
      log_error("stream", "the dead-letter view cannot read the journal: {}",
                record.error().text());
      return;
    }
    if (!*record) {
      views_reader_->wait(Duration::millis(250));
      continue;
    }
    const std::lock_guard lock(views_mutex_);
    raw_views_.apply((*record)->type, views_next_, (*record)->body);
    views_next_ = (*record)->next;
  }
}

void Pipeline::run_checkpoints() {
  pthread_setname_np(pthread_self(), "checkpoint");
  int64_t due_us = clock_.monotonic_us() + options_.checkpoint_interval.us;
  std::unique_lock lock(stop_mutex_);
  while (!stop_wanted_.wait_for(lock, std::chrono::seconds(1), [&] { return stopping_; })) {
    {
      const std::lock_guard rates_lock(rates_mutex_);
      rate_points_[rate_next_] = {clock_.monotonic_us(), metrics_.messages.value(),
                                  metrics_.samples.value()};
      rate_next_ = (rate_next_ + 1) % rate_points_.size();
    }
    const bool much_written = journal_.durable_offset() > checkpointed_ + (256ULL << 20);
    if (clock_.monotonic_us() < due_us && !much_written) continue;
    due_us = clock_.monotonic_us() + options_.checkpoint_interval.us;
    if (journal_.durable_offset() == checkpointed_ || journal_.state() != JournalState::kWriting)
      continue;
    lock.unlock();
    if (auto at = checkpoint(); !at) log_warning("stream", "no checkpoint: {}", at.error().text());
    lock.lock();
  }
}

// -- checkpoint and recovery

void Pipeline::add_sections(Shard& shard, CheckpointWriter& writer) const {
  Bytes live;
  shard.snapshot_live(live);
  writer.add(std::string(kLiveSection), shard.index(), std::move(live));
  for (const Endpoint* endpoint : shard.endpoints()) {
    Bytes state;
    endpoint->snapshot(state);
    writer.add(std::string(endpoint->section()), shard.index(), std::move(state));
  }
  for (size_t i = 0; i < shard.evaluators().size(); ++i) {
    Bytes state;
    shard.evaluators()[i]->snapshot(state);
    writer.add(std::string(kEvaluatorSection) + std::to_string(i), shard.index(), std::move(state));
  }
}

// With their sockets paused the shards come to rest when their batches are durable and their mail
// is read. A message that one shard sent before it answered is read by the other before that one
// answers the next round; nothing sends in answer to more than one such message, so three quiet
// rounds are enough.
bool Pipeline::wait_until_quiet() {
  const int64_t give_up_us = clock_.monotonic_us() + 2'000'000;
  const std::vector<bool> all(shards_.size(), true);
  for (int quiet = 0; quiet < 3;) {
    bool idle = true;
    if (!ask_shards(all, [&](Shard& shard) { idle = idle && shard.idle(); })) return false;
    quiet = idle ? quiet + 1 : 0;
    if (clock_.monotonic_us() > give_up_us) return false;
  }
  return true;
}

// All shards stand still at one offset for some milliseconds, so a checkpoint is one moment of the
// whole: what it holds and what replay adds neither overlap nor leave a gap.
Result<JournalOffset> Pipeline::checkpoint() {
  const std::vector<bool> all(shards_.size(), true);
  const int64_t start_us = clock_.monotonic_us();
  if (!ask_shards(all, [](Shard& shard) { shard.pause(true); }))
    return fail(ErrorCode::kTimeout, "a shard did not answer, so no checkpoint was taken");
  const bool quiet = wait_until_quiet();
  const JournalOffset at = journal_.durable_offset();
  CheckpointWriter writer(at);
  const bool copied = quiet && ask_shards(all, [&](Shard& shard) { add_sections(shard, writer); });
  ask_shards(all, [](Shard& shard) { shard.pause(false); });
  pause_time_.observe_us(static_cast<uint64_t>(clock_.monotonic_us() - start_us));
  if (!copied)
    return fail(ErrorCode::kUnavailable,
                "the shards did not come to rest in time, so no checkpoint was taken");
  Bytes views;
  {
    const std::lock_guard lock(views_mutex_);
    append_le<uint64_t>(views, views_next_);
    raw_views_.snapshot(views);
    // The views may lag behind the shards: what they have not seen is kept for them.
    views_checkpointed_ = views_next_;
  }
  writer.add(std::string(kViewsSection), 0, std::move(views));
  TRY(writer.write(files_, options_.checkpoint_directory));
  checkpointed_ = std::min(at, views_checkpointed_);
  checkpoint_gauge_.set(static_cast<double>(at));
  return checkpointed_.load();
}

Status Pipeline::restore(const Checkpoint& checkpoint) {
  const auto before =
      std::count_if(checkpoint.sections.begin(), checkpoint.sections.end(),
                    [](const CheckpointSection& s) { return s.name == kLiveSection; });
  // With another number of shards devices have moved: each shard reads all sections and keeps its
  // own.
  const bool same_shards = static_cast<size_t>(before) == shards_.size();
  for (auto& shard : shards_) {
    for (const CheckpointSection& s : checkpoint.sections) {
      if (s.name == kViewsSection) continue;
      // Sessions of one shard are subscribers on all: endpoints see every shard's section.
      for (Endpoint* endpoint : shard->endpoints())
        if (endpoint->section() == s.name) TRY(endpoint->restore(s.bytes, s.shard));
      if (same_shards && s.shard != shard->index()) continue;
      if (s.name == kLiveSection) shard->restore_live(s.bytes);
      if (!s.name.starts_with(kEvaluatorSection)) continue;
      const auto i = static_cast<size_t>(std::stoul(s.name.substr(kEvaluatorSection.size())));
      if (i < shard->evaluators().size()) TRY(shard->evaluators()[i]->restore(s.bytes));
    }
  }
  return {};
}

Result<RecoveryReport> Pipeline::recover() {
  CHECK(!running_);
  RecoveryReport report;
  const int64_t start_us = clock_.monotonic_us();
  TRY(files_.create_directories(options_.checkpoint_directory));
  TRY_ASSIGN(const auto checkpoint, load_latest_checkpoint(files_, options_.checkpoint_directory));
  JournalOffset from = journal_.begin_offset();
  views_next_ = from;
  if (checkpoint) {
    if (checkpoint->offset < from || checkpoint->offset > journal_.durable_offset())
      return fail(
          ErrorCode::kCorrupt,
          "the checkpoint and the journal do not belong together: restore both from one backup",
          options_.checkpoint_directory);
    from = checkpoint->offset;
    for (const CheckpointSection& section : checkpoint->sections) {
      if (section.name != kViewsSection) continue;
      ByteReader in(section.bytes);
      views_next_ = std::max(in.le<uint64_t>(), journal_.begin_offset());
      TRY(raw_views_.restore(in.rest()));
    }
    TRY(restore(*checkpoint));
    checkpointed_ = std::min(from, views_next_);
  }
  TRY(replay(from, views_next_, report));
  report.took_us = clock_.monotonic_us() - start_us;
  return report;
}

Status Pipeline::replay(JournalOffset from, JournalOffset views_from, RecoveryReport& report) {
  report.from = std::min(from, views_from);
  TRY_ASSIGN(const auto reader, journal_.read_from(report.from));
  JournalOffset at = report.from;
  std::vector<Sample> unpacked;
  while (true) {
    TRY_ASSIGN(const auto record, reader->next());
    if (!record) break;
    ++report.records;
    if (at >= from) {
      std::optional<SampleView> samples;
      if (record->type == RecordType::kSamples) samples = decode_samples(record->body, unpacked);
      for (auto& shard : shards_) {
        if (samples)
          shard->replay_samples(*samples);
        else
          for (Endpoint* endpoint : shard->endpoints())
            endpoint->replay(record->type, record->body);
      }
    }
    if (at >= views_from) raw_views_.apply(record->type, at, record->body);
    at = record->next;
  }
  views_next_ = std::max(views_next_, at);
  report.to = at;
  return {};
}

}  // namespace penstock::stream
