#include "stream/journal_inspect.h"

#include <algorithm>

#include <fmt/format.h>

#include "stream/records.h"

namespace penstock::stream {
namespace {

const char* type_name(RecordType type) {
  switch (type) {
    case RecordType::kSamples:
      return "samples";
    case RecordType::kDeadLetter:
      return "dead_letter";
    case RecordType::kDiscovery:
      return "discovery";
    case RecordType::kSignal:
      return "signal";
    case RecordType::kMqtt:
      return "mqtt";
    case RecordType::kCommand:
      return "command";
    case RecordType::kSparkplug:
      return "sparkplug";
    case RecordType::kPadding:
      break;
  }
  return "unknown";
}

// Samples count how many they are; the others only whether they can be read.
void count(const RawRecord& record, SegmentReport& report) {
  ++report.records[type_name(record.type)];
  bool good = true;
  if (record.type == RecordType::kSamples) {
    std::vector<Sample> samples;
    const auto view = decode_samples(record.body, samples);
    good = view.has_value();
    if (view) {
      report.samples += view->samples.size();
      for (const Sample& sample : view->samples) {
        if (report.first_received.us == 0) report.first_received = sample.received_time;
        report.last_received = std::max(report.last_received, sample.received_time);
      }
    }
  } else if (record.type == RecordType::kSignal) {
    good = decode_signal(record.body).has_value();
  } else if (record.type != RecordType::kMqtt && record.type != RecordType::kSparkplug) {
    good = decode_raw(record.body).has_value();
  }
  if (!good) ++report.undecodable;
}

const char* tail_name(SegmentTail tail) {
  switch (tail) {
    case SegmentTail::kWhole:
      return "whole";
    case SegmentTail::kTorn:
      return "torn tail";
    case SegmentTail::kDamaged:
      return "DAMAGED";
    case SegmentTail::kUnmade:
      break;
  }
  return "empty";
}

}  // namespace

Result<JournalReport> inspect_journal(FileSystem& files, const std::string& directory,
                                      const std::function<void(uint64_t, uint64_t)>& progress) {
  const auto names = files.list(directory);
  std::vector<JournalOffset> firsts;
  if (names)
    for (const std::string& name : *names)
      if (const auto first = parse_segment_name(name)) firsts.push_back(*first);
  if (firsts.empty())
    return fail(ErrorCode::kNotFound,
                "there is no journal here: give --data, the data folder of a server", directory);
  std::sort(firsts.begin(), firsts.end());
  uint64_t total = 0, done = 0;
  for (const JournalOffset first : firsts)
    if (const auto file = files.open(directory + "/" + segment_name(first), OpenMode::kRead))
      total += (*file)->size().value_or(0);
  JournalReport out;
  for (size_t i = 0; i < firsts.size(); ++i) {
    SegmentReport report;
    report.path = directory + "/" + segment_name(firsts[i]);
    const bool newest = i + 1 == firsts.size();
    auto scan = scan_segment(files, report.path, firsts[i], newest,
                             [&](const journal_format::FrameHeader& header, ByteView body) {
                               for (ByteView rest = body; !rest.empty();) {
                                 const auto record = take_record(rest);
                                 if (!record) {
                                   ++report.undecodable;
                                   break;
                                 }
                                 count(*record, report);
                               }
                               done += journal_format::kFrameHeader + header.body_bytes;
                               if (progress) progress(done, total);
                             });
    if (!scan) {
      out.damage.push_back(scan.error());
      continue;
    }
    report.scan = *scan;
    if (scan->tail == SegmentTail::kDamaged) out.damage.push_back(damage_error(*scan, report.path));
    if (scan->tail == SegmentTail::kTorn) out.torn_bytes += scan->file_bytes - scan->valid_bytes();
    if (!newest && scan->tail == SegmentTail::kWhole && scan->end != firsts[i + 1])
      out.damage.push_back({ErrorCode::kCorrupt,
                            fmt::format("a part of the journal is missing: offsets {} to {}; "
                                        "restore the segment from a copy",
                                        scan->end, firsts[i + 1]),
                            directory});
    if (report.undecodable > 0)
      out.damage.push_back({ErrorCode::kCorrupt,
                            fmt::format("{} records have a good checksum and cannot be decoded: "
                                        "another version of Penstock may have written them",
                                        report.undecodable),
                            report.path});
    out.segments.push_back(std::move(report));
  }
  return out;
}

Json JournalReport::to_json() const {
  Json list = Json::array();
  uint64_t samples = 0, frames = 0, records = 0;
  for (const SegmentReport& one : segments) {
    samples += one.samples;
    frames += one.scan.frames;
    records += one.scan.records;
    Json item{{"path", one.path},           {"first_offset", one.scan.first},
              {"end_offset", one.scan.end}, {"bytes", one.scan.file_bytes},
              {"frames", one.scan.frames},  {"records", one.records},
              {"samples", one.samples},     {"tail", tail_name(one.scan.tail)}};
    if (one.first_received.us != 0) {
      item["first_received"] = to_rfc3339(one.first_received);
      item["last_received"] = to_rfc3339(one.last_received);
    }
    list.push_back(std::move(item));
  }
  Json broken = Json::array();
  for (const Error& error : damage) broken.push_back(error.text());
  return {{"whole", whole()},           {"segments", std::move(list)}, {"frames", frames},
          {"records", records},         {"samples", samples},          {"torn_bytes", torn_bytes},
          {"damage", std::move(broken)}};
}

std::string JournalReport::table() const {
  std::string out = fmt::format("{:>20} {:>20} {:>12} {:>10} {:>12} {:>12}  {}\n", "first offset",
                                "end offset", "bytes", "frames", "records", "samples", "");
  for (const SegmentReport& one : segments)
    out += fmt::format("{:>20} {:>20} {:>12} {:>10} {:>12} {:>12}  {}\n", one.scan.first,
                       one.scan.end, one.scan.file_bytes, one.scan.frames, one.scan.records,
                       one.samples, tail_name(one.scan.tail));
  std::map<std::string, uint64_t> types;
  Timestamp first, last;
  for (const SegmentReport& one : segments) {
    for (const auto& [type, number] : one.records) types[type] += number;
    if (first.us == 0) first = one.first_received;
    last = std::max(last, one.last_received);
  }
  for (const auto& [type, number] : types) out += fmt::format("{:>20} records: {}\n", number, type);
  if (first.us != 0)
    out += fmt::format("samples received from {} to {}\n", to_rfc3339(first), to_rfc3339(last));
  return out;
}

}  // namespace penstock::stream
