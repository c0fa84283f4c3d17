#include "governance/learn/evaluate.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>

#include <fmt/format.h>

namespace penstock::governance {
namespace {

/// A choice that alarms more often on healthy rows is no choice. Machines that nobody has seen
/// drift in ways of their own: this leaves them room.
constexpr double kFarMax = 0.12;
/// The same on healthy recordings: they were never labelled, so they stand in for machines and days
/// that nobody chose.
constexpr double kHealthyFarMax = 0.2;

/// A healthy recording is cut into pieces as long as the labelled runs of the public protocol, so
/// that it teaches the same lesson many times: what is a machine's own drift.
constexpr size_t kHealthyPieceRows = 1100;

// The grid from which the other runs choose. The defaults in SpcParameters lie inside.
constexpr double kSmoothings[] = {0.03, 0.05, 0.07, 0.1, 0.14};
constexpr double kExplained[] = {0.9, 0.95, 0.97, 0.98, 0.99};
constexpr double kDriftGains[] = {0.0005, 0.001, 0.0015, 0.002, 0.003, 0.004};
constexpr double kFactors[] = {4, 6, 8, 10, 12, 16};
constexpr size_t kGrid =
    std::size(kSmoothings) * std::size(kExplained) * std::size(kDriftGains) * std::size(kFactors);

double fraction(uint64_t part, uint64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

std::vector<std::string_view> split(std::string_view line, char by) {
  std::vector<std::string_view> out;
  while (true) {
    const size_t at = line.find(by);
    out.push_back(line.substr(0, at));
    if (at == std::string_view::npos) return out;
    line.remove_prefix(at + 1);
  }
}

std::optional<double> number(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value))
    return std::nullopt;
  return value;
}

bool next_line(std::string_view& text, std::string_view& line) {
  if (text.empty()) return false;
  const size_t end = text.find('\n');
  line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return true;
}

char separator_of(std::string_view header) {
  for (const char by : {';', '\t', ','})
    if (header.find(by) != std::string_view::npos) return by;
  return ',';
}

/// Which column is what: sensors in order, and where the label is.
struct Columns {
  char separator = ',';
  size_t count = 0;
  std::vector<size_t> sensors;
  std::optional<size_t> label;
};

Columns columns_of(std::string_view header, LabelledRun& run) {
  Columns columns;
  columns.separator = separator_of(header);
  const auto names = split(header, columns.separator);
  columns.count = names.size();
  for (size_t i = 0; i < names.size(); ++i) {
    const bool time = i == 0 && (names[i].find("time") != std::string_view::npos ||
                                 names[i].find("date") != std::string_view::npos);
    if (names[i] == "anomaly") columns.label = i;
    if (time || names[i] == "anomaly" || names[i] == "changepoint") continue;
    columns.sensors.push_back(i);
    run.sensors.emplace_back(names[i]);
  }
  return columns;
}

Status find_csv(FileSystem& files, const std::string& folder, int depth,
                std::vector<std::string>& out) {
  TRY_ASSIGN(const auto names, files.list(folder));
  for (const auto& name : names) {
    const std::string path = folder + "/" + name;
    if (name.ends_with(".csv"))
      out.push_back(path);
    else if (depth > 0 && name.find('.') == std::string::npos)
      (void)find_csv(files, path, depth - 1, out);  // a file without a dot is no folder: fine
  }
  return {};
}

/// Files that are healthy from end to end say so in their name: nobody labels them.
bool healthy_by_name(const std::string& name) { return name.find("anomaly-free") != name.npos; }

void cut_healthy(const LabelledRun& run, size_t train, std::vector<LabelledRun>& out) {
  const size_t sensors = run.sensors.size();
  const size_t piece = std::max(kHealthyPieceRows, 2 * train);
  for (size_t first = 0; first + piece <= run.row_count(); first += piece) {
    LabelledRun& one = out.emplace_back();
    one.name = fmt::format("{} from row {}", run.name, first);
    one.sensors = run.sensors;
    const auto begin = run.rows.begin() + static_cast<std::ptrdiff_t>(first * sensors);
    one.rows.assign(begin, begin + static_cast<std::ptrdiff_t>(piece * sensors));
    one.anomalous.assign(piece, false);
  }
}

/// The ratio (without factor) of every row, taught by the first ones.
Result<std::vector<double>> ratios_of(const LabelledRun& run, size_t train,
                                      SpcParameters parameters) {
  parameters.limit_factor = 1;
  const size_t sensors = run.sensors.size();
  const std::span rows(run.rows);
  if (run.row_count() <= train)
    return fail(ErrorCode::kInvalidArgument, "the run has no rows after those that teach",
                run.name);
  auto monitor = SpcMonitor::learn(rows.first(train * sensors), sensors, parameters);
  if (!monitor) return fail(monitor.error().code, monitor.error().message, run.name);
  std::vector<double> out(train, 0.0);
  for (size_t i = train; i < run.row_count(); ++i)
    out.push_back(monitor->step(rows.subspan(i * sensors, sensors)).ratio());
  return out;
}

/// One point of the grid.
struct Choice {
  size_t smoothing, explained, gain, factor;
  [[nodiscard]] size_t index() const {
    return ((smoothing * std::size(kExplained) + explained) * std::size(kDriftGains) + gain) *
               std::size(kFactors) +
           factor;
  }
  [[nodiscard]] SpcParameters apply(SpcParameters parameters) const {
    parameters.smoothing = kSmoothings[smoothing];
    parameters.explained = kExplained[explained];
    parameters.drift_gain_max = kDriftGains[gain];
    parameters.limit_factor = kFactors[factor];
    return parameters;
  }
};

std::vector<Choice> whole_grid() {
  std::vector<Choice> out;
  for (size_t s = 0; s < std::size(kSmoothings); ++s)
    for (size_t e = 0; e < std::size(kExplained); ++e)
      for (size_t g = 0; g < std::size(kDriftGains); ++g)
        for (size_t f = 0; f < std::size(kFactors); ++f) out.push_back({s, e, g, f});
  return out;
}

bool neighbours(size_t a, size_t b) { return a <= b + 1 && b <= a + 1; }

/// The point in the middle of the best plateau: highest mean F1 of itself and its neighbours in the
/// grid, among those whose mean false-alarm rate is tolerable. A lone peak loses to it.
const Choice& choose(const std::vector<Choice>& grid, const std::vector<Confusion>& counts,
                     const std::vector<Confusion>& healthy) {
  const Choice* best = &grid.front();
  double best_mean = -1;
  for (const Choice& c : grid) {
    double f1 = 0, false_alarms = 0, on_healthy = 0;
    int around = 0;
    for (const Choice& n : grid)
      if (neighbours(c.smoothing, n.smoothing) && neighbours(c.explained, n.explained) &&
          neighbours(c.gain, n.gain) && neighbours(c.factor, n.factor)) {
        f1 += counts[n.index()].f1();
        false_alarms += counts[n.index()].false_alarm_rate();
        on_healthy += healthy[n.index()].false_alarm_rate();
        ++around;
      }
    if (false_alarms / around > kFarMax || on_healthy / around > kHealthyFarMax) continue;
    if (f1 / around <= best_mean) continue;
    best_mean = f1 / around;
    best = &c;
  }
  return *best;
}

/// What every point of the grid makes of one run.
Result<std::vector<Confusion>> judge_grid(const LabelledRun& run, const std::vector<Choice>& grid,
                                          const EvaluateOptions& options) {
  std::vector<Confusion> out(kGrid);
  for (const Choice& c : grid) {
    if (c.factor != 0) continue;  // the factor changes only the comparison
    TRY_ASSIGN(const auto ratios, ratios_of(run, options.train_rows, c.apply(options.parameters)));
    for (size_t f = 0; f < std::size(kFactors); ++f)
      out[Choice{c.smoothing, c.explained, c.gain, f}.index()] = judge(
          ratios, run.anomalous, options.train_rows, kFactors[f], options.parameters.clear_ratio);
  }
  return out;
}

void add_all(std::vector<Confusion>& to, const std::vector<Confusion>& from) {
  for (size_t i = 0; i < to.size(); ++i) to[i].add(from[i]);
}

Status leave_one_out(const std::vector<LabelledRun>& runs, const std::vector<LabelledRun>& healthy,
                     const EvaluateOptions& options, EvaluateReport& report) {
  const auto grid = whole_grid();
  std::vector<std::vector<Confusion>> by_run;
  std::vector<Confusion> all(kGrid), on_healthy(kGrid);
  for (const LabelledRun& run : runs) {
    TRY_ASSIGN(by_run.emplace_back(), judge_grid(run, grid, options));
    add_all(all, by_run.back());
  }
  for (const LabelledRun& piece : healthy) {
    TRY_ASSIGN(const auto judged, judge_grid(piece, grid, options));
    add_all(on_healthy, judged);
  }
  report.chosen_by_all = choose(grid, all, on_healthy).apply(options.parameters);
  Confusion total;
  for (size_t r = 0; r < runs.size(); ++r) {
    std::vector<Confusion> others = all;
    for (size_t i = 0; i < kGrid; ++i) {
      others[i].true_alarms -= by_run[r][i].true_alarms;
      others[i].false_alarms -= by_run[r][i].false_alarms;
      others[i].missed -= by_run[r][i].missed;
      others[i].quiet -= by_run[r][i].quiet;
    }
    const Choice& choice = choose(grid, others, on_healthy);
    report.runs[r].chosen = choice.apply(options.parameters);
    report.runs[r].left_out = by_run[r][choice.index()];
    total.add(report.runs[r].left_out);
  }
  report.leave_one_run_out = total;
  return {};
}

int64_t first_alarm(std::span<const double> ratios, const LabelledRun& run, size_t first,
                    double factor) {
  int64_t start = -1;
  for (size_t i = first; i < ratios.size(); ++i) {
    if (!run.anomalous[i]) continue;
    if (start < 0) start = static_cast<int64_t>(i);
    if (ratios[i] > factor) return static_cast<int64_t>(i) - start;
  }
  return -1;
}

/// With the parameters of `options`, one run after the other.
Status judge_runs(const std::vector<LabelledRun>& runs, const std::vector<LabelledRun>& healthy,
                  const EvaluateOptions& options, EvaluateReport& report) {
  uint64_t rows = 0;
  const auto start = std::chrono::steady_clock::now();
  for (const auto& run : runs) {
    TRY_ASSIGN(const auto ratios, ratios_of(run, options.train_rows, options.parameters));
    RunScore score;
    score.name = run.name;
    score.counts = judge(ratios, run.anomalous, options.train_rows, options.parameters.limit_factor,
                         options.parameters.clear_ratio);
    score.first_alarm =
        first_alarm(ratios, run, options.train_rows, options.parameters.limit_factor);
    report.total.add(score.counts);
    report.runs.push_back(std::move(score));
    rows += run.row_count();
  }
  report.us_per_row =
      std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count() /
      static_cast<double>(rows);
  for (const auto& piece : healthy) {
    TRY_ASSIGN(const auto ratios, ratios_of(piece, options.train_rows, options.parameters));
    report.healthy.add(judge(ratios, piece.anomalous, options.train_rows,
                             options.parameters.limit_factor, options.parameters.clear_ratio));
  }
  return {};
}

Json to_json(const Confusion& counts) {
  return {
      {"f1", counts.f1()}, {"far", counts.false_alarm_rate()}, {"mar", counts.missed_alarm_rate()}};
}

}  // namespace

