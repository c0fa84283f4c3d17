#pragma once
// Statistical process control of one asset: what its sensors do together, learned from a healthy
// window, then watched row by row. docs/detection.md explains the method and its measured scores.
//
// Each sensor is scaled by its healthy mean and deviation, its slow drift is followed (local level
// model, Harvey 1989, sec. 2.3: only as fast as it drifted while healthy), and what remains is
// smoothed (EWMA, Roberts 1959; multivariate Lowry et al. 1992). Principal components of the
// smoothed healthy rows give two distances (Jackson & Mudholkar 1979): T² within what varied while
// healthy, Q outside of it.

#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/json.h"
#include "base/result.h"

namespace penstock::governance {

constexpr size_t kSpcSensorsMax = 64;

/// One set serves every asset; chosen on runs other than those it is judged by
/// (docs/detection.md).
struct SpcParameters {
  double smoothing = 0.07;         ///< weight of the newest row, 0 < . <= 1
  double explained = 0.97;         ///< share of healthy variance that T² spans; the rest is Q's
  double drift_gain_max = 0.0015;  ///< a row moves a drifting sensor's level by at most this share
  double limit_factor = 12;        ///< alarm above this many times the healthy maximum
  double clear_ratio = 0.5;        ///< cleared below limit * this, <= 1
  uint32_t settle_rows = 50;       ///< rows at the start, before the smoothing has settled
  bool use_t2 = true, use_q = true;

  [[nodiscard]] Status check() const;
  [[nodiscard]] Json to_json() const;
};

/// How far one row is from healthy. T² and Q are in units of their limits.
struct SpcScore {
  double t2 = 0, q = 0;  ///< divided by their limit (factor included): above 1 is an alarm
  [[nodiscard]] double ratio() const { return t2 > q ? t2 : q; }
  [[nodiscard]] bool by_q() const { return q >= t2; }
};

/// A learned model with its running state: one asset. One thread.
class SpcMonitor {
 public:
  /// `rows`: the healthy window, row by row, `sensors` finite values each. Needs at least
  /// rows_min() of them. kInvalidArgument says what to do: too few rows, nothing varies.
  static Result<SpcMonitor> learn(std::span<const double> rows, size_t sensors,
                                  const SpcParameters& parameters);
  static size_t rows_min(const SpcParameters& parameters) { return parameters.settle_rows + 50; }

  /// Takes the next row: O(sensors²), allocates nothing. NaN: this sensor has no value now; the
  /// model puts in what the others let expect, so that a silent sensor is not an alarm.
  SpcScore step(std::span<const double> row);

  /// How much each sensor has to do with the last score, by its larger statistic. Not negative, sum
  /// 1 (all equal where the score is 0). REQUIRES: shares.size() == sensors().
  void contributions(std::span<double> shares) const;

  [[nodiscard]] size_t sensors() const { return sensors_; }
  [[nodiscard]] size_t components() const { return components_; }
  [[nodiscard]] const SpcScore& last() const { return last_; }
  [[nodiscard]] double t2_limit() const { return t2_limit_; }
  [[nodiscard]] double q_limit() const { return q_limit_; }
  /// Healthy mean, deviation and drift gain of a sensor; deviation 0: it never moved, and is not
  /// watched.
  [[nodiscard]] double mean(size_t sensor) const { return mean()[sensor]; }
  [[nodiscard]] double deviation(size_t sensor) const;
  [[nodiscard]] double drift_gain(size_t sensor) const { return gain()[sensor]; }

  void encode(Bytes& out) const;
  static Result<SpcMonitor> decode(ByteReader& in);

 private:
  SpcMonitor() = default;
  void allocate(size_t sensors);
  void learn_scales(std::span<const double> rows);
  void learn_components(std::span<const double> rows, const SpcParameters& parameters);
  void smooth(std::span<const double> row);
  void fill_missing();
  SpcScore project();

  // All numbers in one block: mean, 1/deviation, gain, level, smooth, centre, off, score (sensors
  // each), weight (sensors), then the components, one row of `sensors` each.
  enum Part : size_t { kMean, kScale, kGain, kLevel, kSmooth, kCentre, kOff, kScores, kWeight };
  static constexpr size_t kParts = 9;
  [[nodiscard]] double* part(Part p) { return numbers_.data() + p * sensors_; }
  [[nodiscard]] const double* part(Part p) const { return numbers_.data() + p * sensors_; }
  [[nodiscard]] const double* mean() const { return part(kMean); }
  [[nodiscard]] const double* gain() const { return part(kGain); }
  [[nodiscard]] const double* component(size_t i) const {
    return numbers_.data() + (kParts + i) * sensors_;
  }

  size_t sensors_ = 0;
  size_t components_ = 0;  ///< that T² spans; the others are Q's
  double smoothing_ = 1;
  double t2_limit_ = 0, q_limit_ = 0;  ///< of the squared distances, factor included; 0: not used
  uint64_t missing_ = 0;               ///< sensors without a value in the row at hand, as bits
  std::vector<double> numbers_;
  SpcScore last_;
};

}  // namespace penstock::governance
