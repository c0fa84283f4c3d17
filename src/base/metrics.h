#pragma once
// Counters and gauges, named once at start, bumped without a lock, rendered in the Prometheus text
// format 0.0.4.

#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace penstock {

/// A number that only grows. Relaxed: any thread may add.
class Counter {
 public:
  void add(uint64_t n = 1) { value_.fetch_add(n, std::memory_order_relaxed); }
  [[nodiscard]] uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  alignas(64) std::atomic<uint64_t> value_{0};
};

/// A number that goes up and down.
class Gauge {
 public:
  void set(double n) { value_.store(n, std::memory_order_relaxed); }
  [[nodiscard]] double value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<double> value_{0};
};

/// Durations in µs, in powers of two from 1 µs to 67 s.
class Histogram {
 public:
  static constexpr size_t kBuckets = 27;
  void observe_us(uint64_t us);
  [[nodiscard]] uint64_t bucket(size_t i) const {
    return buckets_[i].load(std::memory_order_relaxed);
  }
  [[nodiscard]] uint64_t sum_us() const { return sum_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> buckets_[kBuckets]{};
  std::atomic<uint64_t> sum_{0};
};

using Labels = std::vector<std::pair<std::string, std::string>>;

/// Owns the metrics; references stay valid as long as it lives. Making one locks, bumping does not.
class Metrics {
 public:
  Counter& counter(std::string_view name, std::string_view help, Labels labels = {});
  Gauge& gauge(std::string_view name, std::string_view help, Labels labels = {});
  Histogram& histogram(std::string_view name, std::string_view help, Labels labels = {});
  [[nodiscard]] std::string render() const;

 private:
  struct Series {
    Labels labels;
    Counter* counter = nullptr;
    Gauge* gauge = nullptr;
    Histogram* histogram = nullptr;
  };
  struct Family {
    std::string help, type;
    std::vector<Series> series;
  };
  Series& find(std::string_view name, std::string_view help, std::string_view type,
               Labels&& labels);

  mutable std::mutex mutex_;
  std::map<std::string, Family, std::less<>> families_;
  std::deque<Counter> counters_;
  std::deque<Gauge> gauges_;
  std::deque<Histogram> histograms_;
};

}  // namespace penstock
