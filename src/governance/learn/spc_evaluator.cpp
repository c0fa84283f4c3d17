#include "governance/learn/spc_evaluator.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>

#include <fmt/format.h>

namespace penstock::governance {
namespace {

constexpr uint32_t kFormat = 1;
/// So many samples in a row that are all late mean that the device's clock went back: follow it.
constexpr uint32_t kLateRunMax = 200;
/// Restored detectors that nobody has set up after so many ticks (ten minutes) were deleted.
constexpr uint32_t kTicksKept = 600;
constexpr size_t kDetailBytes = 128 + kSpcSensorsMax * 48;

}  // namespace

struct SpcEvaluator::Detector {
  DetectorConfig config;
  Detector* next_of_twin = nullptr;

  // the row that is being assembled
  std::vector<double> values;
  std::vector<Timestamp> times;  ///< of the values; 0: none yet
  uint64_t fresh = 0;            ///< sensors that have spoken since the last row, as bits
  uint64_t all = 0;
  Timestamp row_time;
  size_t expected = 0;  ///< where the next sample's series probably is
  uint32_t late_run = 0;
  uint64_t late = 0;

  // learning
  std::vector<double> healthy;
  std::string trouble;
  Timestamp learned;

  // watching
  std::optional<SpcMonitor> monitor;
  bool active = false;
  Timestamp since;  ///< above the limit since; 0: it is not
  Timestamp quiet;  ///< below the clearing limit since; 0: it is not
  std::vector<double> shares;
  std::vector<uint32_t> order;