Result<LabelledRun> read_run(FileSystem& files, const std::string& path) {
  TRY_ASSIGN(const std::string content, read_file(files, path, 256ULL << 20));
  LabelledRun run;
  run.name = path;
  std::string_view text = content, line;
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  if (!next_line(text, line)) return fail(ErrorCode::kInvalidArgument, "the file is empty", path);
  const Columns columns = columns_of(line, run);
  if (columns.sensors.empty())
    return fail(ErrorCode::kInvalidArgument, "the file has no column of a sensor", path);
  for (size_t number_of_line = 2; next_line(text, line); ++number_of_line) {
    if (line.empty()) continue;
    const auto cells = split(line, columns.separator);
    if (cells.size() != columns.count)
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("line {} has {} columns, the header has {}", number_of_line,
                              cells.size(), columns.count),
                  path);
    for (const size_t i : columns.sensors) {
      const auto value = number(cells[i]);
      if (!value)
        return fail(ErrorCode::kInvalidArgument,
                    fmt::format("line {} column {} is no number", number_of_line, i + 1), path);
      run.rows.push_back(*value);
    }
    if (columns.label) run.anomalous.push_back(number(cells[*columns.label]).value_or(0) > 0.5);
  }
  return run;
}

void Confusion::add(const Confusion& other) {
  true_alarms += other.true_alarms;
  false_alarms += other.false_alarms;
  missed += other.missed;
  quiet += other.quiet;
}
double Confusion::f1() const {
  return fraction(2 * true_alarms, 2 * true_alarms + false_alarms + missed);
}
double Confusion::false_alarm_rate() const { return fraction(false_alarms, false_alarms + quiet); }
double Confusion::missed_alarm_rate() const { return fraction(missed, missed + true_alarms); }

