#include "base/metrics.h"

#include <algorithm>
#include <bit>

#include <fmt/format.h>

#include "base/check.h"

namespace penstock {
namespace {

std::string escape(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n') {
      out += "\\n";
      continue;
    }
    out += c;
  }
  return out;
}

std::string render_labels(const Labels& labels, std::string_view extra = {}) {
  std::string out;
  for (const auto& [key, value] : labels)
    out += fmt::format("{}{}=\"{}\"", out.empty() ? "" : ",", key, escape(value));
  if (!extra.empty()) out += fmt::format("{}{}", out.empty() ? "" : ",", extra);
  return out.empty() ? out : "{" + out + "}";
}

}  // namespace

void Histogram::observe_us(uint64_t us) {
  const auto i = std::min<size_t>(static_cast<size_t>(std::bit_width(us)), kBuckets - 1);
  buckets_[i].fetch_add(1, std::memory_order_relaxed);
  sum_.fetch_add(us, std::memory_order_relaxed);
}

Metrics::Series& Metrics::find(std::string_view name, std::string_view help, std::string_view type,
                               Labels&& labels) {
  auto it = families_.find(name);
  if (it == families_.end())
    it = families_.emplace(std::string(name), Family{std::string(help), std::string(type), {}})
             .first;
  CHECK(it->second.type == type);
  for (Series& series : it->second.series)
    if (series.labels == labels) return series;
  return it->second.series.emplace_back(Series{std::move(labels)});
}

Counter& Metrics::counter(std::string_view name, std::string_view help, Labels labels) {
  const std::lock_guard lock(mutex_);
  Series& series = find(name, help, "counter", std::move(labels));
  if (!series.counter) series.counter = &counters_.emplace_back();
  return *series.counter;
}
Gauge& Metrics::gauge(std::string_view name, std::string_view help, Labels labels) {
  const std::lock_guard lock(mutex_);
  Series& series = find(name, help, "gauge", std::move(labels));
  if (!series.gauge) series.gauge = &gauges_.emplace_back();
  return *series.gauge;
}
Histogram& Metrics::histogram(std::string_view name, std::string_view help, Labels labels) {
  const std::lock_guard lock(mutex_);
  Series& series = find(name, help, "histogram", std::move(labels));
  if (!series.histogram) series.histogram = &histograms_.emplace_back();
  return *series.histogram;
}

std::string Metrics::render() const {
  const std::lock_guard lock(mutex_);
  std::string out;
  for (const auto& [name, family] : families_) {
    out += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, family.help, name, family.type);
    for (const Series& s : family.series) {
      if (s.counter)
        out += fmt::format("{}{} {}\n", name, render_labels(s.labels), s.counter->value());
      if (s.gauge) out += fmt::format("{}{} {}\n", name, render_labels(s.labels), s.gauge->value());
      if (!s.histogram) continue;
      uint64_t count = 0;
      for (size_t i = 0; i < Histogram::kBuckets; ++i) {
        count += s.histogram->bucket(i);
        const std::string le = i + 1 == Histogram::kBuckets
                                   ? "le=\"+Inf\""
                                   : fmt::format("le=\"{}\"", static_cast<double>(1ULL << i) / 1e6);
        out += fmt::format("{}_bucket{} {}\n", name, render_labels(s.labels, le), count);
      }
      out += fmt::format("{}_sum{} {}\n{}_count{} {}\n", name, render_labels(s.labels),
                         static_cast<double>(s.histogram->sum_us()) / 1e6, name,
                         render_labels(s.labels), count);
    }
  }
  return out;
}

}  // namespace penstock