  explicit Detector(DetectorConfig c) : config(std::move(c)) {
    const size_t n = config.series.size();
    values.assign(n, std::nan(""));
    times.assign(n, Timestamp());
    all = n == 64 ? ~uint64_t{0} : (uint64_t{1} << n) - 1;
    shares.resize(n);
    order.resize(n);
  }
  [[nodiscard]] size_t sensors() const { return values.size(); }
  /// Where a series stands in the row; sensors() where it is not of this detector. Messages mostly
  /// carry the elements in the same order, so the first guess is right.
  size_t position(SeriesId series) {
    const size_t n = sensors();
    if (expected >= n) expected = 0;
    for (size_t i = expected; i < n; ++i)
      if (config.series[i] == series) return expected = i + 1, i;
    for (size_t i = 0; i < expected; ++i)
      if (config.series[i] == series) return expected = i + 1, i;
    return n;
  }
  void forget_learned() {
    monitor.reset();
    healthy.clear();
    trouble.clear();
    learned = since = quiet = {};
    active = false;
  }
  Status learn() {
    auto made = SpcMonitor::learn(healthy, sensors(), config.parameters);
    if (!made) return fail(made.error());
    monitor = *std::move(made);
    healthy = {};
    trouble.clear();
    return {};
  }
  void encode(Bytes& out) const;
  [[nodiscard]] Status decode(ByteView bytes);
  static std::unique_ptr<Detector> from_stored(const DetectorConfig& config, ByteView bytes);
};

// Begins with the time of its newest row, by which restore() tells the owner's state from that of
// shards which only know its name.
void SpcEvaluator::Detector::encode(Bytes& out) const {
  append_le<int64_t>(out, row_time.us);
  append_le<uint32_t>(out, config.twin.value);
  append_le<uint32_t>(out, config.version);
  append_le<uint32_t>(out, static_cast<uint32_t>(sensors()));
  for (size_t i = 0; i < sensors(); ++i) {
    append_le<uint32_t>(out, config.series[i].value);
    append_le<double>(out, values[i]);
    append_le<int64_t>(out, times[i].us);
  }
  append_le<uint64_t>(out, fresh);
  append_le<uint64_t>(out, late);
  for (const Timestamp time : {learned, since, quiet}) append_le<int64_t>(out, time.us);
  append_le<uint8_t>(out, active ? 1 : 0);
  append_le<uint8_t>(out, monitor ? 1 : 0);
  if (monitor) {
    monitor->encode(out);
    return;
  }
  append_le<uint32_t>(out, static_cast<uint32_t>(healthy.size()));
  append_bytes(out, std::as_bytes(std::span(healthy)));
}

/// What was learned for another version or other series does not fit either: it learns anew.
Status SpcEvaluator::Detector::decode(ByteView bytes) {
  ByteReader in(bytes);
  const auto corrupt = [] {
    return fail(ErrorCode::kCorrupt, "the stored state of a detector cannot be read");
  };
  row_time.us = in.le<int64_t>();
  const TwinId twin(in.le<uint32_t>());
  const auto version = in.le<uint32_t>();
  const auto count = in.le<uint32_t>();
  if (!in.ok()) return corrupt();
  if (twin != config.twin || version != config.version || count != sensors()) return corrupt();
  for (size_t i = 0; i < count; ++i) {
    if (SeriesId(in.le<uint32_t>()) != config.series[i]) return corrupt();
    values[i] = in.le<double>();
    times[i].us = in.le<int64_t>();
  }
  fresh = in.le<uint64_t>() & all;
  late = in.le<uint64_t>();
  for (Timestamp* time : {&learned, &since, &quiet}) time->us = in.le<int64_t>();
  active = in.le<uint8_t>() != 0;
  if (in.le<uint8_t>() != 0) {
    TRY_ASSIGN(monitor, SpcMonitor::decode(in));
    return monitor->sensors() == sensors() ? Status() : corrupt();
  }
  const auto size = in.le<uint32_t>();
  const ByteView rows = in.bytes(size * sizeof(double));
  if (!in.ok() || size % sensors() != 0) return corrupt();
  healthy.resize(size);
  if (size > 0) std::memcpy(healthy.data(), rows.data(), rows.size());
  return {};
}

std::unique_ptr<SpcEvaluator::Detector> SpcEvaluator::Detector::from_stored(
    const DetectorConfig& config, ByteView bytes) {
  auto out = std::make_unique<Detector>(config);
  if (out->decode(bytes)) return out;
  out = std::make_unique<Detector>(config);
  out->trouble = "its stored state could not be read: it learns again";
  return out;
}

SpcEvaluator::SpcEvaluator() { detail_.reserve(kDetailBytes); }
SpcEvaluator::~SpcEvaluator() = default;

namespace {
constexpr auto by_id = [](const auto& detector, RuleId id) { return detector->config.id < id; };
Timestamp row_time_of(ByteView stored) {
  return {stored.size() < sizeof(int64_t) ? INT64_MIN : load_le<int64_t>(stored.data())};
}
}  // namespace

SpcEvaluator::Detector* SpcEvaluator::find(RuleId id) const {
  const auto at = std::lower_bound(detectors_.begin(), detectors_.end(), id, by_id);
  return at != detectors_.end() && (*at)->config.id == id ? at->get() : nullptr;
}

void SpcEvaluator::index() {
  std::fill(first_of_twin_.begin(), first_of_twin_.end(), nullptr);
  for (const auto& detector : detectors_) {
    const size_t twin = detector->config.twin.value;
    if (first_of_twin_.size() <= twin) first_of_twin_.resize(twin + 1);
    detector->next_of_twin = first_of_twin_[twin];
    first_of_twin_[twin] = detector.get();
  }
}

Status SpcEvaluator::set(const DetectorConfig& config) {
  TRY(config.parameters.check());
  const size_t sensors = config.series.size();
  const auto complain = [](std::string what) {
    return fail(ErrorCode::kInvalidArgument, std::move(what), "detector");
  };
  if (sensors == 0 || sensors > kSpcSensorsMax)
    return complain(fmt::format("a detector watches 1 to {} elements", kSpcSensorsMax));
  if (config.learn_rows < SpcMonitor::rows_min(config.parameters))
    return complain(
        fmt::format("learn_rows must be at least {}", SpcMonitor::rows_min(config.parameters)));
  if (config.learn_rows * sensors > kLearnValuesMax)
    return complain(fmt::format("learn_rows must be at most {} for {} elements",
                                kLearnValuesMax / sensors, sensors));
  if (config.healthy_to.us != 0 && config.healthy_to <= config.healthy_from)
    return complain("the healthy window must end after it begins");
  auto fresh = std::make_unique<Detector>(config);
  if (Detector* old = find(config.id)) {
    const bool same = old->config.version == config.version && old->config.twin == config.twin &&
                      old->config.series == config.series;
    if (same) {
      // Delays and the like changed: keep what is learned and go on.
      old->config = config;
      return {};
    }
    remove(config.id);
  }
  if (const auto stored = restored_.find(config.id); stored != restored_.end()) {
    fresh = Detector::from_stored(config, stored->second);
    restored_.erase(stored);
  }
  detectors_.push_back(std::move(fresh));
  std::sort(detectors_.begin(), detectors_.end(),
            [](const auto& a, const auto& b) { return a->config.id < b->config.id; });
  index();
  return {};
}

void SpcEvaluator::remove(RuleId id) {
  restored_.erase(id);
  Detector* const detector = find(id);
  if (detector == nullptr) return;
  if (detector->active) ended_.push_back({detector->config.twin, id, detector->row_time});
  std::erase_if(detectors_, [&](const auto& one) { return one.get() == detector; });
  index();
}

SpcEvaluator::HealthyRows SpcEvaluator::rows_of(const DetectorConfig& config,
                                                std::span<const stream::Sample> by_time) {
  struct Nobody : stream::SignalSink {
    void emit(const stream::Signal&) override {}
  } nobody;
  DetectorConfig open_ended = config;
  open_ended.healthy_from = open_ended.healthy_to = {};
  open_ended.learn_rows = static_cast<uint32_t>(kLearnValuesMax / config.series.size());
  SpcEvaluator scratch;
  if (!scratch.set(open_ended)) return {};
  Detector& detector = *scratch.detectors_.front();
  const size_t full = (open_ended.learn_rows - 1) * config.series.size();
  for (const stream::Sample& sample : by_time) {
    if (detector.healthy.size() >= full) break;  // one more row, and it would begin to watch
    scratch.on_samples(config.twin, std::span(&sample, 1), nobody);
  }
  return {std::move(detector.healthy), detector.learned};
}

Status SpcEvaluator::learn_from(RuleId id, std::span<const double> rows, Timestamp last_row) {
  Detector* const detector = find(id);
  if (detector == nullptr) return fail(ErrorCode::kNotFound, "this detector is not on this shard");
  if (rows.size() > kLearnValuesMax)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("the healthy window is too long: at most {} rows",
                            kLearnValuesMax / detector->sensors()));
  auto monitor = SpcMonitor::learn(rows, detector->sensors(), detector->config.parameters);
  if (!monitor) {
    detector->trouble = monitor.error().message;
    return fail(monitor.error());
  }
  if (detector->active) ended_.push_back({detector->config.twin, id, detector->row_time});
  detector->forget_learned();
  detector->monitor = *std::move(monitor);
  detector->learned = last_row;
  return {};
}

