#pragma once
// Alarms, rules, detectors and history in memory.

#include <algorithm>
#include <cmath>
#include <fstream>

#include "api/ports.h"

namespace penstock::api::testing {

class MemoryBooks : public AlarmBook, public RuleBook, public DetectorBook, public HistoryBook {
 public:
  std::vector<AlarmItem> all_alarms;  ///< oldest first
  std::vector<RuleItem> all_rules;
  std::vector<DetectorItem> all_detectors;
  HistoryQuestion last_question;
  size_t rows_a_series = 3;
  bool cancel_queries = false;

  Result<std::vector<AlarmItem>> alarms(const AlarmFilter& filter, size_t limit) override {
    std::vector<AlarmItem> out;
    for (auto alarm = all_alarms.rbegin(); alarm != all_alarms.rend() && out.size() < limit;
         ++alarm)
      if (alarm->organisation == filter.organisation && alarm->id.value < filter.before &&
          (!filter.open || alarm->state != AlarmState::kClosed) &&
          (!filter.state || alarm->state == *filter.state) &&
          (!filter.priority || alarm->priority == *filter.priority) &&
          (!filter.site || alarm->site == filter.site) &&
          (!filter.twin || alarm->twin == filter.twin) &&
          (filter.sites.empty() ||
           std::find(filter.sites.begin(), filter.sites.end(), alarm->site) != filter.sites.end()))
        out.push_back(*alarm);
    return out;
  }
  Result<AlarmItem> alarm(OrganisationId, AlarmId id) override {
    TRY_ASSIGN(AlarmItem * found, find(id));
    return *found;
  }
  Result<AlarmItem> acknowledge(OrganisationId, AlarmId id, std::string_view who,
                                std::string_view note) override {
    TRY_ASSIGN(AlarmItem * found, find(id));
    found->state =
        found->state == AlarmState::kCleared ? AlarmState::kClosed : AlarmState::kAcknowledged;
    found->acknowledged = found->raised;
    found->acknowledged_by = std::string(who);
    found->history.push_back({found->raised, std::string(who), "acknowledged", std::string(note)});
    return *found;
  }
  Result<AlarmItem> add_note(OrganisationId, AlarmId id, std::string_view who,
                             std::string_view text) override {
    TRY_ASSIGN(AlarmItem * found, find(id));
    found->history.push_back({found->raised, std::string(who), "note", std::string(text)});
    return *found;
  }

  Result<std::vector<RuleItem>> rules(OrganisationId) override { return all_rules; }
  Result<RuleItem> create_rule(OrganisationId, const RuleItem& rule, std::string_view) override {
    all_rules.push_back(rule);
    all_rules.back().id = RuleId(++last_id_);
    return all_rules.back();
  }
  Result<RuleItem> replace_rule(OrganisationId, const RuleItem& rule, std::string_view) override {
    for (auto& old : all_rules)
      if (old.id == rule.id) return old = rule;
    return fail(ErrorCode::kNotFound, "no such rule");
  }
  Status delete_rule(OrganisationId, RuleId id, std::string_view) override {
    std::erase_if(all_rules, [&](const RuleItem& rule) { return rule.id == id; });
    return {};
  }

  Result<std::vector<DetectorItem>> detectors(OrganisationId) override { return all_detectors; }
  Result<DetectorItem> create_detector(OrganisationId, const DetectorItem& detector) override {
    all_detectors.push_back(detector);
    all_detectors.back().id = RuleId(++last_id_);
    all_detectors.back().state = "learning";
    return all_detectors.back();
  }
  Status delete_detector(OrganisationId, RuleId id) override {
    std::erase_if(all_detectors, [&](const DetectorItem& one) { return one.id == id; });
    return {};
  }
  Result<DetectorItem> learn(OrganisationId, RuleId id, Timestamp from, Timestamp to) override {
    for (auto& one : all_detectors)
      if (one.id == id) {
        one.healthy_from = from;
        one.healthy_to = to;
        return one;
      }
    return fail(ErrorCode::kNotFound, "no such detector");
  }

  Result<HistoryAnswer> query(const HistoryQuestion& question,
                              const std::atomic<bool>& cancelled) override {
    last_question = question;
    if (cancel_queries || cancelled) return fail(ErrorCode::kCancelled, "stopped");
    HistoryAnswer answer;
    answer.bucket = question.bucket;
    for (const SeriesId id : question.series) {
      SeriesAnswer one;
      one.series = id;
      for (size_t i = 0; i < rows_a_series; ++i) {
        one.time.push_back(question.from + Duration::seconds(static_cast<int64_t>(i)));
        one.quality.push_back(twin::Quality::kGood);
        const double value = i == 1 ? std::nan("") : 1.5 * static_cast<double>(i);
        if (!question.bucket) {
          one.number.push_back(value);
          one.text.push_back("a \"text\", with commas");
        } else {
          one.avg.push_back(value);
          one.count.push_back(i);
        }
      }
      one.gaps.push_back({question.from, question.from + Duration::seconds(1)});
      answer.series.push_back(std::move(one));
    }
    return answer;
  }
  Status export_parquet(const HistoryQuestion& question, const std::string& path,
                        const std::atomic<bool>&) override {
    last_question = question;
    std::ofstream(path) << "PAR1";
    if (cancel_queries) return fail(ErrorCode::kCancelled, "stopped");
    return {};
  }

 private:
  Result<AlarmItem*> find(AlarmId id) {
    for (auto& alarm : all_alarms)
      if (alarm.id == id) return &alarm;
    return fail(ErrorCode::kNotFound, "there is no such alarm");
  }
  uint32_t last_id_ = 0;
};

}  // namespace penstock::api::testing
