#include "app/cli/cli.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <thread>

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include "base/io.h"

namespace penstock::app::cli {

int exit_code = 0;

namespace {

constexpr size_t kNear = 2;  // edits

std::atomic<bool> interrupt_seen{false};

// Optimal string alignment: insertions, deletions, replacements and swaps of neighbours.
size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<std::vector<size_t>> cost(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i)
    for (size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        cost[i][j] = i + j;
        continue;
      }
      cost[i][j] = std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1,
                             cost[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
    }
  return cost[a.size()][b.size()];
}

}  // namespace

std::string did_you_mean(const CLI::App& root, const std::vector<std::string>& words) {
  const CLI::App* at = &root;
  std::string path;
  for (const std::string& word : words) {
    const auto commands =
        at->get_subcommands([](const CLI::App* one) { return !one->get_name().empty(); });
    if (commands.empty() || word.starts_with('-') || word.size() > 64) return {};
    const CLI::App* nearest = nullptr;
    size_t distance = kNear + 1;
    for (const CLI::App* one : commands)
      if (const size_t d = edit_distance(word, one->get_name()); d < distance) {
        nearest = one;
        distance = d;
      }
    if (!nearest) return {};
    path += " " + nearest->get_name();
    if (distance > 0) return "did you mean penstock" + path + "?";
    at = nearest;
  }
  return {};
}

void on_run(CLI::App* command, std::function<Status()> work) {
  command->callback([work = std::move(work)] {
    if (const Status status = work(); !status) {
      fmt::print(stderr, "penstock: {}\n", status.error().text());
      exit_code = status.error().code == ErrorCode::kInvalidArgument ? 2 : 1;
    }
  });
}

void ServerOption::add_to(CLI::App* command) {
  command->add_option("--server", url, "Address of the server")
      ->envname("PENSTOCK_SERVER")
      ->capture_default_str();
  command
      ->add_option("--token", token,
                   "API token; without one, the local administrator's in --data is used")
      ->envname("PENSTOCK_TOKEN");
  command->add_option("--data", data, "Data folder of a server on this machine")
      ->envname("PENSTOCK_DATA")
      ->capture_default_str();
}

Result<HttpClient> ServerOption::connect() const {
  std::string use = token;
  if (use.empty()) {
    const auto local = read_file(system_files(), data + "/admin.token", 4096);
    if (!local)
      return fail(ErrorCode::kUnauthenticated,
                  "no token: give --token (or PENSTOCK_TOKEN), or --data, the folder of a server "
                  "on this machine",
                  data + "/admin.token");
    use = local->substr(0, local->find_first_of("\r\n"));
  }
  return HttpClient::create(url, use);
}

Progress::Progress(std::string what, uint64_t total, bool quiet)
    : what_(std::move(what)),
      total_(total),
      quiet_(quiet),
      terminal_(::isatty(STDERR_FILENO) == 1) {}

Progress::~Progress() {
  if (terminal_ && shown_ >= 0) fmt::print(stderr, "\r\033[K");
}

void Progress::at(uint64_t done) {
  if (quiet_ || total_ == 0) return;
  const int percent = static_cast<int>(done * 100 / total_);
  if (!terminal_) {
    if (percent / 10 == shown_ / 10 && shown_ >= 0) return;
    shown_ = percent;
    fmt::print(stderr, "{}: {} %\n", what_, percent);
    return;
  }
  const int64_t now = system_clock().monotonic_us();
  if (now < next_us_ && percent < 100) return;
  next_us_ = now + 100'000;
  shown_ = percent;
  const auto filled = static_cast<size_t>(percent) * 30 / 100;
  fmt::print(stderr, "\r{} [{}{}] {:>3} %", what_, std::string(filled, '#'),
             std::string(30 - filled, '.'), percent);
  std::fflush(stderr);
}

bool interrupted() { return interrupt_seen.load(); }

void watch_for_interrupt() {
  struct sigaction action{};
  action.sa_handler = [](int) { interrupt_seen = true; };
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

void wait_until(int64_t monotonic_us) {
  constexpr int64_t kLookEveryUs = 50'000;  // for the interrupt
  int64_t left_us = 0;
  while (!interrupted() && (left_us = monotonic_us - system_clock().monotonic_us()) > 0)
    std::this_thread::sleep_for(std::chrono::microseconds(std::min(left_us, kLookEveryUs)));
}

std::string own_program() {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/exe", error).string();
}

}  // namespace penstock::app::cli