Confusion judge(std::span<const double> ratios, const std::vector<bool>& anomalous, size_t first,
                double factor, double clear_ratio) {
  Confusion out;
  bool alarm = false;
  for (size_t i = first; i < ratios.size(); ++i) {
    alarm = ratios[i] > factor * (alarm ? clear_ratio : 1);
    ++(anomalous[i] ? (alarm ? out.true_alarms : out.missed)
                    : (alarm ? out.false_alarms : out.quiet));
  }
  return out;
}

Result<EvaluateReport> evaluate_dataset(FileSystem& files, const std::string& folder,
                                        const EvaluateOptions& options) {
  TRY(options.parameters.check());
  std::vector<std::string> paths;
  TRY(find_csv(files, folder, 4, paths));
  EvaluateReport report;
  report.parameters = options.parameters;
  report.train_rows = options.train_rows;
  std::vector<LabelledRun> runs, healthy;
  for (const auto& path : paths) {
    TRY_ASSIGN(LabelledRun run, read_run(files, path));
    run.name = path.substr(std::min(path.size(), folder.size() + 1));
    if (run.anomalous.empty() && healthy_by_name(run.name))
      cut_healthy(run, options.train_rows, healthy);
    else if (run.anomalous.empty())
      report.skipped.push_back(run.name);
    else
      runs.push_back(std::move(run));
  }
  if (runs.empty())
    return fail(ErrorCode::kNotFound,
                "no CSV file with an \"anomaly\" column lies below this folder", folder);
  TRY(judge_runs(runs, healthy, options, report));
  if (options.leave_one_run_out && runs.size() > 1)
    TRY(leave_one_out(runs, healthy, options, report));
  return report;
}