std::optional<DetectorStatus> SpcEvaluator::status(RuleId id) const {
  const Detector* const detector = find(id);
  if (detector == nullptr) return std::nullopt;
  DetectorStatus out;
  out.state = detector->monitor ? DetectorState::kWatching : DetectorState::kLearning;
  out.rows = static_cast<uint32_t>(detector->healthy.size() / detector->sensors());
  out.rows_wanted = detector->config.learn_rows;
  out.learned = detector->learned;
  out.active = detector->active;
  if (detector->monitor) out.ratio = detector->monitor->last().ratio();
  out.detail = detector->trouble;
  out.late = detector->late;
  return out;
}

void SpcEvaluator::on_samples(TwinId twin, std::span<const stream::Sample> samples,
                              stream::SignalSink& sink) {
  if (!ended_.empty()) [[unlikely]]
    say_ended(sink);
  if (twin.value >= first_of_twin_.size()) return;
  for (Detector* d = first_of_twin_[twin.value]; d != nullptr; d = d->next_of_twin)
    for (const stream::Sample& sample : samples) {
      const size_t position = d->position(sample.series);
      if (position < d->sensors()) take(*d, sample, position, sink);
    }
}

void SpcEvaluator::take(Detector& detector, const stream::Sample& sample, size_t position,
                        stream::SignalSink& sink) {
  if (sample.quality == stream::Quality::kBad) return;
  const double value = sample.as_number();
  if (!std::isfinite(value)) return;
  const Timestamp time = sample.source_time;
  const uint64_t bit = uint64_t{1} << position;
  if (time < detector.times[position]) [[unlikely]] {
    ++detector.late;
    if (++detector.late_run < kLateRunMax) return;
    // The clock went back: what was newer belongs to a time that never was.
    std::fill(detector.times.begin(), detector.times.end(), Timestamp());
    std::fill(detector.values.begin(), detector.values.end(), std::nan(""));
    detector.fresh = 0;
    detector.row_time = detector.since = detector.quiet = {};
  }
  detector.late_run = 0;
  // A second value of a sensor begins the next row; one with the same time replaces the first.
  if ((detector.fresh & bit) != 0 && time > detector.times[position]) close_row(detector, sink);
  const bool repeated = time == detector.times[position];
  detector.values[position] = value;
  detector.times[position] = time;
  if (repeated) return;
  detector.row_time = std::max(detector.row_time, time);
  detector.fresh |= bit;
  if (detector.fresh == detector.all) close_row(detector, sink);
}

