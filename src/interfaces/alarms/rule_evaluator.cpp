#include "interfaces/alarms/rule_evaluator.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <tuple>

namespace penstock::interfaces {
namespace {

constexpr uint32_t kFormat = 1;
/// So many late samples in a row mean that the device's clock went back: follow it.
constexpr uint32_t kLateRunMax = 200;
/// A longer pause between ticks is not the devices' silence: the machine slept or its clock jumped.
constexpr Duration kTickMax = Duration::seconds(30);
/// Restored rules that nobody has set after so many ticks were deleted.
constexpr uint32_t kTicksKept = 600;
constexpr uint32_t kNoRate = UINT32_MAX;
constexpr size_t kRatePoints = 24;  ///< of a window; one each 1/16 of it
constexpr int64_t kNever = INT64_MIN;

bool compares(double value, bool above, double limit) {
  return above ? value > limit : value < limit;
}

/// The limit that an active condition is held to.
double holding_limit(const CompiledRule& rule) {
  return rule.above ? rule.limit - rule.hysteresis : rule.limit + rule.hysteresis;
}

}  // namespace

/// A rule on a twin, with its state. Hot: one cache line and a half.
struct RuleEvaluator::Slot {
  double limit = 0, holding = 0;
  int64_t newest_us = kNever;   ///< source time
  int64_t turning_us = kNever;  ///< source time since when the condition differs from `active`
  int64_t turning_received_us = kNever;
  int64_t heard_us = 0;  ///< received time of the newest sample; kStale
  double value = 0;      ///< newest that was compared
  uint32_t late_run = 0;
  uint32_t rate = kNoRate;
  RuleKind kind = RuleKind::kThreshold;
  bool above = true;
  bool active = false;
  bool unconfirmed = false;  ///< after a restart: what a tick had changed may be lost, say it again
  // colder
  RuleId id;
  TwinId twin;
  SeriesId series;
  int64_t on_delay_us = 0, off_delay_us = 0;
  double hysteresis = 0;
  int64_t window_us = 0;

  explicit Slot(const CompiledRule& rule, Timestamp now)
      : limit(rule.limit),
        holding(holding_limit(rule)),
        heard_us(now.us),
        kind(rule.kind),
        above(rule.above),
        id(rule.id),
        twin(rule.twin),
        series(rule.series),
        on_delay_us(rule.on_delay.us),
        off_delay_us(rule.off_delay.us),
        hysteresis(rule.hysteresis),
        window_us(rule.window.us) {}
  [[nodiscard]] bool same_condition(const Slot& other) const {
    return series == other.series && kind == other.kind && above == other.above &&
           limit == other.limit && hysteresis == other.hysteresis && window_us == other.window_us;
  }
  [[nodiscard]] bool ticks() const {
    return kind == RuleKind::kStale || on_delay_us > 0 || off_delay_us > 0;
  }
};

/// Points of the past, at least 1/16 of the window apart.
struct RuleEvaluator::Rate {
  struct Point {
    int64_t us;
    double value;
  };
  std::array<Point, kRatePoints> points{};
  uint32_t first = 0, count = 0;

