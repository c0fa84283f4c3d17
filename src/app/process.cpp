#include "app/process.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/io.h"

namespace penstock::app {
namespace {

// In the child, between fork and exec: only async-signal-safe calls.
[[noreturn]] void become(const ProcessOptions& options, std::vector<char*>& argv, int output,
                         int log) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (!options.cores.empty()) {
    cpu_set_t set;
    CPU_ZERO(&set);
    for (const int core : options.cores) CPU_SET(static_cast<size_t>(core), &set);
    sched_setaffinity(0, sizeof set, &set);
  }
  if (!options.directory.empty() && ::chdir(options.directory.c_str()) != 0) _exit(127);
  if (log >= 0) {
    ::dup2(log, STDERR_FILENO);
    if (output < 0) ::dup2(log, STDOUT_FILENO);
  }
  if (output >= 0) ::dup2(output, STDOUT_FILENO);
  const int null = ::open("/dev/null", O_RDONLY);
  if (null >= 0) ::dup2(null, STDIN_FILENO);
  for (const std::string& variable : options.environment)
    ::putenv(const_cast<char*>(variable.c_str()));
  ::execvp(argv[0], argv.data());
  _exit(127);
}

}  // namespace

Result<Process> Process::start(const ProcessOptions& options) {
  std::array<int, 2> pipe{-1, -1};
  if (options.capture_output && ::pipe2(pipe.data(), O_CLOEXEC) != 0)
    return fail(ErrorCode::kIo, std::string("no pipe: ") + std::strerror(errno));
  int log = -1;
  if (!options.log_file.empty()) {
    log = ::open(options.log_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (log < 0)
      return fail(ErrorCode::kIo, std::string("cannot write the log: ") + std::strerror(errno),
                  options.log_file);
  }
  std::vector<char*> argv;
  argv.reserve(options.arguments.size() + 1);
  for (const std::string& argument : options.arguments)
    argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  const pid_t pid = ::fork();
  if (pid == 0) become(options, argv, pipe[1], log);
  if (log >= 0) ::close(log);
  if (pipe[1] >= 0) ::close(pipe[1]);
  if (pid < 0)
    return fail(ErrorCode::kIo, std::string("cannot start: ") + std::strerror(errno),
                options.arguments[0]);
  Process process;
  process.pid_ = pid;
  process.output_ = pipe[0];
  return process;
}

Process::Process(Process&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      output_(std::exchange(other.output_, -1)),
      exit_code_(other.exit_code_),
      pending_(std::move(other.pending_)) {}

Process& Process::operator=(Process&& other) noexcept {
  if (this == &other) return *this;
  end();
  pid_ = std::exchange(other.pid_, -1);
  output_ = std::exchange(other.output_, -1);
  exit_code_ = other.exit_code_;
  pending_ = std::move(other.pending_);
  return *this;
}

Process::~Process() { end(); }

void Process::end() {
  if (pid_ > 0) {
    signal(SIGTERM);
    if (!wait(5000)) {
      signal(SIGKILL);
      (void)wait(5000);
    }
  }
  if (output_ >= 0) ::close(output_);
  output_ = -1;
}

Result<std::string> Process::read_line(int timeout_ms) {
  const int64_t give_up = system_clock().monotonic_us() + static_cast<int64_t>(timeout_ms) * 1000;
  while (true) {
    if (const size_t end = pending_.find('\n'); end != std::string::npos) {
      std::string line = pending_.substr(0, end);
      pending_.erase(0, end + 1);
      return line;
    }
    const int64_t left_ms = (give_up - system_clock().monotonic_us()) / 1000;
    pollfd wait_for{output_, POLLIN, 0};
    const int ready = left_ms > 0 ? ::poll(&wait_for, 1, static_cast<int>(left_ms)) : 0;
    if (ready == 0) return fail(ErrorCode::kTimeout, "the program said nothing in time");
    std::array<char, 4096> chunk{};
    const ssize_t n = ::read(output_, chunk.data(), chunk.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return fail(ErrorCode::kUnavailable, "the program ended");
    pending_.append(chunk.data(), static_cast<size_t>(n));
  }
}

bool Process::running() { return pid_ > 0 && !wait(0); }

void Process::signal(int number) {
  if (pid_ > 0) ::kill(pid_, number);
}

Result<int> Process::wait(int timeout_ms) {
  const int64_t give_up = system_clock().monotonic_us() + static_cast<int64_t>(timeout_ms) * 1000;
  while (pid_ > 0) {
    int status = 0;
    const pid_t got = ::waitpid(pid_, &status, WNOHANG);
    if (got == pid_) {
      pid_ = -1;
      exit_code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
      break;
    }
    if (system_clock().monotonic_us() >= give_up)
      return fail(ErrorCode::kTimeout, "the program still runs");
    ::usleep(2000);
  }
  return exit_code_;
}

double Process::cpu_seconds() const {
  std::ifstream stat("/proc/" + std::to_string(pid_) + "/stat");
  std::string text((std::istreambuf_iterator<char>(stat)), {});
  const size_t behind_name = text.rfind(')');
  if (behind_name == std::string::npos) return 0;
  std::istringstream fields(text.substr(behind_name + 2));
  std::string skip;
  for (int i = 0; i < 11; ++i)
    fields >> skip;  // proc(5): utime is field 14, state (here first) is field 3
  double user = 0, system = 0;
  fields >> user >> system;
  return (user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

uint64_t Process::resident_bytes() const {
  std::ifstream statm("/proc/" + std::to_string(pid_) + "/statm");
  uint64_t total = 0, resident = 0;
  statm >> total >> resident;
  return resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

std::vector<int> allowed_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> cores;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return {0};
  for (int i = 0; i < CPU_SETSIZE; ++i)
    if (CPU_ISSET(static_cast<size_t>(i), &set)) cores.push_back(i);
  return cores;
}

}  // namespace penstock::app