void SpcEvaluator::close_row(Detector& detector, stream::SignalSink& sink) {
  detector.fresh = 0;
  size_t missing = 0;
  const Timestamp oldest = detector.row_time - detector.config.value_age_max;
  for (size_t i = 0; i < detector.sensors(); ++i) {
    if (detector.times[i] < oldest) detector.values[i] = std::nan("");
    missing += std::isnan(detector.values[i]) ? 1 : 0;
  }
  if (!detector.monitor)
    learn_row(detector, missing == 0);
  else if (2 * missing <= detector.sensors())  // else there is too little to judge by
    watch_row(detector, sink);
}

void SpcEvaluator::learn_row(Detector& detector, bool complete) {
  const DetectorConfig& config = detector.config;
  const size_t wanted = config.learn_rows * detector.sensors();
  const bool over = config.healthy_to.us != 0 && detector.row_time > config.healthy_to;
  if (!over && complete && detector.row_time >= config.healthy_from) {
    if (detector.healthy.capacity() < wanted) detector.healthy.reserve(wanted);
    detector.healthy.insert(detector.healthy.end(), detector.values.begin(), detector.values.end());
    detector.learned = detector.row_time;
  }
  const size_t rows = detector.healthy.size() / detector.sensors();
  const bool enough = over && rows >= SpcMonitor::rows_min(config.parameters);
  if (detector.healthy.size() < wanted && !enough) {
    if (over) detector.trouble = "the healthy window has passed with too few rows: choose another";
    return;
  }
  const Status learned = detector.learn();
  if (learned) return;
  // The machine stood still, say: wait for better rows, the older half makes room.
  detector.trouble = learned.error().message;
  const auto half =
      detector.healthy.begin() + static_cast<std::ptrdiff_t>((rows / 2) * detector.sensors());
  detector.healthy.erase(detector.healthy.begin(), half);
}

void SpcEvaluator::watch_row(Detector& detector, stream::SignalSink& sink) {
  const double ratio = detector.monitor->step(detector.values).ratio();
  const Timestamp now = detector.row_time;
  if (ratio > 1) {
    detector.quiet = {};
    if (detector.since.us == 0) detector.since = now;
    if (!detector.active && now - detector.since >= detector.config.on_delay) {
      detector.active = true;
      announce(detector, sink);
    }
    return;
  }
  if (!detector.active) {
    detector.since = {};
    return;
  }
  if (ratio >= detector.config.parameters.clear_ratio) {
    detector.quiet = {};
    return;
  }
  if (detector.quiet.us == 0) detector.quiet = now;
  if (now - detector.quiet < detector.config.off_delay) return;
  detector.active = false;
  announce(detector, sink);
  detector.since = detector.quiet = {};
}

