#pragma once
// A few threads for work that is too slow for a shard, such as checking a password. Bounded.

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace penstock::app {

class WorkerPool {
 public:
  WorkerPool(size_t threads, size_t queue_max);
  /// Drops what has not begun and waits for what has.
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  /// Any thread. False: the queue is full, and `task` will not run.
  [[nodiscard]] bool submit(std::function<void()> task);

 private:
  void run();

  const size_t queue_max_;
  std::mutex mutex_;
  std::condition_variable wanted_;
  std::deque<std::function<void()>> queue_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace penstock::app
