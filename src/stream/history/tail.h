#pragma once
// What history has in memory by series: the newest samples, and what is known of each series.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "stream/history/point.h"
#include "stream/sample.h"

namespace penstock::stream::history {

/// By dense number, in pages, so that a large number does not cost memory for all below it.
template <class Entry>
class Paged {
 public:
  Entry* find(uint32_t number) const {
    const size_t page = number / kPage;
    if (page >= pages_.size() || !pages_[page]) return nullptr;
    return &pages_[page][number % kPage];
  }
  Entry& at(uint32_t number) {
    const size_t page = number / kPage;
    if (page >= pages_.size()) pages_.resize(page + 1);
    if (!pages_[page]) pages_[page] = std::make_unique<Entry[]>(kPage);
    return pages_[page][number % kPage];
  }

 private:
  static constexpr size_t kPage = 256;
  std::vector<std::unique_ptr<Entry[]>> pages_;
};

/// Samples by series, in the order they came. The memory stays when it is cleared.
class Tail {
 public:
  void add(const Sample& sample, std::string_view text) {
    std::vector<Point>& points = series_.at(sample.series.value);
    if (points.empty()) touched_.push_back(sample.series.value);
    uint64_t bits;
    if (sample.kind == ValueKind::kText || sample.kind == ValueKind::kObject)
      bits = add_text(text_, text);
    else if (sample.kind == ValueKind::kBoolean)
      bits = sample.boolean ? 1 : 0;
    else
      bits = static_cast<uint64_t>(sample.integer);
    points.push_back({sample.source_time.us, bits, sample.kind, sample.quality});
    ++samples_;
  }
  /// In the order they came, with repetitions; null: none.
  [[nodiscard]] std::vector<Point>* points(uint32_t series) const { return series_.find(series); }
  [[nodiscard]] const std::vector<uint32_t>& touched() const { return touched_; }
  [[nodiscard]] std::vector<uint32_t>& touched() { return touched_; }
  [[nodiscard]] const std::string& text() const { return text_; }
  [[nodiscard]] size_t samples() const { return samples_; }
  void clear() {
    for (const uint32_t series : touched_) series_.find(series)->clear();
    touched_.clear();
    text_.clear();
    samples_ = 0;
  }

 private:
  Paged<std::vector<Point>> series_;
  std::vector<uint32_t> touched_;
  std::string text_;
  size_t samples_ = 0;
};

/// Orders by time; of several with the same time the last stays. REQUIRES: later entries came
/// later.
void sort_points(std::vector<Point>& points);
/// The same by start; of several with the same start the last stays.
void sort_buckets(std::vector<Bucket>& buckets);

}  // namespace penstock::stream::history