std::string EvaluateReport::table() const {
  size_t width = 10;
  for (const auto& run : runs) width = std::max(width, run.name.size());
  const bool both = leave_one_run_out.has_value();
  std::string out = fmt::format("{:<{}}  {:>6} {:>6} {:>6} {:>6}{}\n", "run", width, "F1", "FAR %",
                                "MAR %", "after", both ? "   left out: F1  FAR %  MAR %" : "");
  const auto line = [&](std::string_view name, const Confusion& c, std::string_view after,
                        const Confusion* left_out) {
    out += fmt::format("{:<{}}  {:>6.3f} {:>6.1f} {:>6.1f} {:>6}", name, width, c.f1(),
                       100 * c.false_alarm_rate(), 100 * c.missed_alarm_rate(), after);
    if (left_out != nullptr)
      out += fmt::format("          {:>6.3f} {:>6.1f} {:>6.1f}", left_out->f1(),
                         100 * left_out->false_alarm_rate(), 100 * left_out->missed_alarm_rate());
    out += '\n';
  };
  for (const auto& run : runs)
    line(run.name, run.counts, run.first_alarm < 0 ? "never" : fmt::format("{}", run.first_alarm),
         both ? &run.left_out : nullptr);
  line("all", total, "", both ? &*leave_one_run_out : nullptr);
  if (healthy.quiet + healthy.false_alarms > 0)
    out += fmt::format("healthy recordings: {:.1f} % of {} rows in alarm\n",
                       100 * healthy.false_alarm_rate(), healthy.quiet + healthy.false_alarms);
  for (const auto& name : skipped) out += fmt::format("{}: no labels, not judged\n", name);
  return out;
}

Json EvaluateReport::to_json() const {
  Json out = governance::to_json(total);
  out["runs"] = runs.size();
  out["rows"] = total.true_alarms + total.false_alarms + total.missed + total.quiet;
  out["train_rows"] = train_rows;
  out["parameters"] = parameters.to_json();
  out["us_per_row"] = us_per_row;
  if (healthy.quiet + healthy.false_alarms > 0)
    out["healthy_recordings"] = {{"far", healthy.false_alarm_rate()},
                                 {"rows", healthy.quiet + healthy.false_alarms}};
  if (leave_one_run_out) {
    out["leave_one_run_out"] = governance::to_json(*leave_one_run_out);
    out["leave_one_run_out"]["chosen_by_all"] = chosen_by_all.to_json();
  }
  return out;
}

}  // namespace penstock::governance
