#pragma once
// Child processes for benchmarks and the demo: started on chosen cores, watched, ended by id, and
// always reaped.

#include <memory>
#include <string>
#include <vector>

#include <sys/types.h>

#include "base/result.h"

namespace penstock::app {

struct ProcessOptions {
  std::vector<std::string> arguments;    ///< the program first; looked up in PATH
  std::vector<std::string> environment;  ///< "NAME=value", besides our own
  std::vector<int> cores;                ///< empty: any
  std::string directory;                 ///< working directory; empty: ours
  bool capture_output = false;           ///< standard output can be read with read_line
  std::string log_file;  ///< standard error (and output, unless captured); empty: ours
};

/// The child ends with this object: SIGTERM, and after 5 s SIGKILL. It also ends when we die.
class Process {
 public:
  static Result<Process> start(const ProcessOptions& options);
  Process(Process&& other) noexcept;
  Process& operator=(Process&& other) noexcept;
  ~Process();

  [[nodiscard]] pid_t id() const { return pid_; }
  /// The next line of standard output without its end; an error after `timeout_ms` or at its end.
  Result<std::string> read_line(int timeout_ms);
  [[nodiscard]] bool running();
  void signal(int number);
  /// Waits for the end; returns the exit code, or 128 + the signal.
  Result<int> wait(int timeout_ms);
  /// CPU seconds used so far, all threads. 0 once reaped.
  [[nodiscard]] double cpu_seconds() const;
  /// Resident memory in bytes now; 0 once reaped.
  [[nodiscard]] uint64_t resident_bytes() const;

 private:
  Process() = default;
  void end();
  pid_t pid_ = -1;
  int output_ = -1;
  int exit_code_ = -1;
  std::string pending_;
};

/// The cores this process may run on.
std::vector<int> allowed_cores();

}  // namespace penstock::app
