#pragma once
// Tasks handed to a shard by other threads, in order for each sender.

#include <functional>
#include <mutex>
#include <vector>

#include "base/net.h"

namespace penstock::stream {

/// Many senders, one receiver. The receiver is woken once for all that came since it last looked.
class Mailbox {
 public:
  using Task = std::function<void()>;

  explicit Mailbox(Poller& poller) : poller_(poller) {}

  /// Any thread.
  void post(Task task) {
    bool first = false;
    {
      const std::lock_guard lock(mutex_);
      first = waiting_.empty();
      waiting_.push_back(std::move(task));
    }
    if (first) poller_.wake();
  }

  /// Runs what has come; tasks posted meanwhile wait for the next call. Owner's thread.
  bool drain() {
    {
      const std::lock_guard lock(mutex_);
      if (waiting_.empty()) return false;
      running_.swap(waiting_);
    }
    for (Task& task : running_) task();
    running_.clear();  // keeps the memory
    return true;
  }

 private:
  Poller& poller_;
  std::mutex mutex_;
  std::vector<Task> waiting_;
  std::vector<Task> running_;
};

}  // namespace penstock::stream