void SpcEvaluator::announce(Detector& detector, stream::SignalSink& sink) {
  const SpcMonitor& monitor = *detector.monitor;
  const SpcScore& score = monitor.last();
  stream::Signal signal;
  signal.twin = detector.config.twin;
  signal.source = detector.config.id;
  signal.active = detector.active;
  signal.time = detector.row_time;
  signal.limit = score.by_q() ? monitor.q_limit() : monitor.t2_limit();
  signal.value = score.ratio() * signal.limit;
  monitor.contributions(detector.shares);
  std::iota(detector.order.begin(), detector.order.end(), 0u);
  std::sort(detector.order.begin(), detector.order.end(), [&](uint32_t a, uint32_t b) {
    return detector.shares[a] != detector.shares[b] ? detector.shares[a] > detector.shares[b]
                                                    : a < b;
  });
  detail_.clear();
  auto out = fmt::format_to(std::back_inserter(detail_),
                            R"({{"statistic":"{}","value":{:.6g},"limit":{:.6g},"contributions":[)",
                            score.by_q() ? "q" : "t2", signal.value, signal.limit);
  for (const uint32_t i : detector.order)
    out = fmt::format_to(out, R"({}{{"series":{},"share":{:.4f}}})",
                         i == detector.order.front() ? "" : ",", detector.config.series[i].value,
                         detector.shares[i]);
  fmt::format_to(out, R"(],"since":{}}})", detector.since.us / 1000);
  signal.detail = detail_;
  sink.emit(signal);
}

void SpcEvaluator::say_ended(stream::SignalSink& sink) {
  for (const Ended& ended : ended_) {
    stream::Signal signal;
    signal.twin = ended.twin;
    signal.source = ended.id;
    signal.time = ended.time;
    sink.emit(signal);
  }
  ended_.clear();
}

void SpcEvaluator::on_tick(Timestamp, stream::SignalSink& sink) {
  say_ended(sink);
  if (!restored_.empty() && ++ticks_ >= kTicksKept) restored_.clear();
}

void SpcEvaluator::snapshot(Bytes& out) const {
  append_le<uint32_t>(out, kFormat);
  append_le<uint32_t>(out, static_cast<uint32_t>(detectors_.size() + restored_.size()));
  Bytes one;
  for (const auto& detector : detectors_) {
    one.clear();
    detector->encode(one);
    append_le<uint32_t>(out, detector->config.id.value);
    append_text(out, as_text(one));
  }
  for (const auto& [id, bytes] : restored_) {
    append_le<uint32_t>(out, id.value);
    append_text(out, as_text(bytes));
  }
}

Status SpcEvaluator::restore(ByteView bytes) {
  ByteReader in(bytes);
  if (in.le<uint32_t>() != kFormat)
    return fail(ErrorCode::kUnsupported, "the stored detectors are of another version");
  const auto count = in.le<uint32_t>();
  for (uint32_t i = 0; i < count && in.ok(); ++i) {
    const RuleId id(in.le<uint32_t>());
    const ByteView state = as_bytes(in.text());
    if (!in.ok()) break;
    const auto at = std::lower_bound(detectors_.begin(), detectors_.end(), id, by_id);
    if (at == detectors_.end() || (*at)->config.id != id) {
      Bytes& kept = restored_[id];
      if (row_time_of(kept) <= row_time_of(state)) kept.assign(state.begin(), state.end());
    } else if ((*at)->row_time < row_time_of(state)) {
      *at = Detector::from_stored((*at)->config, state);
    }
  }
  index();
  if (!in.ok() || !in.done())
    return fail(ErrorCode::kCorrupt, "the stored detectors cannot be read: they learn again");
  return {};
}

}  // namespace penstock::governance
