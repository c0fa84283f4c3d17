// penstock detect: judges the anomaly detector on labelled runs, without a server.

#include <memory>

#include <fmt/format.h>

#include "app/cli/cli.h"
#include "governance/learn/evaluate.h"

namespace penstock::app::cli {
namespace {

struct EvaluateCommand {
  std::string dataset;
  governance::EvaluateOptions options;
  bool json = false;
};

Status evaluate(EvaluateCommand& command) {
  std::string& folder = command.dataset;
  while (folder.size() > 1 && folder.ends_with('/')) folder.pop_back();
  TRY_ASSIGN(const auto report,
             governance::evaluate_dataset(system_files(), folder, command.options));
  if (!command.json) {
    const governance::SpcParameters& p = report.parameters;
    fmt::print(
        "{}\nOne set for all runs: smoothing {}, explained {}, drift at most {} a row, "
        "alarm above {} times the healthy maximum.\nThe first {} rows of each run teach. "
        "{:.2f} µs a row.\n\n",
        report.table(), p.smoothing, p.explained, p.drift_gain_max, p.limit_factor,
        report.train_rows, report.us_per_row);
  }
  fmt::print("{}\n", report.to_json().dump());
  std::fflush(stdout);
  return {};
}

}  // namespace

void add_detect(CLI::App& root) {
  auto* detect = root.add_subcommand("detect", "The anomaly detector, judged on labelled data");
  detect->require_subcommand(1);
  auto* command = detect->add_subcommand(
      "evaluate", "F1, false and missed alarms on every labelled CSV file below a folder");
  command->footer(
      "Each file is one run of a machine: a header, numbers, a column \"anomaly\" of 0 and 1.\n"
      "The first rows teach, the others are judged; counts are pooled over all files.\n"
      "The last line is JSON: f1, far (of healthy rows), mar (of anomalous rows), each 0 to 1.");
  auto o = std::make_shared<EvaluateCommand>();
  governance::SpcParameters& p = o->options.parameters;
  command->add_option("--dataset", o->dataset, "Folder of CSV files")
      ->required()
      ->check(CLI::ExistingDirectory);
  command->add_flag("--json", o->json, "Only the last line");
  command->add_option("--train-rows", o->options.train_rows, "Healthy rows at the start of a run")
      ->capture_default_str();
  command->add_flag("!--no-left-out", o->options.leave_one_run_out,
                    "Leave out how the parameters do that each time the other runs alone choose");
  command->add_option("--smoothing", p.smoothing, "Weight of the newest row")
      ->capture_default_str();
  command->add_option("--explained", p.explained, "Share of healthy variance that T² spans")
      ->capture_default_str();
  command->add_option("--drift", p.drift_gain_max, "Largest share of a drift followed in a row")
      ->capture_default_str();
  command->add_option("--factor", p.limit_factor, "Alarm above so many times the healthy maximum")
      ->capture_default_str();
  on_run(command, [o] { return evaluate(*o); });
}

}  // namespace penstock::app::cli
