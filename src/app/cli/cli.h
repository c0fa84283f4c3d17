#pragma once
// What the commands share. Each command is one file with one add_… function; main.cpp calls them
// all.

#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "app/http_client.h"
#include "base/result.h"

namespace penstock::app::cli {

/// Set by the command that ran; what main returns. 0: done, 1: failed, 2: wrong arguments.
extern int exit_code;

/// Runs `work` when `command` is chosen; prints an error as "penstock: …" to standard error and
/// sets exit_code.
void on_run(CLI::App* command, std::function<Status()> work);

/// The command that a mistyped word among `words` most likely means, as "did you mean …?"; empty
/// where no word is near one.
std::string did_you_mean(const CLI::App& root, const std::vector<std::string>& words);

/// --server, --token: which Penstock a command speaks to, and as whom. The token of the local
/// administrator is read from the data folder where none is given.
struct ServerOption {
  std::string url = "http://127.0.0.1:8080";
  std::string token;
  std::string data = ".penstock/data";

  void add_to(CLI::App* command);
  [[nodiscard]] Result<HttpClient> connect() const;
};

/// A bar on standard error while it is a terminal, else a line every 10 %. Nothing when quiet.
class Progress {
 public:
  Progress(std::string what, uint64_t total, bool quiet = false);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  void at(uint64_t done);

 private:
  std::string what_;
  uint64_t total_;
  bool quiet_, terminal_;
  int shown_ = -1;
  int64_t next_us_ = 0;
};

/// True once the person has pressed Ctrl-C (or SIGTERM came): long work stops at the next step.
bool interrupted();
void watch_for_interrupt();
/// Sleeps until the monotonic clock says so, or the person has interrupted.
void wait_until(int64_t monotonic_us);

/// This program's own path, for commands that start it again.
std::string own_program();

void add_alarm(CLI::App& root);
void add_bench(CLI::App& root);
void add_binding(CLI::App& root);
void add_bridge(CLI::App& root);
void add_completion(CLI::App& root);
void add_detect(CLI::App& root);
void add_device(CLI::App& root);
void add_doctor(CLI::App& root);
void add_journal(CLI::App& root);
void add_model(CLI::App& root);
void add_model_check(CLI::App& model);  ///< subcommands of model that need no server
void add_query(CLI::App& root);
void add_replay(CLI::App& root);
void add_rule(CLI::App& root);
void add_serve(CLI::App& root);
void add_simulate(CLI::App& root);
void add_site(CLI::App& root);

}  // namespace penstock::app::cli
