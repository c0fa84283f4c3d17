#pragma once
// Judges the detector on labelled runs, by the public protocol of the SKAB leaderboard: the first
// rows of each run teach, the others test, counts are pooled over runs.

#include <optional>
#include <string>
#include <vector>

#include "base/io.h"
#include "base/json.h"
#include "base/result.h"
#include "governance/learn/spc.h"

namespace penstock::governance {

/// A table of numbers from a CSV file (';' or ',' or tab). The first column may be a time and is
/// skipped; columns "anomaly" and "changepoint" are labels, not sensors.
struct LabelledRun {
  std::string name;
  std::vector<std::string> sensors;
  std::vector<double> rows;     ///< row by row
  std::vector<bool> anomalous;  ///< one a row; empty: the file has no "anomaly" column
  [[nodiscard]] size_t row_count() const {
    return sensors.empty() ? 0 : rows.size() / sensors.size();
  }
};

/// Errors name file and line.
Result<LabelledRun> read_run(FileSystem& files, const std::string& path);

/// Rows that were judged. Fractions are 0 where there is nothing to divide by.
struct Confusion {
  uint64_t true_alarms = 0, false_alarms = 0, missed = 0, quiet = 0;
  void add(const Confusion& other);
  [[nodiscard]] double f1() const;
  [[nodiscard]] double false_alarm_rate() const;   ///< of the healthy rows
  [[nodiscard]] double missed_alarm_rate() const;  ///< of the anomalous rows
};

/// A series of ratios (statistic over limit) to alarms: on above 1, off below `clear_ratio`.
Confusion judge(std::span<const double> ratios, const std::vector<bool>& anomalous, size_t first,
                double factor, double clear_ratio);

struct EvaluateOptions {
  SpcParameters parameters;  ///< one set for all runs
  size_t train_rows = 400;
  /// Also: for each run, the parameters that the other runs alone would have chosen.
  bool leave_one_run_out = true;
};

struct RunScore {
  std::string name;
  Confusion counts;
  Confusion left_out;    ///< with the parameters that the other runs chose
  SpcParameters chosen;  ///< by the other runs
  int64_t first_alarm =
      -1;  ///< rows from the first anomalous row to the first alarm in the anomaly
};

struct EvaluateReport {
  SpcParameters parameters;
  size_t train_rows = 0;
  std::vector<RunScore> runs;        ///< by path
  std::vector<std::string> skipped;  ///< files without labels
  Confusion total;
  /// Rows of recordings that are healthy from end to end ("anomaly-free" in their name), cut into
  /// pieces of which the first rows teach. They guard the choice of parameters; total leaves them
  /// out, as the public protocol does.
  Confusion healthy;
  std::optional<Confusion> leave_one_run_out;
  SpcParameters chosen_by_all;  ///< what the same procedure takes when no run is left out
  double us_per_row = 0;        ///< of scoring, for information

  [[nodiscard]] std::string table() const;  ///< for people
  /// {"f1","far","mar","rows","runs","parameters",…,"leave_one_run_out":{…}}; fractions of 1.
  [[nodiscard]] Json to_json() const;
};

/// Every labelled CSV file below `folder`. kNotFound: there is none.
Result<EvaluateReport> evaluate_dataset(FileSystem& files, const std::string& folder,
                                        const EvaluateOptions& options = {});

}  // namespace penstock::governance
