#include "governance/learn/spc.h"

#include <algorithm>
#include <cmath>

#include <Eigen/Dense>
#include <fmt/format.h>

namespace penstock::governance {
namespace {

constexpr size_t kBlockRows = 20;  ///< drift shows in the means of blocks of so many rows
constexpr int kFillRounds = 8;     ///< projections that estimate missing sensors

/// Steady-state gain of a local level model from its healthy window: noise variance from
/// neighbouring rows, drift variance from what the means of neighbouring blocks differ beyond it.
/// For a sensor that only fluctuates about its mean it is 0.
double steady_gain(std::span<const double> rows, size_t sensors, size_t sensor, double noise) {
  const size_t count = rows.size() / sensors;
  double before = 0, sum = 0;
  size_t blocks = 0;
  for (size_t first = 0; first + kBlockRows <= count; first += kBlockRows) {
    double mean = 0;
    for (size_t i = first; i < first + kBlockRows; ++i) mean += rows[i * sensors + sensor];
    mean /= kBlockRows;
    if (blocks > 0) sum += (mean - before) * (mean - before);
    before = mean;
    ++blocks;
  }
  if (blocks < 2) return 0;
  // E[(difference of block means)²] = 2 noise / B + drift * 2B / 3
  const double beyond = sum / static_cast<double>(blocks - 1) - 2 * noise / kBlockRows;
  const double drift = std::max(0.0, beyond / (2.0 * kBlockRows / 3));
  const double still = std::max(noise - drift / 2, 1e-12 * (noise + drift));
  if (still <= 0) return 0;
  const double signal = drift / still;
  return (-signal + std::sqrt(signal * signal + 4 * signal)) / 2;
}

}  // namespace

Status SpcParameters::check() const {
  const auto complain = [](const char* what) {
    return fail(ErrorCode::kInvalidArgument, what, "detector parameters");
  };
  if (!(smoothing > 0 && smoothing <= 1)) return complain("smoothing must be above 0, at most 1");
  if (!(explained > 0 && explained <= 1)) return complain("explained must be above 0, at most 1");
  if (!(drift_gain_max >= 0 && drift_gain_max < 1))
    return complain("drift_gain_max must be at least 0 and below 1");
  if (!(limit_factor > 0 && limit_factor < 1e6)) return complain("limit_factor must be above 0");
  if (!(clear_ratio > 0 && clear_ratio <= 1))
    return complain("clear_ratio must be above 0, at most 1");
  if (settle_rows > 10'000) return complain("settle_rows must be at most 10000");
  if (!use_t2 && !use_q) return complain("use_t2 or use_q must be on");
  return {};
}

Json SpcParameters::to_json() const {
  return {{"smoothing", smoothing},
          {"explained", explained},
          {"drift_gain_max", drift_gain_max},
          {"limit_factor", limit_factor},
          {"clear_ratio", clear_ratio},
          {"settle_rows", settle_rows},
          {"use_t2", use_t2},
          {"use_q", use_q}};
}

double SpcMonitor::deviation(size_t sensor) const {
  const double scale = part(kScale)[sensor];
  return scale > 0 ? 1 / scale : 0;
}

void SpcMonitor::allocate(size_t sensors) {
  sensors_ = sensors;
  numbers_.assign((kParts + sensors) * sensors, 0.0);
}

Result<SpcMonitor> SpcMonitor::learn(std::span<const double> rows, size_t sensors,
                                     const SpcParameters& parameters) {
  TRY(parameters.check());
  if (sensors == 0 || sensors > kSpcSensorsMax)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("a detector watches 1 to {} sensors: choose fewer", kSpcSensorsMax));
  const size_t count = rows.size() / sensors;
  if (rows.size() % sensors != 0 || count < rows_min(parameters))
    return fail(
        ErrorCode::kInvalidArgument,
        fmt::format("{} healthy rows are too few: give at least {}", count, rows_min(parameters)));
  for (const double value : rows)
    if (!std::isfinite(value))
      return fail(ErrorCode::kInvalidArgument, "a healthy row lacks a value: leave such rows out");
  SpcMonitor monitor;
  monitor.allocate(sensors);
  monitor.smoothing_ = parameters.smoothing;
  monitor.learn_scales(rows);
  for (size_t j = 0; j < sensors; ++j)
    monitor.part(kGain)[j] = std::min(monitor.part(kGain)[j], parameters.drift_gain_max);
  if (std::all_of(monitor.part(kScale), monitor.part(kScale) + sensors,
                  [](double scale) { return scale == 0; }))
    return fail(ErrorCode::kInvalidArgument,
                "no sensor moved in the healthy window: choose a window in which the machine runs");
  monitor.learn_components(rows, parameters);
  return monitor;
}

void SpcMonitor::learn_scales(std::span<const double> rows) {
  const size_t count = rows.size() / sensors_;
  for (size_t j = 0; j < sensors_; ++j) {
    double mean = 0, squares = 0, steps = 0;
    for (size_t i = 0; i < count; ++i) {
      const double value = rows[i * sensors_ + j];
      const double off = value - mean;
      mean += off / static_cast<double>(i + 1);
      squares += off * (value - mean);
      if (i > 0) {
        const double step = value - rows[(i - 1) * sensors_ + j];
        steps += step * step;
      }
    }
    const double deviation = std::sqrt(squares / static_cast<double>(count));
    part(kMean)[j] = mean;
    if (deviation <= 1e-9 * std::max(std::abs(mean), 1e-9)) continue;  // it never moved
    part(kScale)[j] = 1 / deviation;
    part(kGain)[j] = steady_gain(rows, sensors_, j, steps / (2 * static_cast<double>(count - 1)));
  }
}

void SpcMonitor::learn_components(std::span<const double> rows, const SpcParameters& parameters) {
  const auto n = static_cast<Eigen::Index>(sensors_);
  const size_t count = rows.size() / sensors_;
  const size_t settled = count - parameters.settle_rows;
  Eigen::MatrixXd smooth_rows(static_cast<Eigen::Index>(settled), n);
  for (size_t i = 0; i < count; ++i) {
    smooth(rows.subspan(i * sensors_, sensors_));
    if (i < parameters.settle_rows) continue;
    for (Eigen::Index j = 0; j < n; ++j)
      smooth_rows(static_cast<Eigen::Index>(i - parameters.settle_rows), j) = part(kSmooth)[j];
  }
  const Eigen::RowVectorXd centre = smooth_rows.colwise().mean();
  const Eigen::MatrixXd off = smooth_rows.rowwise() - centre;
  const Eigen::MatrixXd covariance = off.transpose() * off / static_cast<double>(settled - 1);
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(covariance);
  const double total = covariance.trace();
  double spanned = 0;
  components_ = 0;
  // At least one direction is left to Q: what never varied must not vary now.
  for (Eigen::Index i = 0; i < n; ++i) {
    const Eigen::Index from = n - 1 - i;  // ascending in the solver, largest first here
    const double variance = std::max(solver.eigenvalues()[from], 0.0);
    if (components_ == static_cast<size_t>(i) && components_ + 1 < sensors_ &&
        spanned < parameters.explained * total) {
      ++components_;
      spanned += variance;
      part(kWeight)[i] = 1 / std::max(variance, 1e-9 * total);
    }
    for (Eigen::Index j = 0; j < n; ++j)
      numbers_[(kParts + static_cast<size_t>(i)) * sensors_ + static_cast<size_t>(j)] =
          solver.eigenvectors()(j, from);
  }
  for (Eigen::Index j = 0; j < n; ++j) part(kCentre)[j] = centre[j];

  t2_limit_ = q_limit_ = 1;
  double t2 = 0, q = 0;
  for (Eigen::Index i = 0; i < static_cast<Eigen::Index>(settled); ++i) {
    for (Eigen::Index j = 0; j < n; ++j) part(kOff)[j] = off(i, j);
    const SpcScore score = project();
    t2 = std::max(t2, score.t2);
    q = std::max(q, score.q);
  }
  // Sensors that agree exactly while healthy must not alarm on rounding later.
  q = std::max(q, 1e-3 * total);
  t2_limit_ = parameters.use_t2 && components_ > 0 ? t2 * parameters.limit_factor : 0;
  q_limit_ = parameters.use_q || components_ == 0 ? q * parameters.limit_factor : 0;
}

void SpcMonitor::smooth(std::span<const double> row) {
  missing_ = 0;
  const double* const mean_of = part(kMean);
  const double* const scale = part(kScale);
  const double* const gains = part(kGain);
  double* const level = part(kLevel);
  double* const smoothed = part(kSmooth);
  for (size_t j = 0; j < sensors_; ++j) {
    const double scaled = (row[j] - mean_of[j]) * scale[j];
    if (!std::isfinite(scaled)) [[unlikely]] {
      missing_ |= uint64_t{1} << j;
      continue;
    }
    const double off = scaled - level[j];
    smoothed[j] += smoothing_ * (off - smoothed[j]);
    level[j] += gains[j] * off;
  }
}

/// Expectation of the missing ones given the present ones, by repeated projection on the healthy
/// components (Nelson, Taylor & MacGregor 1996, "iterative" method).
void SpcMonitor::fill_missing() {
  double* const off = part(kOff);
  for (size_t j = 0; j < sensors_; ++j)
    if (missing_ >> j & 1) off[j] = 0;
  for (int round = 0; round < kFillRounds; ++round) {
    double* const scores = part(kScores);
    for (size_t i = 0; i < components_; ++i) {
      const double* const v = component(i);
      scores[i] = 0;
      for (size_t j = 0; j < sensors_; ++j) scores[i] += v[j] * off[j];
    }
    for (size_t j = 0; j < sensors_; ++j) {
      if (!(missing_ >> j & 1)) continue;
      off[j] = 0;
      for (size_t i = 0; i < components_; ++i) off[j] += component(i)[j] * scores[i];
    }
  }
}

SpcScore SpcMonitor::project() {
  const double* const off = part(kOff);
  const double* const weight = part(kWeight);
  double* const scores = part(kScores);
  double t2 = 0, q = 0;
  for (size_t i = 0; i < sensors_; ++i) {
    const double* const v = component(i);
    double score = 0;
    for (size_t j = 0; j < sensors_; ++j) score += v[j] * off[j];
    scores[i] = score;
    if (i < components_)
      t2 += score * score * weight[i];
    else
      q += score * score;
  }
  return {t2_limit_ > 0 ? t2 / t2_limit_ : 0, q_limit_ > 0 ? q / q_limit_ : 0};
}

SpcScore SpcMonitor::step(std::span<const double> row) {
  smooth(row);
  const double* const smoothed = part(kSmooth);
  const double* const centre = part(kCentre);
  double* const off = part(kOff);
  for (size_t j = 0; j < sensors_; ++j) off[j] = smoothed[j] - centre[j];
  if (missing_ != 0) [[unlikely]]
    fill_missing();
  last_ = project();
  return last_;
}

void SpcMonitor::contributions(std::span<double> shares) const {
  // The statistic is the squared length of a vector with one entry a sensor: the residual for Q,
  // the whitened deviation for T². Squared entries over their sum are the shares.
  const double* const scores = part(kScores);
  const double* const weight = part(kWeight);
  const bool by_q = last_.by_q();
  double sum = 0;
  for (size_t j = 0; j < sensors_; ++j) {
    double entry = 0;
    for (size_t i = by_q ? components_ : 0; i < (by_q ? sensors_ : components_); ++i)
      entry += component(i)[j] * scores[i] * (by_q ? 1 : std::sqrt(weight[i]));
    shares[j] = entry * entry;
    sum += shares[j];
  }
  for (double& share : shares) share = sum > 0 ? share / sum : 1 / static_cast<double>(sensors_);
}

void SpcMonitor::encode(Bytes& out) const {
  append_le<uint32_t>(out, static_cast<uint32_t>(sensors_));
  append_le<uint32_t>(out, static_cast<uint32_t>(components_));
  append_le<double>(out, smoothing_);
  append_le<double>(out, t2_limit_);
  append_le<double>(out, q_limit_);
  append_le<double>(out, last_.t2);
  append_le<double>(out, last_.q);
  append_bytes(out, std::as_bytes(std::span(numbers_)));
}

Result<SpcMonitor> SpcMonitor::decode(ByteReader& in) {
  SpcMonitor monitor;
  const auto sensors = in.le<uint32_t>();
  monitor.components_ = in.le<uint32_t>();
  monitor.smoothing_ = in.le<double>();
  monitor.t2_limit_ = in.le<double>();
  monitor.q_limit_ = in.le<double>();
  monitor.last_.t2 = in.le<double>();
  monitor.last_.q = in.le<double>();
  if (!in.ok() || sensors == 0 || sensors > kSpcSensorsMax || monitor.components_ >= sensors + 1)
    return fail(ErrorCode::kCorrupt, "a stored detector cannot be read: let it learn again");
  monitor.allocate(sensors);
  const ByteView numbers = in.bytes(monitor.numbers_.size() * sizeof(double));
  if (!in.ok())
    return fail(ErrorCode::kCorrupt, "a stored detector is cut off: let it learn again");
  std::memcpy(monitor.numbers_.data(), numbers.data(), numbers.size());
  return monitor;
}

}  // namespace penstock::governance
