#pragma once
// What rules and detectors plug into: a shard calls its evaluators with every accepted sample of
// its twins.

#include <span>

#include "base/bytes.h"
#include "base/result.h"
#include "stream/records.h"
#include "stream/sample.h"

namespace penstock::stream {

/// Where an evaluator puts what it concluded. The shard appends it to the journal batch of the very
/// samples that caused it, so that no sample is acknowledged without its consequence.
class SignalSink {
 public:
  virtual ~SignalSink() = default;
  virtual void emit(const Signal& signal) = 0;
};

/// One instance a shard, called only on the shard's thread; never blocks, never allocates once
/// warm.
class Evaluator {
 public:
  virtual ~Evaluator() = default;
  /// For metrics: "rules", "model". Never changes.
  [[nodiscard]] virtual const char* name() const = 0;
  /// The samples of one message of `twin`, validated, in the order they came. Late ones come too.
  virtual void on_samples(TwinId twin, std::span<const Sample> samples, SignalSink& sink) = 0;
  /// About once a second: delays and staleness.
  virtual void on_tick(Timestamp now, SignalSink& sink) = 0;
  /// State worth keeping over a restart (learned models, running averages, active conditions).
  virtual void snapshot(Bytes& out) const = 0;
  [[nodiscard]] virtual Status restore(ByteView bytes) = 0;
};

}  // namespace penstock::stream
