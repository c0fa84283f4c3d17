#include "app/bench/interop_sparkplug.h"

#include <algorithm>
#include <chrono>
#include <filesystem>

#include <fmt/format.h>

#include "app/bench/bench_server.h"
#include "app/process.h"
#include "base/io.h"
#include "interop/sparkplug/values.h"

namespace penstock::app {
namespace {

using namespace interop::sparkplug;

constexpr int kMetrics = 100;
constexpr int kSeconds = 1;
constexpr int kPeerTimeoutMs = 60'000;
constexpr uint64_t kTimeMs = 1'790'000'000'000;

// The datatypes of a gateway: mostly reals, some counters, states and texts.
DataType type_of(int number) {
  constexpr DataType kTypes[] = {DataType::kDouble, DataType::kFloat,   DataType::kFloat,
                                 DataType::kDouble, DataType::kInt32,   DataType::kInt64,
                                 DataType::kUInt16, DataType::kBoolean, DataType::kDouble,
                                 DataType::kString};
  return kTypes[number % 10];
}

WireScalar value_of(int number) {
  switch (type_of(number)) {
    case DataType::kDouble:
      return WireScalar::of_double(number * 1.37);
    case DataType::kFloat:
      return WireScalar::of_float(static_cast<float>(number) * 0.5F);
    case DataType::kInt64:
      return WireScalar::of_long(static_cast<uint64_t>(number) << 33);
    case DataType::kBoolean:
      return WireScalar::of_boolean(number % 20 == 7);
    case DataType::kString:
      return WireScalar::of_text("running");
    default:
      return WireScalar::of_int(static_cast<uint32_t>(number) * 7);
  }
}

// Data as 3.0 sends it: alias, time and value; the birth told the rest. `births`: with names.
Bytes make_payload(bool birth) {
  Bytes out;
  PayloadInfo info;
  info.has_timestamp = info.has_seq = true;
  info.timestamp_ms = kTimeMs;
  write_info(out, info);
  for (int i = 0; i < kMetrics; ++i) {
    Metric metric;
    const std::string name_text = fmt::format("Line {}/Compressor/Metric {}", i / 25, i);
    metric.has_name = birth;
    if (birth) metric.name = name_text;
    metric.has_alias = metric.has_timestamp = true;
    metric.alias = static_cast<uint64_t>(i) + 1;
    metric.timestamp_ms = kTimeMs + static_cast<uint64_t>(i);
    metric.type = type_of(i);
    metric.value = value_of(i);
    write_metric(out, metric);
  }
  return out;
}

Result<double> ours_per_s(const Bytes& data, const Dictionary& known) {
  MetricValues values;
  const auto begin = std::chrono::steady_clock::now();
  const auto end = begin + std::chrono::seconds(kSeconds);
  uint64_t metrics = 0;
  while (std::chrono::steady_clock::now() < end) {
    for (int i = 0; i < 100; ++i) {
      values.clear();
      PayloadInfo info;
      if (!read_info(data, info) || !values.add_all(data, known, info.timestamp_ms))
        return fail(ErrorCode::kInternal, "the benchmark's payload was refused");
      metrics += values.values().size();
    }
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  return static_cast<double>(metrics) / took.count();
}

constexpr const char* kPeerScript = R"(
const [package_, hex, seconds, rounds] = process.argv.slice(1);
const payloads = (await import(package_)).default;
const codec = payloads.get('spBv1.0');
const bytes = Buffer.from(hex, 'hex');
const per_s = [];
for (let round = 0; round <= Number(rounds); ++round) {
  const begin = performance.now();
  let metrics = 0;
  while (performance.now() - begin < Number(seconds) * 1000)
    for (let i = 0; i < 20; ++i) metrics += codec.decodePayload(bytes).metrics.length;
  if (round > 0) per_s.push(metrics / ((performance.now() - begin) / 1000));  // the first one warms up
}
console.log(JSON.stringify({ per_s }));
)";

Result<double> peer_per_s(const InteropBenchOptions& options, const Bytes& data) {
  const std::string package = options.node_modules + "/sparkplug-payload/index.js";
  std::error_code none;
  const auto path = std::filesystem::absolute(package, none);
  if (!std::filesystem::exists(path, none))
    return fail(ErrorCode::kNotFound, "npm ci in tests/ brings the peer", package);
  std::string hex;
  for (const std::byte byte : data) hex += fmt::format("{:02x}", static_cast<unsigned>(byte));
  ProcessOptions process;
  process.arguments = {"node",
                       "--input-type=module",
                       "-e",
                       kPeerScript,
                       path.string(),
                       hex,
                       std::to_string(kSeconds),
                       std::to_string(options.rounds)};
  process.capture_output = true;
  process.log_file = "/dev/null";
  TRY_ASSIGN(Process node, Process::start(process));
  TRY_ASSIGN(const std::string line, node.read_line(kPeerTimeoutMs));
  TRY_ASSIGN(const Json answer, parse_json(line));
  const auto all = answer.at("per_s").get<std::vector<double>>();
  return all.empty() ? 0 : *std::max_element(all.begin(), all.end());
}

}  // namespace

Result<Json> bench_interop_sparkplug(const InteropBenchOptions& options) {
  Dictionary known;
  if (!MetricValues().learn(make_payload(true), kMetrics, known))
    return fail(ErrorCode::kInternal, "the benchmark's birth was refused");
  const Bytes data = make_payload(false);
  double best = 0;
  for (int round = 0; round < options.rounds; ++round) {
    TRY_ASSIGN(const double per_s, ours_per_s(data, known));
    best = std::max(best, per_s);
  }
  Json out{{"sparkplug_metrics_per_s", best}, {"sparkplug_ratio", nullptr}};
  const Result<double> peer = peer_per_s(options, data);
  if (!peer) {
    out["sparkplug_peer"] = peer.error().text();
    return out;
  }
  out["sparkplug_peer_metrics_per_s"] = *peer;
  if (*peer > 0) out["sparkplug_ratio"] = best / *peer;
  return out;
}

}  // namespace penstock::app