  const Point& at(uint32_t i) const { return points[(first + i) % kRatePoints]; }
  void drop() {
    first = (first + 1) % kRatePoints;
    --count;
  }
  /// Change per second against the oldest point of the window; nothing while the window is not
  /// half full.
  std::optional<double> take(int64_t us, double value, int64_t window_us) {
    while (count > 0 && at(0).us < us - window_us) drop();
    std::optional<double> out;
    if (count > 0 && us - at(0).us >= window_us / 2)
      out = (value - at(0).value) * 1e6 / static_cast<double>(us - at(0).us);
    if (count == 0 || us - at(count - 1).us >= window_us / 16) {
      if (count == kRatePoints) drop();
      points[(first + count++) % kRatePoints] = {us, value};
    }
    return out;
  }
};

struct RuleEvaluator::Kept {
  SeriesId series;
  int64_t newest_us, turning_us, turning_received_us, heard_us;
  double value, limit;
  uint8_t active;
};

RuleEvaluator::RuleEvaluator() = default;
RuleEvaluator::~RuleEvaluator() = default;

size_t RuleEvaluator::rules() const { return slots_.size(); }

bool RuleEvaluator::active(RuleId rule, TwinId twin) const {
  return std::any_of(slots_.begin(), slots_.end(), [&](const Slot& slot) {
    return slot.id == rule && slot.twin == twin && slot.active;
  });
}

RuleEvaluator::Kept RuleEvaluator::keep(const Slot& slot) const {
  return {slot.series,   slot.newest_us, slot.turning_us, slot.turning_received_us,
          slot.heard_us, slot.value,     slot.limit,      static_cast<uint8_t>(slot.active)};
}
void RuleEvaluator::put_back(Slot& slot, const Kept& kept) {
  slot.newest_us = kept.newest_us;
  slot.turning_us = kept.turning_us;
  slot.turning_received_us = kept.turning_received_us;
  slot.heard_us = std::max(slot.heard_us, kept.heard_us);
  slot.value = kept.value;
  slot.active = kept.active != 0;
}

void RuleEvaluator::set_rules(std::span<const CompiledRule> rules, Timestamp now) {
  std::map<Key, Slot> before;
  for (const Slot& slot : slots_) before.emplace(Key{slot.id, slot.twin}, slot);
  std::vector<Rate> old_rates = std::move(rates_);
  slots_.clear();
  rates_.clear();
  for (const CompiledRule& rule : rules) {
    Slot slot(rule, now);
    const Key key{rule.id, rule.twin};
    if (const auto old = before.find(key); old != before.end()) {
      if (slot.same_condition(old->second)) {
        slot.heard_us = 0;
        put_back(slot, keep(old->second));
        slot.unconfirmed = old->second.unconfirmed;
        slot.late_run = old->second.late_run;
        slot.rate = old->second.rate;
      } else {
        // Another limit: what is active stays so until a sample says otherwise.
        slot.active = old->second.active;
        slot.value = old->second.value;
      }
      before.erase(old);
    } else if (const auto stored = restored_.find(key); stored != restored_.end()) {
      if (stored->second.series == slot.series) put_back(slot, stored->second);
      restored_.erase(stored);
    }
    if (rule.kind == RuleKind::kRate) {
      rates_.push_back(slot.rate == kNoRate ? Rate() : old_rates[slot.rate]);
      slot.rate = static_cast<uint32_t>(rates_.size() - 1);
    }
    slots_.push_back(slot);
  }
  for (const auto& [key, slot] : before) {
    if (!slot.active) continue;
    stream::Signal signal;
    signal.twin = slot.twin;
    signal.source = slot.id;
    signal.time = {std::max(slot.newest_us, slot.heard_us)};
    signal.value = slot.value;
    signal.limit = slot.limit;
    ended_.push_back(signal);
  }
  index();
}

void RuleEvaluator::index() {
  std::stable_sort(slots_.begin(), slots_.end(), [](const Slot& a, const Slot& b) {
    return std::tie(a.series, a.twin) < std::tie(b.series, b.twin);
  });
  const uint32_t series_max = slots_.empty() ? 0 : slots_.back().series.value;
  by_series_.assign(series_max + 2, 0);
  for (const Slot& slot : slots_) ++by_series_[slot.series.value + 1];
  for (size_t i = 1; i < by_series_.size(); ++i) by_series_[i] += by_series_[i - 1];
  whole_twin_.clear();
  ticking_.clear();
  uint32_t twin_max = 0;
  for (uint32_t i = 0; i < slots_.size(); ++i) {
    if (slots_[i].ticks()) ticking_.push_back(i);
    if (slots_[i].series) continue;
    whole_twin_.push_back(i);  // sorted by twin already
    twin_max = std::max(twin_max, slots_[i].twin.value);
  }
  by_twin_.assign(whole_twin_.empty() ? 0 : twin_max + 2, 0);
  for (const uint32_t i : whole_twin_) ++by_twin_[slots_[i].twin.value + 1];
  for (size_t i = 1; i < by_twin_.size(); ++i) by_twin_[i] += by_twin_[i - 1];
}

void RuleEvaluator::on_samples(TwinId twin, std::span<const stream::Sample> samples,
                               stream::SignalSink& sink) {
  if (!ended_.empty()) [[unlikely]]
    say_ended(sink);
  const size_t known = by_series_.size();
  for (const stream::Sample& sample : samples) {
    const size_t series = sample.series.value;
    if (series == 0 || series + 1 >= known) continue;
    for (uint32_t i = by_series_[series]; i < by_series_[series + 1]; ++i)
      take(slots_[i], sample, sink);
  }
  if (twin.value + size_t{1} >= by_twin_.size() || samples.empty()) return;
  for (uint32_t i = by_twin_[twin.value]; i < by_twin_[twin.value + 1]; ++i)
    heard(slots_[whole_twin_[i]], samples.back().received_time, sink);
}

void RuleEvaluator::take(Slot& slot, const stream::Sample& sample, stream::SignalSink& sink) {
  if (slot.kind == RuleKind::kStale) return heard(slot, sample.received_time, sink);
  if (sample.quality == stream::Quality::kBad) return;
  double value = sample.as_number();
  if (!std::isfinite(value)) return;
  const int64_t us = sample.source_time.us;
  if (us < slot.newest_us) [[unlikely]] {
    if (++slot.late_run < kLateRunMax) return;
    slot.turning_us = kNever;
    if (slot.rate != kNoRate) rates_[slot.rate] = Rate();
  }
  slot.late_run = 0;
  slot.newest_us = us;
  if (slot.kind == RuleKind::kRate) {
    const auto rate = rates_[slot.rate].take(us, value, slot.window_us);
    if (!rate) return;
    value = *rate;
  }
  slot.value = value;
  const bool holds = compares(value, slot.above, slot.active ? slot.holding : slot.limit);
  if (holds == slot.active && slot.turning_us == kNever && !slot.unconfirmed) [[likely]]
    return;
  decide(slot, holds, value, sample.source_time, sample.received_time, sink);
}

void RuleEvaluator::decide(Slot& slot, bool holds, double value, Timestamp time, Timestamp received,
                           stream::SignalSink& sink) {
  if (holds == slot.active) {
    slot.turning_us = kNever;
    if (slot.unconfirmed) change(slot, holds, value, time, sink);
    return;
  }
  if (slot.turning_us == kNever) {
    slot.turning_us = time.us;
    slot.turning_received_us = received.us;
  }
  if (time.us - slot.turning_us >= (holds ? slot.on_delay_us : slot.off_delay_us))
    change(slot, holds, value, time, sink);
}

void RuleEvaluator::change(Slot& slot, bool active, double value, Timestamp time,
                           stream::SignalSink& sink) {
  slot.active = active;
  slot.turning_us = kNever;
  slot.unconfirmed = false;
  stream::Signal signal;
  signal.twin = slot.twin;
  signal.source = slot.id;
  signal.active = active;
  signal.time = time;
  signal.value = value;
  signal.limit = slot.limit;
  sink.emit(signal);
}

void RuleEvaluator::heard(Slot& slot, Timestamp received, stream::SignalSink& sink) {
  slot.heard_us = std::max(slot.heard_us, received.us);
  if (slot.active || slot.unconfirmed) change(slot, false, 0, received, sink);
}

void RuleEvaluator::tick(Slot& slot, Timestamp now, stream::SignalSink& sink) {
  if (slot.kind == RuleKind::kStale) {
    const int64_t silent_us = now.us - slot.heard_us;
    if (!slot.active && static_cast<double>(silent_us) > slot.limit * 1e6)
      change(slot, true, static_cast<double>(silent_us) / 1e6, now, sink);
    return;
  }
  if (slot.turning_us == kNever) return;
  const int64_t delay_us = slot.active ? slot.off_delay_us : slot.on_delay_us;
  if (now.us - slot.turning_received_us < delay_us) return;
  change(slot, !slot.active, slot.value, Timestamp{slot.turning_us + delay_us}, sink);
}

void RuleEvaluator::say_ended(stream::SignalSink& sink) {
  for (const stream::Signal& signal : ended_) sink.emit(signal);
  ended_.clear();
}

void RuleEvaluator::on_tick(Timestamp now, stream::SignalSink& sink) {
  say_ended(sink);
  const bool first = last_tick_.us == 0;
  const Duration pause = now - last_tick_;
  const bool jumped = first || pause > kTickMax || pause.us < 0;
  for (const uint32_t i : ticking_) {
    Slot& slot = slots_[i];
    if (first) slot.unconfirmed = true;
    if (jumped) {
      // Nobody was silent while we did not listen: the count starts anew, or goes on behind the
      // jump.
      slot.heard_us = first ? now.us : slot.heard_us + pause.us;
      if (slot.turning_us != kNever) slot.turning_received_us = now.us;
    }
    tick(slot, now, sink);
  }
  last_tick_ = now;
  if (!restored_.empty() && ++ticks_ >= kTicksKept) restored_.clear();
}

void RuleEvaluator::snapshot(Bytes& out) const {
  append_le<uint32_t>(out, kFormat);
  append_le<uint32_t>(out, static_cast<uint32_t>(slots_.size() + restored_.size()));
  const auto write = [&](RuleId id, TwinId twin, const Kept& kept) {
    append_le<uint32_t>(out, id.value);
    append_le<uint32_t>(out, twin.value);
    append_le<uint32_t>(out, kept.series.value);
    for (const int64_t us :
         {kept.newest_us, kept.turning_us, kept.turning_received_us, kept.heard_us})
      append_le<int64_t>(out, us);
    append_le<double>(out, kept.value);
    append_le<double>(out, kept.limit);
    append_le<uint8_t>(out, kept.active);
  };
  for (const Slot& slot : slots_) write(slot.id, slot.twin, keep(slot));
  for (const auto& [key, kept] : restored_) write(key.first, key.second, kept);
}

Status RuleEvaluator::restore(ByteView bytes) {
  ByteReader in(bytes);
  if (in.le<uint32_t>() != kFormat)
    return fail(ErrorCode::kUnsupported, "the stored state of the rules is of another version");
  const auto count = in.le<uint32_t>();
  std::map<Key, Kept> read;
  for (uint32_t i = 0; i < count && in.ok(); ++i) {
    const RuleId id(in.le<uint32_t>());
    const TwinId twin(in.le<uint32_t>());
    Kept kept{};
    kept.series = SeriesId(in.le<uint32_t>());
    for (int64_t* us :
         {&kept.newest_us, &kept.turning_us, &kept.turning_received_us, &kept.heard_us})
      *us = in.le<int64_t>();
    kept.value = in.le<double>();
    kept.limit = in.le<double>();
    kept.active = in.le<uint8_t>();
    if (in.ok()) read.insert_or_assign(Key{id, twin}, kept);
  }
  if (!in.ok() || !in.done())
    return fail(ErrorCode::kCorrupt, "the stored state of the rules cannot be read");
  for (Slot& slot : slots_) {
    const auto at = read.find(Key{slot.id, slot.twin});
    if (at == read.end()) continue;
    // Where the number of shards has changed, each reads what all wrote; the owner has the newest.
    const bool newer = at->second.newest_us > slot.newest_us ||
                       (at->second.active != 0 && at->second.newest_us == slot.newest_us);
    if (at->second.series == slot.series && newer) put_back(slot, at->second);
    read.erase(at);
  }
  restored_.merge(read);
  return {};
}

}  // namespace penstock::interfaces
