// penstock journal: what a journal holds, and whether it is whole. Works on the files, also while a
// server runs.

#include <fmt/format.h>

#include "app/cli/cli.h"
#include "base/io.h"
#include "stream/journal_inspect.h"

namespace penstock::app::cli {
namespace {

struct JournalOptions {
  std::string data = ".penstock/data";
  bool json = false;
};

Result<stream::JournalReport> inspect(const JournalOptions& o) {
  std::optional<Progress> progress;
  return stream::inspect_journal(system_files(), o.data + "/journal",
                                 [&](uint64_t done, uint64_t total) {
                                   if (!progress) progress.emplace("journal", total, o.json);
                                   progress->at(done);
                                 });
}

Status run_inspect(const JournalOptions& o) {
  TRY_ASSIGN(const auto report, inspect(o));
  if (o.json)
    fmt::print("{}\n", report.to_json().dump());
  else
    fmt::print("{}", report.table());
  return {};
}

Status run_verify(const JournalOptions& o) {
  TRY_ASSIGN(const auto report, inspect(o));
  if (o.json) {
    fmt::print("{}\n", report.to_json().dump());
  } else {
    for (const Error& error : report.damage) fmt::print("{}\n", error.text());
    if (report.torn_bytes > 0)
      fmt::print(
          "{} bytes at the end are half a write that was never acknowledged; the next start "
          "cuts them off\n",
          report.torn_bytes);
    if (report.whole()) fmt::print("the journal is whole\n");
  }
  if (!report.whole()) exit_code = 1;
  return {};
}

}  // namespace

void add_journal(CLI::App& root) {
  auto* journal = root.add_subcommand("journal", "What a journal holds, and whether it is whole");
  journal->require_subcommand(1);
  const auto o = std::make_shared<JournalOptions>();
  const auto add = [&](const char* name, const char* what, Status (*run)(const JournalOptions&)) {
    auto* command = journal->add_subcommand(name, what);
    command->add_option("--data", o->data, "Data folder of a server")
        ->envname("PENSTOCK_DATA")
        ->capture_default_str();
    command->add_flag("--json", o->json, "One JSON line");
    on_run(command, [o, run] { return run(*o); });
  };
  add("inspect", "Segments, records by type, samples and their times", run_inspect);
  add("verify", "Check every checksum; exit code 1 where something is damaged", run_verify);
}

}  // namespace penstock::app::cli
